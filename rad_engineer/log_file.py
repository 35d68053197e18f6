"""The file of a log, and the thread that writes it: whoever logs waits for no disk and for no reader."""

import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

_FLUSH_SECONDS = 0.5
_FLUSH_BYTES = 64 * 1024
_RETRY_SECONDS = 5.0
_MOST_WAITING_BYTES = 8 << 20  # of what a disk that hangs has not taken
_PATIENCE = 2.0  # s for what is on its way when the log is closed


class Writer:
    """A thread that does what may block, in order; what it has not done when the log is closed is given up."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], object], int] | None] = SimpleQueue()
        self._room = _MOST_WAITING_BYTES
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def do(self, what: Callable[[], object], size: int) -> bool:
        """Queues it, if there is room for so many bytes; without a thread it is done at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be had
                self._thread = None
                what()
                return True
        with self._lock:
            if size > self._room:
                return False
            self._room -= size
        self._queue.put((what, size))
        return True

    def wait(self, seconds: float = _PATIENCE) -> bool:
        """Until everything queued so far is done, but not for ever."""
        done = threading.Event()
        return self.do(done.set, 0) and done.wait(seconds)

    def close(self) -> None:
        """Lets the thread end."""
        if self._thread is not None:
            self._queue.put(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            what, size = job
            with suppress(OSError, ValueError):  # a stderr that has gone ends nothing
                what()
            with self._lock:
                self._room += size


@dataclass(slots=True)
class LogFile:
    """run.log: written in batches, at once for warnings, by a thread; errors are counted, never raised.

    What the journal holds already, warnings as well, can wait for its batch.
    """

    path: Path
    writer: Writer
    handle: int | None = None
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    flushed_at: float = 0.0
    retry_at: float = 0.0
    lost: int = 0
    torn: bool = False

    def add(self, line: str, *, urgent: bool) -> None:
        """Takes a line for the next batch; an urgent one ends it."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        self.lines.append(data)
        self.size += len(data)
        if urgent or self.size >= _FLUSH_BYTES:
            self.flush(time.monotonic())
        else:
            self.flush_when_due(time.monotonic())

    def flush_when_due(self, now: float) -> None:
        """Hands over what has waited long enough."""
        if now - self.flushed_at >= _FLUSH_SECONDS:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Hands over what there is."""
        if not self.lines:
            return
        lines, size = self.lines, self.size
        self.lines, self.size, self.flushed_at = [], 0, now
        if not self.writer.do(lambda: self._put(lines), size):
            self.lost += len(lines)

    def _put(self, lines: list[bytes]) -> None:
        """Writes a batch, or counts it."""
        now, number = time.monotonic(), len(lines)
        if now < self.retry_at:
            self.lost += number
            return
        if self.lost:
            gap = json.dumps({"event": "log_gap", "level": "warning", "lost": self.lost}).encode() + b"\n"
            lines.insert(0, gap)
        if self.torn:
            lines.insert(0, b"\n")
        try:
            self._write(b"".join(lines))
        except OSError:
            self.lost += number
            self.retry_at = now + _RETRY_SECONDS
        else:
            self.lost = 0

    def _write(self, data: bytes) -> None:
        if self.handle is None:
            self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        view = memoryview(data)
        while view:
            written = os.write(self.handle, view)
            view = view[written:]
            self.torn = bool(view)

    def close(self) -> None:
        """Waits for what is on its way, but not for ever."""
        self.retry_at = 0.0
        self.flush(time.monotonic())
        if self.writer.wait() and self.handle is not None:
            with suppress(OSError):
                os.close(self.handle)
            self.handle = None
