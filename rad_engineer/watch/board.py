"""What the live view shows: a head, the running stories, what happened last, totals. It returns lines, it draws none."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.core.printable import cut, duration, one_line, pad, width
from rad_engineer.core.report_text import spent
from rad_engineer.watch.estimate import Estimate
from rad_engineer.watch.wording import sentence

if TYPE_CHECKING:
    from rad_engineer.core.graph import Graph

Line = Sequence[tuple[str, str]]
"""A line of the screen: pieces of text, each with a style name ("" is plain)."""

_STYLES = {
    "story_landed": "green",
    "story_passed": "green",
    "story_failed": "red",
    "attempt_failed": "yellow",
    "story_unverified": "yellow",
    "story_blocked": "dim",
    "story_waiting": "yellow",
}
_NEWS = frozenset(_STYLES) | {
    "starts_paused",
    "starts_resumed",
    "note",
    "gates_finished",
    "run_stopping",
    "story_interrupted",
}
_NEXT_STAGE = {
    None: "prepare",
    "prepare": "agent",
    "agent": "commit",
    "commit": "verify",
    "policy": "verify",
    "verify": "land",
    "review": "land",
}
_ON_THE_WAY = frozenset(
    {"gate_finished", "stage_finished", "story_spent", "story_unmetered", "agent_reported"}
)
_ENDED = ("passed", "already-done", "done-unverified", "failed", "skipped")
_OUTPUT = 400  # characters of a line of output that are kept


@dataclass(slots=True)
class _Running:
    since: float
    attempt: int
    wave: int
    stage: str = "prepare"
    last: str = ""


class Board:
    """Collects events in constant time each; a frame costs what it shows, not what the run holds."""

    def __init__(self, graph: "Graph", checkpoint: Checkpoint | None = None, *, jobs: int = 1) -> None:
        self.graph = graph
        self.began: float | None = checkpoint.started_at if checkpoint is not None else None
        self.status: list[str] = [_from_file(story.state) for story in graph.stories]
        self.counts: Counter[str] = Counter(self.status)
        self.running: dict[int, _Running] = {}
        self.news: deque[tuple[float, str, str]] = deque(maxlen=50)
        self.estimate = Estimate(graph, jobs)
        self.tokens = 0
        self.cost = 0.0
        self.unmetered = False
        self._index = {identity: index for index, identity in enumerate(graph.identities)}
        if checkpoint is not None:
            self._take_over(checkpoint)

    def on_event(self, event: Event, checkpoint: Checkpoint) -> None:
        """Takes an event in."""
        if self.began is None:
            self.began = event.at
        index = self._index.get(event.identity or "")
        if index is not None:
            self._on_story(index, event, checkpoint)
        if event.kind in _NEWS:
            self.news.append((event.at, _STYLES.get(event.kind, ""), sentence(event, checkpoint)))

    def on_output(self, story: str, line: str) -> None:
        """Keeps a story's last line."""
        index = self.graph.by_key.get(story)
        shown = self.running.get(index) if index is not None else None
        if shown is not None and (text := one_line(line[-4 * _OUTPUT :])):
            shown.last = text[:_OUTPUT]

    def frame(self, now: float, columns: int, rows: int) -> list[Line]:
        """The screen as lines: at most `rows`, each at most `columns` wide, running stories first."""
        head = [self._headline(now), self._progress(columns)]
        waves = self._waves()
        running = sorted(self.running.items(), key=lambda item: item[1].since)
        room = max(1, rows - len(head) - len(waves) - 1)
        lines: list[Line] = [*head, *waves]
        shown = running[:room] if len(running) <= room else running[: room - 1]
        lines += [self._row(index, entry, now, columns) for index, entry in shown]
        if len(shown) < len(running):
            lines.append([(f"  … and {len(running) - len(shown)} more running", "dim")])
        left = min(rows - len(lines), 8)
        for at, style, text in list(self.news)[-left:] if left > 0 else ():
            lines.append([(f"  {duration(at - (self.began or at)):>6} ", "dim"), (text, style)])
        return [_cut(line, columns) for line in lines[:rows]]

    def _take_over(self, checkpoint: Checkpoint) -> None:
        """A run that goes on: what is known already."""
        for identity, record in checkpoint.stories.items():
            index = self._index.get(identity)
            if index is None:
                continue
            self.tokens += record.tokens
            self.cost += record.cost_usd
            self.unmetered = self.unmetered or record.unmetered
            self._set(index, record.status)
            if record.status in ("running", "landing"):
                since = record.started_at or checkpoint.started_at or 0.0
                stage = "land" if record.status == "landing" else _NEXT_STAGE.get(record.stage, "agent")
                self.running[index] = _Running(since, record.attempts, self.graph.wave_of[index], stage)

    def _on_story(self, index: int, event: Event, checkpoint: Checkpoint) -> None:
        record = checkpoint.stories.get(event.identity or "")
        if record is None:
            return
        if event.kind == "story_started":
            self.running[index] = _Running(event.at, event.attempt or 1, self.graph.wave_of[index])
        elif event.kind == "stage_finished" and index in self.running:
            self.running[index].stage = _NEXT_STAGE.get(event.data.get("stage"), "")
        elif event.kind == "story_verified" and index in self.running:
            self.running[index].stage = "land"
        elif event.kind not in _ON_THE_WAY:
            self.running.pop(index, None)
        self.tokens += event.data.get("tokens", 0)
        self.cost += event.data.get("cost_usd", 0.0)
        self.unmetered = self.unmetered or event.kind == "story_unmetered"
        if event.kind == "story_landed":
            self.estimate.finished(index, record.seconds)
        self._set(index, record.status)

    def _set(self, index: int, status: str) -> None:
        self.counts[self.status[index]] -= 1
        self.status[index] = status
        self.counts[status] += 1

    def _headline(self, now: float) -> Line:
        ended = sum(self.counts[status] for status in _ENDED)
        parts = [f"{ended}/{len(self.status)} stories"]
        parts += [f"{self.counts[s]} {word}" for s, word in _TOLD if self.counts[s]]
        if self.began is not None:
            parts.append(duration(now - self.began))
        left = self.estimate.left(self.status, now, {i: entry.since for i, entry in self.running.items()})
        if left is not None:
            parts.append(f"about {duration(left)} left")
        if self.cost or self.unmetered:
            parts.append(spent(self.cost, 0.0, unmetered=self.unmetered))
        elif self.tokens:
            parts.append(f"{self.tokens:,} tokens")
        return [("rad-engineer  ", "bold"), (" · ".join(parts), "")]

    def _progress(self, columns: int) -> Line:
        total = max(1, len(self.status))
        size = max(10, min(columns - 2, 60))
        green = size * (self.counts["passed"] + self.counts["already-done"]) // total
        red = min(size - green, -(-size * self.counts["failed"] // total))
        active = min(size - green - red, -(-size * len(self.running) // total))
        rest = size - green - red - active
        return [("#" * green, "green"), ("x" * red, "red"), (">" * active, "cyan"), ("." * rest, "dim")]

    def _waves(self) -> list[Line]:
        """The waves something runs in, by name."""
        active = sorted({entry.wave for entry in self.running.values() if entry.wave})
        if len(self.graph.waves) < 2 or not active:
            return []
        names = [one_line(self.graph.wave_names[wave - 1]) for wave in active[:4]]
        more = f" and {len(active) - 4} more" if len(active) > 4 else ""
        return [[(f"{', '.join(names)}{more} of {len(self.graph.waves)} waves", "dim")]]

    def _row(self, index: int, entry: _Running, now: float, columns: int) -> Line:
        key = pad(one_line(self.graph.keys[index]), min(16, max(6, columns // 5)))
        attempt = f" #{entry.attempt}" if entry.attempt > 1 else ""
        head = f"{pad(entry.stage, 7)} {duration(now - entry.since):>6}{attempt}  "
        text = entry.last or one_line(self.graph.stories[index].title)
        return [("> ", "cyan"), (key + "  ", "bold"), (head, ""), (text, "dim" if entry.last else "")]


_TOLD = (
    ("passed", "landed"),
    ("failed", "failed"),
    ("done-unverified", "unverified"),
    ("blocked", "blocked"),
    ("waiting", "waiting"),
    ("running", "running"),
    ("landing", "landing"),
)


def _from_file(state: str) -> str:
    return {"done": "already-done", "todo": "pending", "human": "waiting"}.get(state, state)


def _cut(line: Line, columns: int) -> Line:
    """The line in at most that many columns."""
    room, kept = columns, []
    for text, style in line:
        if room <= 0:
            break
        piece = cut(text, room)
        kept.append((piece, style))
        room -= width(piece)
    return kept
