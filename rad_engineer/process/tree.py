"""Which processes descend from us or carry our mark, and how all of them are stopped.

A subreaper inherits the orphans below it, so a walk from its children finds every descendant however it was
detached. Without /proc (macOS) nothing can be walked: there only process groups are killed.
"""

import ctypes
import functools
import os
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

MARK = "RAD_RUN_MARK"
"""The environment variable by which a run's processes are found again after everything was killed."""

_PR_SET_CHILD_SUBREAPER = 36
_GIVE_UP = 10.0  # seconds: what outlives SIGKILL that long hangs in the kernel, and waiting changes nothing
_NO_ONE: frozenset[int] = frozenset()
_subreaper: set[int] = set()  # our pid once it is one: forked children do not inherit it


def become_subreaper() -> bool:
    """Makes this process inherit its orphaned descendants; False where the system knows no such thing."""
    pid = os.getpid()
    if pid in _subreaper:
        return True
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is None or prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        return False
    _subreaper.clear()
    _subreaper.add(pid)
    return True


def has_children() -> bool:
    """Whether this process has any child, zombies included; one system call where the system has it."""
    if not hasattr(os, "waitid"):
        return bool(children(os.getpid()))
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children(pid: int) -> list[int]:
    """The direct children of a process, zombies included; none where there is no /proc."""
    if not _lists_children():
        return _children_by_scan(pid)
    found: list[int] = []
    for thread in _entries(f"/proc/{pid}/task"):
        with suppress(OSError):  # the thread or the process has ended meanwhile
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(roots: Iterable[int], most: int | None = None) -> list[int]:
    """These processes and everything below them, parents first; no more than just over `most`, where that is given."""
    found = list(roots)
    for pid in found:  # grows while it is walked
        if most is not None and len(found) > most:
            break
        found += children(pid)
    return found


def living(pids: Iterable[int]) -> list[int]:
    """Those that run; a zombie does not."""
    return [pid for pid in pids if (fields := _stat(pid)) and fields[0] not in {"Z", "X"}]


def signal_tree(pids: Collection[int], number: int, groups: Collection[int] = ()) -> None:
    """Signals these processes in order, then these groups, each at one blow so that no fork slips through.

    Parents come first in a tree, so that none sees its children die and says so.
    """
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def kill_descendants(
    grace: float = 0.0, *, keep: Collection[int] = _NO_ONE, well: set[int] | None = None
) -> int:
    """Stops everything below this process but the children in `keep`; returns how many processes that were.

    With a grace they are first asked to end. Ended children are reaped; those that had ended well are put in `well`.
    """
    stopped: set[int] = set()
    if grace > 0:
        stopped.update(_ask_to_end(grace, keep))
    give_up = time.monotonic() + _GIVE_UP
    pause = 0.0002
    while roots := reap(keep, well):
        tree = descendants(roots)
        signal_tree(tree, signal.SIGKILL, _foreign_groups(tree, keep))
        if stopped.issuperset(tree):
            if time.monotonic() > give_up:
                break
            time.sleep(pause)
            pause = min(pause * 2, 0.02)
        stopped.update(tree)
    return len(stopped)


def reap(keep: Collection[int] = _NO_ONE, well: set[int] | None = None) -> list[int]:
    """Collects the exit statuses of ended children and returns the living ones, `keep` left out of both.

    Those with exit status 0 are put in `well`.
    """
    if not has_children():
        return []
    living = []
    for pid in children(os.getpid()):
        if pid not in keep:
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if ended == 0:
                living.append(pid)
            elif status == 0 and well is not None:
                well.add(pid)
    return living


def _ask_to_end(grace: float, keep: Collection[int]) -> list[int]:
    tree = descendants(reap(keep))
    signal_tree(tree, signal.SIGTERM)
    until = time.monotonic() + grace
    pause = 0.001
    while reap(keep) and (left := until - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.05)
    return tree


def start_time(pid: int) -> str | None:
    """When the process started, in clock ticks since boot: with the boot id it tells re-used pids apart."""
    fields = _stat(pid)
    return fields[19] if fields else None


def alive(pid: int, start: str | None) -> bool:
    """Whether the process that started then still runs; a zombie does not."""
    fields = _stat(pid)
    if fields:
        return fields[19] == start and fields[0] not in {"Z", "X"}
    if start is not None or Path("/proc/self/stat").exists():
        return False
    with suppress(ProcessLookupError):  # no /proc, as on macOS (untested there): the pid alone must do
        os.kill(pid, 0)
        return True
    return False


def stop_process(pid: int, start: str | None) -> bool:
    """Kills that very process and all below it; False when it is gone or the pid is somebody else's now."""
    if not alive(pid, start):
        return False
    tree = descendants([pid])
    if not alive(pid, start):
        return False
    signal_tree(tree, signal.SIGKILL, _led_groups(tree))
    return True


def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not tell."""
    try:
        return _read("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        return ""


def describe_self(command: str) -> dict[str, Any]:
    """Who we are, as lock files and run records tell others."""
    pid = os.getpid()
    return {
        "pid": pid,
        "start": start_time(pid),
        "boot": boot_id(),
        "host": os.uname().nodename,
        "command": command,
    }


def marked(mark: str) -> list[int]:
    """Every process of ours, this one and its ancestors left out, whose environment carries the mark."""
    wanted = f"{MARK}={mark}".encode()
    spared = _ancestry()
    found = []
    for name in _process_names():
        with suppress(OSError):
            environment = Path(f"/proc/{name}/environ").read_bytes()
            if wanted in environment.split(b"\0") and int(name) not in spared:
                found.append(int(name))
    return found


def sweep(mark: str, *, keep: frozenset[int] = _NO_ONE) -> list[int]:
    """Kills every process that carries the mark and all below it, again until none is left."""
    killed: set[int] = set()
    give_up = time.monotonic() + _GIVE_UP
    spared = keep | _ancestry()
    while found := [pid for pid in marked(mark) if pid not in keep]:
        tree = [pid for pid in descendants(found) if pid not in spared]
        signal_tree(tree, signal.SIGKILL, _led_groups(tree))
        seen_before = not killed.isdisjoint(tree)
        killed.update(tree)
        for pid in tree:  # those that are children of ours stay zombies until somebody asks
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if seen_before:
            if time.monotonic() > give_up:
                break
            time.sleep(0.002)
    return sorted(killed)


def _foreign_groups(tree: Collection[int], keep: Collection[int]) -> set[int]:
    """The groups of our descendants: nobody else can be in them, save in ours and in those of the kept."""
    return {group_of(pid) for pid in tree} - {group_of(pid) for pid in keep} - {os.getpgrp(), 0}


def _led_groups(tree: Collection[int]) -> set[int]:
    """The groups whose leader is in the tree: any other may hold strangers, such as the rest of a pipeline."""
    return {group for pid in tree if (group := group_of(pid)) in tree} - {os.getpgrp()}


def _ancestry() -> frozenset[int]:
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
    return frozenset(found)


def _children_by_scan(pid: int) -> list[int]:
    wanted = str(pid)
    return [int(name) for name in _process_names() if (fields := _stat(int(name))) and fields[1] == wanted]


@functools.cache
def _lists_children() -> bool:
    """Kernels without CONFIG_PROC_CHILDREN lack the list, and every process must be looked at."""
    return not Path("/proc/self/task").is_dir() or Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _process_names() -> list[str]:
    return [name for name in _entries("/proc") if name.isdigit()]


def _entries(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on: the second is a name that may hold anything."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return []


def group_of(pid: int) -> int:
    """The process group that it is in; 0 when it is gone."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode("utf-8", "replace")
