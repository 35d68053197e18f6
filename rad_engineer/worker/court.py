"""Where gates are run: by us, in a clean copy that no agent has ever written to, held against what they said before."""

import select
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import gates, sandbox, store, timings
from rad_engineer.gates import Baseline, Gate, GateResult
from rad_engineer.outcome import FEEDBACK_TAIL, Outcome, text_fingerprint
from rad_engineer.process import Limits
from rad_engineer.rules import GateRule
from rad_engineer.sandbox import Box
from rad_engineer.worker import boxes, hints, readings, setup, tools, ways
from rad_engineer.worker.workplace import Say, Workplace, gate_environment, judging_environment

if TYPE_CHECKING:
    from rad_engineer.slots.pool import Slot


@dataclass(frozen=True, slots=True)
class Court:
    """Where and how gates are run: a lane's gate copy, its logs, and the way to be stopped."""

    place: Workplace
    lane: int
    logs: Path
    say: Say
    cancel: int
    judged: str = ""  # the commit that evidence is to name, where it is not the head of the copy
    quarantine: Path | None = None  # where what is judged lies, as long as it is not the user's

    @property
    def cancelled(self) -> bool:
        """Whether the coordinator wants the job to stop, or is gone."""
        return bool(select.select([self.cancel], [], [], 0)[0])


class Cancelled(Exception):
    """The job was stopped; nothing was decided."""


class _NotSetUp(Exception):
    """The setup command failed; the outcome says how."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.detail)


def as_gates(rules: Sequence[GateRule]) -> tuple[Gate, ...]:
    """Gates as the run's rules have them."""
    return tuple(Gate(rule.name, rule.command, rule.scope, rule.runner) for rule in rules)  # type: ignore[arg-type]


def project_gates(place: Workplace) -> tuple[Gate, ...]:
    """The gates that every story must pass."""
    found = as_gates(place.rules.gates)
    return (
        tuple(replace(gate, allow_missing=True) for gate in found)
        if place.rules.allow_missing_tests
        else found
    )


def run_gates(court: Court, tree: str, head: str, wanted: Sequence[Gate]) -> list[GateResult] | Outcome:
    """Runs gates on a tree in the lane's gate copy; an Outcome where the copy could not be set up."""
    if not wanted:
        return []
    pool = court.place.pool
    copy = pool.slot("gate", court.lane)

    def ready() -> None:
        court.place.ahead.settle(copy.path)
        with timings.part("gate copy"):
            pool.move(copy, tree, head, keep=setup.kept(copy.git_dir).paths, quarantine=court.quarantine)
        failed = set_up_copy(court, copy, tree, head)
        if failed is not None:
            raise _NotSetUp(failed)

    expect_gate(court)
    held = _held_against(court, head, wanted)
    if isinstance(held, Outcome):
        return held
    try:
        ready()
        results = _run_all(court, copy.path, head, wanted, held, ready)
    except _NotSetUp as stopped:
        return stopped.outcome
    if all(result.ok for result in results):
        _remember(court, tree, wanted, results)
    return results


def run_in_place(court: Court, where: Path, wanted: Sequence[Gate]) -> list[GateResult]:
    """Runs gates in a shared workspace: nothing is clean there, and nothing is held against what was before."""
    return _run_all(court, where, "", wanted, {}, lambda: None)


def _held_against(court: Court, head: str, wanted: Sequence[Gate]) -> dict[str, Baseline] | Outcome:
    """What the project's gates say of the commit that a change stands on; asked where that is not known."""
    held: dict[str, Baseline] = {}
    for gate in wanted:
        if gate.scope == "project":
            said = baseline(court, head, gate)
            if isinstance(said, Outcome):
                return said
            held[gate.name] = said
    return held


def _remember(court: Court, tree: str, wanted: Sequence[Gate], results: Sequence[GateResult]) -> None:
    tree = court.place.pool.tree_of(tree, court.quarantine)
    for gate, result in zip(wanted, results, strict=True):
        if gate.scope == "project" and result.seen is not None:
            readings.remember(court.place, gate, tree, result.seen)


def set_up_copy(
    court: Court, copy: "Slot", tree: str, head: str, keep: tuple[str, ...] = ()
) -> Outcome | None:
    """Runs the setup command in a copy where it is needed; `keep` stays there in any case.

    A rehearsal runs none: it asks for no trust and has no sandbox, because no command of anybody runs in it.
    """
    place = court.place
    if not place.rules.setup or place.rules.kind == "rehearsal":
        return None
    asked = ways.Asked(court.say, "setup")
    made = setup.Copy(
        copy.path,
        copy.git_dir,
        court.logs / "setup.log",
        lambda: place.pool.untracked(copy),
        lambda: place.pool.changed(head, tree, court.quarantine),
        lambda to, paths: place.pool.move(copy, to, head, keep=(*keep, *paths), quarantine=court.quarantine),
        place.pool.take_away,
        lambda: boxes.for_setup(place, copy.path, asked),
        boxes.kind(place),
    )
    with timings.part("setup"):
        env = gate_environment(place.environment)
        target, seconds = setup.Target(tree, head), place.rules.gate_timeout
        ended = setup.run(place.rules.setup, made, target, env, seconds, court.cancel)
    if ended is None or (ended.reason == "exited" and ended.code == 0):
        return None
    if ended.reason == "cancelled" and court.cancelled:
        raise Cancelled
    how = setup.told(ended)
    telling = gates.telling_line(ended.output)
    detail = (
        f"`{place.rules.setup}`: {how}{telling and f', {telling}'}{asked.told or _why_without_network(place)}"
    )
    return Outcome("failed", reason="setup-failed", detail=detail, fingerprint=text_fingerprint("setup", ended.output),
                   feedback=f"The setup command failed on your tree: {detail}\n{ended.output[-FEEDBACK_TAIL:]}")  # fmt: skip


def _why_without_network(place: Workplace) -> str:
    if not place.confined or sandbox.HOST_NETWORK in place.rules.setup_network:
        return ""
    if not place.walled:
        return '; landlock lets nothing through to single hosts: [grants] setup_network = ["host"] lets everything'
    if place.rules.setup_network:
        return ""
    return "; it has no network in the sandbox, unless [grants] setup_network gives it"


def _run_all(
    court: Court,
    where: Path,
    head: str,
    wanted: Sequence[Gate],
    held: Mapping[str, Baseline],
    ready: Callable[[], None],
) -> list[GateResult]:
    """Runs gates one after the other; none of them finds what the story's code wrote during another."""
    place = court.place
    results: list[GateResult] = []
    for number, gate in enumerate(wanted):
        if results:
            ready()
        asked = ways.Asked(court.say, gate.name)
        with timings.part("gates"), _box(court, where, asked, number) as (box, folder):
            if number + 1 < len(wanted):
                expect_gate(court, number + 1)
            result = gates.run(
                gate,
                box=box,
                cwd=where,
                env=judging_environment(place, where),
                limits=Limits(seconds=place.rules.gate_timeout),
                scratch=folder,
                cancel=court.cancel,
                baseline=held.get(gate.name),
                log=court.logs / f"{store.slug(gate.name)}.log",
                commit=court.judged or head,
                clock=time.time,
                clean=ready,
            )
        if court.cancelled:
            raise Cancelled
        result = _explained(court, result, asked)
        results.append(result)
        court.say({"event": "gate_finished", "gate": gate.name, "ok": result.ok, "blamed": not result.ok,
                   "verdict": result.verdict, "seconds": round(result.seconds, 3)})  # fmt: skip
    return results


def _explained(court: Court, result: GateResult, asked: ways.Asked) -> GateResult:
    """A gate that failed because it wants what judged code may not have, or cannot have in its sandbox, says so."""
    if result.ok:
        return result
    found = [*asked.denied[:3], hints.told(court.place.rules.sandbox, result.output)]
    return replace(result, detail="; ".join(filter(None, [result.detail, *found])))


def strange_tools(court: Court, wanted: Sequence[Gate]) -> list[str]:
    """Which programs that gates begin with are others in a box than the user has."""
    place = court.place
    if not place.confined:
        return []
    empty = boxes.empty(place)
    judged = boxes.Judged(empty, court.lane)
    with boxes.for_gates(place, judged, ways.Asked(court.say, "tools")) as (box, _folder):
        return tools.differences(wanted, box, place.user, empty)


def _box(
    court: Court, where: Path, asked: ways.Asked, number: int = 0
) -> AbstractContextManager[tuple[Box, Path]]:
    """A box for one gate."""
    return boxes.for_gates(court.place, _judged(court, where, number), asked)


def expect_gate(court: Court, number: int = 0) -> None:
    """Begins to open the box of a gate that comes next, the first or a later one, in a copy that is left alone now."""
    if court.place.walled and court.place.rules.workspace == "slots":
        copy = court.place.pool.slot("gate", court.lane)
        boxes.gate_ahead(court.place, _judged(court, copy.path, number))


def _judged(court: Court, where: Path, number: int) -> boxes.Judged:
    place = court.place
    made = (
        setup.kept(place.pool.slot("gate", court.lane).git_dir).paths
        if place.rules.workspace == "slots"
        else ()
    )
    return boxes.Judged(where, court.lane, made, number)


def baseline(court: Court, commit: str, gate: Gate) -> Baseline | Outcome:
    """What one gate says of a commit that is there already: remembered, else asked; an Outcome where setup fails."""
    tree = court.place.pool.tree_of(commit)
    known = readings.recall(court.place, gate, tree)
    if known is not None:
        return known
    said = _ask(court, commit, gate)
    if isinstance(said, Baseline):
        readings.remember(court.place, gate, tree, said)
    return said


def _ask(court: Court, commit: str, gate: Gate, *, again: bool = False) -> Baseline | Outcome:
    """Runs the gate on that commit; a second time where it was killed: else it would excuse whatever is red."""
    place = court.place
    copy = place.pool.slot("gate", court.lane)
    place.ahead.settle(copy.path)
    with timings.part("gate copy"):
        place.pool.move(copy, commit, commit, keep=setup.kept(copy.git_dir).paths)
    failed_setup = set_up_copy(court, copy, commit, commit)
    if failed_setup is not None:
        return failed_setup
    asked = ways.Asked(court.say, gate.name)
    with timings.part("gates"), _box(court, copy.path, asked) as (box, folder):
        found = gates.baseline(
            gate,
            box=box,
            cwd=copy.path,
            env=judging_environment(place, copy.path),
            limits=Limits(seconds=place.rules.gate_timeout),
            scratch=folder,
            cancel=court.cancel,
            log=court.logs / f"{store.slug(gate.name)}-before.log",
        )
    if court.cancelled:
        raise Cancelled
    if asked.denied and not found.green:
        found = replace(found, detail="; ".join(filter(None, [found.detail, *asked.denied[:3]])))
    return found if again or not found.killed else _ask(court, commit, gate, again=True)
