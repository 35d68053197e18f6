"""The live view on a real pseudo-terminal: it draws, survives a resize, and gives the cursor back."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from past_runs import Past, repository

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0


class Session:
    """A command on a terminal of its own."""

    def __init__(self, folder, *arguments):
        self.seen = b""
        self.master, slave = pty.openpty()
        self.resize(80, 24)
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("COLUMNS", "LINES", "NO_COLOR", "PYTHONDONTWRITEBYTECODE")
        }
        env |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rad_engineer", *arguments],
            cwd=folder,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, *wanted):
        until = time.monotonic() + DEADLINE
        start = len(self.seen)
        while not all(word in self.seen[start:] for word in wanted):
            assert time.monotonic() < until, (wanted, self.seen[start:])
            assert self._read(), (wanted, self.seen[start:])

    def _read(self):
        if not select.select([self.master], [], [], DEADLINE)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other side has gone
            return False
        self.seen += data
        return bool(data)

    def end(self):
        while self._read():
            pass
        code = self.process.wait(DEADLINE)
        os.close(self.master)
        return code


@pytest.fixture
def past(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Past(repository(tmp_path / "repo"), alive=True)
    found.say("story_started", "US-1", slot=0)
    return found


def test_it_draws_survives_a_resize_and_gives_the_cursor_back(past, tmp_path):
    session = Session(tmp_path / "repo", "status", "--watch")
    session.wait_for(b"\x1b[?25l", b"US-1", b"0/3 stories")
    session.resize(40, 10)
    past.say("stage_finished", "US-1", stage="agent", ok=True, seconds=1.0)
    session.wait_for(b"commit")
    past.say("story_verified", "US-1", commit="a" * 40, candidate="a" * 40, gates=[])
    past.say("story_landed", "US-1", commit="a" * 40, gates=[])
    past.fail("US-2")
    past.finish(1)
    assert session.end() == 0
    tail = session.seen[session.seen.rindex(b"\x1b[?25h") :]
    assert b"1 of 3 stories landed on rad/prd" in tail
    assert b"exit code 1" in tail
    assert session.seen.count(b"\x1b[?25l") == session.seen.count(b"\x1b[?25h") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_gives_the_cursor_back(past, tmp_path, number, code):
    session = Session(tmp_path / "repo", "status", "--watch")
    session.wait_for(b"\x1b[?25l")
    session.process.send_signal(number)
    assert session.end() == code
    assert session.seen.rindex(b"\x1b[?25h") > session.seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in session.seen
    assert past.rundir.journal.exists()
