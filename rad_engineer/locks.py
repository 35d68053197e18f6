"""Locks that the kernel releases with their holder: flock on files that are never removed.

What the lock file says about its holder is for the message only; whether it is held, only flock knows.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rad_engineer.errors import CannotWrite, Locked

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_OWNER_BYTES = 4096
_WORD = 0.5  # s in which a holder says who it is


class Lock:
    """A lock that is held until it is released or the process ends, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Lets go; a second time changes nothing."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def acquire(path: Path, timeout: float, owner: Mapping[str, Any]) -> Lock:
    """Takes the lock or raises Locked, naming the holder; `owner` is what others are told about us."""
    until = time.monotonic() + timeout
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CannotWrite(f"{path}: {error.strerror}") from error
        lock = None
        try:
            taken = _wait(descriptor, until, path)
            if taken and _is_at(path, descriptor):
                _write_owner(descriptor, owner, path)
                lock = Lock(path, descriptor)
        finally:
            if lock is None:
                os.close(descriptor)
        if lock is not None:
            return lock
        if not taken:
            raise Locked(_held(path), hint="wait until it has ended, or stop it")
        # Somebody has removed the file: a lock on what nobody finds excludes nobody.


@contextmanager
def hold(directory: Path | int, timeout: float = 5.0) -> Iterator[None]:
    """Locks a directory, given by path or by a descriptor of it, while the block runs."""
    if isinstance(directory, int):
        descriptor, path = directory, Path(f"/dev/fd/{directory}")
    else:
        path = directory
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _wait(descriptor, time.monotonic() + timeout, path):
            raise Locked(f"{path} has been locked by another process for more than {timeout:g} s")
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        if not isinstance(directory, int):
            os.close(descriptor)


def holder(path: Path) -> dict[str, Any]:
    """What the last holder wrote about itself; empty when that cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            owner = json.loads(os.read(descriptor, _OWNER_BYTES))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _wait(descriptor: int, until: float, path: Path) -> bool:
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        except OSError as error:
            raise CannotWrite(f"{path} is on a file system that cannot lock: {error.strerror}") from error
        else:
            return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int, owner: Mapping[str, Any], path: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
    except OSError as error:
        raise CannotWrite(f"{path}: {error.strerror}") from error


def _held(path: Path) -> str:
    """Who holds a lock that cannot be had: it may have it for so short a time that it has not said so yet."""
    until = time.monotonic() + _WORD
    owner = holder(path)
    while not _is_there(owner) and time.monotonic() < until:
        time.sleep(_FIRST_PAUSE)
        owner = holder(path)
    if not owner.get("pid"):
        return f"{path} is locked by another process"
    where = f" on {owner['host']}" if owner.get("host") else ""
    command = f": {owner['command']}" if owner.get("command") else ""
    return f"{path} is locked by process {owner['pid']}{where}{command}"


def _is_there(owner: Mapping[str, Any]) -> bool:
    """Whether this can be the holder: a process of this machine that is gone was an earlier one."""
    pid, host = owner.get("pid"), owner.get("host")
    if not isinstance(pid, int) or host not in (None, os.uname().nodename):
        return bool(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
