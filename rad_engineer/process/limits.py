"""What a command may use up, what its processes use at a moment, and which limit that breaks."""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Exhausted = Literal[
    "cpu-limit", "memory-limit", "process-limit", "open-file-limit", "disk-limit", "inode-limit"
]
"""What a command had too much of."""

Reason = (
    Literal["exited", "timeout", "idle", "flooded", "cancelled", "not-started"]
    | Exhausted
)  # fmt: skip
"""How a command came to its end."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_QUICK, _SLOW, _AT_FIRST = 0.1, 0.25, 2.0  # seconds between two looks; for how long they are quick
_FLOOR = 192 * 1024 * 1024  # bytes of memory that are left to everybody else
_LARGE_SHARE = 4  # whoever has more than this part of all memory makes room when there is none


@dataclass(frozen=True, slots=True)
class Limits:
    """When a child is stopped: after how long, after what silence, after how much output, with what grace.

    What follows counts for all of its processes together, and is looked at several times a second; None is no limit, or
    the one that a sandbox has for everybody. `until` is a descriptor: what is readable there cancels the command,
    as whoever started it can.
    """

    seconds: float | None = None
    idle: float | None = None
    output_bytes: int = 64 * 1024 * 1024
    grace: float = 5.0
    log_bytes: int = 16 * 1024 * 1024
    cpu: float | None = None
    memory: int | None = None
    processes: int | None = None
    open_files: int | None = None
    disk: int | None = None
    inodes: int | None = None
    until: int | None = None

    @property
    def counts(self) -> bool:
        """Whether its processes have to be looked at."""
        return any(
            each is not None
            for each in (self.cpu, self.memory, self.processes, self.open_files, self.disk, self.inodes)
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a command use: seconds, bytes, and how many of what."""

    cpu: float = 0.0
    memory: int = 0
    processes: int = 0
    open_files: int = 0
    disk: int = 0
    inodes: int = 0


def broken(usage: Usage, limits: Limits) -> Exhausted | None:
    """The first limit that is broken."""
    pairs: tuple[tuple[Exhausted, float, float | None], ...] = (
        ("process-limit", usage.processes, limits.processes),
        ("memory-limit", usage.memory, limits.memory),
        ("cpu-limit", usage.cpu, limits.cpu),
        ("open-file-limit", usage.open_files, limits.open_files),
        ("disk-limit", usage.disk, limits.disk),
        ("inode-limit", usage.inodes, limits.inodes),
    )
    return next((name for name, used, most in pairs if most is not None and used > most), None)


class Rhythm:
    """When to look again: often at first, where a mistake shows, then less."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.next = self._began + _QUICK

    def looked(self) -> None:
        """Sets the next time."""
        now = time.monotonic()
        self.next = now + (_QUICK if now - self._began < _AT_FIRST else _SLOW)


def used_by(pids: Collection[int], *, exact_memory_above: int | None) -> Usage:
    """What these processes use, with the time of their children that have ended.

    Memory that several of them share is counted for each; when that makes too much of it, it is counted in parts.
    """
    cpu, memory, files = 0.0, 0, 0
    for pid in pids:
        cpu += cpu_time(pid, with_children=True)
        memory += _resident(pid)
        files += _open_files(pid)
    if exact_memory_above is not None and memory > exact_memory_above:
        memory = sum(_proportional(pid) for pid in pids)
    if memory_is_short():
        memory = _all_that_counts(memory, pids, exact_memory_above)
    return Usage(cpu, memory, len(pids), files)


def cpu_time(pid: int, *, with_children: bool) -> float:
    """Seconds of processor time, if wanted with those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return 0.0
    return sum(map(int, fields[11 : 15 if with_children else 13])) / _TICKS


def ended_children_time(pid: int) -> float:
    """Seconds of processor time that the children of a process had used when it buried them."""
    return cpu_time(pid, with_children=True) - cpu_time(pid, with_children=False)


def memory_is_short() -> bool:
    """Whether next to nothing is left, whoever has it: files in memory are in no process."""
    try:
        with open("/proc/meminfo", "rb") as file:  # noqa: PTH123 -- several times a second
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) * 1024 < _FLOOR
    except OSError:
        return False
    return False


def _all_that_counts(memory: int, pids: Collection[int], limit: int | None) -> int:
    """When memory is short: with files that have no name; over the limit for whoever has a large part of all."""
    seen: dict[tuple[int, int], int] = {}
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            for name in os.listdir(folder):  # noqa: PTH208 -- names
                about = os.stat(f"{folder}/{name}")  # noqa: PTH116 -- a string
                if about.st_nlink == 0:
                    seen[about.st_dev, about.st_ino] = about.st_blocks * 512
        except OSError:
            continue
    memory += sum(seen.values())
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    return max(memory, limit + 1) if limit is not None and memory > total // _LARGE_SHARE else memory


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 -- for each process, several times a second
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123 -- the same
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return _resident(pid)


def _open_files(pid: int) -> int:
    try:
        size = os.stat(f"/proc/{pid}/fd").st_size  # noqa: PTH116 -- since Linux 6.2 their number
        return size or len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except OSError:
        return 0
