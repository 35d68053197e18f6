"""Kills whoever has opened a box, with -9, at many moments of its first milliseconds, and counts what survives.

Usage: sandbox_killed.py LEVEL SLOT MICROSECONDS…; prints a line for each moment, of which -1 is when the payload has begun.
It is a subreaper: whatever outlives its parent comes to it.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

from rad_engineer import process, sandbox
from rad_engineer.process.tree import children, descendants, living
from rad_engineer.sandbox import Level, Place

PATIENCE = 20.0
LEVEL: Level = sys.argv[1]  # type: ignore[assignment]
PAYLOAD = "trap '' TERM HUP; setsid sleep 600 & (setsid sh -c 'sleep 600 & sleep 600' &) ; exec sleep 600"


def parent(slot: Path, begun: int) -> None:
    """Opens a box, starts something in it that detaches itself, and stays."""
    os.write(begun, b"1")
    box = sandbox.open_box(LEVEL, Place(slot, "/src/demo", owner=sandbox.owner()))
    box.run(
        ["sh", "-c", PAYLOAD],
        cwd=slot,
        env={"PATH": "/usr/bin:/bin"},
        on_start=lambda _: os.write(begun, b"2"),
    )


def killed_at(slot: Path, microseconds: int) -> tuple[list[int], bool]:
    """What is left of the box when nothing more changes; and whether its payload had begun."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        parent(slot, writer)
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    begun = microseconds < 0 and bool(os.read(reader, 1))
    time.sleep(max(0, microseconds) / 1e6)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + PATIENCE
    while children(os.getpid()) and time.monotonic() < until:
        for child in children(os.getpid()):
            os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    begun = begun or bool(select.select([reader], [], [], 0)[0] and os.read(reader, 1))
    os.close(reader)
    left = [pid for pid in living(descendants(children(os.getpid()))) if not only_waits(pid)]
    process.kill_descendants()
    return left, begun


def only_waits(pid: int) -> bool:
    """Whether it is bubblewrap before any box: its other half was killed just before it gave the word to go on.

    Between two calls of the kernel nobody can help that: whoever looks for the mark of the run ends it.
    """
    found = Path(f"/proc/{pid}/exe").readlink().name == "bwrap" and not children(pid)
    return found and process.MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes()


def main() -> None:
    process.become_subreaper()
    slot = Path(sys.argv[2])
    sandbox.open_box(LEVEL, Place(slot, "/src/demo", owner=sandbox.owner())).close()  # what is found once
    for moment in map(int, sys.argv[3:]):
        left, begun = killed_at(slot, moment)
        print(moment, len(left), "begun" if begun else "not-begun", flush=True)


main()
