"""What can be measured of runs, and sums of it: every metric once, with its labels, and the closed lists of their values.

A label never has a story, a path or any other text that a project brings along: so the number of series is bounded,
however many stories there are. The one exception are gates that the configuration names, by the form in `gate_label`.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OTHER = "other"
_GATE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,39}")
_FAMILIES = ("opus", "sonnet", "haiku", "gpt", "gemini", "qwen")

SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0)
"""Upper bounds of what gates, stages and agents take."""
CALL_SECONDS = (0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of what a request to a model takes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `labels` by name, `bounds` of a histogram."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    doc: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_COUNTERS = (
    ("rad_runs_started_total", "runs that were begun", ("kind",)),
    ("rad_runs_ended_total", "ends of runs, by exit code", ("exit_code",)),
    ("rad_agents_spawned_total", "agents that were started, once for each attempt at a story", ("agent",)),
    ("rad_agents_failed_total", "agents that did not come to a good end", ("agent",)),
    ("rad_attempts_failed_total", "attempts at stories that failed, the last ones too", ("reason",)),
    ("rad_stories_total", "stories that came to an end or to a halt", ("outcome",)),
    ("rad_landings_total", "commits that landed on a run branch; `unverified` when no gate judged them", ("verdict",)),
    ("rad_gates_total", "gates that were run", ("gate", "verdict")),
    ("rad_branch_gates_total", "gates of a wave or of the end that judged a run branch", ("scope", "verdict")),
    ("rad_hosts_asked_total", "hosts that commands in a sandbox asked for", ("decision",)),
    ("rad_start_pauses_total", "times in which nothing was started because the machine was short of something", ("cause",)),
    ("rad_requests_total", "requests of agents to the gateway, by class of status", ("status",)),
    ("rad_requests_refused_total", "requests that the gateway refused, or whose upstream did", ("reason",)),
    ("rad_requests_retried_total", "tries that were repeated at an upstream", ("status",)),
    ("rad_requests_limited_total", "requests that met a rate limit", ("decision",)),
    ("rad_requests_clamped_total", "requests whose answer was cut shorter for want of money", ()),
    ("rad_cached_answers_total", "requests answered without asking an upstream", ("source",)),
    ("rad_breaker_changes_total", "changes of circuit breakers, by the state they came to", ("state",)),
    ("rad_budget_warnings_total", "budgets of which the larger part was spent", ("scope",)),
    ("rad_prompt_tokens_total", "tokens that models read", ("model", "source")),
    ("rad_completion_tokens_total", "tokens that models wrote", ("model",)),
    ("rad_unseen_tokens_total", "tokens of calls of which nobody saw the end, at most", ()),
    ("rad_model_calls_total", "calls that were paid for", ("model",)),
    ("rad_cost_usd_total", "US dollars that the gateway has settled", ("model",)),
    ("rad_stated_cost_usd_total", "US dollars that agents with accounts of their own say they have spent", ("agent",)),
)  # fmt: skip
_HISTOGRAMS = (
    ("rad_agent_duration_seconds", "time an agent took for an attempt", ("agent",), SECONDS),
    ("rad_stage_duration_seconds", "time the other stages of an attempt took", ("stage",), SECONDS),
    ("rad_gate_duration_seconds", "time a gate took", ("gate",), SECONDS),
    ("rad_landing_duration_seconds", "time from a green verdict to the run branch", (), SECONDS),
    ("rad_request_duration_seconds", "time from a request to the end of its answer", (), CALL_SECONDS),
)
_GAUGES = (
    ("rad_active_runs", "runs that go on", ()),
    ("rad_active_agents", "agents at work", ()),
    ("rad_running_stories", "stories that are being worked on, judged or landed", ("status",)),
    ("rad_jobs", "stories that may run at once, over all runs that go on", ()),
    ("rad_starts_paused", "runs that start nothing because the machine is short of something", ()),
    ("rad_quiet_seconds", "time since the last event of the run that has been silent longest", ()),
    ("rad_cpu_usage_ratio", "share of the processors in use, of this machine or its control group", ()),
    ("rad_memory_used_bytes", "memory in use, of this machine or its control group", ()),
    ("rad_memory_limit_bytes", "memory that may be used, of this machine or its control group", ()),
    ("rad_pressure_ratio", "share of the last ten seconds in which something waited for it", ("resource",)),
    ("rad_breakers_open", "circuit breakers that keep calls away from an upstream", ()),
    ("rad_requests_waiting", "requests that wait for a rate limit, for money or for a place", ()),
    ("rad_budget_limit_usd", "US dollars that the runs that go on may spend", ()),
    ("rad_budget_used_ratio", "share of its budget that is spent, of the run that has spent most of it", ()),
    ("rad_damaged_runs", "runs whose journal or ledger cannot be believed; they are left out", ()),
)  # fmt: skip
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        *(Metric(name, "counter", doc, labels) for name, doc, labels in _COUNTERS),
        *(Metric(name, "histogram", doc, labels, bounds) for name, doc, labels, bounds in _HISTOGRAMS),
        *(Metric(name, "gauge", doc, labels) for name, doc, labels in _GAUGES),
    )
}
"""By name, counters first."""

Key = tuple[str, tuple[str, ...]]
"""A series: the metric and the values of its labels."""

ALWAYS: tuple[Key, ...] = (
    *(("rad_runs_ended_total", (code,)) for code in ("0", "1", "70", "73")),
    *(("rad_stories_total", (outcome,)) for outcome in ("landed", "failed", "waiting")),
    *(("rad_branch_gates_total", (scope, "red")) for scope in ("wave", "final")),
    *(("rad_requests_refused_total", (reason,)) for reason in ("auth", "billing", "budget")),
)
"""Series that are there from the beginning: what appears with its first event shows no increase, and no alert sees it."""


@dataclass(slots=True)
class Spread:
    """A histogram: how many were at most each bound, counted apart, and how many were longer."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Measures:
    """Sums by series. Two of them can be added up, in any order."""

    sums: dict[Key, float] = field(default_factory=dict)
    spreads: dict[Key, Spread] = field(default_factory=dict)

    def add(self, name: str, *labels: str, by: float = 1) -> None:
        """Counts."""
        key = (name, labels)
        self.sums[key] = self.sums.get(key, 0) + by

    def observe(self, name: str, *labels: str, seconds: float) -> None:
        """Counts one that took so long."""
        spread = self._spread((name, labels))
        spread.counts[bisect_left(METRICS[name].bounds, seconds)] += 1
        spread.total += seconds

    def merge(self, other: "Measures") -> None:
        """Takes in what another one has."""
        for key, value in other.sums.items():
            self.sums[key] = self.sums.get(key, 0) + value
        for key, more in other.spreads.items():
            spread = self._spread(key)
            spread.counts = [mine + others for mine, others in zip(spread.counts, more.counts, strict=True)]
            spread.total += more.total

    def to_json(self) -> dict[str, Any]:
        """The form in the totals record."""
        return {
            "sums": [[name, list(labels), value] for (name, labels), value in sorted(self.sums.items())],
            "spreads": [
                [name, list(labels), spread.counts, spread.total]
                for (name, labels), spread in sorted(self.spreads.items())
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Measures":
        """Reads it back; metrics that this version does not know are left out."""
        found = cls()
        for name, labels, value in data["sums"]:
            if name in METRICS:
                found.sums[name, tuple(labels)] = value
        for name, labels, counts, total in data["spreads"]:
            if name in METRICS and len(counts) == len(METRICS[name].bounds) + 1:
                found.spreads[name, tuple(labels)] = Spread(counts, total)
        return found

    def _spread(self, key: Key) -> Spread:
        found = self.spreads.get(key)
        if found is None:
            found = self.spreads[key] = Spread([0] * (len(METRICS[key[0]].bounds) + 1))
        return found


def known(value: object, values: Collection[str]) -> str:
    """The value, where it is one of those that a label may have."""
    return value if isinstance(value, str) and value in values else OTHER


def gate_label(name: object, configured: Collection[str]) -> str:
    """A gate that the configuration names, as a label; those of stories are one."""
    found = known(name, configured)
    return found if _GATE.fullmatch(found) else OTHER


def family(model: object) -> str:
    """The family a model belongs to, which is what its price hangs on."""
    text = model.lower() if isinstance(model, str) else ""
    return next((name for name in _FAMILIES if name in text), OTHER)


def status_class(status: int) -> str:
    """200 is 2xx; the ones that say something of their own stay."""
    return str(status) if status in (429, 499) else f"{status // 100}xx"
