"""Runs that have been, or are going on: found by name or PRD and read back from disk, without a lock."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rad_engineer import durable, git, importers, locks, store
from rad_engineer.core import graph as graphs
from rad_engineer.core import report as reports
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import Prd
from rad_engineer.core.report import Report
from rad_engineer.core.report_markdown import markdown
from rad_engineer.errors import NoInput, RadError
from rad_engineer.launch import ground, inputs
from rad_engineer.launch.ground import Ground
from rad_engineer.process import tree as process_tree


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run with everything that can be said about it; `rundir` is None for PRDs that were never run."""

    rundir: store.RunDir | None
    about: Mapping[str, Any]
    graph: Graph
    checkpoint: Checkpoint
    alive: bool
    ground: Ground

    def report(self) -> Report:
        """The report as it stands now."""
        return reports.build(
            self.graph,
            self.checkpoint,
            alive=self.alive,
            keep_going=bool(self.about.get("settings", {}).get("keep_going")),
            merged=self._merged(),
        )

    def _merged(self) -> bool:
        """Whether what has landed is in what is checked out here."""
        repository, head = self.ground.repository, self.checkpoint.head
        if repository is None or not head or self.checkpoint.kind != "real":
            return False
        try:
            return git.is_ancestor(repository, head, git.head(repository))
        except RadError:
            return False

    def story_folder(self, index: int) -> Path | None:
        """Where the run keeps what belongs to a story."""
        if self.rundir is None:
            return None
        return self.rundir.story(self.graph.stories[index].id, self.graph.identities[index])


def find(*, prd: str | None = None, run: str | None = None, story: str | None = None) -> PastRun:
    """The run of that name, else the newest one that shares stories with the PRD (or has the story), else the newest.

    A PRD that was never run gives its stories as the file has them; raises NoInput where there is nothing at all.
    """
    place = ground.look(os.environ)
    runs = folders(place)
    if run is not None:
        return read(_named(runs, run), place)
    if prd is not None:
        return _of_prd(prd, runs, place)
    if not runs:
        raise NoInput("nothing has been run here yet", hint="start with: rad-engineer run PRD")
    with _pointing_on(runs, 0):
        newest = read(runs[0], place)
    if story is None or newest.graph.find(story) is not None:
        return newest
    for rundir in runs[1:_SEARCHED]:
        with suppress(RadError):
            older = read(rundir, place)
            if older.graph.find(story) is not None:
                return older
    return newest


_SEARCHED = 30


def folders(place: Ground) -> list[store.RunDir]:
    """All runs of this place, newest first: the repository's, and those of shared workspaces here or above."""
    homes = [
        place.home,
        *(folder for folder in (place.top, *place.top.parents) if (folder / ".rad-engineer").is_dir()),
    ]
    with suppress(FileNotFoundError):
        here = Path.cwd()
        homes += [
            folder for folder in (here, *here.parents) if folder == place.top or place.top in folder.parents
        ]
    found = {rundir.path: rundir for home in dict.fromkeys(homes) for rundir in store.runs(home)}
    return sorted(found.values(), key=lambda rundir: rundir.run, reverse=True)


def read(rundir: store.RunDir, place: Ground) -> PastRun:
    """A run as it is on disk at this moment; a torn last line of its journal is normal while it runs."""
    about = rundir.read_run()
    checkpoint = store.load(rundir)
    return PastRun(
        rundir, about, _graph(rundir, about), checkpoint, is_alive(rundir, about, checkpoint, place), place
    )


def is_alive(rundir: store.RunDir, about: Mapping[str, Any], checkpoint: Checkpoint, place: Ground) -> bool:
    """Whether the process of the run still works: the pid alone could be somebody else's by now."""
    if checkpoint.state not in ("new", "running"):
        return False
    boot = about.get("boot_id")
    if boot and boot != process_tree.boot_id():
        return False
    pid = about.get("pid")
    if isinstance(pid, int) and process_tree.alive(pid, about.get("start")):
        return True
    owner = locks.holder(place.lock)
    return (
        owner.get("run", rundir.run) == rundir.run
        and owner.get("pid") == checkpoint.pid
        and isinstance(owner.get("pid"), int)
        and process_tree.alive(owner["pid"], owner.get("start"))
    )


def report_text(rundir: store.RunDir, place: Ground, *, json: bool) -> str | None:
    """The report of a run that has ended; made anew where it was killed before, or where the file is damaged."""
    both = [store.read_report(rundir, json=form) for form in (True, False)]
    if None in both and store.state(rundir) in ("stopped", "finished"):
        write_report(rundir, read(rundir, place).report())
    return store.read_report(rundir, json=json)


def complete(place: Ground) -> None:
    """Writes the report of the newest run anew where a kill at its very end has left half of it."""
    for rundir in folders(place)[:1]:
        with suppress(RadError):
            report_text(rundir, place, json=True)


def write_report(rundir: store.RunDir, report: Report) -> None:
    """Makes report.json and report.md in the run directory."""
    store.write_report(rundir, encoded(report), markdown(report))


def encoded(report: Report) -> bytes:
    """The report, encoded story by story: as one structure a large one would need more memory than its run."""
    head, _, rest = durable.dump(report.to_json(stories=False)).partition(b'"stories":null')
    stories = b",".join(durable.dump(story.to_json()) for story in report.stories)
    return b'%b"stories":[%b]%b' % (head, stories, rest)


def _named(runs: Sequence[store.RunDir], name: str) -> store.RunDir:
    found = [rundir for rundir in runs if rundir.run == name]
    found = found or [rundir for rundir in runs if rundir.run.startswith(name) or rundir.run.endswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoInput(f"several runs are called {name}…", hint=", ".join(rundir.run for rundir in found[:5]))
    hint = f"the newest is {runs[0].run}" if runs else "nothing has been run here yet"
    raise NoInput(f"there is no run {name}", hint=hint)


@contextmanager
def _pointing_on(runs: Sequence[store.RunDir], number: int) -> Iterator[None]:
    """Where a run that nobody named is damaged, the way to the one before it is told."""
    try:
        yield
    except durable.StateDamaged as error:
        if number + 1 < len(runs):
            error.hint = f"{error.hint}\nthe run before it: rad-engineer status --run {runs[number + 1].run}"
        raise


def _of_prd(prd: str, runs: Sequence[store.RunDir], place: Ground) -> PastRun:
    wanted = place.settings
    found = inputs.read(
        [prd],
        inputs.Reading(
            root=place.top if place.repository is not None else None,
            stories_path=wanted.stories_path,
            tag=wanted.tag,
            parallel=wanted.parallel,
            allow_dangling=True,
        ),
    )
    mine = set(found.graph.identities)
    for number, rundir in enumerate(runs):
        with _pointing_on(runs, number):
            about = rundir.read_run()
            checkpoint = store.load(rundir) if mine & set(about.get("identities", ())) else None
        if checkpoint is not None:
            alive = is_alive(rundir, about, checkpoint, place)
            return PastRun(rundir, about, found.graph, checkpoint, alive, place)
    return PastRun(None, {}, found.graph, Checkpoint(), alive=False, ground=place)


def _graph(rundir: store.RunDir, about: Mapping[str, Any]) -> Graph:
    """The graph of the run: of its files where they still tell the same stories, else of its own copies."""
    reading = _reading(about)
    names = {entry["path"]: entry["file"] for entry in about.get("inputs", ())}
    with suppress(RadError, OSError):
        found = inputs.read(about.get("files", ()), reading)
        if set(found.graph.identities) <= set(about.get("identities", ())) and found.prds:
            return _renamed(found, names, reading)
    return _graph_of_copies(rundir, about, reading)


def kept_graph(rundir: store.RunDir, about: Mapping[str, Any]) -> Graph:
    """The graph of the run as its directory alone tells it, whatever has become of the PRDs."""
    return _graph_of_copies(rundir, about, _reading(about))


def _graph_of_copies(rundir: store.RunDir, about: Mapping[str, Any], reading: inputs.Reading) -> Graph:
    prds = _copies(rundir, about, reading)
    return graphs.build(prds, parallel=reading.parallel, allow_dangling=True)


def _reading(about: Mapping[str, Any]) -> inputs.Reading:
    settings = about.get("settings", {})
    return inputs.Reading(
        stories_path=settings.get("stories_path"),
        tag=settings.get("tag"),
        parallel=bool(settings.get("parallel")),
        allow_dangling=True,
    )


def _renamed(found: inputs.Inputs, names: Mapping[str, str], reading: inputs.Reading) -> Graph:
    """PRDs called what the user called them, so that keys stay the same."""
    prds = [replace(prd, file=names.get(prd.path, prd.file)) for prd in found.prds]
    external = {story.id: story.state == "done" for prd in found.outside for story in prd.stories}
    graph = graphs.build(prds, parallel=reading.parallel, allow_dangling=True, external=external)
    graph.external_open.update(found.graph.external_open)
    return graph


def _copies(rundir: store.RunDir, about: Mapping[str, Any], reading: inputs.Reading) -> list[Prd]:
    prds: list[Prd] = []
    seen: set[str] = set()
    for number, entry in enumerate(about.get("inputs", ()), 1):
        if entry["path"] in seen:
            continue  # one file can hold several PRDs
        seen.add(entry["path"])
        copy = store.kept_prd(rundir, number, entry)
        loaded = importers.load(copy, stories_path=reading.stories_path, tag=reading.tag)
        prds += [replace(prd, file=entry["file"], path=entry["path"]) for prd in loaded]
    return prds
