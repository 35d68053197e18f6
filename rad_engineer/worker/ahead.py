"""Boxes that are opened before their stages come: a stage waits for its box no longer than that takes beyond other work.

A box takes as long to open as a small gate to run. One that was opened ahead waits with nothing of a stranger in it.
A stage gets it only where it would open exactly this one now, onto the very same files; else it is closed.

What a box shows is looked up by name while it opens, links and all. So it is opened while nobody works in its copy but
strangers for whom all that is looked up there is a mount point, which they cannot exchange; and before we change a copy
ourselves, we wait (`settle`).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import sandbox
from rad_engineer.errors import RadError
from rad_engineer.sandbox import Box, Grants, Level, Place

_Files = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Waiting:
    place: Place
    grants: Grants
    files: _Files
    box: Box


class Ahead:
    """The boxes of one worker that wait for their stages, one for each copy."""

    def __init__(self) -> None:
        self._waiting: dict[Path, _Waiting] = {}

    def open(self, level: Level, place: Place, grants: Grants) -> None:
        """Begins to open a box for the next stage in a copy; what is wrong with that, the stage will find out."""
        self._close(place.slot)
        if level != "bubblewrap" or grants.listeners or not place.slot.is_dir():
            return  # the others are quick; who serves listeners is settled by the stage
        with suppress(RadError, OSError):
            files = _files(place, grants)
            self._waiting[place.slot] = _Waiting(place, grants, files, sandbox.open_box(level, place, grants))

    def waits(self, place: Place) -> bool:
        """Whether a box waits for exactly this stage."""
        waiting = self._waiting.get(place.slot)
        return waiting is not None and waiting.place == place

    def settle(self, copy: Path) -> None:
        """Waits until nothing in a copy is looked up any more: whoever changes the copy does this before."""
        waiting = self._waiting.get(copy)
        if waiting is not None and waiting.place.read_only and not _opened(waiting.box):
            self._close(copy)

    def take(self, level: Level, place: Place, grants: Grants) -> Box:
        """The box for a stage that comes now: the one that waits where it is right, else a new one."""
        waiting = self._waiting.get(place.slot)
        if waiting is not None and _still(waiting, place, grants):
            return self._waiting.pop(place.slot).box
        self._close(place.slot)
        return sandbox.open_box(level, place, grants)

    def close(self) -> None:
        """Closes the boxes that nobody has taken."""
        for copy in tuple(self._waiting):
            self._close(copy)

    def _close(self, copy: Path) -> None:
        waiting = self._waiting.pop(copy, None)
        if waiting is not None:
            waiting.box.close()


def _still(waiting: _Waiting, place: Place, grants: Grants) -> bool:
    """Whether a stage would open exactly this box now; asked of the files when the box has found them."""
    if (waiting.place, waiting.grants) != (place, grants) or not _opened(waiting.box):
        return False
    try:
        return waiting.files == _files(place, grants)
    except OSError:
        return False


def _opened(box: Box) -> bool:
    try:
        box.ready()
    except RadError:
        return False
    return True


def _files(place: Place, grants: Grants) -> _Files:
    """What stands behind the names of all that is shown, links as well; the system is always the same."""
    found = [look(name) for name in _names(place, grants) for look in (os.lstat, os.stat)]
    return tuple((about.st_dev, about.st_ino) for about in found)


def _names(place: Place, grants: Grants) -> Iterator[Path]:
    yield place.slot
    for path in place.read_only:
        yield place.slot / path
    for mount in (*place.mounts, *grants.read):
        yield mount.host
    if grants.home is not None:
        yield grants.home
