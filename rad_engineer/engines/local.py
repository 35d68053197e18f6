"""Story runs on this machine: workers that are kept alive between jobs, and replaced when they die."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from rad_engineer import process, trail
from rad_engineer.engines.connection import Connection
from rad_engineer.engines.zygote import STARVED, Zygote, exec_zygote, start_zygote

__all__ = ["LocalEngine", "Message", "Zygote", "start_zygote"]

_CHUNK = 1 << 16
_MOST_RESTARTS = 5  # of the zygote without a single job done in between
_END = 2.0  # seconds that the zygote gets to end everything before it is ended itself
_GONE = (BrokenPipeError, ConnectionResetError)


Kind = Literal["event", "done", "died"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said of a job; `died`: its worker has, and after it all that it had started.

    `child_done` in its data: the child that the worker had named was killed by nobody, it had ended with status 0.
    """

    job: int
    kind: Kind
    data: Mapping[str, Any]


class LocalEngine:
    """The coordinator's side of all workers. Not for threads; no `process.run` beside it in the same process."""

    def __init__(
        self, zygote: Zygote, size: int, env: Mapping[str, str] | None = None, *, preload: str = ""
    ) -> None:
        process.become_subreaper()  # should the zygote be killed, its workers become ours and go on
        self._zygote: Zygote | None = None
        self._latest = zygote
        self._sessions = {zygote.pid}
        self._env = dict(env or {})
        self._restarts = 0
        self._serial = 0
        self._job = 0
        self._size = size
        self._idle = list(range(size - 1, -1, -1))  # a stack: who was free last is warm
        self._workers: dict[int, Connection] = {}
        self._by_serial: dict[int, Connection] = {}
        self._messages: list[Message] = []
        self._poller = select.poll()
        self._watched: dict[int, Callable[[], None] | None] = {}
        self._adopt(zygote)
        if preload:
            with suppress(*_GONE):  # the one after it is told
                zygote.preload(preload)

    @property
    def free(self) -> int:
        """How many jobs could be submitted now."""
        return len(self._idle)

    @property
    def busy(self) -> frozenset[int]:
        """The jobs that go on."""
        return frozenset(worker.job for worker in self._workers.values() if worker.job is not None)

    def submit(self, job: Mapping[str, Any]) -> int:
        """Gives a job to a free worker and returns the job's number, which no other job ever has.

        Not the worker's: that may have the next job before what it said of this one has been looked at.
        """
        if not self._idle:
            raise RuntimeError("no worker is free")
        self._job += 1
        number = self._idle.pop()
        self._give(self._workers.get(number) or self._fork(number), self._job, job)
        return self._job

    def send(self, job: int, message: Mapping[str, Any]) -> None:
        """Tells a worker something during its job, such as `{"cancel": true}`; afterwards nobody is told."""
        worker = self._worker_of(job)
        if worker is not None:
            self._send(worker, message)

    def kill(self, job: int) -> None:
        """Kills the worker that has the job, and all it has started; `died` follows."""
        worker = self._worker_of(job)
        if worker is not None:
            self._request_kill(worker)

    def poll(self, timeout: float | None, wake: Sequence[int] = ()) -> list[Message]:
        """Waits until a worker has something to say, a `wake` descriptor is readable, or the time is up."""
        until = None if timeout is None else time.monotonic() + timeout
        for descriptor in wake:
            if descriptor not in self._watched:
                self._watch(descriptor, None)
        woken = False
        while not self._messages and not woken:
            left = None if until is None else max(0.0, until - time.monotonic()) * 1000
            ready = self._poller.poll(left)
            if not ready and until is not None and time.monotonic() >= until:
                break
            woken = self._dispatch(ready)
        messages, self._messages = self._messages, []
        return messages

    def close(self, grace: float = 0.0) -> None:
        """Ends everything: running jobs are cancelled and get the grace, then nothing is left."""
        until = time.monotonic() + grace
        for job in self.busy if grace > 0 else ():
            self.send(job, {"cancel": True})
        while self.busy and (left := until - time.monotonic()) > 0:
            self.poll(left)
        for worker in list(self._by_serial.values()):
            if worker.pid is not None and worker.zygote is not self._zygote:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
            self._unwatch(worker.socket.fileno())
            worker.socket.close()
        self._workers.clear()
        self._by_serial.clear()
        if self._zygote is not None:
            self._end_zygote(self._zygote)
            self._zygote = None
        self._kill_strays(all_workers=True)

    def _dispatch(self, ready: Sequence[tuple[int, int]]) -> bool:
        woken = False
        for descriptor, flags in ready:
            if descriptor not in self._watched:
                continue  # closed by what was handled just before
            handle = self._watched[descriptor]
            if handle is None:
                woken = True
                if flags & select.POLLNVAL:
                    self._unwatch(descriptor)
            else:
                handle()
        return woken

    def _worker_of(self, job: int) -> Connection | None:
        return next((worker for worker in self._workers.values() if worker.job == job), None)

    def _give(self, worker: Connection, number: int, job: Mapping[str, Any]) -> None:
        worker.job = number
        if worker.pid is None:
            worker.first_job = job
        self._send(worker, job)

    def _fork(self, number: int) -> Connection:
        self._serial += 1
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            zygote = self._ask_for_worker(theirs)
        worker = Connection(number, self._serial, ours, zygote)
        self._workers[number] = self._by_serial[worker.serial] = worker
        self._watch(ours.fileno(), lambda: self._read(worker))
        return worker

    def _ask_for_worker(self, connection: socket.socket) -> Zygote:
        """Asks the zygote, or the one after it, and so on while they die."""
        while True:
            zygote = self._living_zygote()
            try:
                zygote.fork(self._serial, connection, self._env)
            except _GONE:
                self._lose_zygote()
            else:
                return zygote

    def _send(self, worker: Connection, message: Mapping[str, Any]) -> None:
        worker.send(message)
        self._watch_writing(worker)

    def _watch_writing(self, worker: Connection) -> None:
        if not worker.closed:
            wanted = select.POLLIN | select.POLLOUT if worker.unsent else select.POLLIN
            self._poller.modify(worker.socket, wanted)

    def _read(self, worker: Connection) -> None:
        """Takes what the worker has sent and sends what waits; at its end, sees to it that it is really gone."""
        for frame in worker.receive():
            self._take(worker, frame)
        if worker.unsent:
            worker.flush()
            self._watch_writing(worker)
        if worker.closed:
            self._unwatch(worker.socket.fileno())
            self._request_kill(worker)

    def _take(self, worker: Connection, frame: Mapping[str, Any]) -> None:
        if "pid" in frame:
            worker.pid = frame["pid"]
            trail.tell("spawn", what="worker", pid=worker.pid)
            worker.first_job = None
        elif "child" in frame:
            worker.child = frame["child"]
        elif "event" in frame:
            self._tell(worker, "event", frame["event"])
        elif "done" in frame:
            self._restarts = 0
            self._tell(worker, "done", frame["done"])

    def _tell(self, worker: Connection, kind: Kind, data: Mapping[str, Any]) -> None:
        if worker.job is None:
            return
        self._messages.append(Message(worker.job, kind, data))
        if kind != "event":
            worker.job = worker.child = None
            worker.child_done = False
            self._idle.append(worker.number)

    def _request_kill(self, worker: Connection) -> None:
        """The zygote answers that it has ended; without a zygote we are its parent ourselves."""
        if worker.zygote is self._zygote:
            try:
                worker.zygote.kill(worker.serial)
            except _GONE:
                self._lose_zygote()
        elif worker.closed:
            self._bury(worker)
        elif worker.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)

    def _bury(self, worker: Connection) -> None:
        """Ends a worker whose zygote is gone."""
        status = None
        if worker.pid is not None:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(worker.pid, signal.SIGKILL)
                status = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        self._kill_strays()
        self._forget(worker)
        if worker.pid is None and worker.job is not None and worker.first_job is not None:
            # It was never there, so nothing has been done.
            self._give(self._fork(worker.number), worker.job, worker.first_job)
        else:
            self._tell_death(worker, status)

    def _read_control(self) -> None:
        zygote = self._living_zygote()
        ended, there = zygote.receive()
        for report in ended:
            worker = self._by_serial.get(report["ended"])
            if worker is not None:
                self._end(worker, report)
        if not there:
            self._lose_zygote()

    def _end(self, worker: Connection, report: Mapping[str, Any]) -> None:
        """A worker has ended; it may have finished its job before."""
        for frame in worker.receive(everything=True):
            self._take(worker, frame)
        self._note_done(report["well"])
        self._forget(worker)
        self._tell_death(worker, report["status"], report["error"])

    def _tell_death(self, worker: Connection, status: int | None, error: str = "") -> None:
        data = {"status": status, "error": error, "child_done": worker.child_done}
        self._tell(worker, "died", data)

    def _note_done(self, pids: Collection[int]) -> None:
        """Children that dead workers have left, ended with status 0: whoever buried them may have died beside."""
        for worker in self._by_serial.values():
            worker.child_done = worker.child_done or worker.child in pids

    def _forget(self, worker: Connection) -> None:
        self._unwatch(worker.socket.fileno())
        worker.socket.close()
        worker.closed = True
        self._by_serial.pop(worker.serial, None)
        if self._workers.get(worker.number) is worker:
            del self._workers[worker.number]

    def _living_zygote(self) -> Zygote:
        if self._zygote is None:
            self._restarts += 1
            if self._restarts > _MOST_RESTARTS:
                raise RuntimeError("the process that starts the workers dies again and again")
            self._latest = exec_zygote(
                self._latest.entry, {**self._latest.env, **self._env}, self._latest.preloaded
            )
            self._adopt(self._latest)
        assert self._zygote is not None  # noqa: S101 -- just adopted
        return self._zygote

    def _adopt(self, zygote: Zygote) -> None:
        self._zygote = zygote
        self._sessions.add(zygote.pid)
        self._watch(zygote.control.fileno(), self._read_control)

    def _lose_zygote(self) -> None:
        """The zygote has died: its workers are ours now and go on, what else it had below it ends."""
        zygote, self._zygote = self._zygote, None
        if zygote is None:
            return
        ended, _ = zygote.receive()
        self._unwatch(zygote.control.fileno())
        zygote.control.close()
        status = os.waitstatus_to_exitcode(os.waitpid(zygote.pid, 0)[1])
        if status == STARVED:
            raise MemoryError("the process that starts the workers has none left")
        if status > 0:  # no signal: it cannot work, and would not work the next time
            raise RuntimeError(f"the process that starts the workers ended with exit code {status}")
        reports = {report["ended"]: report for report in ended}
        for worker in list(self._by_serial.values()):
            if worker.serial in reports:
                self._end(worker, reports[worker.serial])
            elif worker.closed:
                self._bury(worker)
        self._kill_strays()

    def _kill_strays(self, *, all_workers: bool = False) -> None:
        """Ends what dead workers and zygotes have left to us.

        Children in our own session are our own, as are those begun with `process.start`. A worker that has not
        told its pid yet is known by its zygote's session.
        """
        known = set(process.started())
        if self._zygote is not None:
            known.add(self._zygote.pid)
        sessions = {os.getsid(0)}
        if not all_workers:
            known |= {worker.pid for worker in self._by_serial.values() if worker.pid is not None}
            sessions |= self._sessions
        keep = {pid for pid in process.children(os.getpid()) if pid in known or _session(pid) in sessions}
        well: set[int] = set()
        process.kill_descendants(keep=keep, well=well)
        self._note_done(well)

    def _end_zygote(self, zygote: Zygote) -> None:
        self._unwatch(zygote.control.fileno())
        with suppress(OSError):
            zygote.control.shutdown(socket.SHUT_WR)
        zygote.control.settimeout(_END)
        try:
            while zygote.control.recv(_CHUNK):
                pass
        except TimeoutError:
            os.kill(zygote.pid, signal.SIGKILL)
        except ConnectionResetError:
            pass
        zygote.control.close()
        os.waitpid(zygote.pid, 0)

    def _watch(self, descriptor: int, handle: Callable[[], None] | None) -> None:
        self._watched[descriptor] = handle
        self._poller.register(descriptor, select.POLLIN)

    def _unwatch(self, descriptor: int) -> None:
        if descriptor in self._watched:
            del self._watched[descriptor]
            self._poller.unregister(descriptor)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
