"""What old runs may go, and how they go: decided from journals and refs first, carried out under the run lock."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable, git, logs, store
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.errors import RadError
from rad_engineer.git.repository import Repository
from rad_engineer.launch.ground import Ground
from rad_engineer.watch.kept import remember

_RUN_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4,}")
_GONE = ".gone-"
_RESUMABLE = frozenset({"new", "running", "stopped"})


@dataclass(frozen=True, slots=True)
class Step:
    """One run that goes, or (`slim`) keeps its journal and reports and loses its logs."""

    run: str
    path: str
    size: int
    refs: tuple[str, ...]
    slim: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes and what stays, with the reason; `leftovers` belong to runs that went before."""

    going: tuple[Step, ...]
    leftovers: tuple[Path, ...]
    kept: tuple[tuple[str, str], ...]
    size: int


def plan(runs: Sequence[store.RunDir], place: Ground, *, max_age: float, keep: int, now: float) -> Plan:
    """Decides; looks at everything and changes nothing. `runs` are all runs, newest first."""
    going: list[Step] = []
    kept: list[tuple[str, str]] = []
    remembered: set[str] = set()
    refs = _Refs.read(place.repository)
    for number, rundir in enumerate(runs):
        try:
            checkpoint = store.load(rundir)
        except RadError as error:
            kept.append((rundir.run, f"its state is damaged ({error})"))
            continue
        why = _why_kept(rundir, checkpoint, number < keep, now - max_age, refs)
        finished = _only_known_here(checkpoint)
        if why:
            kept.append((rundir.run, why))
            remembered |= finished
            continue
        slim = bool(finished - remembered)
        remembered |= finished
        if slim and not rundir.stories.exists():
            kept.append((rundir.run, "it is the only record of finished stories"))
            continue
        size = _size(rundir.stories) if slim else _size(rundir.path) + _size(_cache(place, rundir.run))
        going.append(Step(rundir.run, str(rundir.path), size, refs.of(rundir.run), slim))
    leftovers = _leftovers(runs, place)
    size = sum(step.size for step in going) + sum(map(_size, leftovers))
    return Plan(tuple(going), leftovers, tuple(kept), size)


def carry_out(plan: Plan, place: Ground) -> None:
    """Removes what the plan says: refs first, so that a run whose directory is gone never holds any.

    What the runs have counted goes into the totals before all else, so that no metric falls.
    """
    remember([Path(step.path) for step in plan.going if not step.slim])
    for step in plan.going:
        with logs.bound(run=step.run):
            _let_go(step, place)
            logs.info("run slimmed" if step.slim else "run removed", bytes=step.size, refs=list(step.refs))
    for path in plan.leftovers:
        _remove(path)
        logs.debug("leftover removed", path=str(path))


def _let_go(step: Step, place: Ground) -> None:
    if step.refs and place.repository is not None:
        git.update_refs(place.repository, [(ref, "", None) for ref in step.refs])
    rundir = Path(step.path)
    if step.slim:
        _remove(rundir / "stories")
        with suppress(FileNotFoundError):
            (rundir / "run.log").unlink()
    else:
        gone = rundir.with_name(_GONE + rundir.name)
        with durable.writing(rundir, of_run=False):
            rundir.rename(gone)
        _remove(gone)
    _remove(_cache(place, step.run))


def _why_kept(
    rundir: store.RunDir, checkpoint: Checkpoint, newest: bool, before: float, refs: "_Refs"
) -> str:
    """Why a run stays; "" where it may go."""
    if checkpoint.state in _RESUMABLE and not (
        checkpoint.kind == "rehearsal" and checkpoint.state == "stopped"
    ):
        return "it is unfinished"
    if newest:
        return "it is one of the newest"
    if (checkpoint.ended_at or rundir.journal.stat().st_mtime) > before:
        return "it is not old enough"
    unmerged = refs.unmerged(rundir.run) if checkpoint.kind != "rehearsal" else None
    return f"{unmerged} holds work that no branch has" if unmerged else ""


def _only_known_here(checkpoint: Checkpoint) -> set[str]:
    """Stories that this run finished and that no done field tells of: without the record they would run again."""
    return {
        identity
        for identity, record in checkpoint.stories.items()
        if (record.landed or record.status == "passed") and not record.marked
    }


@dataclass(frozen=True, slots=True)
class _Refs:
    """The refs that runs have put into the repository, and the branches that may hold the same commits."""

    repository: Repository | None
    ours: Mapping[str, str]
    heads: Mapping[str, str]

    @classmethod
    def read(cls, repository: Repository | None) -> "_Refs":
        if repository is None:
            return cls(None, {}, {})
        return cls(repository, git.refs(repository, "refs/rad/"), git.refs(repository, "refs/heads/"))

    def of(self, run: str) -> tuple[str, ...]:
        """The refs of a run."""
        places = (f"refs/rad/{run}/", f"refs/rad/{run}-candidates/", f"refs/rad/rescue/{run}/")
        return tuple(ref for ref in self.ours if ref.startswith(places))

    def unmerged(self, run: str) -> str | None:
        """A ref of the run with a commit that is on no branch; one that git cannot tell about counts as such."""
        if self.repository is None:
            return None
        held = [f"^{commit}" for commit in dict.fromkeys(self.heads.values())]
        for ref in self.of(run):
            commits = "\n".join([self.ours[ref], *held, ""]).encode()
            try:
                found = git.run(self.repository, "rev-list", "--max-count=1", "--stdin", data=commits)
            except git.GitFailed:
                return ref
            if found.strip():
                return ref
        return None


def _leftovers(runs: Sequence[store.RunDir], place: Ground) -> tuple[Path, ...]:
    """Directories of runs that are gone: half removed ones, and their share of the cache."""
    known = {rundir.run for rundir in runs}
    found: list[Path] = []
    for folder in {rundir.path.parent for rundir in runs} | {store.runs_folder(place.home)}:
        if folder.is_dir():
            found += [path for path in folder.iterdir() if path.name.startswith(_GONE)]
    cache = place.cache / "runs"
    if cache.is_dir():
        found += [
            path for path in cache.iterdir() if _RUN_NAME.fullmatch(path.name) and path.name not in known
        ]
    return tuple(sorted(path for path in found if path.is_dir() and not path.is_symlink()))


def _cache(place: Ground, run: str) -> Path:
    return place.cache / "runs" / run


def _remove(path: Path) -> None:
    """Removes a directory of ours; a link in its place is left alone, and none inside is followed."""
    if path.is_dir() and not path.is_symlink():
        with durable.writing(path, of_run=False):
            shutil.rmtree(path)


def _size(path: Path) -> int:
    """Bytes below a directory; links count as themselves."""
    if path.is_symlink() or not path.is_dir():
        return 0
    total = 0
    for folder, _folders, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total
