"""What this machine has left: processors, memory and pressure, within the control groups that this process is in.

Of memory, what the nearest ancestor with a limit leaves counts, where that is less than what the machine has. Where the
kernel does not say (macOS), psutil does, which is loaded only then; where nobody says, the answer is None, and whoever
asks has to be careful.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_UNLIMITED = 1 << 60  # v1 says "no limit" by a number
_STALLS = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True)
class Resources:
    """One reading. `pressure` is the share of the last ten seconds in which some task waited, by resource."""

    cpu: float | None = None  # share of the processors in use, since the last reading
    memory_used: int | None = None
    memory_limit: int | None = None
    pressure: Mapping[str, float] = field(default_factory=dict)

    @property
    def memory_left(self) -> int | None:
        """Bytes that can still be had."""
        if self.memory_used is None or self.memory_limit is None:
            return None
        return max(0, self.memory_limit - self.memory_used)

    def to_json(self) -> dict[str, Any]:
        """The form that others can read."""
        return asdict(self)


class Meter:
    """Reads again and again: how busy processors are shows only between two readings."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._ticks: tuple[int, int] | None = None

    def read(self) -> Resources:
        """What is so now."""
        machine = _machine_memory(self._root) or _memory_by_psutil()
        group = group_memory(self._root)
        if group is not None and (machine is None or group[1] - group[0] < machine[1] - machine[0]):
            machine = group
        used, limit = machine or (None, None)
        return Resources(self._cpu(), used, limit, pressure(self._root))

    def _cpu(self) -> float | None:
        ticks = _ticks(self._root)
        before, self._ticks = self._ticks, ticks
        if ticks is not None and before is not None and ticks[1] > before[1]:
            return min(1.0, max(0.0, (ticks[0] - before[0]) / (ticks[1] - before[1])))
        with suppress(OSError):
            return min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        return None


def processors(root: Path = Path("/")) -> int:
    """How many processors this process may use, by affinity and by the quotas of its control groups."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = group_processors(root)
    return count if quota is None else min(count, max(1, int(quota)))


def group_processors(root: Path = Path("/")) -> float | None:
    """The share of processors that control groups leave this process; None where no group has a quota."""
    return min(filter(None, map(_quota, _folders(root, "cpu"))), default=None)


def group_processes(root: Path = Path("/")) -> int | None:
    """How many more processes and threads control groups allow; None where no group has a limit."""
    found: list[int] = []
    for folder in _folders(root, "pids"):
        limit, used = _number(folder / "pids.max"), _number(folder / "pids.current")
        if limit is not None:
            found.append(max(0, limit - (used or 0)))
    return min(found, default=None)


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes of memory that can still be had."""
    return Meter(root).read().memory_left


def group_memory(root: Path = Path("/")) -> tuple[int, int] | None:
    """Used and allowed bytes of the control group that leaves least; None where no group has a limit."""
    found: list[tuple[int, int]] = []
    for folder in _folders(root, "memory"):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < _UNLIMITED:
            cached = _fields(folder / "memory.stat")  # what the kernel gives back when it is asked for
            idle = cached.get("total_inactive_file", cached.get("inactive_file", 0))
            found.append((max(0, used - idle), limit))
    return min(found, key=lambda pair: pair[1] - pair[0], default=None)


def pressure(root: Path = Path("/")) -> dict[str, float]:
    """The kernel's own figure (PSI) by resource, of the nearest control group that has one, else of the machine."""
    found = {}
    for name in _STALLS:
        files = [folder / f"{name}.pressure" for folder in _folders(root, name)] + [
            root / "proc/pressure" / name
        ]
        for file in files:
            share = _share(file)
            if share is not None:
                found[name] = share
                break
    return found


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The control groups of this process and their ancestors, nearest first, of either version."""
    top = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            tops = [top, top / "unified"]
        elif controller in names.split(","):
            tops = [top / names, top / controller]
        else:
            continue
        hierarchy = next((each for each in tops if each.is_dir()), None)
        if hierarchy is None:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for length in range(len(parts), -1, -1):
            yield hierarchy.joinpath(*parts[:length])


def _quota(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    if not period:
        quota = _text(folder / "cpu.cfs_quota_us").strip()
        period = _text(folder / "cpu.cfs_period_us").strip()
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _machine_memory(root: Path) -> tuple[int, int] | None:
    found = _fields(root / "proc/meminfo")
    if "MemTotal:" not in found or "MemAvailable:" not in found:
        return None
    total = found["MemTotal:"] * 1024
    return total - found["MemAvailable:"] * 1024, total


def _memory_by_psutil() -> tuple[int, int] | None:
    try:
        import psutil  # noqa: PLC0415 - only where the kernel has no /proc

        found = psutil.virtual_memory()
    except (ImportError, OSError, RuntimeError):
        return None
    return found.total - found.available, found.total


def _ticks(root: Path) -> tuple[int, int] | None:
    """Busy and all ticks of all processors."""
    words = _text(root / "proc/stat").partition("\n")[0].split()
    if len(words) < 6 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _share(file: Path) -> float | None:
    for line in _text(file).splitlines():
        kind, *fields = line.split()
        if kind == "some":
            told = dict(entry.split("=", 1) for entry in fields if "=" in entry)
            with suppress(KeyError, ValueError):
                return float(told["avg10"]) / 100
    return None


def _fields(file: Path) -> dict[str, int]:
    words = (line.split() for line in _text(file).splitlines())
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdigit()}


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
