"""kill -9 of anything at any moment: in the end it is as if nothing had happened, and nothing was paid twice.

The default is one round for each victim. A campaign prints a matrix, and each of its rounds can be played again:
    RAD_CHAOS_ROUNDS=60 pytest tests/chaos/test_kill.py
    RAD_CHAOS_ROUNDS=60 pytest tests/chaos/test_kill.py -k everything-17
"""

import os
import random
import time
from collections.abc import Callable

import pytest
from rounds import Round
from truths import violations
from twelve import twelve
from victims import VICTIMS

from tests.conftest import Project

ROUNDS = int(os.environ.get("RAD_CHAOS_ROUNDS", "0"))
CASES = [(victim, seed) for seed in range(ROUNDS or 1) for victim in VICTIMS]
USUAL = 2.5  # s, about what an untouched run takes


@pytest.fixture(scope="session")
def length(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an untouched run takes; it is measured when its whole length is to be covered."""
    if not ROUNDS:
        return USUAL
    run = twelve(Project(tmp_path_factory.mktemp("untouched")))
    started = time.monotonic()
    assert run.project.rad(*run.command).code == 1
    seconds = time.monotonic() - started
    assert violations(run, ()) == {}
    return seconds


@pytest.mark.parametrize(("victim", "seed"), CASES)
def test_killed(
    project: Project, victim: str, seed: int, length: float, record_property: Callable[[str, object], None]
) -> None:
    played = Round(twelve(project), victim, random.Random(f"{victim}-{seed}"), length)
    played.play()
    record_property("round", [victim, len(played.kills), played.processes, sorted(played.broken)])
    played.broken.pop("in the window", None)
    assert not played.broken, played.told()
