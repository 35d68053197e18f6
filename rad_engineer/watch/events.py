"""The view for programs: one JSON event per line on stdout."""

import json
import sys
from typing import TextIO

from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.watch.output import Output


class EventStream:
    """`run --json` and `resume --json`: every event as it is journalled, flushed at once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._out = Output(stream or sys.stdout)

    def on_event(self, event: Event, _checkpoint: Checkpoint) -> None:
        """Prints the event; keys and their order are those of the journal."""
        if not self._out.closed:
            self._out.line(json.dumps(event.to_json(), separators=(",", ":"), ensure_ascii=True))

    def on_output(self, _story: str, _line: str) -> None:
        """Says nothing: output is in the logs."""

    def tick(self, _now: float) -> None:
        """Says nothing."""

    def close(self, _summary: str = "") -> None:
        """Says nothing: the last event was run_finished."""
