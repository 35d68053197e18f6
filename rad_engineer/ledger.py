"""Write down, then fold, then show: the one way anything becomes true in a run."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rad_engineer import timings
from rad_engineer.core import audit as records
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.core.graph import Graph
from rad_engineer.store import Journal

if TYPE_CHECKING:
    from rad_engineer.audit import AuditLog


def steady(after: float) -> Callable[[], float]:
    """A clock that begins with the time of day, but not before `after`, and then only goes on.

    Whoever sets the machine's clock while a run goes on changes neither durations nor the order of events.
    """
    begin = max(time.time(), after) - _elapsed()
    return lambda: begin + _elapsed()


def _elapsed() -> float:
    """Seconds that have passed; where the system can tell, also those for which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Watcher(Protocol):
    """Who looks on while a run goes."""

    def on_event(self, event: Event, checkpoint: Checkpoint) -> None:
        """Is told what has just been written down."""

    def on_output(self, key: str, line: str) -> None:
        """Is told the last line a story's agent printed."""

    def tick(self, now: float) -> None:
        """Is asked to redraw, if it wants to."""


class Ledger:
    """The journal, the checkpoint folded from it, and those who look on, kept in step."""

    def __init__(
        self,
        graph: Graph,
        checkpoint: Checkpoint,
        journal: Journal,
        watchers: Sequence[Watcher],
        clock: Callable[[], float],
        *,
        hear: Callable[[Event], None] = lambda _event: None,
        timed: timings.Timings | None = None,
    ) -> None:
        self.graph = graph
        self.checkpoint = checkpoint
        self.journal = journal
        self.watchers = list(watchers)
        self.clock = clock
        self.hear = hear  # at once: what is started next is to know of it
        self.timed = timed
        self.traceparent: Callable[[str, int], str] = lambda _identity, _attempt: ""  # of an attempt's agent
        self.span: Callable[[Mapping[str, Any]], None] = lambda _span: None  # takes what a worker has done
        self.audit: AuditLog | None = None  # where there is one, it knows before the journal does
        self._shown: list[Event] = []

    def record(
        self, kind: str, story: int | None = None, /, *, attempt: int | None = None, **data: Any
    ) -> None:
        """Queues an event and folds it; `commit` makes it durable before anybody relies on it."""
        identity = key = None
        if story is not None:
            identity, key = self.graph.identities[story], self.graph.keys[story]
            if attempt is None:
                attempt = self.checkpoint.record(identity, key).attempts
        event = Event(
            kind, self.journal.seq + 1, round(self.clock(), 3), self.journal.run, key, attempt, identity, data
        )
        with timings.part("journal"):
            self.journal.append(event)
            self.checkpoint.apply(event)
            told = records.of_event(event) if self.audit is not None else None
            if told is not None:
                self.note(told, key, attempt)
        self.hear(event)
        self._shown.append(event)

    def commit(self) -> None:
        """Puts what was recorded on disk, then shows it."""
        with timings.part("journal"):
            if self.audit is not None:
                self.audit.commit()  # first: what the journal says has happened is in the audit log
            self.journal.commit()
        shown, self._shown = self._shown, []
        if self.timed is not None:
            self.timed.share(event.identity for event in shown)
        for event in shown:
            for watcher in self.watchers:
                watcher.on_event(event, self.checkpoint)

    def note(self, record: Mapping[str, Any], story: str | None = None, attempt: int | None = None) -> None:
        """Queues a record of the audit log; `commit` writes it."""
        if self.audit is not None:
            self.audit.tell(record, story, attempt)

    def spent(self, stories: Sequence[str], answer: Mapping[str, Any]) -> None:
        """Takes down what a worker's answer says that its job has cost."""
        if self.timed is not None:
            self.timed.add(stories, answer.get("spent", {}))

    def output(self, key: str, line: str) -> None:
        """Shows a line of output; it is not part of what happened."""
        for watcher in self.watchers:
            watcher.on_output(key, line)

    def tick(self) -> None:
        """Lets the views redraw."""
        now = self.clock()
        for watcher in self.watchers:
            watcher.tick(now)
