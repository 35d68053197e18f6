"""One child process while it runs: its output, its limits, and the end of its whole tree."""

import os
import select
import signal
import time
from collections.abc import Callable

from rad_engineer.process.child import Running
from rad_engineer.process.command_tree import CommandTree
from rad_engineer.process.limits import Limits, Reason, Rhythm, broken
from rad_engineer.process.output import Output

_SETTLE = 0.1  # what a command leaves behind may finish its last write for so long
_LOST_GRACE = 0.3  # whoever could cancel us is gone: everything must be over within a second
_FLOOD_GRACE = 0.5
_KILL_EVERY = 0.05
_GIVE_UP = 10.0  # what outlives SIGKILL that long hangs in the kernel
_LINE_EVERY = 0.2
_CHUNK = 1 << 16
_NEVER = float("inf")


class Watch:
    """A poll loop over the child's pidfd, the pipe it writes to and the descriptor that cancels it."""

    def __init__(
        self,
        child: Running,
        pipe: int,
        output: Output,
        limits: Limits,
        tree: CommandTree,
        on_line: Callable[[str], None] | None,
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        self.reason: Reason = "exited"
        self._child = child
        self._pipe: int | None = pipe
        self._output = output
        self._limits = limits
        self._tree = tree
        self._on_line = on_line
        self._on_exit = on_exit
        self._told = ""
        self._to_tell = False
        self._tell_at = 0.0
        self._started = self._active = time.monotonic()
        self._rhythm = Rhythm() if limits.counts else None
        self._kill_at = _NEVER
        self._give_up_at = _NEVER
        self._ended = False
        self._poller = select.poll()
        self._pidfd = child.pidfd()
        if self._pidfd is not None:
            self._poller.register(self._pidfd, select.POLLIN)
        os.set_blocking(pipe, False)
        self._poller.register(pipe, select.POLLIN)

    def until_end(self, cancel: int | None) -> None:
        """Waits until the main process has ended, by itself or by force, and nothing of it is left."""
        for descriptor in (cancel, self._limits.until):
            if descriptor is not None:
                self._poller.register(descriptor, select.POLLIN)
        while not self._ended:
            self._turn(self._wait())
            if self._pidfd is None and self._child.poll() is not None:
                self._ended = True
            now = time.monotonic()
            if now > self._give_up_at:
                return
            if not self._ended:
                self._keep_limits(now)
        self._clear_away()
        while self._read():
            pass
        self._tell(_NEVER)

    def close(self) -> None:
        """Leaves nothing, whatever has happened."""
        if self._child.returncode is None:
            self._tree.signal(self._child.pid, signal.SIGKILL)
            if time.monotonic() <= self._give_up_at:
                self._child.wait()
        self._tree.kill()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._close_pipe()

    def _turn(self, timeout: float | None) -> None:
        for descriptor, flags in self._poller.poll(timeout):
            if descriptor == self._pipe:
                self._read()
            elif descriptor == self._pidfd:
                self._poller.unregister(descriptor)
                self._ended = True
            elif descriptor == self._limits.until:
                self._poller.unregister(descriptor)
                self._stop("cancelled", min(_FLOOD_GRACE, self._limits.grace))
            elif flags & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self._poller.unregister(descriptor)
                self._stop("cancelled", _LOST_GRACE)
            else:
                self._poller.modify(descriptor, 0)  # from now on only: is the far end still there?
                self._stop("cancelled", self._limits.grace)
        if self._to_tell:
            self._tell(time.monotonic())

    def _read(self) -> bool:
        if self._pipe is None:
            return False
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._close_pipe()
            return False
        self._active = time.monotonic()
        self._output.add(data)
        self._to_tell = self._on_line is not None
        if self._output.size > self._limits.output_bytes:
            self._stop("flooded", min(_FLOOD_GRACE, self._limits.grace))
            self._close_pipe()
        return True

    def _wait(self) -> float | None:
        """Milliseconds until something has to be looked at."""
        at = self._kill_at
        if at == _NEVER:
            limits = self._limits
            if limits.seconds is not None:
                at = self._started + limits.seconds
            if limits.idle is not None:
                at = min(at, self._active + limits.idle)
            if self._rhythm is not None:
                at = min(at, self._rhythm.next)
        if self._to_tell:
            at = min(at, self._tell_at)
        if self._pidfd is None:  # no pidfd (macOS, untested there): look every 20 ms
            at = min(at, time.monotonic() + 0.02)
        return None if at == _NEVER else max(0.0, at - time.monotonic()) * 1000

    def _keep_limits(self, now: float) -> None:
        limits = self._limits
        if self._kill_at != _NEVER:
            if now >= self._kill_at:
                self._give_up_at = min(self._give_up_at, now + _GIVE_UP)
                self._kill_at = now + _KILL_EVERY
                self._tree.signal(self._child.pid, signal.SIGKILL)
        elif limits.seconds is not None and now >= self._started + limits.seconds:
            self._stop("timeout", limits.grace)
        elif limits.idle is not None and now >= self._active + limits.idle:
            self._stop("idle", limits.grace)
        elif self._rhythm is not None and now >= self._rhythm.next:
            exhausted = broken(self._tree.usage(self._child.pid, limits), limits)
            if exhausted is not None:
                self._stop(exhausted, 0.0)
            self._rhythm.looked()

    def _stop(self, reason: Reason, grace: float) -> None:
        """Asks the tree to end, once, where it has a grace; a later reason can only shorten that."""
        kill_at = time.monotonic() + grace
        if self._kill_at == _NEVER and (not self._ended or reason == "flooded"):
            self.reason = reason
            if not self._ended and grace > 0:
                self._tree.signal(self._child.pid, signal.SIGTERM)
        self._kill_at = min(self._kill_at, kill_at)

    def _clear_away(self) -> None:
        """Ends what the main process has left behind; it may finish its last write or use up the grace."""
        self._tree.orphaned(self._child.pid)
        code = self._child.peek()
        if self._on_exit is not None and self.reason == "exited" and code is not None:
            self._on_exit(code)
        self._child.wait()
        until = min(self._kill_at, time.monotonic() + (_SETTLE if self.reason == "exited" else _NEVER))
        pause = 0.001
        while (left := until - time.monotonic()) > 0 and self._tree.left():
            self._turn(min(pause, left) * 1000)
            pause = min(pause * 2, 0.02)
        self._tree.kill()

    def _tell(self, now: float) -> None:
        if self._on_line is None or not self._to_tell or now < self._tell_at:
            return
        self._to_tell = False
        self._tell_at = time.monotonic() + _LINE_EVERY
        line = self._output.last_line()
        if line and line != self._told:
            self._told = line
            self._on_line(line)

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            self._poller.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = None
