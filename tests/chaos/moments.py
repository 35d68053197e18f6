"""When to kill: points in time, and points tied to what a run has just written, spread over the whole of it."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from twelve import Twelve

_LOOK_EVERY = 0.0007
_PATIENCE = 60.0
# How often each happens in an untouched run, about.
_EVENTS = {
    "run_started": 1, "story_started": 15, "stage_finished": 50, "gate_finished": 30, "attempt_failed": 3,
    "story_verified": 11, "story_landed": 10, "story_failed": 1, "story_marked": 10, "run_finished": 1,
}  # fmt: skip
_WORDS = 14  # "end", said by agents
_FILES = {
    "swap": ".git/refs/heads/rad/demo.lock",
    "transaction": ".git/rad-engineer.refs.*",
    "packed": ".git/packed-refs.lock",
    "report": ".rad-engineer/runs/*/report.json*",
    "report for people": ".rad-engineer/runs/*/report.md*",
    "run directory": ".rad-engineer/runs/*",
    "checkpoint": ".rad-engineer/runs/*/stories/*/checkpoint.json*",
    "mark": "prd.json.*",
}


@dataclass(frozen=True)
class Moment:
    """Some milliseconds after something has happened for the n-th time."""

    what: str  # "time", "said", "event:KIND", "file:NAME"
    n: int
    delay: float

    def __str__(self) -> str:
        return f"{self.delay * 1000:.1f} ms after {self.what}" + (f" no {self.n}" if self.n else "")


def choose(chance: random.Random, length: float, part: int, parts: int) -> Moment:
    """A moment in one of the parts of a run that takes so long; counted from its start, times from now."""
    last = part == parts - 1
    kind = chance.choice(
        ("time", "time", "start", "event", "event", "said", "file", "end" if last else "event")
    )
    if kind == "time":
        return Moment("time", 0, chance.uniform(0, length / parts * 1.05))
    if kind == "start":
        return Moment("time", 0, chance.uniform(0, 0.5))
    if kind == "end":
        return Moment("event:run_finished", 1, chance.uniform(0, 0.03))
    if kind == "file":
        name = chance.choice(list(_FILES))
        return Moment(f"file:{name}", chance.choice((1, 1, 2, 3, 5)), chance.uniform(0, 0.003))
    name = (
        "end"
        if kind == "said"
        else chance.choice([name for name in _EVENTS if last or name != "run_finished"])
    )
    count = _WORDS if kind == "said" else _EVENTS[name]
    number = chance.randint(
        count * part // parts + 1, max(1, count * (part + 1) // parts, count * part // parts + 1)
    )
    what = "said" if kind == "said" else f"event:{name}"
    return Moment(what, number, chance.uniform(0, 0.01))


def wait(run: Twelve, moment: Moment, ended: Callable[[], bool]) -> bool:
    """Waits for the moment; False when the process has ended before."""
    happened = _counter(run, moment.what)
    until = time.monotonic() + _PATIENCE
    while happened() < moment.n:
        if ended() or time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY)
    until = time.monotonic() + moment.delay
    while (left := until - time.monotonic()) > 0:
        if ended():
            return False
        time.sleep(min(left, 0.01))
    return not ended()


def _counter(run: Twelve, what: str) -> Callable[[], int]:
    """Counts how often something has happened in the run; files from now on."""
    kind, _, name = what.partition(":")
    if kind == "time":
        return lambda: 0
    if kind == "said":
        return lambda: sum(said.word == "end" for said in run.said())
    if kind == "event":
        return lambda: events(run, name)
    return _Appearances(run, _FILES[name])


def events(run: Twelve, kind: str) -> int:
    """How many events of a kind the journals hold."""
    wanted = json.dumps(kind).encode()
    return sum(path.read_bytes().count(b'"event":' + wanted) for path in run.runs.glob("*/journal.jsonl"))


class _Appearances:
    """Counts new files and new versions of a file."""

    def __init__(self, run: Twelve, pattern: str) -> None:
        self._folder = run.project.folder
        self._pattern = pattern
        self._count = 0
        self._known = self._look()

    def __call__(self) -> int:
        found = self._look()
        self._count += len(found - self._known)
        self._known |= found
        return self._count

    def _look(self) -> set[tuple[str, int, int]]:
        found = set()
        for path in self._folder.glob(self._pattern):
            try:
                seen = path.stat()
            except OSError:
                continue
            found.add((str(path), seen.st_ino, seen.st_mtime_ns))
        return found
