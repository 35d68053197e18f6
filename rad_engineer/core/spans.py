"""What a run does as a tree of spans: run > story > stage, gates and landing below it, and whatever others add.

Ids are derived from what they name: so every process knows the id of an agent's stage without being told, and hangs what
it has to tell below it. A session is one process that works on a run: a run that goes on is one trace with two of them.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rad_engineer.core.events import Event

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ENDS = {
    "story_landed": "landed",
    "story_unverified": "unverified",
    "story_failed": "failed",
    "story_waiting": "waiting",
    "story_interrupted": "interrupted",
    "attempt_failed": "failed attempt",
}
_BAD = frozenset({"failed", "failed attempt", "interrupted"})


@dataclass(frozen=True, slots=True)
class Place:
    """A span in a trace, as others name it."""

    trace: str
    span: str

    @property
    def traceparent(self) -> str:
        """The form that goes from one process to another (W3C Trace Context)."""
        return f"00-{self.trace}-{self.span}-01"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Reads it back; None for anything else, and for what nobody wants to keep."""
        found = _TRACEPARENT.fullmatch(text.strip())
        if found is None or not int(found[3], 16) & 1 or not (int(found[1], 16) and int(found[2], 16)):
            return None
        return cls(found[1], found[2])


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was done, from `start` to `end` in seconds since the epoch."""

    name: str
    place: Place
    parent: str  # empty for the top of a tree
    start: float
    end: float
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ok: bool = True

    def to_json(self) -> dict[str, Any]:
        """The form in which a worker hands it on."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Span":
        """Reads it back."""
        return cls(**{**data, "place": Place(**data["place"])})


def trace_of(run: str) -> str:
    """The trace of a run that is part of no other one."""
    return hashlib.sha256(f"trace {run}".encode()).hexdigest()[:32]


def span_of(*names: object) -> str:
    """The id of what these names name."""
    return hashlib.sha256("\0".join(map(str, names)).encode()).hexdigest()[:16]


def agent_span(session: str, identity: str, attempt: int) -> str:
    """The stage of an attempt in which its agent works."""
    return span_of(session, identity, attempt, "agent")


@dataclass(slots=True)
class _Open:
    key: str
    attempt: int
    start: float
    verified_at: float | None = None


class RunSpans:
    """The journal's events as spans: each is told when it is over. `parent` is empty, or who has started the run."""

    def __init__(self, trace: str, session: str, parent: str = "") -> None:
        self.top = Place(trace, session)
        self._parent = parent
        self._began: float | None = None
        self._open: dict[str, _Open] = {}

    def apply(self, event: Event) -> list[Span]:
        """Takes an event in; what it has brought to its end."""
        if event.identity is not None:
            return self._of_story(event, event.identity)
        if event.kind in ("run_started", "run_resumed"):
            self._began = event.at
        if event.kind != "run_finished" or self._began is None:
            return []
        found = [self._story(identity, event.at, "interrupted") for identity in list(self._open)]
        code = event.data.get("exit_code")
        about = {"rad.run": event.run, "rad.exit_code": code}
        return [*found, Span("run", self.top, self._parent, self._began, event.at, about, code in (0, 4))]

    def _of_story(self, event: Event, identity: str) -> list[Span]:
        if event.kind == "story_started":
            self._open[identity] = _Open(event.story or "", event.attempt or 1, event.at)
            return []
        open_ = self._open.get(identity)
        if open_ is None:
            return []
        if event.kind == "stage_finished":
            return [self._stage(identity, open_, event)]
        if event.kind == "gate_finished":
            return [self._gate(identity, open_, event)]
        if event.kind == "story_verified":
            open_.verified_at = event.at
        outcome = _ENDS.get(event.kind)
        if outcome is None:
            return []
        found = [self._story(identity, event.at, outcome, event.data.get("reason"))]
        if outcome == "landed" and open_.verified_at is not None:
            place = self._place(identity, open_, "land")
            landing = Span(
                "land", place, found[0].place.span, open_.verified_at, event.at, self._about(open_)
            )
            return [landing, *found]
        return found

    def _stage(self, identity: str, open_: _Open, event: Event) -> Span:
        stage = str(event.data.get("stage"))
        start = max(open_.start, event.at - event.data.get("seconds", 0.0))
        place, above = self._place(identity, open_, stage), self._place(identity, open_, "story")
        ok = bool(event.data.get("ok", True))
        return Span(stage, place, above.span, start, event.at, self._about(open_), ok)

    def _gate(self, identity: str, open_: _Open, event: Event) -> Span:
        about = {"rad.gate": event.data.get("gate"), "rad.verdict": event.data.get("verdict")}
        start = event.at - event.data.get("seconds", 0.0)
        place = Place(self.top.trace, span_of(self.top.span, identity, "gate", event.seq))
        above = self._place(identity, open_, "verify")
        ok = bool(event.data.get("ok", True))
        return Span("gate", place, above.span, start, event.at, {**self._about(open_), **about}, ok)

    def _story(self, identity: str, at: float, outcome: str, reason: object = None) -> Span:
        open_ = self._open.pop(identity)
        about = {**self._about(open_), "rad.outcome": outcome, **({"rad.reason": reason} if reason else {})}
        place = self._place(identity, open_, "story")
        return Span("story", place, self.top.span, open_.start, at, about, outcome not in _BAD)

    def _place(self, identity: str, open_: _Open, what: str) -> Place:
        return Place(self.top.trace, span_of(self.top.span, identity, open_.attempt, what))

    def _about(self, open_: _Open) -> dict[str, Any]:
        return {"rad.story": open_.key, "rad.attempt": open_.attempt}
