"""What a run's journal and the gateway's ledger come to in figures: a fold, as the checkpoint is one."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from rad_engineer.core.events import Event
from rad_engineer.core.failures import REASONS
from rad_engineer.core.measures import Measures, family, gate_label, known, status_class

GATEWAY_REASONS = frozenset(
    {
        "auth", "billing", "breaker", "budget", "bug", "cut", "drift", "garbage", "gone", "invalid", "ledger", "limit",
        "offline", "overloaded", "path", "repeated", "reset", "timeout", "tls", "unreachable", "unrecorded", "upstream",
        "usage-limit",
    }
)  # fmt: skip
_VERDICTS = frozenset({"green", "red", "excused", "no-evidence", "flaky-green", "broken"})
_STAGES = frozenset({"prepare", "commit", "policy", "review", "verify"})
_AFTER_AGENT = frozenset({"agent", *_STAGES}) - {"prepare"}
_EXIT_CODES = frozenset(map(str, (0, 1, 3, 4, 69, 70, 73, 77, 78, 129, 130, 143)))
_ENDS = {
    "story_landed": "landed",
    "story_unverified": "unverified",
    "story_failed": "failed",
    "story_blocked": "blocked",
    "story_waiting": "waiting",
    "story_interrupted": "interrupted",
    "story_passed": "passed",
}
_CAUSES = frozenset({"memory", "io"})


@dataclass(slots=True)
class _Attempt:
    """One that goes on."""

    at_work: bool = False  # its agent
    verified_at: float | None = None


@dataclass(slots=True)
class Metering:
    """The figures of one run. `agents` and `gates` are the values that labels of that name may have."""

    agents: Collection[str] = ()
    gates: Collection[str] = ()
    measures: Measures = field(default_factory=Measures)
    agent: str = "other"
    state: str = "new"
    at: float = 0.0  # of the last event
    paused: bool = False
    attempts: dict[str, _Attempt] = field(default_factory=dict)  # by story, of those that go on
    stages: dict[str, str] = field(
        default_factory=dict
    )  # the last finished one of attempts that were cut off

    def apply(self, event: Event) -> None:
        """Folds one event in; those of unknown kinds change nothing."""
        self.at = event.at
        change = _CHANGES.get(event.kind)
        if change is not None:
            change(self, event)
        if event.identity is not None:
            self._end(event, event.identity)

    @property
    def active_agents(self) -> int:
        """How many agents are at work, if the run goes on."""
        return sum(attempt.at_work for attempt in self.attempts.values())

    def statuses(self) -> dict[str, int]:
        """How many stories are at which point, if the run goes on."""
        landing = sum(attempt.verified_at is not None for attempt in self.attempts.values())
        agent = self.active_agents
        return {"agent": agent, "landing": landing, "judging": len(self.attempts) - agent - landing}

    def settled(self, line: Mapping[str, Any]) -> None:
        """Folds in a call that the gateway has settled."""
        usage, model = line["usage"], family(line.get("model"))
        add = self.measures.add
        add("rad_model_calls_total", model)
        add("rad_cost_usd_total", model, by=line["micro_usd"] / 1_000_000)
        written = usage.get("cache_write_5m", 0) + usage.get("cache_write_1h", 0)
        read = {
            "input": usage.get("input", 0),
            "cache_read": usage.get("cache_read", 0),
            "cache_write": written,
        }
        for source, tokens in read.items():
            add("rad_prompt_tokens_total", model, source, by=tokens)
        add("rad_completion_tokens_total", model, by=usage.get("output", 0))
        if usage.get("orphan"):
            add("rad_unseen_tokens_total", by=usage["orphan"])

    def _end(self, event: Event, identity: str) -> None:
        outcome = _ENDS.get(event.kind)
        if outcome is not None:
            self.measures.add("rad_stories_total", outcome)
        if outcome is not None or event.kind == "attempt_failed":
            self.attempts.pop(identity, None)
        if (
            outcome is not None and outcome not in ("interrupted", "waiting")
        ) or event.kind == "attempt_failed":
            self.stages.pop(identity, None)


def _run_started(fold: Metering, event: Event) -> None:
    fold.state = "running"
    first = str(event.data.get("agent", "")).partition(",")[0]
    fold.agent = known(first, fold.agents)
    fold.measures.add("rad_runs_started_total", known(event.data.get("kind"), ("real", "rehearsal")))


def _run_resumed(fold: Metering, _event: Event) -> None:
    fold.state = "running"
    fold.paused = False
    fold.attempts.clear()


def _run_finished(fold: Metering, event: Event) -> None:
    fold.state = "ended"
    fold.paused = False
    fold.attempts.clear()
    fold.measures.add("rad_runs_ended_total", known(str(event.data.get("exit_code")), _EXIT_CODES))


def _story_started(fold: Metering, event: Event) -> None:
    identity = str(event.identity)
    goes_on = bool(event.data.get("resumed")) and fold.stages.get(identity) in _AFTER_AGENT
    if not goes_on:
        fold.stages.pop(identity, None)
        fold.measures.add("rad_agents_spawned_total", fold.agent)
    fold.attempts[identity] = _Attempt(at_work=not goes_on)


def _stage_finished(fold: Metering, event: Event) -> None:
    stage, seconds = event.data.get("stage"), event.data.get("seconds", 0.0)
    fold.stages[str(event.identity)] = str(stage)
    if stage != "agent":
        fold.measures.observe("rad_stage_duration_seconds", known(stage, _STAGES), seconds=seconds)
        return
    fold.measures.observe("rad_agent_duration_seconds", fold.agent, seconds=seconds)
    if not event.data.get("ok", True):
        fold.measures.add("rad_agents_failed_total", fold.agent)
    if event.data.get("unmetered"):
        fold.measures.add("rad_stated_cost_usd_total", fold.agent, by=event.data.get("stated_usd", 0.0))
    attempt = fold.attempts.get(str(event.identity))
    if attempt is not None:
        attempt.at_work = False


def _attempt_failed(fold: Metering, event: Event) -> None:
    fold.measures.add("rad_attempts_failed_total", known(event.data.get("reason"), REASONS))


def _story_verified(fold: Metering, event: Event) -> None:
    fold.attempts[str(event.identity)] = _Attempt(verified_at=event.at)


def _story_landed(fold: Metering, event: Event) -> None:
    fold.measures.add("rad_landings_total", "unverified" if event.data.get("unverified") else "verified")
    attempt = fold.attempts.get(str(event.identity))
    if attempt is not None and attempt.verified_at is not None:
        fold.measures.observe(
            "rad_landing_duration_seconds", seconds=max(0.0, event.at - attempt.verified_at)
        )


def _gate_finished(fold: Metering, event: Event) -> None:
    gate = gate_label(event.data.get("gate"), fold.gates)
    fold.measures.add("rad_gates_total", gate, known(event.data.get("verdict"), _VERDICTS))
    fold.measures.observe("rad_gate_duration_seconds", gate, seconds=event.data.get("seconds", 0.0))


def _gates_finished(fold: Metering, event: Event) -> None:
    scope = "final" if event.data.get("scope") == "final" else "wave"
    fold.measures.add("rad_branch_gates_total", scope, "green" if event.data.get("ok") else "red")


def _network_asked(fold: Metering, event: Event) -> None:
    fold.measures.add("rad_hosts_asked_total", "allowed" if event.data.get("allowed") else "denied")


def _models_counted(fold: Metering, event: Event) -> None:
    fold.measures.merge(Measures.from_json(event.data))


def _starts_paused(fold: Metering, event: Event) -> None:
    fold.paused = True
    fold.measures.add("rad_start_pauses_total", known(event.data.get("cause"), _CAUSES))


def _starts_resumed(fold: Metering, _event: Event) -> None:
    fold.paused = False


_CHANGES: Mapping[str, Callable[[Metering, Event], None]] = {
    "run_started": _run_started,
    "run_resumed": _run_resumed,
    "run_finished": _run_finished,
    "story_started": _story_started,
    "stage_finished": _stage_finished,
    "attempt_failed": _attempt_failed,
    "story_failed": _attempt_failed,
    "story_verified": _story_verified,
    "story_landed": _story_landed,
    "gate_finished": _gate_finished,
    "gates_finished": _gates_finished,
    "network_asked": _network_asked,
    "models_counted": _models_counted,
    "starts_paused": _starts_paused,
    "starts_resumed": _starts_resumed,
}


# --- what the gateway says of its requests --------------------------------------------------------------------


def _request(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_requests_total", status_class(event["status"]))
    found.observe("rad_request_duration_seconds", seconds=event["seconds"])


def _refused(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_requests_refused_total", known(event["reason"], GATEWAY_REASONS))


def _retried(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_requests_retried_total", status_class(event["status"]))


def _limited(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_requests_limited_total", "queued" if event["queued"] else "refused")


def _clamped(found: Measures, _event: Mapping[str, Any]) -> None:
    found.add("rad_requests_clamped_total")


def _cached(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_cached_answers_total", known(event["tier"], ("alone", "session", "cache")))


def _coalesced(found: Measures, _event: Mapping[str, Any]) -> None:
    found.add("rad_cached_answers_total", "coalesced")


def _breaker(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_breaker_changes_total", known(event["state"], ("closed", "open", "half-open")))


def _soft_limit(found: Measures, event: Mapping[str, Any]) -> None:
    found.add("rad_budget_warnings_total", known(event["scope"], ("run", "story")))


_COUNTED: Mapping[str, Callable[[Measures, Mapping[str, Any]], None]] = {
    "request": _request,
    "refused": _refused,
    "retried": _retried,
    "limited": _limited,
    "clamped": _clamped,
    "cached": _cached,
    "coalesced": _coalesced,
    "breaker": _breaker,
    "soft-limit": _soft_limit,
}


def count(found: Measures, event: Mapping[str, Any]) -> None:
    """Counts what the gateway says; what says nothing of requests changes nothing."""
    take = _COUNTED.get(event["event"])
    if take is not None:
        take(found, event)
