"""The program inside a box: it starts what it is told to start, says how that ended, and ends with its socket.

It is the init of its namespaces: when it ends, the kernel ends everything else in there. It has no file of its own
there, imports next to nothing and knows nothing of rad-engineer: a few C modules start in half the time that their
Python fronts take. What is asked is JSON behind four bytes that say how long it is, with descriptors beside it.

    {"argv": […], "cwd": "…", "env": {…}, "id": 7} + stdin, stdout, stderr
        -> {"id": 7, "pid": 12} + a pidfd, or {"id": 7, "error": errno}
    {…, "record": true} + one more, to which the status is written before it is told: whoever asked may be gone
    {"seen": 7}                                              nothing is buried before its pidfd was looked at
        -> {"id": 7, "status": 0} when it has ended, as waitpid tells
    {"listen": 8000} -> {"port": 8000} + what listens there on 127.0.0.1, or {"port": 8000, "error": errno}
    {"tasks": 264}                                           how many processes and threads there may be from now on
"""

import _ctypes
import _json
import _signal  # type: ignore[import-not-found]
import _socket
import errno
import os
import resource
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SET_PARENT_DEATH, _SET_DUMPABLE, _DROP_FROM_BOUNDING_SET = 1, 4, 24
_LAST_CAPABILITY = 63
_RESTORED = (_signal.SIGPIPE, _signal.SIGXFSZ)  # Python ignores them, and children would inherit that
_CHUNK = 1 << 16
_STANDARD = 3
_FEW = 64
_BACKLOG = 1024


class _Plain:
    """How JSON is read: as json.JSONDecoder has it."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: dict[str, str] = {}  # noqa: RUF012 -- the scanner asks for it


def _settle(uid: int, gid: int, limits: dict[int, int]) -> None:
    """Gives up what this process could do beyond its payload; nobody may look into it."""
    library = _ctypes.dlopen(None, 2)  # type: ignore[arg-type]
    prctl = _ctypes.dlsym(library, "prctl")
    if os.getuid() == 0 and uid > 0:
        _go_first()
        for capability in range(_LAST_CAPABILITY + 1):
            _ctypes.call_function(prctl, (_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0))
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))
    _ctypes.call_function(
        prctl, (_SET_PARENT_DEATH, _signal.SIGKILL, 0, 0, 0)
    )  # changing users has cleared it
    if _ctypes.call_function(prctl, (_SET_DUMPABLE, 0, 0, 0, 0)) != 0:
        os._exit(1)
    os.umask(0o022)


def _go_first() -> None:
    """No number of busy processes keeps us from ending them; what we start is as any other process.

    Without root's rights, a box ends by a signal of the kernel when its owner does. That signal needs the same user
    outside and inside, so that a box of root's ends by what we see of the socket.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return


def worsen() -> None:
    """When memory runs out, the kernel takes what is in here first."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(descriptor, b"500")
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _program(name: str, env: dict[str, str]) -> str:
    if "/" in name:
        return name
    problem = errno.ENOENT
    for folder in env.get("PATH", "/usr/bin:/bin").split(":"):
        path = f"{folder or '.'}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 -- pathlib takes longer than we do
            return path
        if os.path.exists(path):  # noqa: PTH110 -- the same
            problem = errno.EACCES
    raise OSError(problem, "")


def _write_down(record: int, status: int) -> None:
    if record < 0:
        return
    try:
        os.write(record, f"{status}\n".encode())
    except OSError:  # a full disk: whoever asked will be told
        pass
    finally:
        os.close(record)


class _Executor:
    """One loop over the socket and the ends of children."""

    def __init__(self, control: int) -> None:
        self._control = _socket.socket(fileno=control)
        self._control.setblocking(True)
        self._scan = _json.make_scanner(_Plain)  # type: ignore[arg-type]
        self._buffer = b""
        self._descriptors: list[int] = []
        self._ids: dict[int, int] = {}
        self._records: dict[int, int] = {}
        self._unseen = 0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until nobody is there any more."""
        own = os.pidfd_open(os.getpid())
        self._say('{"ready": true}', own)
        os.close(own)
        poller = select.poll()
        poller.register(self._control.fileno(), select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == self._woken:
                    self._drain()
                elif not self._receive():
                    self._bury()
                    return
            if not self._unseen:
                self._bury()

    def _drain(self) -> None:
        try:
            while os.read(self._woken, _CHUNK):
                pass
        except BlockingIOError:
            return

    def _receive(self) -> bool:
        """Takes what has come and does it; False at the end."""
        room = _socket.CMSG_SPACE((_STANDARD + 1) * 4)
        try:
            data, beside, _, _ = self._control.recvmsg(_CHUNK, room, _socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # what was under way when the far end died
            return False
        if not data:
            return False
        for _, _, content in beside:
            self._descriptors += [
                int.from_bytes(content[at : at + 4], sys.byteorder) for at in range(0, len(content), 4)
            ]
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                break
            text, self._buffer = self._buffer[4:end].decode(), self._buffer[end:]
            asked = self._scan(text, 0)[0]
            if "seen" in asked:
                self._unseen -= 1
            elif "tasks" in asked:
                hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
                resource.setrlimit(resource.RLIMIT_NPROC, (min(asked["tasks"], hard), hard))
            elif "listen" in asked:
                self._listen(asked["listen"])
            else:
                self._start(asked)
        return True

    def _listen(self, port: int) -> None:
        """Whoever has what listens here is reached from in here; it is kept out of the hands of payloads."""
        listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(_BACKLOG)
            self._say(f'{{"port": {port}}}', listener.fileno())
        except OSError as error:
            self._say(f'{{"port": {port}, "error": {error.errno}}}')
        finally:
            listener.close()

    def _start(self, asked: dict[str, object]) -> None:
        count = _STANDARD + ("record" in asked)
        given, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        record = given.pop() if "record" in asked else -1
        argv, env = asked["argv"], asked["env"]
        actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(given)]
        try:
            os.chdir(asked["cwd"])  # type: ignore[arg-type]
            path = _program(argv[0], env)  # type: ignore[index, arg-type]
            pid = os.posix_spawn(
                path, argv, env, file_actions=actions, setsid=True, setsigdef=_RESTORED  # type: ignore[arg-type]
            )  # fmt: skip
        except OSError as error:
            self._say(f'{{"id": {asked["id"]}, "error": {error.errno}}}')
            if record >= 0:
                os.close(record)
            return
        finally:
            for descriptor in given:
                os.close(descriptor)
        self._ids[pid] = asked["id"]  # type: ignore[assignment]
        if record >= 0:
            self._records[pid] = record
        self._unseen += 1
        pidfd = os.pidfd_open(pid)
        self._say(f'{{"id": {asked["id"]}, "pid": {pid}}}', pidfd)
        os.close(pidfd)

    def _bury(self) -> None:
        """Everybody's orphans are ours; a few at a time, or whoever makes them fast enough keeps us from the socket."""
        for _ in range(_FEW):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            _write_down(self._records.pop(pid, -1), status)
            asked = self._ids.pop(pid, None)
            if asked is not None:
                self._say(f'{{"id": {asked}, "status": {status}}}')
        try:
            os.write(self._wake, b"1")
        except BlockingIOError:
            return

    def _say(self, text: str, descriptor: int = -1) -> None:
        data = len(text).to_bytes(4, "big") + text.encode()
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder, signed=True))
        beside = [rights] if descriptor >= 0 else []
        try:
            self._control.sendmsg([data], beside)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)


def _nothing() -> None:
    """What is done where namespaces do all."""


def main(
    arguments: list[str], settled: "Callable[[], None]" = _nothing, over: "Callable[[], None]" = _nothing
) -> None:
    """Arguments: the descriptor of the socket, user, group, then limits as kind=value.

    `settled` is called before the first request, with the rights that are left; `over` when nobody can ask any more.
    """
    control, uid, gid = (int(each) for each in arguments[:3])
    limits = {int(kind): int(value) for kind, _, value in (each.partition("=") for each in arguments[3:])}
    os.closerange(3, control)
    os.closerange(max(3, control + 1), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    worsen()
    _settle(uid, gid, limits)
    settled()
    _Executor(control).serve()
    over()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
