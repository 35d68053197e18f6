"""The small process that workers are forked from, and that ends whatever they or the coordinator leave behind.

It is forked at program start, before anything heavy is imported, and imports the workers' code itself meanwhile.
It has one thread only, a session of its own (a terminal's ^C does not reach it) and is a subreaper. When the
coordinator's end of its channel closes, for whatever reason, it ends everything below it and then itself.
"""

import gc
import importlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from rad_engineer import process
from rad_engineer.engines.channel import Channel, ChannelClosed, Frames, encode
from rad_engineer.errors import CannotWrite

Serve = Callable[[Channel], None]

STARVED = int(CannotWrite.exit_code)
"""How a process ends that had no memory left."""
_WORKERS_END = 0.5  # seconds that workers may use to write down what has already happened
_SHIELDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_MOST_DESCRIPTORS = 16


class Zygote:
    """The coordinator's end."""

    def __init__(
        self, pid: int, control: socket.socket, entry: str, env: Mapping[str, str], preloaded: str = ""
    ) -> None:
        self.pid = pid
        self.control = control
        self.entry = entry
        self.env = dict(env)
        self.preloaded = preloaded
        self._frames = Frames()

    def fork(self, serial: int, connection: socket.socket, env: Mapping[str, str]) -> None:
        """Asks for a worker on that connection, with these variables on top of the environment."""
        frame = encode({"fork": serial, "env": dict(env)})
        sent = socket.send_fds(self.control, [frame], [connection.fileno()])
        self.control.sendall(frame[sent:])

    def preload(self, prepare: str) -> None:
        """Has `prepare`, "module:function", done once before the next fork: all workers to come are ready so."""
        self.preloaded = prepare
        self.control.sendall(encode({"preload": prepare}))

    def kill(self, serial: int) -> None:
        """Asks for that worker to be killed, with everything below it."""
        self.control.sendall(encode({"kill": serial}))

    def receive(self) -> tuple[list[dict[str, Any]], bool]:
        """What has ended since, without waiting, and whether the zygote is still there."""
        ended: list[dict[str, Any]] = []
        while True:
            try:
                data = self.control.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return ended, True
            except ConnectionResetError:
                return ended, False
            if not data:
                return ended, False
            ended += self._frames.feed(data)


def start_zygote(entry: str, env: Mapping[str, str]) -> Zygote:
    """Forks the zygote of workers that run `entry`, "module:function"; call it early, while we are small.

    `env` becomes the workers' whole environment.
    """
    if threading.active_count() > 1:  # a fork would copy locks that other threads hold
        return exec_zygote(entry, env)
    _fill_standard_descriptors()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed before we were started, or meanwhile
            stream.flush()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        with _EndOfProcess():
            ours.close()
            _live(theirs, entry, env)
    theirs.close()
    return Zygote(pid, ours, entry, env)


def exec_zygote(entry: str, env: Mapping[str, str], preloaded: str = "") -> Zygote:
    """Starts the zygote as a new program: slower, but independent of how large this process has become."""
    ours, theirs = socket.socketpair()
    # -P: neither the current directory nor anything in it may be taken for a module of ours
    argv = [sys.executable, "-P", "-m", "rad_engineer.engines.zygote", str(theirs.fileno())]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *(part for part in sys.path if part)])
    mark = {process.MARK: env[process.MARK]} if process.MARK in env else {}
    child = process.start(argv, env={**os.environ, **mark, "PYTHONPATH": path}, pass_fds=[theirs.fileno()])
    child.returncode = 0  # waited for by pid, as a forked one is
    theirs.close()
    with suppress(
        BrokenPipeError, ConnectionResetError
    ):  # it has died already: whoever wants a worker will see
        ours.sendall(encode({"entry": entry, "env": dict(env)}))
        if preloaded:
            ours.sendall(encode({"preload": preloaded}))
    return Zygote(child.pid, ours, entry, env, preloaded)


class _EndOfProcess:
    """A forked process ends here: it must never return into the program it was forked from."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = 0
        if isinstance(value, MemoryError):
            status = STARVED  # whoever waits for it says so
        elif kind is not None and value is not None:
            sys.excepthook(kind, value, trace)
            status = 1
        with suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()
        os._exit(status)


def _fill_standard_descriptors() -> None:
    """A program started with some of 0, 1 and 2 closed must not use these numbers for anything else."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # kept open
        pass
    os.close(descriptor)


def _live(control: socket.socket, entry: str, env: Mapping[str, str]) -> None:
    wake = _settle_down(env)
    module, _, name = entry.partition(":")
    serve: Serve = getattr(importlib.import_module(module), name)
    gc.collect()
    gc.freeze()  # what is here now is shared with all workers as long as nobody touches it
    worker = _Family(control, wake).serve_requests()
    if worker is not None:
        _work(*worker, serve)


def _settle_down(env: Mapping[str, str]) -> int:
    """Leaves the terminal and its signals; returns the descriptor that tells of ended children."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    process.become_subreaper()
    os.environ.clear()
    os.environ.update(env)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # stdout is the coordinator's: data goes there
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*_SHIELDED, signal.SIGCHLD):
        signal.signal(number, _take_note)  # not SIG_IGN: that would be inherited by everything started below
    return reader


def _preload(prepare: str) -> None:
    """Does what every worker would have to do; where it is not installed, the workers that need it will say so."""
    module, _, name = prepare.partition(":")
    with suppress(ImportError):
        getattr(importlib.import_module(module), name)()
    gc.collect()
    gc.freeze()


def _take_note(_number: int, _frame: object) -> None:
    """Lets the signal interrupt nothing; the wake-up descriptor has been written to."""


class _Family:
    """The workers, by pid, in the zygote."""

    def __init__(self, control: socket.socket, wake: int) -> None:
        self._control = control
        self._wake = wake
        self._serials: dict[int, int] = {}
        self._well: set[int] = set()  # orphans that had ended with status 0, not reported yet
        self._frames = Frames()
        self._connections: list[int] = []

    def serve_requests(self) -> tuple[socket.socket, dict[str, str]] | None:
        """Forks, kills and reports until the coordinator is gone; in a forked worker, returns what it needs."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        there = True
        while there:
            self._bury()
            for descriptor, _ in poller.poll():
                if descriptor == self._wake:
                    self._drain_wake()
                    continue
                requests = self._receive()
                there = requests is not None
                for request in requests or ():
                    worker = self._obey(request)
                    if worker is not None:
                        return worker
        self._end(poller)
        return None

    def _receive(self) -> list[dict[str, Any]] | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(
                self._control, 1 << 16, _MOST_DESCRIPTORS, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
            )
        except ConnectionResetError:
            return None
        self._connections += descriptors
        return self._frames.feed(data) if data else None

    def _obey(self, request: dict[str, Any]) -> tuple[socket.socket, dict[str, str]] | None:
        if "kill" in request:
            for pid, serial in self._serials.items():
                if serial == request["kill"]:
                    os.kill(pid, signal.SIGKILL)
            return None
        if "preload" in request:
            _preload(request["preload"])
            return None
        connection = socket.socket(fileno=self._connections.pop(0))
        try:
            pid = os.fork()
        except OSError as error:
            connection.close()
            self._report(request["fork"], None, str(error))
            return None
        if pid == 0:
            self._leave()
            return connection, request["env"]
        connection.close()
        self._serials[pid] = request["fork"]
        return None

    def _leave(self) -> None:
        """In a new worker: forgets what is the zygote's."""
        writer = signal.set_wakeup_fd(-1)
        for descriptor in (writer, self._wake, *self._connections):
            os.close(descriptor)
        self._control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _bury(self) -> None:
        """Collects ended workers; what they leave behind ends before anybody hears of it.

        What had ended by itself is told with them: nobody but us knows how a dead worker's agent ended.
        """
        ended = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if os.WIFSTOPPED(status):
                if pid in self._serials:  # an agent can stop its worker, and with it every limit
                    os.kill(pid, signal.SIGCONT)
            elif pid in self._serials:
                ended.append((self._serials.pop(pid), os.waitstatus_to_exitcode(status)))
            elif status == 0:
                self._well.add(pid)
        if ended:
            process.kill_descendants(keep=self._serials.keys(), well=self._well)
        for serial, code in ended:
            self._report(serial, code)

    def _report(self, serial: int, status: int | None, error: str = "") -> None:
        report = {"ended": serial, "status": status, "error": error, "well": sorted(self._well)}
        self._well.clear()
        try:
            self._control.sendall(encode(report))
        except (BrokenPipeError, ConnectionResetError):
            return  # the loop will notice

    def _drain_wake(self) -> None:
        try:
            while os.read(self._wake, 4096):
                pass
        except BlockingIOError:
            return

    def _end(self, poller: "select.poll") -> None:
        """Nobody is there any more: workers may write down what has happened, then all that is left is killed."""
        poller.unregister(self._control)
        until = time.monotonic() + _WORKERS_END
        while process.has_children() and (left := until - time.monotonic()) > 0:
            poller.poll(left * 1000)
            self._drain_wake()
            self._bury()
        process.kill_descendants()


def _work(connection: socket.socket, env: Mapping[str, str], serve: Serve) -> None:
    gc.enable()
    process.become_subreaper()
    os.environ.update(env)
    channel = Channel(connection)
    with suppress(ChannelClosed):
        channel.send({"pid": os.getpid()})
        serve(channel)


def main() -> None:
    """Runs a zygote that was started as a program of its own; its channel is the descriptor in the argument."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    with _EndOfProcess():
        start = Channel(control).receive()
        _live(control, start["entry"], start["env"])


if __name__ == "__main__":
    main()
