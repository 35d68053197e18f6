"""The same with the sandbox on: kill -9 of anything, also while a box is being made, leaves nothing behind.

The default is a round for two victims. A campaign prints a matrix:
    RAD_CHAOS_ROUNDS=20 pytest tests/chaos/test_kill_sandboxed.py
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from walled import VICTIMS, Twelve, WalledRound, walled

from tests.sandboxes import needs_bubblewrap

ROUNDS = int(os.environ.get("RAD_CHAOS_ROUNDS", "0"))
CASES = [
    (victim, seed) for seed in range(ROUNDS or 1) for victim in (VICTIMS if ROUNDS else ("coordinator",))
]
USUAL = 5.0  # s, about what an untouched run takes


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Twelve]:
    needs_bubblewrap()
    found, listener = walled(tmp_path)
    yield found
    listener.close()


@pytest.mark.parametrize(("victim", "seed"), CASES)
def test_killed(run: Twelve, victim: str, seed: int, record_property: Callable[[str, object], None]) -> None:
    played = WalledRound(run, victim, random.Random(f"sandboxed-{victim}-{seed}"), USUAL)
    played.play()
    record_property("round", [victim, len(played.kills), played.processes, sorted(played.broken)])
    played.broken.pop("in the window", None)
    assert not played.broken, played.told()
