"""What a child process writes: all of it counted and hashed, only its head, its tail and a bounded log kept.

What is kept has no secrets in it: a mark with the type and a short hash stands in the place of each. The hash of all, and
whoever is told every byte as it comes, have what was printed.
"""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer.errors import CannotWrite

if TYPE_CHECKING:
    from rad_engineer.core.secret_stream import Redactor

KEPT = 64 * 1024
"""How many bytes of the head, and how many of the tail, stay in memory."""

_SEEN = 4096  # bytes of the tail that the last line is looked for in
_LINE = 500  # characters of it that are shown
_BLANK = re.compile(rb"\s")
_NOTHING = hashlib.sha256().hexdigest()
_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # operating system command: window titles, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\|$)"  # device control and other strings
    r"|\x1b\[[0-?]*[ -/]*(?:[@-~]|$)"  # cursor, colour, erase
    r"|\x1b[ -/]*(?:[0-~]|$)"  # two-character escapes
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # also turns of direction
)


def plain(text: str) -> str:
    """The text without terminal control codes; tabs, line feeds and carriage returns stay."""
    return _CONTROL.sub("", text)


class Output:
    """Collects what comes out of the pipe; `limit` bounds the log file, memory is bounded in any case.

    Whoever has to see every byte is told with `on_data`, as they come.
    """

    __slots__ = (
        "_hash",
        "_head",
        "_log",
        "_logged",
        "_on_data",
        "_path",
        "_redactor",
        "_tail",
        "limit",
        "size",
    )

    def __init__(self, log: Path | None, limit: int, on_data: Callable[[bytes], None] | None = None) -> None:
        self.size = 0
        self.limit = limit
        self._path = log
        self._on_data = on_data
        self._log: int | None = None
        self._logged = 0
        self._head = b""
        self._tail = bytearray()
        self._hash = hashlib.sha256()
        self._redactor = _redactor()

    def add(self, data: bytes) -> None:
        """Takes the next bytes."""
        self.size += len(data)
        self._hash.update(data)
        if self._on_data is not None:
            self._on_data(data)
        if self._path is not None and self._logged < self.limit:
            self._write_log(data[: self.limit - self._logged])
        if len(self._head) < KEPT:
            room = KEPT - len(self._head)
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 4 * KEPT:  # cut rarely: each cut copies
            del self._tail[:-KEPT]

    def close(self) -> None:
        """Ends the log; when it could not hold everything, with the tail and how much is missing before it."""
        if self._log is None:
            return
        try:
            self._write_all(self._redactor.end())
            missing = self.size - self._logged
            if missing > 0:
                tail = _from_a_word(bytes(self._tail[-min(KEPT, missing) :]))
                self._write_all(_gap(missing - len(tail)) + _redacted(tail))
        finally:
            os.close(self._log)
            self._log = None

    def text(self) -> str:
        """Head and tail, with a line between them that says how much was left out."""
        tail = bytes(self._tail[-KEPT:])
        missing = self.size - len(self._head) - len(tail)
        if missing:
            end = _from_a_word(tail)
            missing += len(tail) - len(end)
            return (_redacted(self._head) + _gap(missing) + _redacted(end)).decode("utf-8", "replace")
        return _hidden((self._head + tail).decode("utf-8", "replace"))

    def sha256(self) -> str:
        """The hash of everything that came."""
        return self._hash.hexdigest() if self.size else _NOTHING

    def last_line(self) -> str:
        """The last line that shows anything, a partial one included, without terminal control codes."""
        seen = bytes(self._tail[-_SEEN:])
        if len(seen) < _SEEN:
            seen = self._head[-(_SEEN - len(seen)) :] + seen
        lines = re.split(r"[\r\n]+", plain(seen.decode("utf-8", "replace")))
        return next((_hidden(line.strip())[:_LINE] for line in reversed(lines) if line.strip()), "")

    def _write_log(self, data: bytes) -> None:
        if self._log is None and self._path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._log = os.open(self._path, flags, 0o600)
            except OSError as error:
                raise CannotWrite(f"{self._path}: {error.strerror}") from error
        self._write_all(self._redactor.feed(data))
        self._logged += len(data)

    def _write_all(self, data: bytes) -> None:
        if self._log is None:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._log, view) :]
        except OSError as error:
            raise CannotWrite(f"{self._path}: {error.strerror}") from error


def _redactor() -> "Redactor":
    from rad_engineer.core.secret_stream import Redactor  # noqa: PLC0415 - 4 ms, and `plan` or `status` run nothing

    return Redactor()


def _hidden(text: str) -> str:
    from rad_engineer.core.secret_rules import redacted  # noqa: PLC0415 - the same

    return redacted(text)


def _redacted(data: bytes) -> bytes:
    return _hidden(data.decode("latin-1")).encode("latin-1")


def _from_a_word(data: bytes) -> bytes:
    """Without its first word, which may be the end of a secret whose beginning is left out."""
    first = _BLANK.search(data[:_SEEN])
    return data[first.start() :] if first else data


def _gap(missing: int) -> bytes:
    return f"\n[... {missing} bytes left out ...]\n".encode()
