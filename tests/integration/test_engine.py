"""LocalEngine: jobs, replies, and what is left when coordinator, zygote or workers are killed."""

import hashlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self

import pytest
from process_marks import Mark, clean_environment, marked_processes, wait_until_gone

from rad_engineer import process
from rad_engineer.process.tree import children, descendants

HERE = Path(__file__).parent
DEADLINE = 20.0
# Each says "up" when everything it starts is running.
NASTY = [
    "sleep 300",
    "trap '' TERM; sleep 300 & sleep 300 & echo up; wait; wait; sleep 300",
    "setsid sleep 300 & nohup setsid sh -c 'trap \"\" TERM; echo up; sleep 300'",
    "(setsid sh -c 'setsid sleep 300 & exit 0' &) ; echo up; sleep 300",
    "(trap '' TERM; while :; do setsid sleep 0.01; done) & echo up; sleep 300",
    "for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; sleep 300) & done; echo up; wait",
    "while :; do echo up; sleep 0.01; done",
]

mark = pytest.fixture(marked_processes)


class Coordinator:
    """A coordinator in a process of its own."""

    def __init__(self, mark: Mark, size: int = 2, entry: str = "engine_program:serve") -> None:
        self.mark = mark
        environment = clean_environment() | {"PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}"}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "engine_program.py"), str(size), mark.name, entry],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        self.pid = self.process.pid
        self._pending = b""
        self.seen: list[dict] = []

    @cached_property
    def zygote(self) -> int:
        return self.next(lambda answer: "zygote" in answer)["zygote"]

    def tell(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def next(self, wanted: Callable[[dict], bool]) -> dict:
        """The first answer of that kind, seen already or still to come."""
        until = time.monotonic() + DEADLINE
        while True:
            for answer in self.seen:
                if wanted(answer):
                    self.seen.remove(answer)
                    return answer
            assert self.process.stdout is not None
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            assert ready, f"no answer in time; seen: {self.seen}"
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            assert data, f"the coordinator has ended; seen: {self.seen}"
            *lines, self._pending = (self._pending + data).split(b"\n")
            self.seen += map(json.loads, lines)

    def submit(self, **job: object) -> int:
        self.tell(submit=job)
        return self.next(lambda answer: "submitted" in answer)["submitted"]

    def message(self, kind: str, worker: int) -> dict:
        return self.next(lambda answer: answer.get("kind") == kind and answer["job"] == worker)["data"]

    def ask(self, **job: object) -> dict:
        return self.message("done", self.submit(**job))

    def up(self, worker: int) -> None:
        """Waits until a nasty job runs."""
        self.next(lambda a: a.get("kind") == "event" and a["job"] == worker and a["data"] == {"line": "up"})

    def family(self) -> list[int]:
        return [pid for pid in descendants([self.pid]) if pid != self.pid]

    def family_of_ours(self) -> list[int]:
        return [*children(self.zygote), self.zygote]

    def close(self, grace: float = 0.0) -> dict:
        self.tell(close=grace)
        return self.next(lambda answer: "closed" in answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        family = self.family()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(BrokenPipeError):
                stream.close()
        wait_until_gone(family, 2.0)


def asleep(pid: int) -> bool:
    """Whether a process waits for something to happen."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.fixture
def coordinator(mark: Mark) -> Iterator[Coordinator]:
    with Coordinator(mark) as started:
        yield started


def test_a_job_is_answered_by_events_and_an_end(coordinator):
    worker = coordinator.submit(tell=3)
    assert [coordinator.message("event", worker)["number"] for _ in range(3)] == [0, 1, 2]
    assert coordinator.message("done", worker) == {"count": 3}


def test_workers_are_started_on_demand_kept_and_counted(coordinator):
    first = coordinator.ask(about=None)
    assert coordinator.ask(about=None)["pid"] == first["pid"]
    assert children(coordinator.zygote) == [first["pid"]]
    busy = coordinator.submit(run="sleep 300")
    assert coordinator.ask(about=None)["pid"] != first["pid"]
    coordinator.tell(state=True)
    assert coordinator.next(lambda a: "free" in a) == {"free": 1, "busy": [busy]}


def test_a_worker_starts_clean(coordinator, mark):
    about = coordinator.ask(about=None)
    assert about["session"] == coordinator.zygote != os.getsid(0)
    assert about["mark"] == mark.name
    assert about["names"] == ["PATH", process.MARK]
    assert about["stdin"] == ""
    assert about["descriptors"] == about["own"]
    assert about["signals"]["SIGCHLD"] == str(signal.SIG_DFL)
    assert not about["heavy"]


def test_large_messages_pass_in_both_directions_at_once(coordinator):
    text = "ä\ud800"
    wanted = hashlib.sha256(json.dumps(text * 500_000).encode()).hexdigest()
    for worker in (coordinator.submit(repeat=text), coordinator.submit(repeat=text)):
        assert coordinator.message("done", worker)["repeated"] == wanted


def test_a_job_is_cancelled_and_the_worker_stays(coordinator):
    pid = coordinator.ask(about=None)["pid"]
    worker = coordinator.submit(run="echo up; exec sleep 300")
    coordinator.up(worker)
    coordinator.tell(send=worker, what={"cancel": True})
    assert coordinator.message("done", worker) == {"reason": "cancelled", "code": 143, "output": "up\n"}
    assert coordinator.ask(about=None)["pid"] == pid  # the late "cancel" has harmed nobody


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_dies_is_replaced(coordinator, number):
    worker = coordinator.submit(die=number)
    assert coordinator.message("died", worker) == {"status": -number, "error": "", "child_done": False}
    assert coordinator.ask(say="still here") == {"said": "still here"}


def test_a_bug_in_a_worker_is_shown_and_ends_only_that_worker(coordinator):
    worker = coordinator.submit(bug="what a pity")
    assert coordinator.message("died", worker)["status"] == 1
    assert coordinator.ask(say="still here") == {"said": "still here"}
    coordinator.process.kill()
    assert b"ZeroDivisionError: what a pity" in coordinator.process.stderr.read()


@pytest.mark.parametrize("command", NASTY[1:])
def test_a_killed_worker_is_told_after_all_it_started_has_ended(coordinator, mark, command):
    worker = coordinator.submit(run=command)
    coordinator.up(worker)
    victim = children(coordinator.zygote)[0]
    os.kill(victim, signal.SIGKILL)
    assert coordinator.message("died", worker)["status"] == -signal.SIGKILL
    assert mark.left() == []
    assert coordinator.ask(say="still here") == {"said": "still here"}


def test_a_worker_can_be_killed_by_number(coordinator, mark):
    worker = coordinator.submit(run=NASTY[1])
    coordinator.up(worker)
    coordinator.tell(kill=worker)
    assert coordinator.message("died", worker)["status"] == -signal.SIGKILL
    assert mark.left() == []


def test_an_idle_worker_that_dies_is_not_missed(coordinator):
    pid = coordinator.ask(about=None)["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until_gone([pid], DEADLINE) == []
    coordinator.tell(state=True)  # one turn of the coordinator's loop
    coordinator.next(lambda a: "free" in a)
    for _ in range(2):
        worker = coordinator.submit(say="hello")
        answer = coordinator.next(lambda a: a.get("kind") in {"done", "died"})
        assert answer["job"] == worker
        if answer["kind"] == "done":
            return
    pytest.fail("the dead worker was given two jobs")


def test_jobs_survive_the_zygote_and_new_workers_come(coordinator, mark):
    worker = coordinator.submit(run="echo up; read -t 0.5 < <(sleep 300); echo survived")
    coordinator.up(worker)
    os.kill(coordinator.zygote, signal.SIGKILL)
    ended = coordinator.message("done", worker)
    assert (ended["reason"], ended["output"]) == ("exited", "up\nsurvived\n")
    assert coordinator.ask(say="again") == {"said": "again"}
    assert coordinator.close()["children"] is False
    assert mark.left() == []


def test_after_the_zygotes_death_dead_workers_are_replaced_too(coordinator, mark):
    worker = coordinator.submit(run=NASTY[4])
    coordinator.up(worker)
    pid = children(coordinator.zygote)[0]
    os.kill(coordinator.zygote, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert coordinator.message("died", worker)["status"] in {-signal.SIGKILL, None}
    assert mark.left() == []
    about = coordinator.ask(about=None)
    assert (about["mark"], about["descriptors"]) == (mark.name, about["own"])
    worker = coordinator.submit(run=NASTY[5])
    coordinator.up(worker)
    assert coordinator.close()["children"] is False
    assert mark.left() == []


def test_a_worker_that_outlives_the_zygote_and_dies_leaves_nothing(coordinator, mark):
    worker = coordinator.submit(run=NASTY[4])
    coordinator.up(worker)
    (pid,) = children(coordinator.zygote)
    os.kill(coordinator.zygote, signal.SIGKILL)
    assert coordinator.ask(say="the coordinator knows") == {"said": "the coordinator knows"}
    os.kill(pid, signal.SIGKILL)
    assert coordinator.message("died", worker)["status"] == -signal.SIGKILL
    until = time.monotonic() + DEADLINE
    while len(found := children(coordinator.pid)) > 1:  # what was dying is buried
        assert time.monotonic() < until
    assert set(mark.left()) == set(descendants(found))


def test_a_job_sent_to_a_dying_zygote_is_done_by_the_next_one(coordinator):
    os.kill(coordinator.zygote, signal.SIGSTOP)  # takes no request any more
    workers = [coordinator.submit(say=number) for number in range(2)]
    os.kill(coordinator.zygote, signal.SIGKILL)
    assert [coordinator.message("done", worker)["said"] for worker in workers] == [0, 1]


def test_a_finished_job_stays_finished_when_its_worker_dies(coordinator, tmp_path):
    worker = coordinator.submit(leave=str(tmp_path / "now"))
    pid = coordinator.message("event", worker)["pid"]
    os.kill(coordinator.pid, signal.SIGSTOP)
    (tmp_path / "now").touch()
    until = time.monotonic() + DEADLINE
    while not (process.start_time(pid) is None and asleep(coordinator.zygote)):  # asleep: it has told of it
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(coordinator.pid, signal.SIGCONT)
    assert coordinator.message("done", worker) == {"finished": True}
    assert coordinator.ask(say="still here") == {"said": "still here"}
    assert not [answer for answer in coordinator.seen if answer.get("kind") == "died"]


def test_entry_points_that_cannot_be_imported_are_told_not_tried_for_ever(mark):
    with Coordinator(mark, entry="engine_program:nothing") as coordinator:
        coordinator.tell(submit={"say": "hello"})
        coordinator.process.wait(DEADLINE)
        told = coordinator.process.stderr.read().decode()
        assert "AttributeError" in told
        assert "RuntimeError" in told


def test_close_ends_everything(coordinator, mark):
    for command in (NASTY[1], NASTY[5]):
        coordinator.up(coordinator.submit(run=command))
    family = coordinator.family()
    assert coordinator.close(0.1)["children"] is False
    assert mark.left() == []
    assert wait_until_gone(family, 0.0) == []


def test_close_lets_jobs_end_by_themselves(coordinator):
    worker = coordinator.submit(run="trap 'echo bye; exit 7' TERM; echo up; sleep 300 & wait")
    coordinator.up(worker)
    started = time.monotonic()
    assert coordinator.close(DEADLINE)["children"] is False
    assert time.monotonic() - started < 5


def test_a_terminals_interrupt_does_not_reach_the_workers(coordinator):
    worker = coordinator.submit(run="echo up; read -t 0.2 < <(sleep 300); echo survived")
    coordinator.up(worker)
    for pid in (coordinator.zygote, *children(coordinator.zygote)):
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(pid, number)
    assert coordinator.message("done", worker)["output"] == "up\nsurvived\n"


def test_an_agent_that_has_ended_is_still_written_down(coordinator, tmp_path):
    notes = [tmp_path / "one", tmp_path / "two"]
    for note in notes:
        worker = coordinator.submit(note={"command": "echo paid for", "note": str(note)})
        assert coordinator.message("event", worker) == {"line": "over"}
    family = coordinator.family()
    coordinator.process.kill()
    assert wait_until_gone(family, 1.0) == []
    assert [note.read_text() for note in notes] == ["paid for\n"] * 2


def test_nothing_is_left_a_second_after_the_coordinator_was_killed():
    """32 kills at random moments, eight coordinators at a time."""
    chance = random.Random(8)
    for _ in range(4):
        kill_some(chance, lambda c: [c.zygote][1:])


def test_a_worker_that_looks_at_nothing_is_ended_all_the_same(coordinator, mark):
    coordinator.up(coordinator.submit(hang=None))
    family = coordinator.family()
    coordinator.process.kill()
    assert wait_until_gone(family, 1.0) == []
    assert mark.left() == []


@pytest.mark.parametrize("others", ["zygote", "worker"])
def test_nothing_is_left_when_one_of_the_others_was_killed_with_it(others):
    kill_some(random.Random(25), lambda c: [c.zygote] if others == "zygote" else children(c.zygote)[:1])


def test_when_everybody_is_killed_at_once_a_sweep_finds_the_rest():
    kill_some(random.Random(7), Coordinator.family_of_ours, sweep=True)


def kill_some(
    chance: random.Random, also: Callable[[Coordinator], list[int]], *, sweep: bool = False
) -> None:
    """Starts coordinators with nasty jobs, kills them at random moments, counts survivors after a second."""
    started = [Coordinator(Mark()) for _ in range(8)]
    try:
        for coordinator in started:
            for command in chance.sample(NASTY, 2):
                coordinator.tell(submit={"run": command})
        families = []
        for coordinator in started:
            family_of_ours = also(coordinator)  # waits until the zygote is known
            time.sleep(chance.uniform(0, 0.04))  # the moment of the kill is the point of this test
            families.append(coordinator.family())
            for pid in (coordinator.pid, *family_of_ours):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 1.0
        for coordinator, family in zip(started, families, strict=True):
            coordinator.process.wait()
            if sweep:
                process.sweep(coordinator.mark.name)
            assert wait_until_gone(family, until - time.monotonic()) == []
            assert coordinator.mark.left() == []
    finally:
        for coordinator in started:
            coordinator.__exit__()
            process.sweep(coordinator.mark.name)


def test_closed_standard_descriptors_do_no_harm(tmp_path):
    program = """
import os
from rad_engineer.engines.local import LocalEngine, start_zygote
engine = LocalEngine(start_zygote("engine_program:serve", {}), 1)
engine.submit({"about": None})
(message,) = engine.poll(20)
engine.close()
with open(os.environ["OUT"], "w") as out:
    out.write(str(message.data["descriptors"] == message.data["own"]))
"""
    (tmp_path / "program.py").write_text(program)
    path = f"{HERE}{os.pathsep}{HERE.parents[1]}"
    command = f"exec {sys.executable} {tmp_path / 'program.py'} 0<&- 1>&- 2>&-"
    env = clean_environment() | {"PYTHONPATH": path, "OUT": str(tmp_path / "out")}
    subprocess.run(["sh", "-c", command], env=env, check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "True"
