"""Keeps `git gc` away while objects are on their way: by the lock that git itself takes for it."""

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rad_engineer.git.repository import Repository

_PATIENCE = 10.0  # s for a collection that goes on already
_PAUSE = 0.01


class NoCollection:
    """While this is held, `git gc` says that it is already running, with our process id; `gc --auto` says nothing.

    A `gc --prune=now` removes what no ref names, and objects are there before a ref can name them. Git believes the
    file for twelve hours, and only while the process lives: a run renews it, and a killed one leaves nothing behind.
    """

    def __init__(self, repository: Repository | None) -> None:
        self._path = repository.common_dir / "gc.pid" if repository is not None else None
        self._said = f"{os.getpid()} {os.uname().nodename}"

    def __enter__(self) -> Self:
        until = time.monotonic() + _PATIENCE
        while self._path is not None and not self._take(self._path) and time.monotonic() < until:
            time.sleep(_PAUSE)
        return self

    def renew(self) -> None:
        """Makes the lock young again, or takes it where it could not be had yet."""
        if self._path is not None and self._take(self._path):
            with suppress(OSError):
                os.utime(self._path)

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._path is not None and _read(self._path) == self._said:
            self._path.unlink(missing_ok=True)

    def _take(self, path: Path) -> bool:
        """Takes the lock in the way git does; True also where nothing can be written, because a run can do without."""
        if _read(path) == self._said:
            return True
        ours, lock = path.with_name("rad-engineer.gc"), path.with_name("gc.pid.lock")
        try:
            ours.write_text(self._said, "utf-8")
            lock.hardlink_to(ours)  # never there without a word of who made it
        except FileExistsError:
            if (other := _read(lock)) and not _runs(other):
                lock.unlink(missing_ok=True)  # of a process that was killed
            return False
        except OSError:
            return True
        finally:
            with suppress(OSError):
                ours.unlink()
        if _runs(_read(path)):
            lock.unlink(missing_ok=True)
            return False
        lock.rename(path)
        return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _runs(said: str) -> bool:
    """Whether the collection that wrote this still goes on, as git would see it."""
    pid, _, host = said.partition(" ")
    if not pid.isdigit() or host != os.uname().nodename:
        return bool(host)
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
