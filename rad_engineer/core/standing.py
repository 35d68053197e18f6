"""Where every story stands: its record, the file's word, and what follows from the graph (blocked, waiting)."""

from dataclasses import dataclass

from rad_engineer.core.checkpoint import Checkpoint, StoryRecord
from rad_engineer.core.graph import Graph
from rad_engineer.core.schedule import Schedule

ENDED_WELL = frozenset({"passed", "already-done"})
_FROM_FILE = {"done": "already-done", "skipped": "skipped", "blocked": "blocked"}
_OPEN = frozenset({"pending", "interrupted", "blocked"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A story's status and, where it is blocked or waits, the keys of what stands in its way."""

    status: str
    by: tuple[str, ...] = ()
    reason: str | None = None


def standings(
    graph: Graph, checkpoint: Checkpoint, *, alive: bool = True, keep_going: bool = False
) -> list[Standing]:
    """The standing of every story of the graph; `alive` tells whether the run's process still works on it."""
    records = [checkpoint.stories.get(identity) for identity in graph.identities]
    found = [
        _own(story.state, record, alive=alive) for story, record in zip(graph.stories, records, strict=True)
    ]
    schedule = schedule_of(graph, checkpoint, keep_going=keep_going)
    for index, standing in enumerate(found):
        if standing.status not in _OPEN or graph.stories[index].state == "blocked":
            continue
        if schedule.is_blocked(index):
            by = tuple(graph.keys[other] for other in schedule.blocked(index) if other != index)
            found[index] = Standing("blocked", by + tuple(graph.external_open.get(index, ())), "needs")
        elif standing.status == "blocked":
            found[index] = Standing("pending")
    _hold_dependents(graph, found)
    return found


def schedule_of(graph: Graph, checkpoint: Checkpoint, *, keep_going: bool = False) -> Schedule:
    """The schedule as it stands: what is blocked, and why a story does not start."""
    known: dict[int, str] = {}
    for identity, record in checkpoint.stories.items():
        index = graph.by_identity.get(identity)
        if index is not None and (status := _for_schedule(record, checkpoint)) is not None:
            known[index] = status
    return Schedule(graph, known, keep_going=keep_going)


def _for_schedule(record: StoryRecord, checkpoint: Checkpoint) -> str | None:
    """None leaves the story to what its file says."""
    if record.landed or record.status == "passed":
        return "passed"
    if record.status == "done-unverified":
        free = checkpoint.workspace == "shared" or checkpoint.kind == "rehearsal"  # where nothing can land
        return "passed" if free else record.status
    if record.status == "waiting":
        return "waiting" if record.reason == "human" else "pending"
    if record.status in ("failed", "skipped"):
        return record.status
    return "pending" if record.approved else None


def _own(state: str, record: StoryRecord | None, *, alive: bool) -> Standing:
    """What the record says, else what the file says."""
    if record is not None and record.status != "pending":
        if record.status in ("running", "landing") and not alive:
            return Standing("interrupted", reason="interrupted")
        return Standing(record.status, reason=record.reason)
    if state in _FROM_FILE:
        return Standing(_FROM_FILE[state])
    if state == "human" and not (record is not None and record.approved):
        return Standing("waiting", reason="human")
    return Standing("pending", reason=record.reason if record is not None else None)


def _hold_dependents(graph: Graph, found: list[Standing]) -> None:
    """Whatever needs a waiting story waits with it."""
    front = [index for index, one in enumerate(found) if one.status == "waiting"]
    while front:
        index = front.pop()
        for other in graph.dependents[index]:
            if found[other].status not in ("pending", "interrupted") and not found[other].by:
                continue
            if found[other].status == "blocked" or graph.keys[index] in found[other].by:
                continue
            if not found[other].by:
                front.append(other)
            found[other] = Standing("waiting", (*found[other].by, graph.keys[index]), "needs")
