"""What an agent left in its slot becomes a tree: looked through first, staged in quarantine, judged by what changed."""

import os
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import timings
from rad_engineer.git.command import GitFailed, fields, text
from rad_engineer.git.repository import Repository
from rad_engineer.git.trees import GITLINK, TREE, Difference, Trees
from rad_engineer.slots.object_store import complete, objects_env
from rad_engineer.slots.tree_names import Kept, Names, is_dot_git
from rad_engineer.slots.tree_walk import MAX_IGNORE_FILE, Bounds, Seen, Survey, largest, make_readable, survey
from rad_engineer.slots.working_copy import (
    Slot,
    call,
    copy_index,
    git,
    read_state,
    skip,
)

_INDEX = "index.stage"
_LINK = "120000"


@dataclass(frozen=True, slots=True)
class Staged:
    """A tree in quarantine and what it changes; or, with `problem` (a name of core.reasons), why there is none."""

    tree: str = ""
    changed: tuple[tuple[str, str], ...] = ()  # A, M, D or T, and the path
    problem: str | None = None
    detail: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """What changed, without how."""
        return tuple(path for _status, path in self.changed)


@dataclass(frozen=True, slots=True)
class Staging:
    """One staging: a slot, its base, where objects are read and where they go."""

    repository: Repository
    slot: Slot
    base: str
    objects: Path
    quarantine: Path
    names: Names
    seen: Seen
    bounds: Bounds
    trees: Trees

    @property
    def env(self) -> dict[str, str]:
        """Objects go to the quarantine."""
        return objects_env(self.quarantine, self.objects)


def stage(staging: Staging, never: Iterable[str]) -> Staged:
    """Stages everything but what is never staged, and refuses what must not enter a repository."""
    slot = staging.slot
    state = read_state(slot)
    aside = Kept((*state.keep, *state.copied))
    try:
        with timings.part("walk"):
            seen = survey(str(slot.path), staging.names, aside, staging.bounds, staging.seen)
    except (NotADirectoryError, FileNotFoundError):
        return Staged(problem="slot-gone", detail="replaced")
    if seen.problem is not None:
        return Staged(problem=seen.problem, detail=seen.detail)
    try:
        refused = _too_much(staging, seen)
        if refused is not None:
            return refused
        _stage_index(staging, moved=state.at != staging.base)
        everything = bool(seen.new) or state.at != staging.base
        _add(staging, [*_spared(aside), *_spared(Kept(never))], everything=everything)
        return _tree(staging)
    except GitFailed as error:
        return _why(staging, error)


def _too_much(staging: Staging, seen: Survey) -> Staged | None:
    for path in seen.ignore_files:
        if _base_size(staging, path) <= MAX_IGNORE_FILE:
            return Staged(problem="huge-ignore-file", detail=path)
    bounds = staging.bounds
    if (
        len(seen.new) <= bounds.files
        and max(seen.new.values(), default=0) <= bounds.file_bytes
        and sum(seen.new.values()) <= bounds.total_bytes
    ):
        return None
    counted = {path: seen.new[path] for path in _not_ignored(staging, seen.new)}
    if not counted:
        return None
    if len(counted) > bounds.files:
        return Staged(problem="too-many-files", detail=_where_most(counted))
    path = max(counted, key=lambda name: counted[name])
    if counted[path] > bounds.file_bytes:
        return Staged(problem="too-large", detail=f"{path} ({_megabytes(counted[path])})")
    total = sum(counted.values())
    if total > bounds.total_bytes:
        return Staged(problem="too-large", detail=f"{len(counted)} new files ({_megabytes(total)})")
    return None


def _where_most(paths: Collection[str]) -> str:
    """How many files there are, and in which folder at the top most of them lie."""
    tops = Counter(path.partition("/")[0] if "/" in path else "." for path in paths)
    top, number = tops.most_common(1)[0]
    return f"{len(paths):,} new files, {number:,} of them in {top}/"


def _base_size(staging: Staging, path: str) -> int:
    code, out, _err = call(staging.repository, staging.slot, "cat-file", "-s", f"{staging.base}:{path}")
    return int(out) if code == 0 else 0


def _not_ignored(staging: Staging, paths: Iterable[str]) -> list[str]:
    asked = list(paths)
    # With "./" in front no name is taken for pathspec magic.
    data = b"".join(b"./" + os.fsencode(path) + b"\0" for path in asked)
    arguments = ("check-ignore", "--no-index", "-z", "--stdin")
    code, out, err = call(staging.repository, staging.slot, *arguments, data=data)
    if code not in (0, 1):
        raise GitFailed(arguments, code, err)
    ignored = {path.removeprefix("./") for path in fields(out)}
    return [path for path in asked if path not in ignored]


def _stage_index(staging: Staging, *, moved: bool) -> None:
    """Makes the index to stage into from the trusted one, which itself is never staged into."""
    slot = staging.slot
    trusted, scratch = slot.git_dir / "index", slot.git_dir / _INDEX
    (slot.git_dir / f"{_INDEX}.lock").unlink(missing_ok=True)
    if trusted.is_file():
        copy_index(trusted, scratch)
    else:
        scratch.unlink(missing_ok=True)
    if moved:
        git(
            staging.repository, slot, "read-tree", "--reset", "--end-of-options", staging.base,
            env=staging.env, index=_INDEX,
        )  # fmt: skip
        if staging.names.gitlinks:
            skip(staging.repository, slot, staging.names.gitlinks, index=_INDEX)


def _spared(kept: Kept) -> list[str]:
    found = []
    for pattern in kept.patterns:
        found.append(f":(exclude,top,literal){pattern}")
        if any(character in pattern for character in "*?["):
            found.append(f":(exclude,top,glob){pattern}")
    return found


def _add(staging: Staging, spared: list[str], *, everything: bool) -> None:
    # Where the walk has seen nothing new, git need not read the directories a second time.
    arguments = ("add", "-A" if everything else "-u", "--pathspec-from-file=-", "--pathspec-file-nul")
    paths = b"".join(os.fsencode(path) + b"\0" for path in (".", *spared))
    try:
        git(staging.repository, staging.slot, *arguments, data=paths, env=staging.env, index=_INDEX)
    except GitFailed as error:
        if _only_spared(error):
            return
        if "Permission denied" not in error.stderr:
            raise
        make_readable(str(staging.slot.path))
        _add_again(staging, arguments, paths)


def _add_again(staging: Staging, arguments: tuple[str, ...], paths: bytes) -> None:
    try:
        git(staging.repository, staging.slot, *arguments, data=paths, env=staging.env, index=_INDEX)
    except GitFailed as error:
        if not _only_spared(error):
            raise


def _only_spared(error: GitFailed) -> bool:
    """Whether git has staged everything and only complains: of paths that are spared, and git-ignored besides.

    It takes even a path that is excluded by name for one that somebody wants added. What really fails ends with 128.
    """
    return error.code == 1 and error.stderr.startswith("The following paths are ignored by one of your")


def _tree(staging: Staging) -> Staged:
    repository, slot, env = staging.repository, staging.slot, staging.env
    tree = text(git(repository, slot, "write-tree", env=env, index=_INDEX))
    found = staging.trees.differences(staging.base, tree, staging.quarantine, trees=True)
    files = [entry for entry in found if TREE not in (entry.old_mode, entry.new_mode)]
    problem, detail = _look_at(staging, files)
    if problem is None:
        complete(repository, staging.objects, staging.quarantine, new_objects(tree, found))
    return Staged(tree, tuple((entry.status, entry.path) for entry in files), problem, detail)


def new_objects(tree: str, differences: Iterable[Difference]) -> list[str]:
    """The objects of a tree, itself included, that the one it was compared with does not have in the same place."""
    found = (entry for entry in differences if entry.status != "D" and entry.new_mode != GITLINK)
    return [tree, *(entry.new_object for entry in found)]


def _look_at(staging: Staging, files: list[Difference]) -> tuple[str | None, str]:
    """Why what changed must not enter a repository: git links, links that lead out, files that have grown too large."""
    for entry in files:
        if GITLINK in (entry.old_mode, entry.new_mode) or any(
            is_dot_git(part) for part in entry.path.split("/")
        ):
            return "nested-git", entry.path
        if entry.new_mode == _LINK:
            target = os.fsdecode(staging.trees.read(entry.new_object, staging.quarantine)[1])
            if leaves_tree(entry.path, target):
                return "symlink-escape", f"{entry.path} -> {target}"[:300]
        elif entry.status == "M" and _file_size(staging.slot, entry.path) > staging.bounds.file_bytes:
            return "too-large", entry.path
    return None, ""


def _file_size(slot: Slot, path: str) -> int:
    try:
        return os.lstat(slot.path / path).st_size
    except OSError:
        return 0


def leaves_tree(path: str, target: str) -> bool:
    """Whether a link points out of the tree it is in.

    Steps up may only come first: after a name they would be taken from wherever that name, a link perhaps, leads.
    """
    if target.startswith("/") or not target:
        return True
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups > path.count("/") or ".." in parts[ups:]


def _why(staging: Staging, error: GitFailed) -> Staged:
    """Names the reason why git could not stage: the largest file when it ran into a limit.

    What is not the story's fault is raised: it must not cost another attempt.
    """
    if error.disturbed:
        raise error
    if error.limited:
        path, size = largest(str(staging.slot.path))
        if size > staging.bounds.file_bytes:
            return Staged(problem="too-large", detail=f"{path} ({_megabytes(size)})")
    return Staged(problem="git-failed", detail=str(error)[-1000:])


def _megabytes(size: int) -> str:
    return f"{size / 1024**2:,.0f} MB"
