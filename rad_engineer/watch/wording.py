"""Events in plain words, the same on every screen."""

from collections.abc import Callable, Mapping
from typing import Any

from rad_engineer.core import failures
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.core.printable import duration, one_line, several

ROUTINE = frozenset({"story_started", "story_landed", "story_blocked"})
"""Events that come once a story: told one by one only while they are few."""


def sentence(event: Event, checkpoint: Checkpoint) -> str:
    """What happened; "" for events that plain words leave out."""
    word = _WORDS.get(event.kind)
    said = word if isinstance(word, str) else word(event, checkpoint) if word is not None else ""
    return f"{one_line(event.story or '')} {said}".strip() if said else ""


def _run_started(event: Event, _checkpoint: Checkpoint) -> str:
    data = event.data
    kind = "rehearsal" if data.get("kind") == "rehearsal" else "run"
    stories = data.get("stories")
    number = stories if isinstance(stories, int) else len(stories or ())
    branch = str(data.get("branch") or "").removeprefix("refs/heads/")
    where = f" on {one_line(branch)}" if branch and data.get("workspace") != "shared" else ""
    return f"{kind} {event.run}: {several(number, 'story', 'stories')}{where}{_sandbox(data, kind)}"


def _run_resumed(event: Event, checkpoint: Checkpoint) -> str:
    kind = "rehearsal" if checkpoint.kind == "rehearsal" else "run"
    return f"{kind} {event.run} goes on{_sandbox(event.data, kind)}"


def _sandbox(data: Mapping[str, Any], kind: str) -> str:
    """What confines commands; a rehearsal runs none."""
    if kind == "rehearsal":
        return ""
    level = data.get("sandbox")
    if level == "off":
        return "; SANDBOX OFF: commands run with all your rights"
    if level == "landlock":
        return "; sandbox: landlock, weaker than bubblewrap: `rad-engineer sandbox report` says how"
    return f"; sandbox: {one_line(str(level))}" if level else ""


def _stopping(event: Event, _checkpoint: Checkpoint) -> str:
    grace = duration(float(event.data.get("grace", 0.0)))
    return f"{event.data.get('signal')}: stopping within {grace}, a second one stops at once"


def _started(event: Event, _checkpoint: Checkpoint) -> str:
    return "started" + (f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else "")


def _gates(event: Event, _checkpoint: Checkpoint) -> str:
    return f"{event.data.get('scope', '')} gates {'green' if event.data.get('ok') else 'RED'}".strip()


def _gate(event: Event, _checkpoint: Checkpoint) -> str:
    return "" if event.data.get("ok") else f"gate {one_line(str(event.data.get('gate', '')))} is red"


def _note(event: Event, _checkpoint: Checkpoint) -> str:
    return f"note: {one_line(str(event.data.get('text', '')))}"


def _paused(event: Event, _checkpoint: Checkpoint) -> str:
    jobs = several(int(event.data.get("jobs", 0)), "story goes", "stories go")
    return f"nothing more is started: this machine is short of {event.data.get('cause')}; {jobs} on"


def _resumed(event: Event, _checkpoint: Checkpoint) -> str:
    return f"stories are started again, {event.data.get('jobs')} at once for now"


def _blocked(event: Event, _checkpoint: Checkpoint) -> str:
    return "blocked: needs " + ", ".join(one_line(str(key)) for key in event.data.get("by", ()))


def _waiting(event: Event, _checkpoint: Checkpoint) -> str:
    return f"waits: {_reason(event.data) or 'something has to happen first'}"


def _landed(event: Event, checkpoint: Checkpoint) -> str:
    record = checkpoint.stories.get(event.identity or "")
    took = f" after {duration(record.seconds)}" if record is not None and record.seconds else ""
    if checkpoint.workspace == "shared":
        return f"passed{took}"
    if checkpoint.kind == "rehearsal":
        return f"rehearsed{took}"
    commit = str(event.data.get("commit") or "")[:10]
    return f"landed{f' as {commit}' if commit else ''}{took}"


def _unverified(event: Event, checkpoint: Checkpoint) -> str:
    if checkpoint.kind == "rehearsal":
        return "rehearsed"
    if checkpoint.workspace == "shared":
        return "finished; unverified, as everything is in a shared workspace"
    return f"finished but unverified: {_reason(event.data) or 'no gate could judge it'}; its commit is kept"


def _failed(event: Event, _checkpoint: Checkpoint) -> str:
    said = ": ".join(filter(None, (_reason(event.data), one_line(str(event.data.get("detail") or "")))))
    return f"attempt {event.attempt} failed: {said}" if event.kind == "attempt_failed" else f"FAILED: {said}"


def _reason(data: Mapping[str, Any]) -> str:
    reason = failures.find(data.get("reason"))
    return reason.sentence if reason is not None else ""


_WORDS: Mapping[str, str | Callable[[Event, Checkpoint], str]] = {
    "run_started": _run_started,
    "run_resumed": _run_resumed,
    "run_stopping": _stopping,
    "story_started": _started,
    "gate_finished": _gate,
    "attempt_failed": _failed,
    "story_landed": _landed,
    "story_unverified": _unverified,
    "story_failed": _failed,
    "story_interrupted": "interrupted; its work is kept",
    "story_blocked": _blocked,
    "story_waiting": _waiting,
    "story_approved": "approved",
    "story_reopened": "runs again: it is not done any more",
    "story_passed": "passed by hand",
    "gates_finished": _gates,
    "starts_paused": _paused,
    "starts_resumed": _resumed,
    "note": _note,
}
