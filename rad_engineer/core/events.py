"""What happens in a run, as the journal keeps it and `run --json` prints it.

Every event has `event, seq, at, run`; events of a story also `story` (its key), `attempt` and `identity`.

| event | fields | meaning |
|---|---|---|
| run_started | kind, branch, base, head, agent, workspace, sandbox, prds, stories, pid | `kind` is `real` or `rehearsal` |
| run_resumed | head, sandbox, pid | the run goes on after a stop |
| run_stopping | signal, grace | a signal has come: what runs may go on for `grace` seconds |
| story_started | slot, base, resumed | an attempt begins, or goes on behind its last finished stage |
| stage_finished | stage, ok, seconds, violations | prepare, agent, commit, policy or verify ended; of policy what it found |
| agent_reported | agent, model, turns, summary, criteria, files, tests, errors, next_steps | what the agent says; it proves nothing |
| story_unmetered | agent | an agent is asked that nobody counts |
| story_spent | cost_usd, tokens | what the gateway has settled for the story since it was last told |
| network_asked | stage, host, port, allowed, why | a command in a sandbox asked for a host; `why` says what denied it |
| gate_finished | gate, ok, blamed, verdict, seconds | one gate was run |
| attempt_failed | reason, detail, fingerprint | the story gets another attempt |
| story_verified | commit, tip, candidate, gates, unverified | green; `candidate` may be swapped in while `tip` is the branch |
| story_landed | commit, gates, unverified | on the run branch; `unverified` when no gate judged it and that was allowed |
| story_unverified | commit, reason | finished, but no gate could judge it; the commit is kept under a ref |
| story_failed | reason, detail, commit | no attempt is left, or another is pointless |
| story_interrupted | | stopped by a signal or a crash |
| story_blocked | by | a need cannot be met |
| story_waiting | reason, until | waits for a human or a limit |
| story_approved | | a human released it |
| story_passed | by | marked as passed by hand |
| story_marked | path | its done field was written into the PRD |
| story_reopened | commit | what was known of it holds no more; `commit` landed once and does not count either |
| gates_finished | scope, commit, ok, gates | wave or final gates on the branch head |
| models_counted | sums, spreads | what agents have asked of models since the last time: series of core.measures |
| starts_paused | cause, jobs | nothing more is started: the machine is short of `cause`; `jobs` go on |
| starts_resumed | jobs | stories are started again, so many at once |
| note | text | something the report should say |
| run_finished | exit_code, timings | nothing runs and nothing is ready, or the run was stopped |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SYNCED = frozenset(
    {
        "run_started",
        "run_resumed",
        "story_started",
        "attempt_failed",
        "story_verified",
        "story_landed",
        "story_unverified",
        "story_failed",
        "story_waiting",
        "story_approved",
        "story_passed",
        "story_reopened",
        "gates_finished",
        "run_finished",
    }
)
"""Events that must be on disk before anything relies on them; the others ride along."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `at` is in seconds since the epoch."""

    kind: str
    seq: int
    at: float
    run: str
    story: str | None = None
    attempt: int | None = None
    identity: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The public form: one flat object; what an event is about is never overwritten by its data."""
        head: dict[str, Any] = {
            "event": self.kind,
            "seq": self.seq,
            "at": self.at,
            "run": self.run,
            "story": self.story,
            "attempt": self.attempt,
        }
        if self.story is not None:
            head["identity"] = self.identity
        return {**head, **self.data, **head}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "Event":
        """Reads the public form back; raises KeyError where a required field is missing."""
        data = dict(line)
        take = data.pop
        kind, seq, at, run = take("event"), take("seq"), take("at"), take("run")
        return cls(
            kind, seq, at, run, take("story", None), take("attempt", None), take("identity", None), data
        )
