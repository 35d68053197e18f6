"""approve: release a story that waits for a human."""

import os

from rad_engineer import ground, inputs, store
from rad_engineer.commands.run import reading
from rad_engineer.errors import NoInput, UsageError


def approve(*, story: str, run: str | None) -> int:
    """Puts the approval where the run looks for it; a run that is going on takes it up at once."""
    here = ground.look(os.environ)
    rundir = _run(here, run)
    about = rundir.read_run()
    graph = inputs.read(about["files"], reading(here)).graph
    index = inputs.find_story(graph, story)
    if graph.stories[index].state != "human":
        raise UsageError(
            f"{graph.keys[index]} does not wait for a human", hint=f"see `rad-engineer explain {story}`"
        )
    folder = rundir.path / "approvals"
    with store.writing(folder):
        folder.mkdir(exist_ok=True)
    store.replace(folder / graph.identities[index], b"")
    print(f"{graph.keys[index]} is approved in run {rundir.run}; `rad-engineer resume` goes on")
    return 0


def _run(here: ground.Ground, name: str | None) -> store.RunDir:
    for rundir in store.runs(here.home):
        if (name is None and store.load(rundir).state != "finished") or (
            name and rundir.run.startswith(name)
        ):
            return rundir
    raise NoInput("there is no unfinished run here", hint="start one: rad-engineer run PRD")
