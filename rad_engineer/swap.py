"""The commit point: the compare-and-swap of the run branch, and the refs that keep work alive until then."""

import os
from collections.abc import Sequence
from pathlib import Path

from rad_engineer import git, process, store
from rad_engineer.git.repository import Repository


def refs_of(run: str, story_id: str, identity: str) -> tuple[str, str]:
    """The refs that keep a story's commit and its candidate alive until it has landed."""
    name = f"{store.slug(story_id)}-{identity[:8]}"
    return f"refs/rad/{run}/{name}", f"refs/rad/{run}-candidates/{name}"


def fast_forward(repository: Repository, branch: str, ours: Sequence[str]) -> str:
    """Brings the checked-out branch to the run branch, as `--merge` asks; says what came of it.

    What we wrote ourselves (`ours`: the marks in the PRDs) is in nobody's way.
    This is the user's own git with the user's own configuration, in the user's work tree, at the user's request.
    """
    if any(path not in ours for path in git.dirty(repository)):
        return (
            f"not merged: the work tree has uncommitted changes; run `git merge --ff-only {branch}` yourself"
        )
    code, _out, err = process.capture(
        ["git", "merge", "--ff-only", "--quiet", branch], cwd=Path(repository.top), env=dict(os.environ)
    )
    if code:
        return f"not merged: {err.decode('utf-8', 'replace').strip()}"
    return f"{branch} is merged into what you have checked out"


def swap(repository: Repository, branch: str, run: str, *, old: str, new: str, done: Sequence[str]) -> bool:
    """Moves the run branch from `old` to `new` and drops the refs of what has landed, in one transaction.

    False when the branch was not at `old`. Never call it for a branch that is checked out: see `git.checked_out`.
    """
    changes = [(f"refs/heads/{branch}", new, old), (f"refs/rad/{run}/tip", new, None)]
    changes += [(ref, "", None) for ref in done]
    return git.update_refs(repository, changes)
