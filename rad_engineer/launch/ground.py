"""Where a run happens: the repository or the folder, its settings, its lock, its caches."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import git, settings
from rad_engineer.errors import ConfigInvalid, UsageError
from rad_engineer.git.repository import Repository
from rad_engineer.settings import Settings


@dataclass(frozen=True, slots=True)
class Ground:
    """The place of a run. Without a repository everything happens in `top` itself."""

    top: Path
    home: Path  # where .rad-engineer lies
    cache: Path
    repository: Repository | None
    settings: Settings

    @property
    def lock(self) -> Path:
        """The lock of the repository: a second work tree of it is covered."""
        if self.repository is not None:
            return self.repository.common_dir / "rad-engineer.lock"
        return self.home / ".rad-engineer" / "lock"

    @property
    def id(self) -> str:
        """What trust and caches are filed under."""
        return self.repository.id if self.repository is not None else f"folder:{self.top}"


def find(prds: Sequence[str], flags: Mapping[str, object], env: Mapping[str, str]) -> Ground:
    """The place for these PRDs: the repository of the current folder, else that of the first PRD."""
    here = folder()
    top = work_tree(here)
    theirs = [tree for prd in prds if (tree := work_tree(Path(prd).absolute().parent)) is not None]
    other = work_tree(Path(prds[0]).absolute().parent) if prds else None
    _only_one(top, theirs)
    found = settings.load(top or other or here, flags, env)
    if found.workspace == "shared":
        return Ground(here, here, cache_of(found, env, f"shared-{_hash(here)}"), None, found)
    repository = git.discover(top or other or here)
    return Ground(repository.top, repository.home, cache_of(found, env, repository.id), repository, found)


def _only_one(top: Path | None, theirs: Sequence[Path]) -> None:
    """A run happens in one repository; a PRD may lie outside any."""
    first = top or (theirs[0] if theirs else None)
    for tree in theirs:
        if first is not None and _repository_of(tree) != _repository_of(first):
            place = "the current folder is" if top is not None else "one PRD is"
            raise UsageError(
                f"{place} in the repository {first}, the PRD in {tree}",
                hint=f"go to the one where the work is to happen: cd {tree}",
            )


def look(env: Mapping[str, str]) -> Ground:
    """The place of the current folder, for commands that only look; no repository, or none that works, is fine."""
    here = folder()
    top = work_tree(here)
    found = settings.load(top or here, {}, env)
    repository = None
    if top is not None and found.workspace != "shared":
        with suppress(ConfigInvalid):  # nothing can have landed in it, but it may have been worked in
            repository = git.discover(top)
    if repository is None:
        return Ground(here, here, cache_of(found, env, f"shared-{_hash(here)}"), None, found)
    return Ground(repository.top, repository.home, cache_of(found, env, repository.id), repository, found)


def cache_of(found: Settings, env: Mapping[str, str], name: str) -> Path:
    """Slots and caches lie outside the user's work tree, or the user's tools would climb into it."""
    root = Path(found.root).expanduser() if found.root else settings.cache_home(env)
    return root / name


def work_tree(start: Path) -> Path | None:
    """The nearest folder upwards that has a .git."""
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return folder
    return None


def is_at(top: Path, repository: Repository | None) -> bool:
    """Whether a folder is still what it was when a run began there: this folder, or a work tree of this repository."""
    if repository is None:
        return top.is_dir()
    return (top / ".git").exists() and _repository_of(top) == repository.common_dir.resolve()


def moved(file: str, old: str, new: Path) -> str:
    """Where a file is now that the folder `old`, if it lay there, has been moved to `new`."""
    try:
        return str(new / Path(file).relative_to(old))
    except ValueError:
        return file


def _repository_of(top: Path) -> Path:
    """A linked work tree belongs to the repository its .git file names."""
    marker = top / ".git"
    if marker.is_file():
        text = marker.read_text(errors="replace").strip()
        target = (top / text.removeprefix("gitdir:").strip()).resolve()
        return target.parent.parent if target.parent.name == "worktrees" else target
    return marker.resolve()


def folder() -> Path:
    """The current folder; raises ConfigInvalid when it has been deleted."""
    try:
        return Path(os.getcwd())  # noqa: PTH109 - Path.cwd() hides the same call
    except FileNotFoundError:
        raise ConfigInvalid("the current folder does not exist any more", hint="cd somewhere else") from None


def _hash(path: Path) -> str:
    import hashlib  # noqa: PLC0415 - only for shared workspaces

    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
