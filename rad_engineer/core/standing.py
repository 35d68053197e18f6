"""Where every story stands: its record, the file's word, and what follows from the graph (blocked, waiting)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rad_engineer.core.checkpoint import Checkpoint, StoryRecord

if TYPE_CHECKING:
    from rad_engineer.core.graph import Graph

BLOCKING = frozenset({"failed", "blocked", "done-unverified"})
"""A need in one of these states cannot be met in this run."""

HOLDING = frozenset({"skipped", "waiting"})
"""A need in one of these states holds its dependents until a person does something."""

ENDED_WELL = frozenset({"passed", "already-done"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A story's status and, where it is blocked or waits, the keys of what stands in its way."""

    status: str
    by: tuple[str, ...] = ()
    reason: str | None = None


def standings(
    graph: "Graph", checkpoint: Checkpoint, *, alive: bool = True, keep_going: bool = False
) -> list[Standing]:
    """The standing of every story of the graph; `alive` tells whether the run's process still works on it."""
    found: list[Standing] = [
        _own(graph, index, checkpoint.stories.get(identity), alive=alive)
        for index, identity in enumerate(graph.identities)
    ]
    prd_bad: dict[int, list[int]] = {}
    last_bad: dict[int, int] = {}
    for wave in graph.waves:
        for index in sorted(wave):
            if found[index].status in ("pending", "interrupted") or _derived(found[index]):
                bad = _in_the_way(graph, index, found, prd_bad, {} if keep_going else last_bad)
                found[index] = _derive(graph, index, found, bad)
            if found[index].status in BLOCKING | HOLDING:
                prd_bad.setdefault(graph.prd_of[index], []).append(index)
            if found[index].status in BLOCKING:
                last_bad.setdefault(graph.prd_of[index], index)
    return found


def _own(graph: "Graph", index: int, record: StoryRecord | None, *, alive: bool) -> Standing:
    """What the record says, else what the file says."""
    status = record.status if record is not None else "pending"
    if record is not None and status != "pending":
        if status in ("running", "landing") and not alive:
            return Standing("interrupted", reason="interrupted")
        return Standing(status, record.by if status == "blocked" else (), record.reason)
    state = graph.stories[index].state
    if state == "done":
        return Standing("already-done")
    if state in ("skipped", "blocked"):
        return Standing(state)
    if state == "human" and not (record is not None and record.approved):
        return Standing("waiting", reason="human")
    return Standing("pending", reason=record.reason if record is not None else None)


def _derived(standing: Standing) -> bool:
    """Whether a stored status may have been overtaken: what blocked it may be done by now."""
    return standing.status == "blocked" and bool(standing.by)


def _in_the_way(
    graph: "Graph", index: int, found: Sequence[Standing], prd_bad: dict[int, list[int]],
    last_bad: dict[int, int],
) -> list[int]:  # fmt: skip
    own_prd = graph.prd_of[index]
    bad = [need for need in graph.needs[index] if found[need].status in BLOCKING | HOLDING]
    for prd in graph.prd_needs[own_prd]:
        bad += prd_bad.get(prd, ())
    if graph.sequential[own_prd] and own_prd in last_bad:
        bad.append(last_bad[own_prd])
    if not bad:
        for key in found[index].by:
            blocker = graph.by_key.get(key)
            if blocker is not None and found[blocker].status in BLOCKING:
                bad.append(blocker)
    return list(dict.fromkeys(bad))


def _derive(graph: "Graph", index: int, found: Sequence[Standing], bad: list[int]) -> Standing:
    own = found[index]
    outside = tuple(graph.external_open.get(index, ()))
    blocking = tuple(graph.keys[other] for other in bad if found[other].status in BLOCKING)
    if blocking or outside:
        return Standing("blocked", blocking + outside, "needs")
    if bad:
        return Standing("waiting", tuple(graph.keys[other] for other in bad), "needs")
    return Standing("pending", reason=None) if _derived(own) else own
