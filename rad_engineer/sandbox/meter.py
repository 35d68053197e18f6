"""What one command in a box has used: its processes, what it wrote to the slot, and what it put into memory as files.

Free space and free inodes of the file system say cheaply that much has been written, but not by whom: before a
command is stopped for it, it is held against what its own processes wrote and what lies in the slot.
"""

import itertools
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from rad_engineer.process.limits import Limits, Usage, ended_children_time, used_by

_BLOCK = 512


class Meter:
    """Counts from its making on."""

    def __init__(self, init: int, disks: Collection[Path], memory_folders: Collection[str]) -> None:
        self._init = init
        self._disks = tuple(disks)
        self._folders = tuple(memory_folders)
        self._ended = ended_children_time(init)
        self._written = written_by([init])
        self._free = _free(self._disks)

    def usage(self, pids: Collection[int], limits: Limits) -> Usage:
        """What these processes, and those of theirs that have ended, have used."""
        used = used_by(pids, exact_memory_above=limits.memory)
        in_memory, names = self._in_memory()
        free = _free(self._disks)
        taken, made = (max(0, before - now) for before, now in zip(self._free, free, strict=True))
        disk = inodes = 0
        if _over(taken, limits.disk) or _over(made, limits.inodes):
            disk, inodes = self._ours(pids, taken, made, limits)
        return Usage(
            cpu=used.cpu + ended_children_time(self._init) - self._ended,
            memory=used.memory + in_memory,
            processes=used.processes,
            open_files=used.open_files,
            disk=disk,
            inodes=inodes + names,
        )

    def _ours(self, pids: Collection[int], taken: int, made: int, limits: Limits) -> tuple[int, int]:
        """What of it is ours; what is not is left out from now on, so that it is not looked for again and again."""
        written = written_by([self._init, *pids]) - self._written
        size, entries = _contents(self._disks, limits)
        disk, inodes = min(taken, max(written, size)), min(made, entries)
        self._free = (
            self._free[0] if _over(disk, limits.disk) else self._free[0] - (taken - disk),
            self._free[1] if _over(inodes, limits.inodes) else self._free[1] - (made - inodes),
        )
        return disk, inodes

    def _in_memory(self) -> tuple[int, int]:
        """Bytes and files in the folders that lie in memory."""
        size = names = 0
        for folder in self._folders:
            try:
                found = os.statvfs(f"/proc/{self._init}/root{folder}")
            except OSError:
                continue
            size += (found.f_blocks - found.f_bfree) * found.f_frsize
            names += found.f_files - found.f_ffree
        return size, names


def written_by(pids: Collection[int]) -> int:
    """Bytes that these processes, and children of theirs that were buried, have written to disks."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
    return total


def _free(folders: Iterable[Path]) -> tuple[int, int]:
    """Bytes and inodes of the file systems that they lie on."""
    found = {}
    for folder in folders:
        try:
            found[os.stat(folder).st_dev] = os.statvfs(folder)  # noqa: PTH116 -- several times a second
        except OSError:  # somebody has taken the slot away: that is told elsewhere
            return 0, 0
    return sum(each.f_bfree * each.f_frsize for each in found.values()), sum(
        each.f_ffree for each in found.values()
    )


def _over(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit


def _contents(tops: Iterable[Path], limits: Limits) -> tuple[int, int]:
    """Bytes and entries below folders, counted until they are too many; no link is followed."""
    size = entries = 0
    walks = (os.fwalk(top, onerror=lambda _: None) for top in tops)
    for _, folders, files, here in itertools.chain.from_iterable(walks):
        for name in (*folders, *files):
            try:
                size += os.stat(name, dir_fd=here, follow_symlinks=False).st_blocks * _BLOCK
            except OSError:
                continue
            entries += 1
        if _over(size, limits.disk) or _over(entries, limits.inodes):
            break
    return size, entries
