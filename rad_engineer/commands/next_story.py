"""next: print the story that would start next."""

import json as codec
import os
from collections.abc import Mapping

from rad_engineer import store
from rad_engineer.core.graph import Graph
from rad_engineer.core.schedule import Schedule
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground, inputs, known


def next_story(*, prd: str, json: bool, flags: Mapping[str, object]) -> int:
    """0 and the key; 1 and nothing when all is done; 4 when what is left waits."""
    place = ground.look(os.environ)
    wanted = {name: value for name, value in flags.items() if value is not None}
    graph = inputs.read([prd], inputs.Reading(place.top, **wanted)).graph  # type: ignore[arg-type]
    statuses = _statuses(place, graph)
    schedule = Schedule(graph, statuses)
    index = schedule.take()
    if json:
        key = None if index is None else graph.keys[index]
        title = None if index is None else graph.stories[index].title
        print(codec.dumps({"schema_version": 1, "key": key, "title": title, "open": schedule.open_count()}))
    elif index is not None:
        print(graph.keys[index])
    if index is not None:
        return ExitCode.OK
    left = [
        i
        for i in range(len(graph.stories))
        if schedule.status(i) not in ("passed", "already-done", "skipped")
    ]
    return ExitCode.WAITING if left else ExitCode.FAILED


def _statuses(place: ground.Ground, graph: Graph) -> dict[int, str]:
    """What an unfinished run knows counts as well as what the file says."""
    rundir = known.unfinished(store.runs(place.home), graph.identities, "real")
    if rundir is not None:
        return known.statuses(graph, store.load(rundir))
    earlier = known.earlier(store.runs(place.home), graph.identities)
    found = {}
    for identity in earlier.passed:
        index = graph.by_identity[identity]
        if graph.stories[index].state != "done" and not earlier.marked_in(identity, graph, index):
            found[index] = "passed"
    return found
