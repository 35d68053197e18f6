"""A stream that may go away: a closed pipe or a vanished terminal ends the writing, never the run."""

import os
import sys
from contextlib import suppress
from typing import TextIO


class Output:
    """Writes text and flushes it; after the first failure it is silent, and so is the interpreter's own last flush."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.closed = False

    def write(self, text: str) -> None:
        """Writes, unless nobody reads any more."""
        if self.closed:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except UnicodeEncodeError:
            encoding = self.stream.encoding or "ascii"
            self.write(text.encode(encoding, "replace").decode(encoding))
        except (OSError, ValueError):
            self.closed = True
            self._let_go()

    def flush(self) -> None:
        """Does nothing: everything has been flushed."""

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
        return not self.closed and self.stream.isatty()

    def line(self, text: str = "") -> None:
        """Writes one line."""
        self.write(text + "\n")

    def _let_go(self) -> None:
        """Points the descriptor at nothing: what is still buffered must not fail again when Python ends."""
        if self.stream not in (sys.stdout, sys.stderr):
            return
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.stream.fileno())
            os.close(nothing)
