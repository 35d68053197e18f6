"""`git gc` and a run: one of the two at a time, and nothing of a killed one is in the way."""

import os
import socket
import subprocess
import threading

import pytest
from project_repo import git, make_repo

from rad_engineer import git as hardened


@pytest.fixture
def top(tmp_path):
    return make_repo(tmp_path / "repo")


def collects(top):
    done = subprocess.run(
        ["git", "gc", "-q", "--prune=now"], cwd=top, capture_output=True, text=True, check=False
    )
    return done.stderr


def test_while_a_run_goes_on_git_collects_nothing(top):
    lost = git(top, "hash-object", "-w", "--stdin", data=b"on its way")
    with hardened.NoCollection(hardened.discover(top)) as held:
        said = collects(top)
        assert "gc is already running" in said
        assert str(os.getpid()) in said
        held.renew()
        assert git(top, "cat-file", "-t", lost) == "blob"
    assert collects(top) == ""
    assert not list((top / ".git").glob("*gc*"))


def test_a_killed_run_keeps_nobody_from_collecting(top):
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in ("gc.pid", "gc.pid.lock"):
        (top / ".git" / name).write_text(f"{dead.pid} {socket.gethostname()}")
    with hardened.NoCollection(hardened.discover(top)):
        assert "gc is already running" in collects(top)
    assert collects(top) == ""


def test_a_collection_that_goes_on_is_waited_for(top, monkeypatch):
    monkeypatch.setattr("rad_engineer.git.collection._PATIENCE", 60.0)
    other = subprocess.Popen(["sleep", "0.2"])
    (top / ".git" / "gc.pid").write_text(f"{other.pid} {socket.gethostname()}")
    reaper = threading.Thread(target=other.wait)
    reaper.start()
    with hardened.NoCollection(hardened.discover(top)):
        assert other.returncode == 0
        assert (top / ".git" / "gc.pid").read_text().startswith(f"{os.getpid()} ")
    reaper.join()


def test_one_on_another_machine_is_let_be(top, monkeypatch):
    monkeypatch.setattr("rad_engineer.git.collection._PATIENCE", 0.0)
    (top / ".git" / "gc.pid").write_text("1 elsewhere")
    with hardened.NoCollection(hardened.discover(top)):
        assert (top / ".git" / "gc.pid").read_text() == "1 elsewhere"
    assert (top / ".git" / "gc.pid").exists()


def test_where_nothing_can_be_written_a_run_does_without(top, monkeypatch):
    (top / ".git" / "rad-engineer.gc").mkdir()
    with hardened.NoCollection(hardened.discover(top)) as held:
        held.renew()
    assert not (top / ".git" / "gc.pid").exists()
