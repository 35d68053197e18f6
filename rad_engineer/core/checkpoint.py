"""The state of a run: a fold over its events. Blocked, ready and waves are derived, never stored."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rad_engineer.core.events import Event
from rad_engineer.core.failures import PARKED


@dataclass(slots=True)
class StoryRecord:
    """What the journal says of one story."""

    key: str
    status: str = "pending"
    attempts: int = 0
    commit: str | None = None  # landed commit, else the story's own
    candidate: str | None = None  # judged green, waiting to be swapped in
    tip: str | None = None  # the tip the candidate was judged on
    reason: str | None = None
    detail: str = ""
    fingerprint: str | None = None  # of the last failure: the same twice is a plateau
    by: tuple[str, ...] = ()  # what blocks it
    until: float | None = None
    stage: str | None = None  # the last finished stage of the running attempt
    gates: tuple[Mapping[str, Any], ...] = ()
    learnings: tuple[str, ...] = ()
    started_at: float | None = None
    seconds: float = 0.0
    cost_usd: float = 0.0
    tokens: int = 0
    metered_usd: float = 0.0  # what of it the gateway has settled
    metered_tokens: int = 0
    unmetered: bool = False  # somebody worked on it whom nobody counts
    stated_usd: float = 0.0  # what those said themselves
    said: Mapping[str, Any] | None = None  # of the last attempt, by the agent: it proves nothing
    by_hand: bool = False
    landed: bool = False  # on the run branch, proved or not
    unproved: bool = False  # green only because --allow-unverified lets it land
    marked_in: str = ""  # the file that was marked
    marked: bool = False  # its done field was written by us
    base: str | None = None  # what the running attempt stands on
    slot: int | None = None
    approved: bool = False
    taken_back: str | None = None  # a landing that does not count, because its done field was set back

    @property
    def cut_off(self) -> bool:
        """Whether its attempt has begun and not ended: what it left in its slot may be gone on with."""
        parked = self.status == "waiting" and self.reason in PARKED
        return parked or self.status in ("running", "interrupted")


@dataclass(slots=True)
class Checkpoint:
    """The fold. `stories` is keyed by story identity and holds only stories that something happened to."""

    run: str = ""
    kind: str = "real"
    state: str = "new"  # new, running, finished, stopped (resumable)
    branch: str | None = None
    base: str | None = None
    head: str | None = None
    workspace: str = "slots"
    sandbox: str = ""  # what confines the commands of the run; empty where nobody wrote it down
    agent: str = ""
    pid: int | None = None
    seq: int = 0
    at: float = 0.0  # of the last event
    started_at: float | None = None
    ended_at: float | None = None
    exit_code: int | None = None
    stories: dict[str, StoryRecord] = field(default_factory=dict)
    verdicts: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # wave and final gates, by scope
    notes: list[str] = field(default_factory=list)
    timings: Mapping[str, Any] | None = (
        None  # what a story has cost, of the last session that was asked for it
    )

    def record(self, identity: str, key: str = "") -> StoryRecord:
        """The record of a story, made on first use."""
        found = self.stories.get(identity)
        if found is None:
            found = self.stories[identity] = StoryRecord(key or identity)
        return found

    def apply(self, event: Event) -> None:
        """Folds one event in. Events of unknown kinds change nothing: a later version may have written them."""
        self.seq, self.at = event.seq, event.at
        if event.identity is not None:
            record = self.record(event.identity, event.story or "")
            change = _STORY_CHANGES.get(event.kind)
            if change is not None:
                change(record, event)
            if event.kind == "story_landed" and event.data.get("commit"):
                self.head = event.data["commit"]
            return
        change_run = _RUN_CHANGES.get(event.kind)
        if change_run is not None:
            change_run(self, event)


def fold(events: Iterable[Event]) -> Checkpoint:
    """The state after all these events."""
    checkpoint = Checkpoint()
    for event in events:
        checkpoint.apply(event)
    return checkpoint


def _run_started(checkpoint: Checkpoint, event: Event) -> None:
    data = event.data
    checkpoint.run = event.run
    checkpoint.state = "running"
    checkpoint.kind = data.get("kind", "real")
    checkpoint.branch = data.get("branch")
    checkpoint.base = data.get("base")
    checkpoint.head = data.get("head")
    checkpoint.workspace = data.get("workspace", "slots")
    checkpoint.sandbox = data.get("sandbox", "")
    checkpoint.agent = data.get("agent", "")
    checkpoint.pid = data.get("pid")
    checkpoint.started_at = event.at


def _run_resumed(checkpoint: Checkpoint, event: Event) -> None:
    checkpoint.state = "running"
    checkpoint.pid = event.data.get("pid")
    checkpoint.head = event.data.get("head") or checkpoint.head
    checkpoint.sandbox = event.data.get("sandbox") or checkpoint.sandbox
    checkpoint.exit_code = checkpoint.ended_at = None


def _run_finished(checkpoint: Checkpoint, event: Event) -> None:
    checkpoint.exit_code = event.data["exit_code"]
    checkpoint.state = "finished" if checkpoint.exit_code in (0, 1, 78) else "stopped"
    checkpoint.ended_at = event.at
    checkpoint.timings = event.data.get("timings", checkpoint.timings)


def _gates_finished(checkpoint: Checkpoint, event: Event) -> None:
    checkpoint.verdicts[event.data["scope"]] = dict(event.data)


def _note(checkpoint: Checkpoint, event: Event) -> None:
    checkpoint.notes.append(event.data["text"])


def _story_started(record: StoryRecord, event: Event) -> None:
    record.status = "running"
    record.attempts = event.attempt or record.attempts
    record.started_at = event.at
    record.base = event.data.get("base")
    record.slot = event.data.get("slot")
    record.stage = record.reason = None
    record.detail = ""
    if not event.data.get("resumed"):
        record.said = None


def _stage_finished(record: StoryRecord, event: Event) -> None:
    record.stage = event.data["stage"]
    record.tokens += event.data.get("tokens", 0)
    if event.data.get("unmetered"):
        record.stated_usd += event.data.get("stated_usd", 0.0)
    else:
        record.cost_usd += event.data.get("cost_usd", 0.0)


def _agent_reported(record: StoryRecord, event: Event) -> None:
    record.said = event.data


def _story_unmetered(record: StoryRecord, _event: Event) -> None:
    record.unmetered = True


def _story_spent(record: StoryRecord, event: Event) -> None:
    record.cost_usd += event.data["cost_usd"]
    record.tokens += event.data["tokens"]
    record.metered_usd += event.data["cost_usd"]
    record.metered_tokens += event.data["tokens"]


def _attempt_failed(record: StoryRecord, event: Event) -> None:
    record.status = "pending"
    record.reason = event.data.get("reason")
    record.detail = event.data.get("detail", "")
    record.fingerprint = event.data.get("fingerprint")
    record.gates = tuple(event.data.get("gates", ()))
    record.candidate = record.tip = record.commit = None
    _clock(record, event)


def _story_verified(record: StoryRecord, event: Event) -> None:
    record.status = "landing"
    record.commit = event.data.get("commit")
    record.candidate = event.data.get("candidate")
    record.tip = event.data.get("tip")
    record.unproved = bool(event.data.get("unverified"))
    record.gates = tuple(event.data.get("gates", ()))
    record.learnings = tuple(event.data.get("learnings", ()))
    _clock(record, event)


def _story_landed(record: StoryRecord, event: Event) -> None:
    record.status = "done-unverified" if event.data.get("unverified") else "passed"
    record.landed = True
    record.commit = event.data.get("commit")
    record.candidate = record.tip = record.reason = None
    record.by = ()
    if event.data.get("gates"):
        record.gates = tuple(event.data["gates"])


def _story_unverified(record: StoryRecord, event: Event) -> None:
    record.status = "done-unverified"
    record.commit = event.data.get("commit")
    record.gates = tuple(event.data.get("gates", ()))
    record.reason = event.data.get("reason", "unverified")
    _clock(record, event)


def _story_failed(record: StoryRecord, event: Event) -> None:
    record.status = "failed"
    record.reason = event.data.get("reason")
    record.detail = event.data.get("detail", "")
    record.commit = event.data.get("commit")
    record.gates = tuple(event.data.get("gates", ()))
    record.candidate = record.tip = None
    _clock(record, event)


def _story_interrupted(record: StoryRecord, event: Event) -> None:
    record.status = "interrupted"
    _clock(record, event)


def _story_blocked(record: StoryRecord, event: Event) -> None:
    record.status = "blocked"
    record.by = tuple(event.data.get("by", ()))


def _story_waiting(record: StoryRecord, event: Event) -> None:
    record.status = "waiting"
    record.reason = event.data.get("reason")
    record.until = event.data.get("until")
    record.landed = False
    _clock(record, event)


def _story_approved(record: StoryRecord, _event: Event) -> None:
    record.approved = True
    if record.status == "waiting":
        record.status = "pending"
        record.reason = None


def _story_passed(record: StoryRecord, event: Event) -> None:
    record.status = "passed"
    record.by_hand = True
    record.reason = f"by {event.data.get('by', 'hand')}"


def _story_marked(record: StoryRecord, event: Event) -> None:
    record.marked = True
    record.marked_in = event.data.get("path", "")


def _story_reopened(record: StoryRecord, event: Event) -> None:
    record.status = "pending"
    record.taken_back = event.data.get("commit") or record.taken_back
    record.marked_in = ""
    record.marked = record.landed = record.by_hand = False
    record.commit = record.reason = record.fingerprint = None


def _clock(record: StoryRecord, event: Event) -> None:
    if record.started_at is not None:
        record.seconds += max(0.0, event.at - record.started_at)
        record.started_at = None


_RUN_CHANGES: dict[str, Callable[[Checkpoint, Event], None]] = {
    "run_started": _run_started,
    "run_resumed": _run_resumed,
    "run_finished": _run_finished,
    "gates_finished": _gates_finished,
    "note": _note,
}
_STORY_CHANGES: dict[str, Callable[[StoryRecord, Event], None]] = {
    "story_started": _story_started,
    "stage_finished": _stage_finished,
    "agent_reported": _agent_reported,
    "story_unmetered": _story_unmetered,
    "story_spent": _story_spent,
    "attempt_failed": _attempt_failed,
    "story_verified": _story_verified,
    "story_landed": _story_landed,
    "story_unverified": _story_unverified,
    "story_failed": _story_failed,
    "story_interrupted": _story_interrupted,
    "story_blocked": _story_blocked,
    "story_waiting": _story_waiting,
    "story_approved": _story_approved,
    "story_passed": _story_passed,
    "story_marked": _story_marked,
    "story_reopened": _story_reopened,
}
