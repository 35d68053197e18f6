"""kill -9 anywhere: after resume the same tree, every story landed once, nothing paid twice, nothing left running.

RAD_CHAOS_ROUNDS=200 pytest tests/chaos makes a night of it.
"""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Project, agent, prd, story

if TYPE_CHECKING:
    import subprocess

ROUNDS = int(os.environ.get("RAD_CHAOS_ROUNDS", "6"))
NEEDS = {4: (1,), 5: (1, 2), 6: (3,), 7: (4,), 8: (5, 6), 10: (9,), 11: (7, 8), 12: (11,)}
GOOD = [f"S{n:02d}" for n in range(1, 13) if n not in (9, 10)]


def twelve() -> str:
    """Twelve stories: two conflict, one fails (and blocks another), the rest hang together."""
    return prd(*(story(f"S{n:02d}", *(f"S{m:02d}" for m in NEEDS.get(n, ()))) for n in range(1, 13)))


def script(paid: Path) -> str:
    """Tells when it is started although a checkpoint says that this very attempt has finished."""
    return f"""
checkpoint="$(dirname "$RAD_PROMPT_FILE")/../checkpoint.json"
grep -qs "\\"attempt\\":$RAD_ATTEMPT,\\"stage\\":" "$checkpoint" && echo "$RAD_STORY_ID $RAD_ATTEMPT" >> {paid}-again
echo "$RAD_STORY_ID $RAD_ATTEMPT" >> {paid}
mkdir -p out
case $RAD_STORY_ID in
  S09) echo boom; exit 1;;
  S02|S03) sleep 0.1; echo "$RAD_STORY_ID" > shared.txt;;
esac
setsid sleep 30 >/dev/null 2>&1 &
sleep 0.03
echo "work $RAD_STORY_ID" > out/$RAD_STORY_ID.txt
"""


def prepare(project: Project) -> list[str]:
    files = {
        "prd.json": twelve(),
        "shared.txt": "base\n",
        "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
    }
    project.init(files)
    options = agent(project, script(project.folder.parent / "paid"))
    return ["run", "prd.json", *options, "--yes", "-j", "4"]


def check(project: Project, ended: "subprocess.Popen[str]", out: str) -> None:
    assert ended.returncode == 1, out
    assert sorted(project.landed("rad/demo")) == GOOD
    tree = project.git("ls-tree", "-r", "--name-only", "rad/demo").split()
    assert [name for name in tree if name.startswith("out/")] == [f"out/{name}.txt" for name in GOOD]
    assert project.git("show", "rad/demo:shared.txt").strip() in ("S02", "S03")
    assert project.passes() == GOOD
    assert (project.folder.parent / "paid").exists()
    again = project.folder.parent / "paid-again"
    assert not again.exists(), f"finished agent stages were bought again: {again.read_text()}"
    assert left_after_a_second(project) == []


def left_after_a_second(project: Project) -> list[str]:
    until = time.monotonic() + 1
    while project.processes() and time.monotonic() < until:
        time.sleep(0.02)
    return project.processes()


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_coordinator_is_killed(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    command = prepare(project)
    for _ in range(chance.randint(1, 3)):
        run = project.start(*command)
        time.sleep(chance.uniform(0.05, 2.2))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert left_after_a_second(project) == []
    last = project.start(*command)
    out, err = last.communicate(timeout=100)
    check(project, last, out + err)


@pytest.mark.parametrize("seed", range(max(2, ROUNDS // 3)))
@pytest.mark.parametrize("victim", ["worker", "zygote"])
def test_a_worker_or_the_zygote_is_killed(project: Project, seed: int, victim: str) -> None:
    """Healed within the run, without a new start."""
    chance = random.Random(seed)
    command = prepare(project)
    run = project.start(*command, "--json")
    assert run.stdout is not None
    wanted = chance.randint(3, 25)
    for number, line in enumerate(run.stdout):
        if number >= wanted and json.loads(line)["event"] != "run_finished":
            break
    family = children(run.pid)
    zygote = next(iter(family), None)
    targets = children(zygote) if victim == "worker" and zygote else [zygote]
    for pid in targets[:1]:
        if pid:
            os.kill(pid, signal.SIGKILL)
    out, err = run.communicate(timeout=100)
    check(project, run, out + err)


def children(pid: int | None) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]
