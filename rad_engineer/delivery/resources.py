"""Is there enough of this machine: processors, memory, disk, descriptors, processes, watches of files."""

import ctypes
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from rad_engineer import resources as machine
from rad_engineer import settings
from rad_engineer.delivery.finding import Fix, Seen, failed, passed, quoted, warned
from rad_engineer.delivery.scene import Scene

MB, GB = 1024**2, 1024**3
_LEAST_MEMORY, _GOOD_MEMORY = 256 * MB, GB
_LEAST_DISK, _GOOD_DISK = 200 * MB, GB
_LEAST_INODES = 10_000
_LEAST_FILES, _GOOD_FILES = 256, 1024
_LEAST_PROCESSES, _GOOD_PROCESSES = 64, 256
_GOOD_WATCHES = 8192


def processors(_scene: Scene) -> Seen:
    """How many stories can be worked on at once."""
    allowed = (
        sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0] * (os.cpu_count() or 1)
    )
    quota = machine.group_processors()
    share = min(float(len(allowed)), quota or float(len(allowed)))
    evidence = f"{share:g} processors" + (" (limited by a control group)" if quota else "")
    if share < 1:
        return failed(evidence, advice="give the container or the group at least one processor")
    if share < 2:
        every = os.cpu_count() or 1
        fix = Fix(f"taskset -cp 0-{every - 1} $$", "shell") if len(allowed) < 2 <= every else None
        return warned(evidence, fix, "stories and their gates are run one after the other")
    return passed(evidence)


def memory(_scene: Scene) -> Seen:
    """What a run may still take: of the machine, of its control group, of its address space."""
    parts = [(_available(), "of the machine")]
    group = machine.group_memory()
    if group is not None:
        parts.append((max(0, group[1] - group[0]), "of its control group"))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        parts.append((soft, "by ulimit -v"))
    left, whose = min(parts)
    evidence = f"{left / GB:.1f} GB left {whose}"
    if left >= _GOOD_MEMORY:
        return passed(evidence)
    fix = None
    if whose == "by ulimit -v" and (hard == resource.RLIM_INFINITY or hard >= _GOOD_MEMORY):
        fix = Fix(
            "ulimit -S -v " + ("unlimited" if hard == resource.RLIM_INFINITY else str(hard // 1024)), "shell"
        )
    advice = "a worker takes about 100 MB, what agents and gates start comes on top"
    return (failed if left < _LEAST_MEMORY else warned)(evidence, fix, advice)


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def folders_of(scene: Scene) -> dict[str, Path]:
    """Where a run writes."""
    cache = scene.place.cache.parent if scene.place is not None else settings.cache_home(scene.env)
    return {"project": scene.home, "state": settings.state_home(scene.env), "cache": cache}


def folders(scene: Scene) -> Seen:
    """Whether all of them can be written."""
    closed = [
        place
        for place in dict.fromkeys(map(_existing, folders_of(scene).values()))
        if not (place.is_dir() and os.access(place, os.R_OK | os.W_OK | os.X_OK))
    ]
    if not closed:
        return passed(", ".join(f"{name} {path}" for name, path in folders_of(scene).items()))
    none = [place for place in closed if not place.is_dir()]
    if none:
        return failed(f"no folder: {', '.join(map(str, none))}", advice="put it away, or name another place")
    evidence = f"cannot be written: {', '.join(map(str, closed))}"
    if any(os.statvfs(place).f_flag & os.ST_RDONLY for place in closed):
        return failed(
            evidence,
            advice="its file system is mounted read-only: mount it to be written, or name another place",
        )
    mine = all(place.stat().st_uid == os.getuid() for place in closed)
    fix = Fix(f"chmod u+rwx -- {quoted(closed)}") if mine else None
    return failed(evidence, fix, "allow writing there")


def disk(scene: Scene) -> Seen:
    """Space and inodes where a run writes."""
    told, worst = [], "PASS"
    for name, place in folders_of(scene).items():
        there = _existing(place)
        free, inodes = shutil.disk_usage(there).free, os.statvfs(there)
        short = inodes.f_files and inodes.f_favail < _LEAST_INODES
        if free < _LEAST_DISK or short:
            worst = "FAIL"
        elif free < _GOOD_DISK and worst == "PASS":
            worst = "WARN"
        files = f", {inodes.f_favail} files" if short else ""
        told.append(f"{name} {free / GB:.1f} GB{files} free ({place})")
    evidence, advice = "; ".join(told), "make room: a run keeps working copies and logs"
    if worst == "PASS":
        return passed(evidence)
    return (failed if worst == "FAIL" else warned)(evidence, advice=advice)


def _existing(wanted: Path) -> Path:
    return next(folder for folder in (wanted, *wanted.parents) if folder.exists())


def descriptors(_scene: Scene) -> Seen:
    """How many files one process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    evidence = f"{_count(soft)} open files for a process (at most {_count(hard)})"
    if _enough(soft, _GOOD_FILES):
        return passed(evidence)
    fix = (
        Fix(f"ulimit -S -n {min(4096, hard) if hard > 0 else 4096}", "shell")
        if _enough(hard, _GOOD_FILES)
        else None
    )
    return (warned if _enough(soft, _LEAST_FILES) else failed)(evidence, fix, "each story takes about ten")


def processes(_scene: Scene) -> Seen:
    """How many more processes and threads this user may start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    lefts = [] if soft == resource.RLIM_INFINITY or os.getuid() == 0 else [soft - sum(_tasks())]
    group = machine.group_processes()
    if group is not None:
        lefts.append(group)
    if not lefts:
        return passed("no limit to processes")
    left = max(0, min(lefts))
    evidence = f"{left} more processes"
    if left >= _GOOD_PROCESSES:
        return passed(evidence)
    room = hard == resource.RLIM_INFINITY or hard - soft >= _GOOD_PROCESSES
    fix = Fix(f"ulimit -S -u {'unlimited' if hard == resource.RLIM_INFINITY else hard}", "shell")
    limited = group is None or group >= _GOOD_PROCESSES
    return (warned if left >= _LEAST_PROCESSES else failed)(
        evidence, fix if room and limited else None, "agents and gates start dozens each"
    )


def _tasks() -> Iterator[int]:
    """Threads of this user, process by process."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == os.getuid():
                    yield sum(1 for _ in os.scandir(f"/proc/{entry.name}/task"))
            except OSError:
                continue


def watches(_scene: Scene) -> Seen:
    """Whether dev servers and test watchers of agents could watch files: one instance is really made."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return passed("not of this system")
    handle = libc.inotify_init1(os.O_CLOEXEC)
    if handle < 0:
        why = os.strerror(ctypes.get_errno())
        return warned(
            f"files cannot be watched: {why}",
            advice="raise fs.inotify.max_user_instances, or end what holds them",
        )
    os.close(handle)
    try:
        most = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return passed("files can be watched")
    if most < _GOOD_WATCHES:
        return warned(f"at most {most} files can be watched", advice="raise fs.inotify.max_user_watches")
    return passed(f"{most} files can be watched")


def _enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted


def _count(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else str(limit)
