"""Power cuts: what was told is not lost, what was judged is not bought again, nothing is silently wrong.

A run is recorded, every process of it with git's as well; then the disk is rebuilt as a cut leaves it, without
anything that was not synced, or with a part of that, and the run goes on. RAD_POWER_CUTS=200 makes a campaign of it.
"""

import copy
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.chaos.faults import Trial, build_shim, fresh
from tests.chaos.power import Disk, Operation, modes, read_log
from tests.required import needs

CUTS = int(os.environ.get("RAD_POWER_CUTS", "3"))
needs("gcc", shutil.which("gcc"))


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.mark.timeout(120 + CUTS * 60)
def test_after_a_power_cut_nothing_that_was_told_is_lost(tmp_path: Path, shim: Path) -> None:
    trial = Trial(fresh(tmp_path / "disk"), shim)
    record = {"SHIM_RECORD": str(tmp_path / "log"), "SHIM_PREFIX": str(trial.folder)}
    env = trial.environment({**record, "SHIM_FAST": "1"})
    before = Disk(trial.folder)
    ended = trial.start(env)
    assert ended.returncode == 0, ended.stderr
    operations = list(read_log(tmp_path / "log"))
    assert unexplained(trial.folder, after(before, operations)) == []
    kept = modes(trial.folder)
    chance = random.Random(int(os.environ.get("RAD_POWER_SEED", "0")))
    wrong = []
    for number in range(CUTS):
        disk = after(before, operations[: chance.randrange(len(operations))])
        disk.cut(random.Random(number) if number % 2 else None, kept)
        seen = go_on(trial, disk, tmp_path / "boot")
        wrong += [f"cut {number}: {seen}"] if seen else []
    assert wrong == []


def after(before: Disk, operations: list[Operation]) -> Disk:
    disk = copy.deepcopy(before)
    for operation in operations:
        disk.apply(operation)
    return disk


def unexplained(folder: Path, disk: Disk) -> list[str]:
    """What is on the real disk and not in the recording, or the other way round: the recorder must see everything."""
    real = {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
    }
    seen = disk.files()
    return sorted(path for path in real.keys() | seen.keys() if real.get(path) != seen.get(path))


def told(disk: Disk, kind: str) -> set[str]:
    """The stories that the user was told this of."""
    whole = disk.told[: disk.told.rfind(b"\n") + 1]
    events = [json.loads(line) for line in whole.splitlines()]
    return {event["story"] for event in events if event["event"] == kind}


def go_on(trial: Trial, disk: Disk, boot: Path) -> str:
    """The machine is on again, and the same command is given: what is wrong then."""
    policy = [
        path.parent.name[0]
        for path in trial.folder.rglob("checkpoint.json")
        if b'"policy"' in path.read_bytes()
    ]
    safe = told(disk, "story_landed") | told(disk, "story_verified") | set(policy)
    boot.write_text(f"{os.urandom(16).hex()}\n")
    paid = trial.folder / "paid"
    paid.unlink(missing_ok=True)
    ended = trial.start(trial.environment({"SHIM_BOOT": str(boot)}))
    (trial.folder / "paid-again").unlink(missing_ok=True)  # a slot is not synced: see `safe`
    bought = {line.split()[0] for line in paid.read_text().splitlines()} if paid.exists() else set()
    if ended.returncode != 0 or "Traceback" in ended.stderr:
        return f"ended with {ended.returncode}: {ended.stderr}{ended.stdout[-2000:]}"
    if bought & safe:
        return f"bought again: {sorted(bought & safe)}"
    if "the branch was rewritten" in ended.stdout:
        return "a landing was lost"
    trial.project.git("fsck", "--no-dangling", "--no-reflogs")
    return trial.wrong_state()
