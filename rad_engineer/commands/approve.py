"""approve: release a story that waits for a human."""

import os
import sys

from rad_engineer import durable, store
from rad_engineer.commands.run import reading
from rad_engineer.errors import NoInput, UsageError
from rad_engineer.launch import ground, inputs, records


def approve(*, story: str, run: str | None) -> int:
    """Puts the approval where the run looks for it; a run that is going on takes it up at once."""
    here = ground.look(os.environ)
    records.require_own(here, yes=False, stdin=sys.stdin, stderr=sys.stderr)
    rundir = _run(here, run)
    about = rundir.read_run()
    graph = inputs.read(about["files"], reading(here)).graph
    index = inputs.find_story(graph, story)
    record = store.load(rundir).stories.get(graph.identities[index])
    quarantined = record is not None and record.status == "waiting" and record.reason == "human"
    if graph.stories[index].state != "human" and not quarantined:
        raise UsageError(
            f"{graph.keys[index]} does not wait for a human", hint=f"see `rad-engineer explain {story}`"
        )
    folder = store.approvals_folder(here.home)
    with durable.writing(folder, of_run=False):
        folder.mkdir(exist_ok=True)
    durable.replace(folder / graph.identities[index], b"")
    finished = store.load(rundir).state == "finished"
    then = "`rad-engineer run` takes it up" if finished else "`rad-engineer resume` goes on"
    print(f"{graph.keys[index]} is approved; {then}")
    return 0


def _run(here: ground.Ground, name: str | None) -> store.RunDir:
    """The run that is named, else the newest one: its PRDs say which story is meant."""
    for rundir in store.runs(here.home):
        if rundir.read_run().get("kind") != "hand" and (name is None or rundir.run.startswith(name)):
            return rundir
    raise NoInput("there is no run here", hint="start one: rad-engineer run PRD")
