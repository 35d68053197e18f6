"""What proves an acceptance criterion, and what only seems to."""

import pytest

from rad_engineer.core.evidence import is_proof, prove
from rad_engineer.core.prd import Criterion


def gate(command, name=None, verdict="green", **more):
    return {
        "name": name or command,
        "command": command,
        "verdict": verdict,
        "exit_code": 0,
        "sha256": "ab",
        "at": 5.0,
        "seconds": 1.5,
        "commit": "c1",
        **more,
    }


GATES = [gate("npm test"), gate("npm run typecheck"), gate("npm run lint"), gate("npm run build")]
PYTHON = [gate("pytest -q", name="tests"), gate("mypy src", name="types")]

PROVED = [
    (Criterion("Typecheck passes"), GATES, "npm run typecheck"),
    (Criterion("All tests pass"), GATES, "npm test"),
    (Criterion("All existing unit tests still pass"), GATES, "npm test"),
    (Criterion("npm run typecheck passes"), GATES, "npm run typecheck"),
    (Criterion("`npm run build` passes"), GATES, "npm run build"),
    (Criterion("Build succeeds with no warnings"), GATES, "npm run build"),
    (Criterion("Typecheck passes (npm run typecheck)"), GATES, "npm run typecheck"),
    (
        Criterion("cd web && npm run lint passes"),
        [gate("npm run lint"), gate("cd web && npm run lint")],
        "cd web && npm run lint",
    ),
    (Criterion("Tests pass: npm test"), GATES, "npm test"),
    (Criterion("Typecheck and lint pass"), GATES, "npm run typecheck"),
    (
        Criterion("Quality gate: npm run typecheck && npm run lint && npm run build"),
        GATES,
        "npm run typecheck",
    ),
    (Criterion("pytest passes"), PYTHON, "pytest -q"),
    (Criterion("`pytest tests/test_slug.py -v` passes"), PYTHON, "pytest -q"),
    (Criterion("mypy passes"), PYTHON, "mypy src"),
    (
        Criterion("anything at all", command="test -f docs/a.md"),
        [*PYTHON, gate("test -f docs/a.md")],
        "test -f docs/a.md",
    ),
    (Criterion("x", command="npm run lint && npm test"), GATES, "npm run lint"),
    (Criterion("All tests pass"), [gate("make check", name="test")], "make check"),
]

UNPROVED = [
    (Criterion("The list is sorted and all tests pass"), GATES),
    (Criterion("Build fails if the threshold is not met"), GATES),
    (Criterion("All tests pass"), [gate("npm run lint")]),
    (Criterion("All tests pass"), [gate("npm test", verdict="red")]),
    (Criterion("All tests pass"), [gate("npm test", verdict="excused", passed=0)]),
    (Criterion("All tests pass"), [gate("npm test", verdict="no-evidence")]),
    (Criterion("pytest passes"), GATES),
    (Criterion("` ` passes"), GATES),
    (Criterion("Typecheck passes"), [gate("pytest -q")]),
    (Criterion("`make deploy` passes"), [gate("make")]),
    (Criterion("`pytest -k slow` passes"), PYTHON),
    (Criterion("`npm run test:e2e` passes"), GATES),
    (Criterion("npm run test:e2e passes"), GATES),
    (Criterion("e2e tests pass"), GATES),
    (Criterion("x", command="npm test && npm run e2e"), GATES),
    (Criterion("x", command="npm test | grep ok"), GATES),
    (Criterion("`tofu plan` shows no changes"), GATES),
    (Criterion("新增测试 pass"), GATES),
    (Criterion("New tests cover the parser"), GATES),
    (Criterion("Users can log in"), GATES),
    (Criterion(""), GATES),
    (Criterion("make sure it passes"), [gate("make", name="make")]),
]


@pytest.mark.parametrize(("criterion", "gates", "command"), PROVED, ids=lambda value: str(value)[:60])
def test_proved(criterion, gates, command):
    (proof,) = prove([criterion], gates)
    assert proof is not None
    assert proof.command == command


@pytest.mark.parametrize(("criterion", "gates"), UNPROVED, ids=lambda value: str(value)[:60])
def test_claims_more_than_a_gate_shows(criterion, gates):
    assert prove([criterion], gates) == [None]


def test_a_proof_says_what_ran_where_and_when():
    (proof,) = prove([Criterion("Tests pass")], [gate("npm test", commit=None)], commit="landed")
    assert proof is not None
    assert proof.to_json() == {
        "gate": "npm test",
        "command": "npm test",
        "exit_code": 0,
        "sha256": "ab",
        "commit": "landed",
        "at": 5.0,
        "seconds": 1.5,
    }


def test_an_excused_gate_with_a_passing_test_is_proof():
    assert is_proof(gate("npm test", verdict="excused", passed=3))
    assert is_proof(gate("npm test", verdict="flaky-green"))
    assert not is_proof(gate("npm test", verdict="green", proof=False))
