"""A mark for the processes of one test, so that none of them is overlooked."""

import os
import time
import uuid
from collections.abc import Iterator

from rad_engineer import process
from rad_engineer.process.tree import MARK


class Mark:
    def __init__(self) -> None:
        self.name = f"test-{uuid.uuid4().hex}"
        self.env = {MARK: self.name}

    def left(self, within: float = 0.0) -> list[int]:
        """Which marked processes still run, looked at until there are none or the time is up."""
        until = time.monotonic() + within
        while found := process.marked(self.name):
            if time.monotonic() >= until:
                return [pid for pid in found if process.alive(pid, process.start_time(pid))]
            time.sleep(0.005)
        return []


def marked_processes() -> Iterator[Mark]:
    """The body of a fixture."""
    mark = Mark()
    yield mark
    process.sweep(mark.name)


def wait_until_gone(pids: list[int], within: float) -> list[int]:
    """Which of these processes are still there after so many seconds; zombies are not."""
    until = time.monotonic() + within
    while left := [pid for pid in pids if process.alive(pid, process.start_time(pid))]:
        if time.monotonic() >= until:
            break
        time.sleep(0.005)
    return left


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
