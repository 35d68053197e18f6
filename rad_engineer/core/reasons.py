"""Says in a sentence why a story does not start now."""

from typing import TYPE_CHECKING

from rad_engineer.core.schedule import Schedule
from rad_engineer.core.states import (
    ALREADY_DONE,
    BLOCKED,
    FAILED,
    LIMITED,
    PASSED,
    PENDING,
    RUNNING,
    SKIPPED,
    UNVERIFIED,
    WAITING,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 3


def why(schedule: Schedule, story: int) -> str:
    """One plain sentence for every state."""
    state = schedule.state[story]
    if state == PENDING:
        return _pending(schedule, story)
    if state == BLOCKED:
        return _blocked(schedule, story)
    if state == WAITING:
        return f"waits for a person: rad-engineer approve {schedule.graph.keys[story]}"
    if state == SKIPPED:
        reason = schedule.graph.stories[story].reason
        return f"the PRD says {schedule.graph.stories[story].state}" + (f": {reason}" if reason else "")
    return _PLAIN[state]


_PLAIN = {
    RUNNING: "is running",
    LIMITED: "waits for a limit to pass",
    PASSED: "has landed",
    ALREADY_DONE: "is done already",
    FAILED: "has failed",
    UNVERIFIED: "is finished, but nothing could judge it",
}


def _pending(schedule: Schedule, story: int) -> str:
    graph = schedule.graph
    if not schedule.selected[story]:
        return "is not among the selected stories"
    if schedule.stopped_by is not None:
        return f"nothing more starts: {graph.keys[schedule.stopped_by]} has failed"
    if schedule.unmet[story]:
        return _unmet(schedule, story)
    held = schedule.ready.claims.conflict(graph.stories[story].files)
    if held is not None:
        return f"waits for {graph.keys[held[1]]}, which touches {held[0] or 'everything'} too"
    return "can start now"


def _unmet(schedule: Schedule, story: int) -> str:
    graph = schedule.graph
    needs = [need for need in graph.needs[story] if schedule.state[need] not in {PASSED, ALREADY_DONE}]
    stuck = next((need for need in needs if schedule.state[need] == WAITING), None)
    if stuck is not None:
        return f"needs {graph.keys[stuck]}, which waits for a person"
    left_out = next((need for need in needs if not schedule.selected[need]), None)
    if left_out is not None:
        return f"needs {graph.keys[left_out]}, which is not among the selected stories"
    if needs:
        return f"needs {_listed([graph.keys[need] for need in needs])}"
    closed = schedule.gating.closed_in_front(story)
    if closed:
        return _behind(schedule, closed[0])
    turn = schedule.turns.before(story, schedule.state)
    return "comes later in its file" if turn is None else f"comes after {graph.keys[turn]} in its file"


def _behind(schedule: Schedule, number: int) -> str:
    gating = schedule.gating
    barrier = gating.barriers[number]
    if barrier.kind == "start":
        return f"comes after {_listed([other.label for other in gating.closed_parents(number)])}"
    if gating.waits_for_gate(number):
        return f"waits for the gates of {barrier.label}"
    return f"comes after {barrier.label}"


def _blocked(schedule: Schedule, story: int) -> str:
    graph = schedule.graph
    others = graph.external_open.get(story)
    if others:
        return (
            f"needs {_listed(others)} of a PRD that is not run here and not done: run it first, or give both"
        )
    roots = schedule.blocked(story)
    named = _listed([f"{graph.keys[root]}, which {_state(schedule, root)}" for root in roots])
    return f"blocked by {named}"


def _state(schedule: Schedule, story: int) -> str:
    state = schedule.state[story]
    if state == SKIPPED:
        return f"is {schedule.graph.stories[story].state} in the PRD"
    return {FAILED: "has failed", UNVERIFIED: "nothing could judge"}.get(state, "cannot run")


def _listed(names: "Sequence[str]") -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
