"""Kills and stops at exactly one moment each: moments that a campaign meets once in a thousand rounds."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from victims import agents, story_of, workers, zygotes

from rad_engineer.process.tree import children
from tests.conftest import Project, agent, prd, story

# Starts are counted; it goes on as soon as it is told how to end.
SCRIPT = """
echo "$RAD_STORY_ID $RAD_ATTEMPT" >> {box}/started
until test -e {box}/end-$RAD_STORY_ID; do sleep 0.01; done
read code < {box}/end-$RAD_STORY_ID
test "$code" = 0 && echo "$RAD_STORY_ID" > "$RAD_STORY_ID.txt"
exit "$code"
"""
DEADLINE = 60.0

# A git that is killed in the middle of one transaction: what it moves has been moved, what it deletes has not.
CUT_GIT = """#!{python}
import os, signal, subprocess, sys
said = sys.stdin.buffer.read()
start, *changes = said.split(b"option no-deref\\0")
moves = [change for change in changes if change.split(b"\\0")[1] != b"0" * 40]
cut = b"update refs/heads/rad/demo" in said and len(moves) < len(changes) and not os.path.exists("{seen}")
if cut:
    open("{seen}", "w").close()
    said = b"option no-deref\\0".join([start, *moves]) + b"prepare\\0commit\\0"
code = subprocess.run(["{git}", *sys.argv[1:]], input=said).returncode
os.kill(os.getpid(), signal.SIGKILL) if cut else sys.exit(code)
"""


class Started:
    """A run of stories whose agents wait until they are told to end."""

    def __init__(self, project: Project, *names: str) -> None:
        self.project = project
        self.box = project.folder.parent
        settings = '[gates]\ncheck = "test -e prd.json"\n'
        project.init({"prd.json": prd(*(story(name) for name in names)), "rad-engineer.toml": settings})
        options = agent(project, SCRIPT.format(box=self.box))
        self.run = project.start(
            "run", "prd.json", *options, "--yes", "--parallel", "-j", "2", "--attempts", "1"
        )
        self.until(lambda: len(self.started()) == len(names) == len(agents(self.run.pid)))
        self.agents = {story_of(pid): pid for pid in agents(self.run.pid)}
        self.until(
            lambda: all(state(pid) == "S" for pid in workers(self.run.pid))
        )  # they wait for their agents

    def until(self, condition: Callable[[], object]) -> None:
        """Waits for something that must happen."""
        until = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < until
            assert self.run.poll() is None, self.run.communicate()
            time.sleep(0.003)

    def worker_of(self, name: str) -> int:
        """The worker in which the story's agent runs."""
        return next(pid for pid in workers(self.run.pid) if self.agents[name] in children(pid))

    def end(self, name: str, code: int = 0) -> None:
        """Lets the story's agent end."""
        (self.box / "end").write_text(f"{code}\n")
        (self.box / "end").rename(self.box / f"end-{name}")

    def quiet(self) -> bool:
        """Whether the zygote and its workers have done all they can do without the coordinator."""
        (zygote,) = zygotes(self.run.pid)
        ours = children(zygote)
        return all(state(pid) == "S" for pid in (zygote, *ours)) and not any(children(pid) for pid in ours)

    def started(self) -> list[str]:
        """Which attempts have been started, in order of their names."""
        try:
            return sorted((self.box / "started").read_text().split("\n")[:-1])
        except FileNotFoundError:
            return []

    def finish(self, wanted: int) -> None:
        """Waits for the end of the run."""
        out, err = self.run.communicate(timeout=DEADLINE)
        assert self.run.returncode == wanted, out + err


def state(pid: int) -> str:
    """R, S, T, Z as in ps; nothing when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


@contextmanager
def stopped(started: Started, *pids: int) -> Iterator[None]:
    """Processes stand still meanwhile; one may be killed."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        started.until(lambda pid=pid: state(pid) == "T")
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_death_and_an_answer_at_once_are_not_taken_for_each_other(project: Project) -> None:
    """The worker of A dies while B fails, and the coordinator hears of both in one breath."""
    started = Started(project, "A", "B")
    victim, other = started.worker_of("A"), started.agents["B"]
    with stopped(started, started.run.pid):
        os.kill(victim, signal.SIGKILL)
        started.until(lambda: not state(victim))
        started.end("B", 1)
        started.until(lambda: not state(other))
        started.until(started.quiet)
        started.end("A")
    started.finish(1)
    assert project.statuses() == {"A": "passed", "B": "failed"}
    assert project.landed("rad/demo") == ["A"]
    assert started.started() == ["A 1", "A 1", "B 1"]


@pytest.mark.parametrize("also", ["nobody", "zygote"])
def test_an_agent_that_has_ended_is_not_started_again_though_its_worker_dies(
    project: Project, also: str
) -> None:
    """The worker is killed before it has even looked at how its agent ended."""
    started = Started(project, "A")
    worker, victim = started.worker_of("A"), started.agents["A"]
    with stopped(started, *zygotes(started.run.pid), worker):  # the zygote would let it go on
        started.end("A")
        started.until(lambda: state(victim) == "Z")
        for pid in zygotes(started.run.pid) if also == "zygote" else ():
            os.kill(pid, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
    started.finish(0)
    assert started.started() == ["A 1"]
    assert project.landed("rad/demo") == ["A"]


def test_an_agent_that_dies_with_its_worker_is_started_again(project: Project) -> None:
    started = Started(project, "A")
    os.kill(started.worker_of("A"), signal.SIGKILL)
    started.until(lambda: len(started.started()) == 2)
    started.end("A")
    started.finish(0)
    assert started.started() == ["A 1", "A 1"]


def test_a_zygote_that_was_stopped_and_continued_goes_on_as_if_nothing_had_been(project: Project) -> None:
    started = Started(project, "A")
    with stopped(started, *zygotes(started.run.pid)):
        started.end("A")
        started.until(lambda: state(started.agents["A"]) in ("Z", ""))
    started.finish(0)
    assert started.started() == ["A 1"]


@pytest.mark.parametrize("who", ["worker", "coordinator"])
def test_an_agent_whose_end_is_written_down_is_not_started_again(project: Project, who: str) -> None:
    started = Started(project, "A")
    victim = started.worker_of("A") if who == "worker" else started.run.pid
    stories = project.folder / ".rad-engineer" / "runs"
    started.end("A")
    started.until(lambda: list(stories.glob("*/stories/*/checkpoint.json")))
    os.kill(victim, signal.SIGKILL)
    if who == "worker":
        started.finish(0)
    else:
        started.run.communicate()
        assert project.rad("resume").code == 0
    assert started.started() == ["A 1"]
    assert project.landed("rad/demo") == ["A"]


def test_a_gate_that_is_killed_on_the_start_commit_excuses_nothing(project: Project) -> None:
    """It is asked again: what is red on a story's tree was not red before."""
    box = project.folder.parent
    check = f"test -e {box}/once || {{ touch {box}/once; kill -9 $$; }}; test ! -e bad"
    settings = f'[gates]\ncheck = "{check}"\n'
    project.init({"prd.json": prd(story("A", verify="test -e bad")), "rad-engineer.toml": settings})
    ran = project.rad("run", "prd.json", *agent(project, "touch bad"), "--yes", "--attempts", "1")
    assert ran.code == 1, ran.out
    assert project.statuses() == {"A": "failed"}
    assert project.landed("rad/demo") == []


def test_a_gate_that_is_killed_whenever_it_is_asked_on_the_start_commit_starts_no_agent(
    project: Project,
) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "kill -9 $$"\n'})
    started = project.folder.parent / "started"
    ran = project.rad("run", "prd.json", *agent(project, f"touch {started}"), "--yes")
    assert ran.code == 78, ran.out
    assert "check (`kill -9 $$`): it was killed" in ran.err
    assert not started.exists()


def test_what_has_landed_leaves_no_ref_when_git_is_killed_between_the_branch_and_the_refs(
    project: Project,
) -> None:
    """A transaction moves one file after the other: the branch holds the story, and its refs are still there."""
    box = project.folder.parent
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "test -e done"\n'})
    (box / "bin").mkdir()
    real, cut = shutil.which("git"), box / "bin" / "cut"
    cut.write_text(CUT_GIT.format(python=sys.executable, git=real, seen=box / "seen"))
    (box / "bin" / "git").write_text(
        f'#!/bin/sh\ncase "$*" in *" update-ref "*) exec {cut} "$@";; esac\nexec {real} "$@"\n'
    )
    for program in (cut, box / "bin" / "git"):
        program.chmod(0o755)
    path = {"PATH": f"{box / 'bin'}{os.pathsep}{project.env['PATH']}"}
    killed = project.rad("run", "prd.json", *agent(project, "touch done"), "--yes", env=path)
    assert (killed.code, project.landed("rad/demo")) == (73, ["A"]), killed.err
    assert story_refs(project)
    assert project.rad("resume").code == 0
    assert story_refs(project) == []
    assert project.landed("rad/demo") == ["A"]


def story_refs(project: Project) -> list[str]:
    """The refs that keep alive what has not landed."""
    found = project.git("for-each-ref", "--format=%(refname)", "refs/rad").split()
    return [ref for ref in found if ref.split("/")[-1] not in ("base", "tip")]
