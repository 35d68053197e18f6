"""The outer program of a box by landlock: it fences in an executor, and when that is over, nothing of the box is left.

No namespace ends what is in such a box, so somebody has to stay outside: this program. All that loses its parent
comes to it. The box is over when it is: when the socket to the executor has ended, or the executor has.

The executor goes through a gate that shuts behind it: a ruleset for files, ports and signals, no new privileges, no
capabilities, a system call filter. Signals of the box reach the box only, wherever the kernel can say so; then one
signal to everybody ends all of it at one blow.
"""

import _signal  # type: ignore[import-not-found]
import ctypes
import errno
import marshal
import os
import select
import sys
from typing import Any

_SET_PARENT_DEATH, _SET_SUBREAPER, _NO_NEW_PRIVILEGES, _SET_FILTER, _AMBIENT = 1, 36, 38, 22, 47
_FILTER, _CLEAR_ALL = 2, 4
_RESTRICT_SELF = 446
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES = 0x20080522  # version 3: two times 32 bits of each set
_PATIENCE = 5000  # milliseconds, for the executor to end what is below it


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


class _Fence:
    """What the executor shuts behind itself, and how it ends the box."""

    def __init__(self, ruleset: int, program: bytes, *, scoped: bool) -> None:
        self._ruleset, self._program, self._scoped = ruleset, program, scoped
        self._guard = os.getpid()
        self._library = ctypes.CDLL(None, use_errno=True)

    def enter(self) -> None:
        """From here on only what the ruleset allows."""
        self._prctl(_SET_SUBREAPER, 1)
        self._prctl(_NO_NEW_PRIVILEGES, 1)
        if self._library.syscall(_RESTRICT_SELF, self._ruleset, 0) != 0:
            self._fail("landlock does not take effect")
        if self._scoped and not self._alone():
            self._fail("signals reach beyond the box")

    def settled(self) -> None:
        """Now that this is the user whom everything runs as."""
        self._prctl(_AMBIENT, _CLEAR_ALL)
        head = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
        if self._library.syscall(_CAPSET[os.uname().machine], head, (ctypes.c_uint32 * 6)()) != 0:
            self._fail("capabilities cannot be given up")
        code = _Program(len(self._program) // 8, self._program)
        if self._library.prctl(_SET_FILTER, _FILTER, ctypes.byref(code), 0, 0) != 0:
            self._fail("there is no system call filter")
        _signal.signal(_signal.SIGHUP, self._abandoned)
        self._prctl(_SET_PARENT_DEATH, _signal.SIGHUP)
        if os.getppid() != self._guard:
            os._exit(1)

    def over(self) -> None:
        """Everybody in the box at one blow; without scopes that would be everybody whom this user may signal."""
        if self._scoped and os.geteuid() != 0 and self._alone():
            try:
                os.kill(-1, _signal.SIGKILL)
            except ProcessLookupError:
                return

    def _abandoned(self, *_: object) -> None:
        """The guard was killed: nobody else clears away what is left."""
        self.over()
        os._exit(1)

    def _alone(self) -> bool:
        try:
            os.kill(self._guard, 0)
        except OSError as error:
            return error.errno == errno.EPERM
        return False

    def _prctl(self, option: int, value: int) -> None:
        if self._library.prctl(option, value, 0, 0, 0) != 0:
            self._fail(f"prctl {option}")

    def _fail(self, what: str) -> None:
        os.write(2, f"{what}: {os.strerror(ctypes.get_errno())}\n".encode())
        os._exit(1)


def _execute(executor: dict[str, Any], arguments: list[str], fence: _Fence) -> None:
    executor["worsen"]()
    fence.enter()
    executor["main"](arguments, fence.settled, fence.over)


def _wait(control: int, pid: int) -> None:
    """Until nobody is there to ask, or nobody to be asked; then for the executor to do what it does at its end."""
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(control, select.POLLRDHUP)
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    poller.unregister(control)
    poller.poll(_PATIENCE)


def _clear(package: str) -> None:
    """Whatever is left below this process."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
    sys.path.insert(0, package)
    from rad_engineer.process.tree import kill_descendants  # noqa: PLC0415 -- 30 ms, and hardly ever needed

    kill_descendants()


def _remove(folder: str) -> None:
    """The box's own folders, whatever their modes are by now; nobody is left who could exchange them for links."""
    import shutil  # noqa: PLC0415 -- when nobody waits any more

    try:
        for top, names, _ in os.walk(folder):
            for name in names:
                path = f"{top}/{name}"
                if not os.path.islink(path):  # noqa: PTH114 -- strings
                    os.chmod(path, 0o700)  # noqa: PTH101
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        os.write(2, b"too deep to be removed\n")


def main(arguments: list[str]) -> None:
    """Arguments: executor, ruleset, filter; whether signals are scoped; package, folders; then the executor's own."""
    code, ruleset, program = (int(each) for each in arguments[:3])
    scoped, package, folder = arguments[3] == "1", *arguments[4:6]
    executor: dict[str, Any] = {"__name__": "executor"}
    exec(marshal.loads(os.pread(code, 1 << 20, 0)), executor)  # noqa: S102, S302 -- what we were given by ourselves
    fence = _Fence(ruleset, os.pread(program, 1 << 16, 0), scoped=scoped)
    library = ctypes.CDLL(None)
    library.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        try:
            _execute(executor, arguments[6:], fence)
        finally:
            os._exit(1)
    try:
        _wait(int(arguments[6]), pid)
        _clear(package)
    finally:
        _remove(folder)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
