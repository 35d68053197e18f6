"""Whoever has opened a box is killed: nothing of the box survives, at whatever moment that is."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rad_engineer.process.tree import MARK, children
from tests.sandboxes import every, needs, opened, running, sh, slot_in

ROOT = Path(__file__).parents[2]
MOMENTS = int(os.environ.get("RAD_SANDBOX_KILLS", "12"))
OFTEN = 20
LAST = 36_000  # microseconds: a box takes that long to start where nothing else runs


@every
def test_no_box_survives_its_owner(level, tmp_path):
    needs(level)
    slot = slot_in(tmp_path)
    moments = [str(LAST * number // MOMENTS) for number in range(MOMENTS)]
    moments += ["-1", "-1"]  # when it runs, however long that takes
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("sandbox_killed.py")), level, str(slot), *moments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), MARK: "killed"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert [line[0] for line in lines] == moments
    assert [line for line in lines if line[1] != "0"] == []
    assert {line[2] for line in lines} == {"begun", "not-begun"}  # it was killed in both states


@every
def test_a_box_ends_with_the_process_outside_though_its_socket_stays_open(level, tmp_path):
    """A box of root's runs as somebody else, whom that process has no right to signal: there the socket has to do."""
    if os.geteuid() == 0 and level == "bubblewrap":
        pytest.skip("started by root: only the socket ends a box then, which the other test shows")
    slot = slot_in(tmp_path)
    with opened(slot, level=level) as box:
        sh(box, slot, "sleep 600 &", keep=True)
        inside = [os.pidfd_open(pid) for pid in (box._namespace.init, *running(box))]
        assert len(inside) > 1
        os.kill(box._namespace._child.pid, signal.SIGKILL)
        assert all(select.select([pidfd], [], [], 20)[0] for pidfd in inside)
    for pidfd in inside:
        os.close(pidfd)


@every
def test_a_box_ends_with_its_socket_whatever_goes_on_inside(level, tmp_path):
    slot = slot_in(tmp_path)
    orphans = "while :; do (exec true &) ; done"
    with opened(slot, level=level) as box:
        sh(box, slot, f"for i in 1 2 3 4; do ({orphans}) & done; echo begun", keep=True)
        pidfd = os.pidfd_open(box._namespace.init)
        box._namespace._control.shutdown(socket.SHUT_RDWR)
        assert select.select([pidfd], [], [], 30)[0]
    os.close(pidfd)


@every
def test_a_box_that_is_killed_while_it_starts_is_opened_again(level, tmp_path):
    slot = slot_in(tmp_path)
    with opened(slot, level=level) as box:
        os.kill(box._namespace._child.pid, signal.SIGKILL)
        assert sh(box, slot, "echo works").output == "works\n"


def test_what_waits_for_a_killed_process_outside_is_ended_with_it(tmp_path):
    """Whoever is to become the init waits for a word of that process, which never comes: for good, were nobody to look."""
    needs("bubblewrap")
    slot = slot_in(tmp_path)
    for _ in range(OFTEN):
        with opened(slot) as box:
            outer = box._namespace._child.pid
            while not (begun := children(outer)):
                pass
            inner = os.pidfd_open(begun[0])
            os.kill(outer, signal.SIGKILL)
            said = [
                sh(box, slot, "echo works").output for _ in range(2)
            ]  # the first may have been taken down
            assert said[1] == "works\n"
        assert select.select([inner], [], [], 0)[0]
        os.close(inner)
