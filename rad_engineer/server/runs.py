"""The runs that the server tells of: found anew each time, and each followed from where it was left."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from rad_engineer import past_run, store
from rad_engineer.core import report as reports
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.report import Report
from rad_engineer.core.standing import standings
from rad_engineer.errors import NoInput, RadError
from rad_engineer.launch.ground import Ground
from rad_engineer.server.answers import Problem
from rad_engineer.server.journal import Follower
from rad_engineer.watch import kept

_LATE = 4 * store.PULSE_SECONDS
_FIRST_NAMESPACE = 0xEFFFFFFC  # of processes, by its number in every Linux
_KEPT = 4  # runs whose stories are in memory
UNREADABLE = (RadError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What may be raised by a directory that others, and other versions, have written into."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A run at one moment, in a line."""

    run: str
    state: str
    alive: bool


class Followed:
    """One run, read on from where it was left."""

    def __init__(self, rundir: store.RunDir, place: Ground) -> None:
        self.rundir = rundir
        self._place = place
        self._stamp = _stamp(rundir)
        self.about = rundir.read_run()
        self.graph = past_run.kept_graph(rundir, self.about)
        self._follower = Follower(rundir.journal)
        self.checkpoint = Checkpoint(run=rundir.run)
        self._verified: dict[str, float] = {}
        self._report: tuple[int, bool, Report] | None = None

    @property
    def is_current(self) -> bool:
        """Whether what it was made from is still what is on disk."""
        return self._stamp == _stamp(self.rundir) and not self._follower.is_shorter()

    @property
    def alive(self) -> bool:
        """Whether the process of the run still works; where it cannot be seen from here, whether its pulse is fresh."""
        if past_run.is_alive(self.rundir, self.about, self.checkpoint, self._place):
            return True
        return self.checkpoint.state in ("new", "running") and not sees_all_processes() and self._has_pulse()

    def _has_pulse(self) -> bool:
        at = kept.read_json(self.rundir.pulse).get("at")
        return isinstance(at, float) and abs(time.time() - at) < _LATE

    def catch_up(self) -> None:
        """Takes in what has happened since."""
        for event in self._follower.events():
            self.checkpoint.apply(event)
            if event.identity is not None:
                if event.kind == "story_verified":
                    self._verified[event.identity] = event.at
                elif self.checkpoint.stories[event.identity].status != "landing":
                    self._verified.pop(event.identity, None)

    def report(self) -> Report:
        """The report as it stands now."""
        key = (self._follower.offset, self.alive)
        if self._report is None or self._report[:2] != key:
            made = reports.build(self.graph, self.checkpoint, alive=key[1], keep_going=self._keeps_going)
            self._report = (*key, made)
        return self._report[2]

    @property
    def state(self) -> str:
        """What its report says."""
        return reports.state_of(self.checkpoint, alive=self.alive)

    def counts(self) -> Mapping[str, int]:
        """How many stories have each status: without the report, because this is asked all the time."""
        alive = self.alive and self.checkpoint.state == "running"
        everyone = standings(self.graph, self.checkpoint, alive=alive, keep_going=self._keeps_going)
        return Counter(each.status for each in everyone)

    @property
    def _keeps_going(self) -> bool:
        return bool(self.about.get("settings", {}).get("keep_going"))

    def lag(self) -> float:
        """How long the story that has waited longest has been verified without having landed."""
        since = min(self._verified.values(), default=None)
        return 0.0 if since is None or not self.alive else max(0.0, time.time() - since)

    @property
    def damaged(self) -> int:
        """Lines of its journal that contradict their checksums."""
        return self._follower.damaged


class Runs:
    """All of them. Calls may come from several threads; each is answered in turn."""

    def __init__(
        self, listed: Callable[[], list[store.RunDir]], folders: Sequence[Path], place: Ground
    ) -> None:
        self._listed = listed
        self.folders = folders
        self._place = place
        self._followed: OrderedDict[Path, Followed] = OrderedDict()
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        self._lock.acquire()
        return self

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def all(self) -> list[store.RunDir]:
        """Every run, newest first; raises Problem where a folder of runs cannot be listed."""
        try:
            return self._listed()
        except OSError as error:
            message = f"a folder of runs cannot be listed: {error.strerror or type(error).__name__}"
            raise Problem(503, "damaged", message) from error

    def find(self, run: str) -> store.RunDir:
        """The run of that name; raises Problem."""
        for rundir in self.all():
            if rundir.run == run:
                return rundir
        raise Problem(404, "not-found", "there is no such run: GET /api/runs lists them")

    def follow(self, rundir: store.RunDir) -> Followed:
        """A run with its stories, as it stands now."""
        followed = self._followed.pop(rundir.path, None)
        try:
            if followed is None or not followed.is_current:
                followed = Followed(rundir, self._place)
            followed.catch_up()
        except (NoInput, FileNotFoundError) as error:  # removed while it was looked for
            raise Problem(404, "not-found", f"there is no run {rundir.run} any more") from error
        except UNREADABLE as error:
            raise Problem(
                503, "damaged", f"{rundir.run}: {type(error).__name__}, its directory cannot be read"
            ) from error
        self._followed[rundir.path] = followed
        while len(self._followed) > _KEPT:
            self._followed.popitem(last=False)
        return followed

    def standing(self, rundir: store.RunDir) -> Standing:
        """How a run is, without its stories."""
        try:
            ending = store.ending(rundir)
            if ending.state in ("new", "running"):
                return Standing(rundir.run, *_of_process(self.follow(rundir)))
            return Standing(rundir.run, reports.state_of(ending, alive=False), alive=False)
        except (*UNREADABLE, Problem):
            return Standing(rundir.run, "damaged", alive=False)


def sees_all_processes() -> bool:
    """Whether a process that is not seen is not there: in a container it may be one of the host."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino == _FIRST_NAMESPACE
    except OSError:
        return True


def of_project(place: Ground) -> Runs:
    """The runs of the project that lies here."""
    return Runs(lambda: past_run.folders(place), [store.runs_folder(place.home)], place)


def of_folders(folders: Sequence[str], place: Ground) -> Runs:
    """The runs of these folders: projects, or what is kept of them somewhere else."""
    found = [_runs_folder(Path(folder)) for folder in folders]

    def listed() -> list[store.RunDir]:
        runs = [rundir for folder in found for rundir in store.runs_in(folder)]
        return sorted(runs, key=lambda rundir: rundir.run, reverse=True)

    return Runs(listed, found, place)


def _runs_folder(folder: Path) -> Path:
    folder = folder.absolute()
    if not folder.is_dir():
        raise NoInput(
            f"there is no folder {folder}", hint="--runs names a project, or a folder with its runs"
        )
    for runs in (store.runs_folder(folder), folder / "runs"):
        if runs.is_dir():
            return runs
    return folder


def _of_process(followed: Followed) -> tuple[str, bool]:
    return followed.state, followed.alive


def _stamp(rundir: store.RunDir) -> tuple[int, int]:
    status = rundir.run_json.stat()
    return status.st_mtime_ns, status.st_ino
