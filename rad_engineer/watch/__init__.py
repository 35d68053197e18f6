"""Who looks on: everybody here is handed (event, checkpoint) or reads the run directory, and never sees the runner."""

from typing import Protocol

from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event


class View(Protocol):
    """A face of a run. No call raises because of a closed pipe or a terminal that has gone."""

    def on_event(self, event: Event, checkpoint: Checkpoint) -> None:
        """Something happened; the checkpoint has it folded in."""

    def on_output(self, story: str, line: str) -> None:
        """A story (by key) printed a line."""

    def tick(self, now: float) -> None:
        """Time passes (seconds since the epoch); called a few times a second."""

    def close(self, summary: str = "") -> None:
        """The run is over: give the terminal back and show the summary."""
