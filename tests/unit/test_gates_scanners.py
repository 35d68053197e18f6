"""Scanners for secrets as gates: used where a project uses them and they are there; they can only say no."""

import pytest

from rad_engineer.gates.judgement import Attempt, Gate, GateResult, judge
from rad_engineer.gates.scanners import SCANNER, installed_scanners

EVERY = {"gitleaks", "detect-secrets-hook"}
USED = [".secrets.baseline", ".gitleaks.toml", "src"]


def found(names=USED, configured=(), installed=EVERY):
    return [gate.name for gate in installed_scanners(names, configured, installed.__contains__)]


def test_a_project_that_uses_both():
    assert found() == ["gitleaks", "detect-secrets"]


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({"names": ["src"]}, []),
        ({"names": [".gitleaksignore"]}, ["gitleaks"]),
        ({"installed": {"gitleaks"}}, ["gitleaks"]),
        ({"configured": ["gitleaks dir ."]}, ["detect-secrets"]),
        ({"configured": ["pre-commit run detect-secrets"]}, ["gitleaks"]),
    ],
)
def test_one_that_is_not_used_not_there_or_run_anyway_is_left_out(more, left):
    assert found(**more) == left


@pytest.mark.parametrize(
    ("code", "verdict", "ok"), [(0, "no-evidence", True), (1, "red", False), (127, "broken", False)]
)
def test_it_can_say_no_and_proves_nothing(code, verdict, ok):
    judged = judge(Gate("gitleaks", "gitleaks", runner=SCANNER), Attempt(code))
    assert judged.verdict == verdict
    result = GateResult("gitleaks", "gitleaks", judged.verdict, code, 0.1)
    assert (result.ok, result.proof) == (ok, False)
