"""Two start at once: exactly one works, the other says who does and leaves nothing behind.

RAD_CHAOS_ROUNDS=100 pytest tests/chaos/test_starters.py makes a hundred rounds of each pair.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story

ROUNDS = int(os.environ.get("RAD_CHAOS_ROUNDS", "1"))
DEADLINE = 60.0
FILES = {
    "prd.json": prd(story("A"), story("B", "A")),
    "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
}
PAIRS = {
    "run, run": ("run", "run"),
    "run, resume": ("run", "resume"),
    "resume, resume": ("resume", "resume"),
}
BEFORE = [("", False), ("../side", True), *([("../side", False), ("", True)] if ROUNDS > 1 else [])]
"""In which work tree the second one is started, and whether a run was killed before."""


def start(project: Project, command: list[str], where: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, cwd=project.folder / where, env=project.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def first_to_end(pair: "list[subprocess.Popen[str]]") -> "list[subprocess.Popen[str]]":
    until = time.monotonic() + DEADLINE
    while all(each.poll() is None for each in pair):
        assert time.monotonic() < until, "both work, or none ends"
        time.sleep(0.01)
    return sorted(pair, key=lambda each: each.poll() is None)


@pytest.mark.parametrize("_round", range(ROUNDS))
@pytest.mark.parametrize(("other", "killed"), BEFORE)
@pytest.mark.parametrize("verbs", PAIRS.values(), ids=PAIRS.keys())
def test_exactly_one_of_two_works(
    project: Project, verbs: tuple[str, str], other: str, killed: bool, _round: int
) -> None:
    project.init(FILES)
    project.git("worktree", "add", "-q", "-b", "side", "../side")
    go, paid = project.folder.parent / "go", project.folder.parent / "paid"
    script = f"while ! test -e {go}; do sleep 0.02; done; echo $RAD_STORY_ID >> {paid}; mkdir -p out; echo x > out/$RAD_STORY_ID\n"  # fmt: skip
    prd_file = str(project.folder / "prd.json")
    run = project.command("run", prd_file, *agent(project, script), "--yes")
    if killed or "resume" in verbs:
        before = start(project, run, "")
        wait_for_an_agent(project)
        before.send_signal(signal.SIGKILL)
        before.communicate()
    commands = [run if verb == "run" else project.command("resume") for verb in verbs]
    pair = [start(project, command, tree) for command, tree in zip(commands, ("", other), strict=True)]
    loser, winner = first_to_end(pair)
    _out, err = loser.communicate()
    assert loser.returncode == 75, err
    assert f"is locked by process {winner.pid} on " in err
    assert "hint: wait until it has ended, or stop it" in err
    go.touch()
    out, err = winner.communicate(timeout=DEADLINE)
    assert winner.returncode == 0, out + err
    assert project.landed("rad/demo") == ["A", "B"]
    assert paid.read_text().split() == ["A", "B"]
    assert len(list((project.folder / ".rad-engineer" / "runs").iterdir())) == 1


def wait_for_an_agent(project: Project) -> None:
    until = time.monotonic() + DEADLINE
    while not list(Path(project.env["XDG_CACHE_HOME"]).glob("rad-engineer/*/slots/0/prd.json")) or not any(
        "agent.sh" in line and "rad_engineer" not in line for line in project.processes()
    ):
        assert time.monotonic() < until, "no agent was started"
        time.sleep(0.02)
