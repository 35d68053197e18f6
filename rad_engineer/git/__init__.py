"""The repository through the git command line: hardened, never a shell, one function for each question."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rad_engineer.errors import NoInput
from rad_engineer.git.collection import NoCollection
from rad_engineer.git.command import GitFailed, ask, call, fields, run, text
from rad_engineer.git.discovery import discover
from rad_engineer.git.merge_tree import Merge, merge
from rad_engineer.git.ref_store import (
    Landing,
    checked_out,
    clean_stale_locks,
    keep,
    landings,
    refs,
    rescue_ref,
    tip,
    update_refs,
    valid_branch,
)
from rad_engineer.git.repository import Repository

__all__ = [
    "GitFailed",
    "Landing",
    "Merge",
    "NoCollection",
    "Repository",
    "changed",
    "checked_out",
    "clean_stale_locks",
    "commits",
    "default_branch",
    "diff",
    "dirty",
    "discover",
    "head",
    "is_ancestor",
    "keep",
    "landings",
    "last_good",
    "merge",
    "patch",
    "refs",
    "rescue_ref",
    "resolve",
    "run",
    "show",
    "sizes",
    "tip",
    "update_refs",
    "valid_branch",
    "whole",
]

_LOOKED_BACK = 200
_BLOB = re.compile(rb"[0-9a-f]+ blob [0-9]+")


def resolve(repository: Repository, revision: str) -> str:
    """The commit that a branch, tag or hash names."""
    out = ask(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if out is None:
        raise NoInput(
            f"{revision!r} is not a commit of this repository", hint="see `git log` and `git branch`"
        )
    return text(out)


def head(repository: Repository) -> str:
    """The commit that is checked out."""
    return resolve(repository, "HEAD")


def is_ancestor(repository: Repository, older: str, newer: str) -> bool:
    """Whether everything in `older` is also in `newer`; nothing holds a commit that is gone."""
    try:
        return ask(repository, "merge-base", "--is-ancestor", older, newer) is not None
    except GitFailed as error:
        if "Not a valid commit name" in error.stderr:
            return False
        raise


def whole(repository: Repository, commit: str, base: str) -> bool:
    """Whether everything that a commit has on top of an older one is still there: a prune may have taken it."""
    arguments = ("rev-list", "--objects", "--quiet", "--end-of-options", commit, f"^{base}")
    return (
        call(repository, *arguments)[0] == 0
    )  # nothing else is asked: git ends with 128 over what is missing


def default_branch(repository: Repository) -> str | None:
    """The branch that the remote calls its own, as far as this clone knows."""
    out = ask(repository, "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    return None if out is None else text(out).removeprefix("refs/remotes/origin/")


def changed(
    repository: Repository, old: str, new: str, env: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """What differs between two trees: A, M, D or T, and the path."""
    out = run(
        repository, "diff-tree", "-r", "-z", "--no-renames", "--name-status", "--no-commit-id",
        "--end-of-options", old, new, "--", env=env,
    )  # fmt: skip
    parts = fields(out)
    return list(zip(parts[::2], parts[1::2], strict=True))


def diff(repository: Repository, old: str, new: str, env: Mapping[str, str] | None = None) -> bytes:
    """The patch from one tree to another; nothing that is configured has a say in how it looks."""
    return run(
        repository, "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff",
        "--no-textconv", "--no-color", "--no-commit-id", "--end-of-options", old, new, "--", env=env,
    )  # fmt: skip


def patch(
    repository: Repository,
    old: str,
    new: str,
    env: Mapping[str, str] | None = None,
    *,
    paths: Sequence[str] | None = None,
) -> bytes:
    """The changed lines from one tree to another, without what is around them.

    Of `paths` alone also what attributes call binary, as text. Nothing that is configured has a say in how it looks.
    """
    limited = () if paths is None else ("--text",)
    return run(
        repository, "--literal-pathspecs", "diff-tree", "-r", "-p", "--unified=0", "--full-index", "--no-renames", "--no-ext-diff",
        "--no-textconv", "--no-color", "--no-commit-id", "--src-prefix=a/", "--dst-prefix=b/", *limited,
        "--end-of-options", old, new, "--", *(paths or ()), env=env,
    )  # fmt: skip


def commits(repository: Repository, revisions: str) -> list[tuple[str, str, str]]:
    """The commits of a range, or the one that is named, oldest first and without merges: hash, parent, subject."""
    one = () if ".." in revisions else ("--max-count=1",)
    try:
        out = run(
            repository, "rev-list", "--no-commit-header", "--reverse", *(one or ("--no-merges",)),
            "--format=%H%x00%P%x00%s%x00", "--end-of-options", revisions, "--",
        )  # fmt: skip
    except GitFailed as error:
        raise NoInput(f"{revisions!r} names no commits of this repository", hint=error.stderr[:200]) from None
    parts = fields(out.replace(b"\0\n", b"\0"))
    empty = run(repository, "hash-object", "-t", "tree", "--stdin", data=b"").decode("ascii").strip()
    rows = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [(commit, parents.partition(" ")[0] or empty, subject) for commit, parents, subject in rows]


def sizes(repository: Repository, names: Sequence[str], env: Mapping[str, str] | None = None) -> list[int]:
    """How large each of these objects is in bytes; 0 for what is not there."""
    data = b"".join(os.fsencode(name) + b"\0" for name in names)
    out = run(repository, "cat-file", "-z", "--batch-check=%(objectsize)", data=data, env=env)
    return [int(line) if line.isdigit() else 0 for line in out.splitlines()]


def show(
    repository: Repository, revision: str, path: str, env: Mapping[str, str] | None = None
) -> bytes | None:
    """A file as it is in a commit or tree; None where there is none."""
    name = os.path.normpath(path)
    out = run(repository, "cat-file", "--batch", "-z", data=os.fsencode(f"{revision}:{name}\0"), env=env)
    about, _, content = out.partition(b"\n")
    return content[:-1] if _BLOB.fullmatch(about) else None


def last_good(repository: Repository, path: str, parses: Callable[[bytes], bool]) -> str | None:
    """The newest commit at which a file could be parsed; it looks at the last 200 that changed it."""
    name = os.path.normpath(path)
    out = run(
        repository, "log", "-z", "--format=tformat:%H", "--no-color", f"--max-count={_LOOKED_BACK}", "HEAD",
        "--", f":(top,literal){name}",
    )  # fmt: skip
    for commit in fields(out):
        content = show(repository, commit, name)
        if content is not None and parses(content):
            return commit
    return None


def dirty(repository: Repository) -> list[str]:
    """Paths of the user's work tree that differ from what is checked out."""
    out = run(
        repository, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal",
        "--ignore-submodules=all", cwd=Path(repository.top),
    )  # fmt: skip
    return [entry[3:] for entry in fields(out)]


def top_names(repository: Repository, commit: str) -> list[str]:
    """The names at the top of a commit's tree."""
    return fields(run(repository, "ls-tree", "--name-only", "-z", "--end-of-options", commit))


def paths(repository: Repository, commit: str) -> list[str]:
    """Every file path of a commit's tree."""
    return fields(run(repository, "ls-tree", "-r", "--name-only", "-z", "--end-of-options", commit))
