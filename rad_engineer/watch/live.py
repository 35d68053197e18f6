"""The live view of a run on a terminal: redrawn at most eight times a second, and only when something has changed."""

import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

from rad_engineer import logs
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.watch.board import Board
from rad_engineer.watch.output import Output

if TYPE_CHECKING:
    from rad_engineer.core.graph import Graph
    from rad_engineer.watch.terminal import Screen

_INTERVAL = 0.125
_SHARE = 0.05  # of the time may go into drawing
_FIRST = 0.3  # seconds before the first frame: a run that is over by then needs none
_CLOCK = 1.0  # seconds after which running clocks alone are worth a frame


class LiveView:
    """Board and screen together; Rich is loaded for the first frame, when the first stories are already at work."""

    def __init__(
        self, graph: "Graph", checkpoint: Checkpoint | None = None, *, jobs: int = 1,
        stream: TextIO | None = None, result: TextIO | None = None,
    ) -> None:  # fmt: skip
        self._board = Board(graph, checkpoint, jobs=jobs)
        self._err = Output(stream or sys.stderr)
        self._out = Output(result or sys.stdout)
        self._screen: Screen | None = None
        self._changed = True
        self._opened_at: float | None = None
        self._drawn_at = 0.0
        self._pause = _INTERVAL
        self._size = (0, 0)

    def on_event(self, event: Event, checkpoint: Checkpoint) -> None:
        """Takes it in; the next tick shows it."""
        self._board.on_event(event, checkpoint)
        self._changed = True

    def on_output(self, story: str, line: str) -> None:
        """Keeps the line; the next tick shows it."""
        self._board.on_output(story, line)
        self._changed = True

    def tick(self, now: float) -> None:
        """Draws when something has changed and the last frame is old enough."""
        if self._opened_at is None:
            self._opened_at = now
        if self._screen is None:
            if now - self._opened_at < _FIRST:
                return
            self._screen = self._open()
        since = now - self._drawn_at
        if 0 <= since < self._pause:
            return
        size = self._screen.size
        if not (self._changed or size != self._size or (self._board.running and since >= _CLOCK)):
            return
        self._draw(self._screen, now, size)

    def echo(self, line: str) -> None:
        """Prints a line of the log above the view."""
        if self._screen is None:
            self._err.line(line)
        else:
            self._screen.print_above(line)
            self._changed = True

    def close(self, summary: str = "") -> None:
        """Takes the view away and prints the summary."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
            logs.echo_to(None)
        if summary:
            self._out.write(summary if summary.endswith("\n") else summary + "\n")

    def _open(self) -> "Screen":
        from rad_engineer.watch.terminal import Screen  # noqa: PLC0415 - 50 ms that the first child need not wait for

        logs.echo_to(self.echo)
        return Screen(self._err)

    def _draw(self, screen: "Screen", now: float, size: tuple[int, int]) -> None:
        began = time.perf_counter()
        columns, rows = size
        screen.draw(self._board.frame(now, columns - 1, rows - 1))
        self._pause = max(_INTERVAL, (time.perf_counter() - began) / _SHARE)
        self._drawn_at, self._changed, self._size = now, False, size


def possible(stream: TextIO | None = None) -> bool:
    """Whether a live view makes sense here: a terminal that can move its cursor."""
    try:
        tty = (stream or sys.stderr).isatty()
    except ValueError:
        return False
    return tty and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
