"""One set of namespaces, seen from the host: its executor is asked to start programs, and all ends with its init.

The socket to the executor is the life of the box: it ends when the socket does, whatever became of this process.
The box is over when its init is, which the kernel says only after the last process in it has gone.
"""

import array
import json
import os
import select
import signal
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rad_engineer import timings
from rad_engineer.errors import RadError
from rad_engineer.process.child import Child
from rad_engineer.process.limits import Limits, Usage
from rad_engineer.process.tree import children, descendants, group_of, living, signal_tree
from rad_engineer.sandbox.meter import Meter

_STARTS = 30.0  # seconds; a machine under load takes one
_GIVE_UP = 30.0  # what outlives SIGKILL that long hangs in the kernel
_MANY = 300  # processes: one by one that takes too long
_ROUNDS = 5  # a command that starts processes faster than they can be found takes the whole box with it
_KILLED = -signal.SIGKILL
_CHUNK = 1 << 16


class BoxFailed(RadError):
    """The box could not be started, or did not end."""


class BoxKilled(BoxFailed):
    """It ended before it answered and did not say why: somebody, or a kernel without memory, has ended it."""


class Namespace:
    """What bubblewrap has made, and the executor in it. Not for threads."""

    def __init__(self, child: Child, control: socket.socket, errors: int, ports: Sequence[int] = ()) -> None:
        self.init = 0
        """The pid that the executor has on the host."""
        self._child = child
        self._control = control
        self._errors = errors
        self._pidfd = -1
        self._buffer = b""
        self._descriptors: list[int] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._serial = 0
        self._gone = False
        self._ports = ports
        self._listeners: list[socket.socket] = []
        for port in ports:  # answered when it is ready
            self._send({"listen": port})

    def listeners(self) -> list[socket.socket]:
        """What listens inside on the ports asked for, in their order; whoever takes them closes them."""
        self.ready()
        taken, self._listeners = self._listeners, []
        return taken

    def ready(self) -> None:
        """Waits until it can be asked; raises BoxFailed."""
        if self._pidfd < 0:
            with timings.part("box"):
                self._begin()

    def _begin(self) -> None:
        until = time.monotonic() + _STARTS
        while len(self._descriptors) <= len(self._ports):
            if not (self._heard(until) and self._receive(None)):
                killed = self._gone and not self._said()
                why = self._said() or "it did not answer"
                self.close()
                failed = BoxKilled if killed else BoxFailed
                raise failed(f"the sandbox cannot be started: {why}", hint=_HINT)
        self._pidfd, *listening = self._descriptors
        self._descriptors.clear()
        self._listeners = [socket.socket(fileno=each) for each in listening]
        self.init = _pid_of(self._pidfd)

    def allow(self, tasks: int) -> None:
        """How many processes and threads there may be from now on; what multiplies is held up until it is counted."""
        self.ready()
        self._send({"tasks": tasks})

    def spawn(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        descriptors: tuple[int, int, int],
        record: int | None = None,
    ) -> "Inhabitant":
        """Starts a program inside, which writes its exit status to `record`; raises OSError as starting it here would."""
        tree = BoxTree(self, keep=False)
        self._serial += 1
        number = self._serial
        answer = None
        asked = {"id": number, "argv": list(argv), "cwd": cwd, "env": dict(env)}
        try:
            if record is None:
                self._send(asked, descriptors)
            else:
                self._send({**asked, "record": True}, (*descriptors, record))
            while number not in self._answers:
                if not self._receive(None):
                    raise BoxKilled("the sandbox has ended by itself: what is in it was killed")
            answer = self._answers.pop(number)
        finally:
            if answer is None:  # nobody will ever take what is still on its way
                self.close()
        if "error" in answer:
            raise OSError(answer["error"], os.strerror(answer["error"]), argv[0])
        pidfd = self._descriptors.pop(0)
        pid = _pid_of(pidfd)
        self._send({"seen": number})
        return Inhabitant(self, number, (pid, pidfd), tree)

    def status(self, number: int, *, block: bool) -> int | None:
        """How a program has ended, as `os.waitstatus_to_exitcode` has it; killed, when the box is gone."""
        while number not in self._answers:
            if self._gone or not self._receive(None if block else 0.0):
                if self._gone:
                    return _KILLED
                if not block:
                    return None
        return os.waitstatus_to_exitcode(self._answers.pop(number)["status"])

    def residents(self) -> list[int]:
        """The children of its init that run, as the host counts them."""
        if self._gone or not self.init:
            return []
        found = children(self.init)
        return found if len(found) > _MANY else living(found)

    def alive(self) -> bool:
        """Whether it can still be asked."""
        if self._pidfd >= 0 and not self._gone:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            self._gone = bool(poller.poll(0))
        return not self._gone

    def close(self) -> None:
        """Ends everything in it; raises BoxFailed when something hangs in the kernel."""
        if self._errors < 0:
            return
        self._gone = True
        self._control.close()
        for listener in self._listeners:
            listener.close()
        over = self._end()
        self._child.wait()
        for descriptor in (self._pidfd, self._errors, *self._descriptors):
            if descriptor >= 0:
                os.close(descriptor)
        self._pidfd = self._errors = -1
        self._descriptors.clear()
        if not over:
            raise BoxFailed(f"a process in the sandbox does not end (its init has pid {self.init})")

    def _end(self) -> bool:
        """Kills the init, or whatever is on its way to become it, and waits until it is gone."""
        beginning = () if self._pidfd >= 0 else (*descendants([self._child.pid])[1:], *self._orphans())
        pidfds = [os.dup(self._pidfd)] if self._pidfd >= 0 else _pidfds(beginning)
        for pidfd in pidfds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if self._pidfd < 0:
            with suppress(ProcessLookupError):
                os.kill(self._child.pid, signal.SIGKILL)
        until = time.monotonic() + _GIVE_UP
        over = True
        for pidfd in pidfds:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            over = bool(poller.poll(max(0.0, until - time.monotonic()) * 1000)) and over
            os.close(pidfd)
        return over

    def _orphans(self) -> list[int]:
        """What was on its way to become the init when the process outside was killed: it waits for that one for good."""
        errors, found = os.fstat(self._errors), []
        for pid in children(os.getpid()):
            with suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/2"), errors):  # noqa: PTH116 -- strings
                    found.append(pid)
        return found

    def _heard(self, until: float) -> bool:
        """Waits for the first words from inside; False when they cannot come any more, or have not by then."""
        outer = self._child.pidfd()
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        if outer is not None:
            poller.register(outer, select.POLLIN)
        heard = {descriptor for descriptor, _ in poller.poll(max(0.0, until - time.monotonic()) * 1000)}
        if outer is not None:
            os.close(outer)
        self._gone = bool(heard) and self._control.fileno() not in heard
        return self._control.fileno() in heard

    def _send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        text = json.dumps(message).encode()
        data = memoryview(len(text).to_bytes(4, "big") + text)
        beside = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        try:
            sent = self._control.sendmsg([data], beside)
            self._control.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            self._gone = True  # told where the answer is read

    def _receive(self, until: float | None) -> bool:
        """Takes the next that comes; False when nobody is there any more, or nothing has come by then."""
        if until is not None:
            poller = select.poll()
            poller.register(self._control, select.POLLIN)
            if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
                return False
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _CHUNK, 16, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            self._gone = True
            return False
        self._descriptors += descriptors
        self._buffer += data
        while len(self._buffer) >= 4:
            end = 4 + int.from_bytes(self._buffer[:4], "big")
            if len(self._buffer) < end:
                break
            answer = json.loads(self._buffer[4:end])
            self._buffer = self._buffer[end:]
            if "id" in answer:
                self._answers[answer["id"]] = answer
            elif "error" in answer:
                os.pwrite(self._errors, f"port {answer['port']}: {os.strerror(answer['error'])}".encode(), 0)
                self._gone = True
                return False
        return True

    def _said(self) -> str:
        text = os.pread(self._errors, 4096, 0).decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else ""


_HINT = "`rad-engineer doctor` says what works here; `--sandbox off` runs without, with all your rights"


class Inhabitant:
    """A program in a box. Its init buries it; how it ended is kept until somebody asks."""

    __slots__ = ("_namespace", "_number", "_pidfd", "_tree", "pid", "returncode")

    def __init__(self, namespace: Namespace, number: int, process: tuple[int, int], tree: "BoxTree") -> None:
        self.pid, self._pidfd = process
        self._tree = tree
        self.returncode: int | None = None
        self._namespace = namespace
        self._number = number

    def __del__(self) -> None:
        os.close(self._pidfd)

    def poll(self) -> int | None:
        """The exit code, negative after a signal; None while it runs."""
        return self._status(block=False)

    def peek(self) -> int | None:
        """Waits for the exit code."""
        return self._status(block=True)

    def wait(self) -> int:
        """Waits for the exit code."""
        code = self._status(block=True)
        return 0 if code is None else code

    def kill(self) -> None:
        """Ends it, everything below it, and what has detached itself from it."""
        self._tree.kill()

    def pidfd(self) -> int | None:
        """A descriptor that is readable when it has ended."""
        return os.dup(self._pidfd)

    def _status(self, *, block: bool) -> int | None:
        if self.returncode is None:
            self.returncode = self._namespace.status(self._number, block=block)
        return self.returncode


class BoxTree:
    """Everything that one command has started in a box: what its init has as children now and had not before."""

    def __init__(self, namespace: Namespace, *, keep: bool) -> None:
        namespace.ready()
        self._namespace = namespace
        self._meter: Meter | None = None
        self._before = frozenset(namespace.residents())
        self._keep = keep
        self._ending: Path | None = None

    def recorded(self, ending: Path | None) -> "BoxTree":
        """Itself; how a command ends that was told to end says nothing any more, and that file goes first."""
        self._ending = ending
        return self

    def signal(self, main: int, number: int) -> None:  # noqa: ARG002 -- the init finds it
        """Every process once; killing goes by group as well."""
        if self._ending is not None:
            self._ending.unlink(missing_ok=True)
        tree = descendants(self._roots(), _MANY)
        if len(tree) > _MANY:
            self._namespace.close()
            return
        groups = {group_of(pid) for pid in tree} & set(tree) if number == signal.SIGKILL else ()
        signal_tree(tree, number, groups)

    def usage(self, main: int, limits: Limits) -> Usage:  # noqa: ARG002 -- the same
        """What it uses, with what it has written."""
        if self._meter is None:
            raise AssertionError("whoever counts begins before the command")
        most = limits.processes
        tree = descendants(self._roots(), most)
        if (
            most is not None and len(tree) > most
        ):  # what they use says nothing more, and takes ever longer to find out
            return Usage(processes=len(tree))
        return self._meter.usage(tree, limits)

    def orphaned(self, main: int) -> None:
        """The init has it all."""

    def counted(self, disks: Collection[Path], memory_folders: Collection[str]) -> "BoxTree":
        """Itself, counting from now on."""
        self._meter = Meter(self._namespace.init, disks, memory_folders)
        return self

    def left(self) -> bool:
        """Whether anything of it runs."""
        return not self._keep and bool(self._roots())

    def kill(self) -> None:
        """Ends what is left of it; the whole box when that starts faster than it is found."""
        if self._keep:
            return
        pause = 0.0005
        for _ in range(_ROUNDS):
            if not self._roots():
                return
            self.signal(0, signal.SIGKILL)
            time.sleep(pause)
            pause *= 2
        if self._roots():
            self._namespace.close()

    def _roots(self) -> list[int]:
        return [pid for pid in self._namespace.residents() if pid not in self._before]


def _pid_of(pidfd: int) -> int:
    """The process that a descriptor from inside stands for, as it is called out here."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    return -1


def _pidfds(pids: Iterable[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found
