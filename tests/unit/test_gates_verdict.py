"""The verdict on one run of a gate, and what survives a trip through JSON."""

import json
from dataclasses import replace

import pytest

from rad_engineer.gates import Baseline, Gate, GateResult
from rad_engineer.gates.judgement import Attempt, Reading, judge, shortened

PYTEST = Gate("tests", "pytest", runner="pytest")
OPAQUE = Gate("check", "./check.sh")
GREEN = Baseline("tests", 0, (), ("a::1", "a::2"), green=True)
RED = Baseline("tests", 1, ("a::3",), ("a::1", "a::2"))
OPAQUE_RED = Baseline("check", 2)
RED_NO_MORE = replace(RED, failures=(), passed_tests=("a::1", "a::2", "a::3"), exit_code=0, green=True)
OPAQUE_KILLED = Baseline("check", 137)
OPAQUE_GREEN = Baseline("check", 0, green=True)


def ran(
    code: int | None,
    passed: tuple[str, ...] = ("a::1", "a::2"),
    failed: tuple[str, ...] = (),
    problem: str = "",
):
    return Attempt(code, reading=Reading(len(passed), passed, failed, problem))


NOTHING = Attempt(0)
NO_RESULT = "error: exit code 0, but its runner left no result"


@pytest.mark.parametrize(
    ("gate", "attempt", "baseline", "verdict", "blamed"),
    [
        (PYTEST, ran(0), None, "green", ()),
        (PYTEST, ran(0), GREEN, "green", ()),
        (PYTEST, ran(0), RED, "red", ("missing: a::3",)),
        (PYTEST, ran(0, ("a::1", "a::2", "a::3")), RED, "green", ()),
        (PYTEST, NOTHING, None, "no-evidence", ()),
        (PYTEST, NOTHING, GREEN, "red", (NO_RESULT, "missing: a::1", "missing: a::2")),
        (PYTEST, ran(0, problem="forged"), GREEN, "red", ("error: exit code 0, but forged",)),
        (replace(PYTEST, scope="story"), NOTHING, GREEN, "no-evidence", ()),
        (PYTEST, ran(0, ()), None, "no-evidence", ()),
        (PYTEST, ran(0, problem="forged"), None, "no-evidence", ()),
        (PYTEST, ran(0, ("a::1",)), GREEN, "red", ("missing: a::2",)),
        (PYTEST, ran(0, ("a::1",), ("a::2",)), GREEN, "red", ("a::2",)),
        (PYTEST, ran(1, ("a::1",), ("a::2",)), None, "red", ("a::2",)),
        (PYTEST, ran(1, ("a::1",), ("a::2",)), GREEN, "red", ("a::2",)),
        (PYTEST, ran(1, failed=("a::3",)), RED, "excused", ()),
        (PYTEST, ran(1, failed=("a::3",)), RED_NO_MORE, "red", ("a::3",)),
        (PYTEST, ran(1, failed=("a::3", "a::4")), RED, "red", ("a::4",)),
        (PYTEST, ran(1, ("a::1",), ("a::3",)), RED, "red", ("missing: a::2",)),
        (PYTEST, ran(2, failed=("a::3",)), RED, "no-evidence", ()),
        (PYTEST, ran(1, failed=("a::3",), problem="torn"), RED, "no-evidence", ()),
        (PYTEST, ran(2, (), ("error: a",)), GREEN, "red", ("error: a",)),
        (PYTEST, Attempt(4), RED, "red", ()),
        (PYTEST, Attempt(1), Baseline("tests", 1), "no-evidence", ()),
        (PYTEST, ran(1), RED, "red", ("missing: a::3",)),
        (OPAQUE, NOTHING, None, "green", ()),
        (OPAQUE, NOTHING, OPAQUE_RED, "green", ()),
        (OPAQUE, Attempt(0, masked=True), None, "no-evidence", ()),
        (OPAQUE, Attempt(1), None, "red", ()),
        (OPAQUE, Attempt(1), OPAQUE_GREEN, "red", ()),
        (OPAQUE, Attempt(1), OPAQUE_RED, "no-evidence", ()),
        (OPAQUE, Attempt(1), OPAQUE_KILLED, "red", ()),
        (OPAQUE, Attempt(137), OPAQUE_KILLED, "red", ()),
        (OPAQUE, NOTHING, OPAQUE_KILLED, "green", ()),
        (replace(OPAQUE, scope="story"), Attempt(1), OPAQUE_RED, "red", ()),
        (OPAQUE, Attempt(127), None, "broken", ()),
        (OPAQUE, Attempt(126), Baseline("check", 127), "broken", ()),
        (OPAQUE, Attempt(127), OPAQUE_GREEN, "red", ("error: no such command",)),
        (OPAQUE, Attempt(None, "not-started"), None, "broken", ()),
        (OPAQUE, Attempt(None, "cancelled"), None, "broken", ()),
        (OPAQUE, Attempt(None, "timeout"), OPAQUE_GREEN, "red", ()),
        (OPAQUE, Attempt(None, "timeout"), OPAQUE_RED, "red", ()),
        (OPAQUE, Attempt(None, "timeout"), Baseline("check", None, reason="timeout"), "no-evidence", ()),
    ],
)
def test_verdicts(
    gate: Gate, attempt: Attempt, baseline: Baseline | None, verdict: str, blamed: tuple[str, ...]
) -> None:
    judged = judge(gate, attempt, baseline)
    assert (judged.verdict, judged.blamed) == (verdict, blamed), judged


@pytest.mark.parametrize(
    ("verdict", "blamed", "ok", "proof"),
    [
        ("green", (), True, True),
        ("excused", (), True, True),
        ("flaky-green", (), True, True),
        ("no-evidence", (), True, False),
        ("no-evidence", ("missing: a",), False, False),
        ("red", (), False, False),
        ("red", ("a",), False, False),
        ("broken", (), False, False),
    ],
)
def test_what_counts(verdict, blamed, ok, proof) -> None:
    result = GateResult("g", "c", verdict, 0, 1.0, blamed=blamed)
    assert (result.ok, result.proof) == (ok, proof)


def test_variants_may_change_their_parameters_but_not_become_fewer() -> None:
    before = Baseline("tests", 0, (), ("a::t[1]", "a::t[2]"), green=True)
    assert judge(PYTEST, ran(0, ("a::t[x]", "a::t[y]", "a::t[z]")), before).verdict == "green"
    assert judge(PYTEST, ran(0, ("a::t[1]",)), before).blamed == ("missing: a::t[2]",)


def test_a_runner_that_does_not_name_what_passed_misses_nothing() -> None:
    gate = Gate("tests", "python -m unittest", runner="unittest")
    before = Baseline("tests", 1, ("t.a",), None)
    assert judge(gate, Attempt(0, reading=Reading(5)), before).verdict == "green"
    assert judge(gate, Attempt(1, reading=Reading(5, None, ("t.b",))), before).blamed == ("t.b",)


def test_who_is_killed_by_somebody_else_has_said_nothing() -> None:
    assert OPAQUE_KILLED.broken
    assert not replace(OPAQUE_KILLED, reason="timeout").broken, "we did that: it says that the gate hangs"


def test_round_trips() -> None:
    result = GateResult("g", "c", "red", 1, 0.5, 3, ("a",), ("a",), "out", "ab", 1.0, "c0", "final", "why")
    data = json.loads(json.dumps(result.to_json()))
    assert (data["ok"], data["proof"]) == (False, False)
    assert GateResult.from_json({**data, "later": 1}) == result
    assert Baseline.from_json(json.loads(json.dumps(RED.to_json()))) == RED
    assert Baseline.from_json({"gate": "x", "exit_code": 0}).passed_tests is None


def test_long_lists_are_shortened() -> None:
    assert shortened(tuple(map(str, range(12))), 10)[-1] == "... and 2 more"
    assert shortened(("a",), 10) == ("a",)
