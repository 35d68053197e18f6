"""What the control groups around this process allow it: version 1 and 2, the group with the least left over."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # version 1 writes a huge number where there is none


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is left of memory and processes, and how many processors may be used; None is no limit."""

    memory: int | None = None
    processes: int | None = None
    processors: float | None = None
    where: str = ""


def bounds(proc: Path = _PROC, mount: Path = _MOUNT) -> Bounds:
    """The tightest limits of all groups that this process is in, directly or through an ancestor."""
    try:
        lines = proc.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return Bounds()
    memory: list[tuple[int, str]] = []
    processes: list[tuple[int, str]] = []
    processors: list[tuple[float, str]] = []
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for folder in _upwards(mount, names, path):
            where = str(folder)
            memory += [(left, where) for left in _left(folder, *_MEMORY[bool(names)])]
            processes += [(left, where) for left in _left(folder, "pids.max", "pids.current")]
            processors += [(share, where) for share in _processors(folder)]
    found = [min(one, default=(None, "")) for one in (memory, processes, processors)]
    where = ", ".join(sorted({place for _, place in found if place}))
    return Bounds(found[0][0], found[1][0], found[2][0], where)  # type: ignore[arg-type]


_MEMORY = {False: ("memory.max", "memory.current"), True: ("memory.limit_in_bytes", "memory.usage_in_bytes")}


def _upwards(mount: Path, names: str, path: str) -> Iterator[Path]:
    """The folders of a group and of those above it; one outside our namespace is seen as its root."""
    if names.startswith("name="):
        return
    root = mount / names if names else mount
    if not names and not (mount / "cgroup.controllers").exists():
        root = mount / "unified"
    inside = path.strip("/")
    folder = root if inside.startswith("..") else root / inside
    while folder != root and not folder.is_dir():  # a container sees its own part only
        folder = folder.parent
    yield folder
    while folder != root:
        folder = folder.parent
        yield folder


def _left(folder: Path, limit: str, used: str) -> Iterator[int]:
    most, now = _number(folder / limit), _number(folder / used)
    if most is not None and most < _NO_LIMIT:
        yield max(0, most - (now or 0))


def _processors(folder: Path) -> Iterator[float]:
    try:
        quota, _, period = (folder / "cpu.max").read_text(encoding="ascii").partition(" ")
    except OSError:
        first, second = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if first is not None and first > 0 and second:
            yield first / second
        return
    if quota != "max":
        yield int(quota) / int(period)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
