"""Starts one child process: with posix_spawn where that will do, for a fifth of what subprocess costs."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

_QUICK = sys.platform == "linux" and hasattr(os, "posix_spawn")
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)  # Python ignores them, and children would inherit that
_places: dict[tuple[str, str], str] = {}


class Running(Protocol):
    """A process that was started and is watched; `pid` is the one it has here."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """The exit code, negative after a signal; None while it runs."""

    def peek(self) -> int | None:
        """Waits for the exit code, but does not bury it."""

    def wait(self) -> int:
        """Waits for the exit code."""

    def pidfd(self) -> int | None:
        """A descriptor that is readable when it has ended, for the caller to close; None where there is no such."""


class Child:
    """A child process; nobody else waits for it."""

    __slots__ = ("pid", "returncode")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative after a signal; None while it runs."""
        return self._wait(os.WNOHANG)

    def peek(self) -> int | None:
        """Waits for the exit code, but leaves it there: should we die now, whoever inherits the child can read it.

        A child that is traced has ended before its parent is told: then there is something to wait for.
        """
        if self.returncode is not None or not hasattr(os, "waitid"):
            return self.poll()
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return self.poll()
        if found is None:
            raise AssertionError("only a call that does not wait finds nothing")
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def wait(self) -> int:
        """Waits for the exit code."""
        code = self._wait(0)
        return 0 if code is None else code

    def pidfd(self) -> int | None:
        """None on macOS, untested there."""
        return os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None

    def _wait(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # somebody else has buried it: subprocess says 0 as well
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def spawn(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str],
    descriptors: tuple[int, int, int],
    *,
    new_session: bool,
) -> Child:
    """Starts a program with these as its standard descriptors and no others; raises OSError and ValueError.

    No others, but for those that the caller has made inheritable for as long as this takes.
    """
    moves = cwd is not None and threading.active_count() > 1  # the folder would be everybody's
    if not _QUICK or moves or not argv or min(descriptors) <= 2:
        return _by_subprocess(argv, cwd, env, descriptors, new_session=new_session)
    keep_descriptors()
    if cwd is None:
        return _by_posix_spawn(argv, env, descriptors, new_session=new_session)
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(cwd)
        return _by_posix_spawn(argv, env, descriptors, new_session=new_session)
    finally:
        os.fchdir(here)
        os.close(here)


def _by_posix_spawn(
    argv: Sequence[str], env: Mapping[str, str], descriptors: tuple[int, int, int], *, new_session: bool
) -> Child:
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(descriptors)]
    for remembered in (True, False):
        path = _program(argv[0], env, remembered=remembered)
        try:
            pid = os.posix_spawn(
                path, list(argv), env, file_actions=actions, setsid=new_session, setsigdef=_RESTORED
            )
        except FileNotFoundError:
            if remembered:
                continue
            raise
        return Child(pid)
    raise AssertionError("it was started, or it was not there")


def _program(name: str, env: Mapping[str, str], *, remembered: bool) -> str:
    """Where a program is; folders of PATH that are given relatively are looked at anew each time."""
    if "/" in name:
        return name
    key = (name, env.get("PATH", ""))
    if remembered and key in _places:
        return _places[key]
    problem, absolute = errno.ENOENT, True
    for folder in os.get_exec_path(env):
        absolute = absolute and folder.startswith("/")
        path = os.path.join(folder, name)  # noqa: PTH118 -- a string is what is needed
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 -- the same
            if absolute:
                _places[key] = path
            return path
        if os.path.exists(path):  # noqa: PTH110 -- the same
            problem = errno.EACCES
    raise OSError(problem, os.strerror(problem), name)


@cache
def keep_descriptors() -> None:
    """What we were given open beyond the standard descriptors stays with us: all of ours stay by themselves."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- numbers
        if int(name) > 2:
            with suppress(OSError):
                os.set_inheritable(int(name), False)


def _by_subprocess(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str],
    descriptors: tuple[int, int, int],
    *,
    new_session: bool,
) -> Child:
    import subprocess  # noqa: PLC0415 -- it takes a while to load, and is hardly ever needed

    stdin, stdout, stderr = descriptors
    started = subprocess.Popen(
        list(argv),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        start_new_session=new_session,
    )
    started.returncode = 0  # it is ours from here on: subprocess must not wait for it when it forgets it
    return Child(started.pid)
