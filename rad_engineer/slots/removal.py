"""Removes what strangers left: any depth, any mode, no link followed, no recursion."""

import errno
import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Protocol

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LEVELS = 20
_counter = itertools.count()


class _Take(Protocol):
    """os.unlink or os.rmdir."""

    def __call__(self, path: str, *, dir_fd: int | None) -> None: ...


def open_folder(name: str, parent: int | None) -> int:
    """Opens a directory that is no link; one that its owner may not read is opened up first."""
    try:
        return os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        _open_up(name, parent)
        return os.open(name, _OPEN, dir_fd=parent)


def _open_up(name: str, parent: int | None) -> None:
    """Gives the owner all rights on a directory that cannot be opened; a link in its place is not followed."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, 0o700, dir_fd=parent, follow_symlinks=False)
        return
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
    finally:
        os.close(handle)


def open_attic(path: Path) -> int:
    """Opens this process's own folder for what is about to be deleted; on the file system of the slots."""
    place = path / str(os.getpid())
    place.mkdir(parents=True, exist_ok=True)
    return open_folder(str(place), None)


def remove(name: str, parent: int, attic: int) -> None:
    """Removes a file, or a directory with all it holds, from an open directory.

    What lies deeper than a few levels is moved up into the attic first, so neither the depth of a tree nor the
    length of its paths matters. What cannot be removed (somebody else's files, a mount) stays there, out of the way.
    """
    if not _is_folder(name, parent):
        _loosen(os.unlink, name, parent)
        return
    waiting = [_put_away(name, parent, attic)]
    while waiting:
        place = waiting.pop()
        with suppress(OSError):
            _empty(place, attic, 0, (attic, waiting))
            os.rmdir(place, dir_fd=attic)


def _empty(name: str, parent: int, depth: int, told: tuple[int, list[str]]) -> None:
    attic, waiting = told
    folder = open_folder(name, parent)
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for inner, is_folder in found:
            if not is_folder:
                _loosen(os.unlink, inner, folder)
            elif depth >= _LEVELS:
                waiting.append(_put_away(inner, folder, attic))
            else:
                _empty(inner, folder, depth + 1, told)
                _loosen(os.rmdir, inner, folder)
    finally:
        os.close(folder)


def _is_folder(name: str, parent: int) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)
    except FileNotFoundError:
        return False


def _loosen(take: "_Take", name: str, parent: int) -> None:
    """Takes a name out of a directory, if need be by giving ourselves the right to write to it."""
    try:
        take(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except PermissionError:
        os.fchmod(parent, 0o755)
        take(name, dir_fd=parent)


def _put_away(name: str, parent: int, attic: int) -> str:
    new = f"{next(_counter)}"
    while True:
        try:
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=attic)
        except PermissionError:
            # A directory changes its "..", so it must be writable itself, and so must the one it leaves.
            os.fchmod(parent, 0o755)
            _open_up(name, parent)
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=attic)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            new = f"{next(_counter)}"
            continue
        return new


def remove_path(path: Path, attic: int) -> None:
    """Removes whatever is at a path whose parent is ours."""
    try:
        parent = open_folder(str(path.parent), None)
    except FileNotFoundError:
        return
    try:
        remove(path.name, parent, attic)
    finally:
        os.close(parent)
