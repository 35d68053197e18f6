"""The view for pipes, logs and --plain: a line per thing that matters, with the time since the start."""

import sys
import time
from collections import Counter
from typing import TextIO

from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.core.printable import cut, duration, one_line
from rad_engineer.watch.output import Output
from rad_engineer.watch.wording import ROUTINE, sentence

_BURST = 20  # routine lines a second before they are counted instead of told
_LIMIT = 200  # lines of any kind a second
_HEARTBEAT = 60.0  # seconds of silence before a sign of life
_WORDS = {"story_started": "started", "story_landed": "landed", "story_blocked": "blocked"}


class PlainView:
    """Lines on stderr; the summary on stdout."""

    def __init__(self, stream: TextIO | None = None, result: TextIO | None = None) -> None:
        self._err = Output(stream or sys.stderr)
        self._out = Output(result or sys.stdout)
        self._began: float | None = None
        self._second = 0
        self._told = 0
        self._left_out: Counter[str] = Counter()
        self._last_line_at = 0.0
        self._running: dict[str, float] = {}
        self._output: dict[str, str] = {}

    def on_event(self, event: Event, checkpoint: Checkpoint) -> None:
        """Tells it, or counts it when there are too many."""
        if self._began is None:
            self._began = event.at
            self._last_line_at = event.at
        self._keep_running(event)
        if int(event.at) != self._second:
            self._tell_left_out(event.at)
            self._second, self._told = int(event.at), 0
        text = sentence(event, checkpoint)
        if not text:
            return
        if self._told >= (_BURST if event.kind in ROUTINE else _LIMIT):
            self._left_out[_WORDS.get(event.kind, "other")] += 1
            return
        self._told += 1
        self._line(event.at, text)

    def on_output(self, story: str, line: str) -> None:
        """Keeps the line for the next sign of life."""
        self._output[story] = line

    def tick(self, now: float) -> None:
        """Tells what was only counted, and gives a sign of life when nothing has been told for a minute."""
        if self._began is None:
            return
        if int(now) != self._second:
            self._tell_left_out(now)
        if self._running and now - self._last_line_at >= _HEARTBEAT:
            self._heartbeat(now)

    def close(self, summary: str = "") -> None:
        """Prints the summary."""
        self._tell_left_out(self._last_line_at if self._began is not None else time.time())
        if summary:
            self._out.write(summary if summary.endswith("\n") else summary + "\n")

    def _keep_running(self, event: Event) -> None:
        if event.story is None:
            return
        if event.kind == "story_started":
            self._running[event.story] = event.at
        elif event.kind not in ("stage_finished", "gate_finished", "story_spent"):
            self._running.pop(event.story, None)
            self._output.pop(event.story, None)

    def _tell_left_out(self, now: float) -> None:
        if self._left_out:
            told = ", ".join(f"{number} {word}" for word, number in self._left_out.items())
            self._left_out.clear()
            self._line(now, f"… and {told}")

    def _heartbeat(self, now: float) -> None:
        told = [f"{one_line(key)} {duration(now - at)}" for key, at in list(self._running.items())[:4]]
        more = f" and {len(self._running) - 4} more" if len(self._running) > 4 else ""
        key = next(iter(self._running))
        last = cut(one_line(self._output.get(key, "")), 60)
        self._line(now, f"still running: {', '.join(told)}{more}" + (f" | {last}" if last else ""))

    def _line(self, now: float, text: str) -> None:
        self._last_line_at = now
        offset = max(0.0, now - (self._began if self._began is not None else now))
        self._err.line(f"[{duration(offset):>6}] {text}")
