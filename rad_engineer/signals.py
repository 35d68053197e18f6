"""Signals as something a loop can wait on."""

import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

from rad_engineer.errors import ExitCode, Stopped

_CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}


@contextmanager
def unwinding() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as ^C does, once: what it has begun is cleaned up. One that is ignored stays so."""
    asked = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> None:
        for each in asked:
            signal.signal(each, signal.SIG_IGN)  # nobody is helped by a clean-up that is cut off
        raise Stopped(_CODES[signal.Signals(number)])

    for each in asked:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in asked:
            signal.signal(each, signal.SIG_DFL)


class Stop(AbstractContextManager["Stop"]):
    """Signals as a descriptor to wait on: the first one drains the run, the second one stops it at once.

    A SIGHUP that is ignored stays so: that is what `nohup` asks for.
    """

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._before: dict[signal.Signals, Any] = {}

    def fileno(self) -> int:
        """Becomes readable when a signal has come."""
        return self._read.fileno()

    def __enter__(self) -> Self:
        for number in _CODES:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            # Whoever has asked us to stop does not want what is left to be cut off: it takes no time.
            signal.signal(number, signal.SIG_IGN if self.received else handler)
        self._read.close()
        self._write.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(signal.Signals(number))

    def drain(self) -> None:
        """Empties the descriptor."""
        with suppress(BlockingIOError):
            while self._read.recv(64):
                pass

    @property
    def exit_code(self) -> ExitCode:
        """What the first signal means for the command."""
        return _CODES[self.received[0]]
