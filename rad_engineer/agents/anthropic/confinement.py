"""Which files tools may touch: those below the slot, named relatively; and what stands for the slot in what a model reads.

The commands of an agent run while we look: a name is never looked at first and opened afterwards. It is opened once,
by the kernel's own "nothing that leads out of this folder" where there is one, and else without following any link.
"""

import ctypes
import errno
import functools
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from rad_engineer.agents.anthropic.seam import ToolFailed

ROOT = "$PROJECT_ROOT"
"""What a model sees in place of the slot; a variable of that name holds its true path in the shell."""

_OPENAT2 = 437  # the same on every architecture that Linux is still built for
_BENEATH = 0x08 | 0x02  # RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS
_RACES = 20  # the kernel gives up on a path that is renamed while it is walked
_SHOWN = 300  # characters of a name that cannot be used
_LONG = 16  # characters that nothing else in a text begins or ends with


class _How(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def shown(name: str) -> str:
    """A name below the slot as the model knows it; raises ToolFailed where it is absolute or leads out of it."""
    plain = name.removeprefix(ROOT).lstrip("/") or "." if name.startswith(ROOT) else name
    if plain.startswith(("/", "~")) or "\0" in plain or not plain:
        raise ToolFailed(f"{name!r}: give a path relative to the project's root, such as src/app.py")
    found = os.path.normpath(plain)
    if found.split("/", 1)[0] == "..":
        raise _leads_out(name)
    return found


def opened(slot: Path, name: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of what has this name below the slot; never waits. Raises ToolFailed, and OSError as open does."""
    top = os.open(slot, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _opened_at(top, name, flags)
    finally:
        os.close(top)


def created(slot: Path, name: str) -> int:
    """The same for a file to be written, which is made with its folders where it is not there yet."""
    path = shown(name)
    top = os.open(slot, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folders = path.split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            _make_folder(top, "/".join(folders[:depth]))
        found = _opened_at(top, path, os.O_RDWR | os.O_CREAT)
        _hand_over(found, top)
        return found
    finally:
        os.close(top)


def _make_folder(top: int, path: str) -> None:
    with suppress(FileNotFoundError):
        os.close(_opened_at(top, path, os.O_RDONLY | os.O_DIRECTORY))
        return
    above, _, name = path.rpartition("/")
    parent = _opened_at(top, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
    finally:
        os.close(parent)
    made = _opened_at(top, path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _hand_over(made, top)
    finally:
        os.close(made)


def _hand_over(descriptor: int, top: int) -> None:
    """What root makes in a slot belongs to whom the slot belongs to."""
    owner = os.fstat(top)
    if os.geteuid() == 0 and os.fstat(descriptor).st_uid != owner.st_uid:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _opened_at(top: int, name: str, flags: int) -> int:
    path, flags = shown(name), flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return (
            _open_beneath(top, path, flags) if _kernel_confines() else _open_without_links(top, path, flags)
        )
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.ELOOP):
            raise _leads_out(name) from None
        if error.errno == errno.ENAMETOOLONG:
            raise ToolFailed(f"{name[:_SHOWN]}: {error.strerror}") from None
        raise


def _leads_out(name: str) -> ToolFailed:
    return ToolFailed(f"{name!r} leads out of the project")


def _open_beneath(top: int, path: str, flags: int) -> int:
    how = _How(flags, 0o666 if flags & os.O_CREAT else 0, _BENEATH)
    for _ in range(_RACES):
        found = _libc().syscall(_OPENAT2, top, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if found >= 0:
            return int(found)
        problem = ctypes.get_errno()
        if problem not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(problem, os.strerror(problem), path)


def _open_without_links(top: int, path: str, flags: int) -> int:
    *folders, name = path.split("/")
    here = os.dup(top)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = below
        return os.open(name, flags | os.O_NOFOLLOW, 0o666, dir_fd=here)
    finally:
        os.close(here)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _kernel_confines() -> bool:
    """Whether there is openat2 (Linux 5.6), and nobody forbids it."""
    if not hasattr(os, "O_PATH"):
        return False
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # in a box, nobody may read it
    try:
        os.close(_open_beneath(top, ".", os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return False
    finally:
        os.close(top)
    return True


def mask(slot: Path, hidden: Mapping[str, str], inner: str = "") -> Callable[[str], str]:
    """Takes out of a text what is different on another machine or in another run, as far as we know it.

    `inner` is how the slot is called in a box: recordings made there are replayed where there is none.
    A path is one as a whole: `/slots/1` is not the beginning of `/slots/10`. A short one, such as `/app`, is not the
    end of `src/app` either.
    """
    stand_ins = {**hidden, inner: ROOT, str(slot): ROOT, os.path.realpath(slot): ROOT}
    longest_first = sorted(
        (name for name in stand_ins if name.strip("/")), key=lambda name: (-len(name), name)
    )
    if not longest_first:
        return lambda text: text
    found = re.compile("|".join(_as_a_whole(name) for name in longest_first))
    return lambda text: found.sub(lambda match: stand_ins[match[0]], text)


def _as_a_whole(name: str) -> str:
    before = r"(?<![\w.-])" if len(name) < _LONG else ""
    return before + re.escape(name) + r"(?![\w-]|\.\w)"
