"""Whole runs with an agent over the Agent Client Protocol: stories land, whoever is killed in the middle."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import prd, story
from tests.fake_acp import install

CONFIG = '[gates]\ncheck = "sh check.sh"\n'
WORKS = (["say", "I write."], ["write", "$PWD/made.txt", "good\n"], ["say", "Done."])


@pytest.fixture
def playing(project):
    """A project of one story and an agent that has logged in by itself; the command that runs it."""
    project.unboxed().init(
        {"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG, "check.sh": "grep -q good made.txt\n"}
    )
    fake = install("opencode:acp", project.folder.parent)
    project.env["PATH"] = f"{project.folder.parent / 'bin'}{os.pathsep}{project.env['PATH']}"
    yield fake, ("run", "prd.json", "--yes", "--agent", "opencode:acp")
    assert project.processes() == []


def waiting(fake, running) -> int:
    """The process of the agent, once it is in the middle of its turn."""
    until = time.monotonic() + 60
    while not fake.heard("waits"):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return int(fake.heard("pid")[-1])


def landed(project) -> None:
    assert project.landed("rad/demo") == ["A"]
    assert project.git("show", "rad/demo:made.txt") == "good\n"


def test_an_attempt_whose_agent_is_cut_off_is_followed_by_another(project, playing):
    """What is between the worker and the agent is killed: the agent goes with it."""
    fake, command = playing
    fake.plan(["wait"], by=[{"when": "The last attempt ended early", "steps": WORKS}])
    running = project.start(*command)
    agent = waiting(fake, running)
    client = int(Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(client, signal.SIGKILL)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, out + err
    landed(project)
    [told] = project.report()["stories"]
    assert (told["attempts"], told["unmetered"]) == (2, True)


def test_a_run_that_is_killed_goes_on(project, playing):
    fake, command = playing
    fake.plan(["write", "$PWD/made.txt", "bad\n"], ["wait"])
    running = project.start(*command)
    waiting(fake, running)
    running.kill()
    running.communicate(timeout=60)
    fake.plan(*WORKS)
    ran = project.rad("resume", "--yes")
    assert ran.code == 0, ran.out + ran.err
    landed(project)
    assert len(fake.heard("new")) == 2
