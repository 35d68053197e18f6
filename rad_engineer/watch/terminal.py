"""Everything that needs Rich: draws the lines of a frame in place, at the foot of the terminal."""

import atexit
import io
import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Literal

from rich.console import Console
from rich.text import Text

from rad_engineer.core.printable import width
from rad_engineer.watch.board import Line
from rad_engineer.watch.output import Output

_ColourSystem = Literal["standard", "256", "truecolor"]
_COLOURS: dict[str, _ColourSystem] = {"standard": "standard", "256": "256", "truecolor": "truecolor"}
_WIDEST = 1000
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_TO_END = "\x1b[K"  # clears the rest of the line
_BELOW = "\x1b[J"  # clears everything below


class Screen:
    """A block of lines that is replaced in place; what is printed above it scrolls away as usual.

    The block is remembered as it was drawn: when the terminal has become narrower its lines have wrapped, and the
    way back to its first row is longer.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._console = Console(file=out.stream, highlight=False, markup=False, emoji=False)
        # Lines are rendered into memory: Rich ends the whole program when what it prints to has gone.
        self._paper = io.StringIO()
        self._pen = Console(
            file=self._paper,
            force_terminal=self._console.is_terminal,
            color_system=_COLOURS.get(self._console.color_system or ""),
            no_color=self._console.no_color,
            width=_WIDEST,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._drawn: list[int] = []  # widths of the lines on the screen
        self._hidden = False
        self._writing = False
        self._held: int | None = None  # a signal that came while we wrote

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows as they are now."""
        size = self._console.size
        return max(size.width, 20), max(size.height, 4)

    def draw(self, lines: Sequence[Line]) -> None:
        """Replaces the block."""
        columns, _ = self.size
        text = [self._render(line) for line in lines]
        body = "\n".join(line + _TO_END for line in text)
        start = self._back(columns)
        if not self._hidden:
            start = _HIDE + start
            self._hidden = True  # before it is: a signal may come at any moment
            atexit.register(self.close)
            if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
                signal.signal(signal.SIGTSTP, self._suspend)
        self._drawn = [sum(width(piece) for piece, _ in line) for line in lines]
        self._write(f"{start}{body}{_BELOW}")

    def print_above(self, text: str) -> None:
        """Prints text where the block stood; the block has to be drawn again."""
        columns, _ = self.size
        self._write(f"{self._back(columns)}{_BELOW}{text}\n")
        self._drawn = []

    def close(self) -> None:
        """Takes the block away and gives the cursor back."""
        columns, _ = self.size
        atexit.unregister(self.close)
        if signal.getsignal(signal.SIGTSTP) == self._suspend:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        if self._drawn or self._hidden:
            self._write(f"{self._back(columns)}{_BELOW}{_SHOW}")
        self._drawn, self._hidden = [], False

    def _suspend(self, number: int, _frame: FrameType | None) -> None:
        """^Z: the shell gets its cursor; when it brings us back, the next frame is drawn where we are then."""
        if self._writing:  # nobody may write into the middle of that
            self._held = number
            return
        self.close()
        os.kill(os.getpid(), number)

    def _write(self, text: str) -> None:
        self._writing = True
        self._out.write(text)
        self._writing = False
        if self._held is not None:
            number, self._held = self._held, None
            self._suspend(number, None)

    def _back(self, columns: int) -> str:
        """From the end of the block to the start of its first row."""
        rows = sum(max(1, -(-used // columns)) for used in self._drawn)
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "")

    def _render(self, line: Line) -> str:
        text = Text.assemble(*((piece, style) for piece, style in line if piece), no_wrap=True)
        self._pen.print(text, end="", soft_wrap=True)
        rendered = self._paper.getvalue()
        self._paper.seek(0)
        self._paper.truncate()
        return rendered
