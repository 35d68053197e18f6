"""pass: mark a story as passed by hand; it is recorded as such."""

import getpass
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rad_engineer import locks, past_run, process, store
from rad_engineer.core.graph import Graph
from rad_engineer.errors import NoInput
from rad_engineer.importers import write_back
from rad_engineer.launch import ground, inputs, records, recovery


def pass_story(*, prd: str, story: str, flags: Mapping[str, object]) -> int:
    """Marks the story in its PRD and writes down who did it."""
    place = ground.look(os.environ)
    reading = inputs.Reading(
        place.top, _text(flags, "stories_path"), _text(flags, "tag"), allow_dangling=True
    )
    graph = inputs.read([prd], reading).graph
    index = inputs.find_story(graph, story)
    records.require_own(place, yes=False, stdin=sys.stdin, stderr=sys.stderr)
    with locks.acquire(place.lock, 0.0, process.describe_self("pass")):
        owner = graph.prds[graph.prd_of[index]]
        missing = write_back.write(Path(owner.path), owner, {graph.stories[index].id: True})
        if missing:
            raise NoInput(f"{graph.keys[index]} is not in {owner.file} any more")
        _write_down(place, graph, index, prd, flags)
    marked = "and marked in the PRD" if graph.stories[index].done_field else "(the PRD has no done field)"
    print(f"{graph.keys[index]} is passed by hand {marked}")
    return 0


def _write_down(
    place: ground.Ground, graph: Graph, index: int, prd: str, flags: Mapping[str, object]
) -> None:
    rundir = _run_of(place, graph.identities[index])
    if rundir is None:
        rundir = _create(place, graph, prd, flags)
    with recovery.by_hand(rundir, graph, place.settings.audit) as ledger:
        fresh = ledger.checkpoint.state == "new"
        if fresh:
            ledger.record(
                "run_started", kind="hand", prds=[prd], stories=1, pid=os.getpid(), workspace="shared"
            )
        ledger.record("story_passed", index, by=_user())
        ledger.record("story_marked", index, path=graph.prds[graph.prd_of[index]].path)
        if fresh:
            ledger.record("run_finished", exit_code=0)
    _renew_report(place, rundir)


def _create(place: ground.Ground, graph: Graph, prd: str, flags: Mapping[str, object]) -> store.RunDir:
    """A run of its own, with everything that `status` and `explain` read of any run."""
    name = store.new_name(place.home)
    about = {
        "run": name,
        "kind": "hand",
        "created_at": time.time(),
        "files": [str(Path(prd).absolute())],
        "identities": list(graph.identities),
        "settings": {key: _text(flags, key) for key in ("stories_path", "tag")},
        "rules": {},
    }
    return store.create(place.home, name, about, graph.prds)


def _run_of(place: ground.Ground, identity: str) -> store.RunDir | None:
    """The newest run that knows the story, finished or not: whoever asks for its status is told there."""
    for rundir in store.runs(place.home):
        about = rundir.read_run()
        if identity in about.get("identities", ()) and about.get("kind") != "rehearsal":
            return rundir
    return None


def _renew_report(place: ground.Ground, rundir: store.RunDir) -> None:
    if rundir.report_json.exists():
        past_run.write_report(rundir, past_run.read(rundir, place).report())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _text(flags: Mapping[str, object], name: str) -> str | None:
    value = flags.get(name)
    return value if isinstance(value, str) else None
