"""Locks between real processes."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import pytest
from process_marks import clean_environment

from rad_engineer import locks, process
from rad_engineer.errors import CannotWrite, ExitCode, Locked

ENV = clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
HOLDER = """
import sys, time
from pathlib import Path
from rad_engineer import locks, process
lock = locks.acquire(Path(sys.argv[1]), 0, process.describe_self("run other.json"))
print("held", flush=True)
sys.stdin.readline()
"""


class Holder:
    """Another process that holds the lock."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout.readline() == b"held\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.communicate()


def me() -> dict:
    return process.describe_self("run mine.json")


def test_a_free_lock_is_taken_and_says_who_has_it(tmp_path):
    path = tmp_path / "lock"
    with locks.acquire(path, 0, me()):
        assert locks.holder(path) == me()
    assert path.exists()
    assert locks.holder(path) == {}
    locks.acquire(path, 0, me()).release()


def test_a_held_lock_is_refused_and_its_holder_named(tmp_path):
    with Holder(tmp_path / "lock") as other:
        started = time.monotonic()
        with pytest.raises(Locked) as refused:
            locks.acquire(tmp_path / "lock", 0.1, me())
        assert 0.1 <= time.monotonic() - started < 5
        assert f"process {other.process.pid} " in str(refused.value)
        assert "run other.json" in str(refused.value)
        assert refused.value.exit_code == ExitCode.LOCKED
        told = locks.holder(tmp_path / "lock")
        assert process.alive(told["pid"], told["start"])


def test_a_killed_holder_holds_nothing(tmp_path):
    path = tmp_path / "lock"
    with Holder(path) as other:
        other.process.kill()
        other.process.wait()
        assert locks.holder(path)["pid"] == other.process.pid
        with locks.acquire(path, 1.0, me()):
            assert locks.holder(path)["pid"] == os.getpid()


def test_a_wait_ends_when_the_holder_does(tmp_path):
    with Holder(tmp_path / "lock") as other:
        other.process.stdin.write(b"\n")
        other.process.stdin.flush()
        locks.acquire(tmp_path / "lock", 20, me()).release()


def test_children_do_not_inherit_it(tmp_path):
    lock = locks.acquire(tmp_path / "lock", 0, me())
    with subprocess.Popen(["sleep", "300"], close_fds=False) as child:
        lock.release()
        locks.acquire(tmp_path / "lock", 0, me()).release()
        child.kill()


def test_a_removed_lock_file_lets_nobody_share(tmp_path):
    path = tmp_path / "lock"
    old = locks.acquire(path, 0, me())
    path.unlink()
    with locks.acquire(path, 0, me()), pytest.raises(Locked):
        locks.acquire(path, 0, me())
    old.release()


def test_a_file_that_is_replaced_while_we_wait_is_noticed(tmp_path):
    path = tmp_path / "lock"
    with Holder(path) as other:
        program = """
import os, sys
from pathlib import Path
from rad_engineer import locks
path = Path(sys.argv[1])
print("waiting", flush=True)
lock = locks.acquire(path, 20, {"pid": os.getpid()})
print(os.fstat(lock._descriptor).st_ino == path.stat().st_ino, flush=True)
"""
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)], env=ENV, stdout=subprocess.PIPE
        ) as waiting:
            assert waiting.stdout.readline() == b"waiting\n"
            path.rename(tmp_path / "old")
            path.touch()
            other.process.kill()
            assert waiting.stdout.readline() == b"True\n"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\x00", b'{"pid": null}'])
def test_a_holder_that_left_nothing_readable_is_just_another_process(tmp_path, content):
    path = tmp_path / "lock"
    with Holder(path):
        path.write_bytes(content)
        with pytest.raises(Locked, match="locked by another process"):
            locks.acquire(path, 0, me())


@pytest.mark.parametrize("before", ["", "a process that is gone"])
def test_a_holder_that_has_not_said_yet_who_it_is_is_waited_for(tmp_path, before):
    path = tmp_path / "lock"
    gone = subprocess.Popen(["true"])
    gone.wait()
    with Holder(path) as other:
        said = path.read_bytes()
        path.write_text(json.dumps({"pid": gone.pid}) if before else "")
        word = threading.Timer(0.05, path.write_bytes, [said])
        word.start()
        with pytest.raises(Locked, match=f"locked by process {other.process.pid}"):
            locks.acquire(path, 0, me())
        word.join()


def test_where_no_lock_file_can_be_is_said(tmp_path):
    with pytest.raises(CannotWrite, match="nowhere"):
        locks.acquire(tmp_path / "nowhere" / "lock", 0, me())
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(CannotWrite):
        locks.acquire(tmp_path / "link", 0, me())
    assert not (tmp_path / "target").exists()


def test_of_many_starters_one_wins(tmp_path):
    program = """
import sys
from pathlib import Path
from rad_engineer import locks
from rad_engineer.errors import Locked
sys.stdin.readline()
try:
    lock = locks.acquire(Path(sys.argv[1]), 0, {})
    print("won", flush=True)
except Locked:
    print("lost", flush=True)
sys.stdin.readline()
"""
    racers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "lock")], env=ENV, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(6)
    ]  # fmt: skip
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    assert sorted(racer.stdout.readline() for racer in racers) == ["lost\n"] * 5 + ["won\n"]
    for racer in racers:
        racer.communicate("\n")


def test_a_directory_is_held_by_path_or_descriptor(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    other = os.open(tmp_path, os.O_RDONLY)
    with locks.hold(descriptor):
        with pytest.raises(Locked), locks.hold(other, timeout=0.05):
            pytest.fail("held twice")
        with pytest.raises(Locked), locks.hold(tmp_path, timeout=0):
            pytest.fail("held twice")
    with locks.hold(tmp_path), pytest.raises(Locked), locks.hold(other, timeout=0):
        pytest.fail("held twice")
    with pytest.raises(ZeroDivisionError), locks.hold(tmp_path):
        raise ZeroDivisionError
    with locks.hold(other, timeout=0):
        pass
    os.close(other)
    os.close(descriptor)


def test_many_holders_of_a_directory_take_turns(tmp_path):
    program = """
import json, sys
from pathlib import Path
from rad_engineer import locks
folder = Path(sys.argv[1])
for _ in range(200):
    with locks.hold(folder, timeout=60):
        count = json.loads((folder / "count").read_text())
        (folder / "count").write_text(json.dumps(count + 1))
"""
    (tmp_path / "count").write_text("0")
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=ENV) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert json.loads((tmp_path / "count").read_text()) == 600
