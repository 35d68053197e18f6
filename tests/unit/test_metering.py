"""Figures of a run are a fold over what it has written down; their labels come from closed lists."""

import pytest

from rad_engineer.core import metering
from rad_engineer.core.events import Event
from rad_engineer.core.measures import METRICS, Measures, family, gate_label, known, status_class
from rad_engineer.core.metering import Metering


def folded(*events, agents=("command",), gates=("tests",)):
    fold = Metering(agents, gates)
    for seq, (kind, story, data) in enumerate(events, 1):
        at = data.pop("at", 100.0 + seq)
        fold.apply(Event(kind, seq, at, "r1", story, 1 if story else None, story and f"id {story}", data))
    return fold


def total(fold, name, *labels):
    return fold.measures.sums.get((name, labels), 0)


def counts(fold, name, *labels):
    return sum(fold.measures.spreads[name, labels].counts)


STARTED = ("run_started", None, {"agent": "command,codex", "kind": "real"})
BEGUN = ("story_started", "A", {"resumed": False})
AGENT = ("stage_finished", "A", {"stage": "agent", "ok": True, "seconds": 30.0})


def of(event):
    """A fresh copy: what is folded loses its time."""
    return event[0], event[1], dict(event[2])


def test_a_story_that_lands_is_counted_at_each_step():
    fold = folded(
        of(STARTED), of(BEGUN),
        ("stage_finished", "A", {"stage": "prepare", "ok": True, "seconds": 0.2}), of(AGENT),
        ("gate_finished", "A", {"gate": "tests", "verdict": "green", "seconds": 2.0}),
        ("story_verified", "A", {"at": 200.0}), ("story_landed", "A", {"at": 203.0}),
        ("gates_finished", None, {"scope": "final", "ok": True}),
        ("gates_finished", None, {"scope": "wave:1", "ok": False}),
        ("run_finished", None, {"exit_code": 0}),
    )  # fmt: skip
    assert total(fold, "rad_runs_started_total", "real") == 1
    assert total(fold, "rad_agents_spawned_total", "command") == 1
    assert total(fold, "rad_agents_failed_total", "command") == 0
    assert total(fold, "rad_gates_total", "tests", "green") == 1
    assert total(fold, "rad_landings_total", "verified") == 1
    assert total(fold, "rad_stories_total", "landed") == 1
    assert total(fold, "rad_branch_gates_total", "final", "green") == 1
    assert total(fold, "rad_branch_gates_total", "wave", "red") == 1
    assert total(fold, "rad_runs_ended_total", "0") == 1
    assert fold.measures.spreads["rad_landing_duration_seconds", ()].total == pytest.approx(3.0)
    assert counts(fold, "rad_agent_duration_seconds", "command") == 1
    assert counts(fold, "rad_stage_duration_seconds", "prepare") == 1
    assert fold.state == "ended"


def test_an_agent_is_at_work_from_its_start_to_the_end_of_its_stage():
    assert folded(of(STARTED), of(BEGUN)).active_agents == 1
    judged = folded(of(STARTED), of(BEGUN), of(AGENT))
    assert judged.active_agents == 0
    assert judged.statuses() == {"agent": 0, "landing": 0, "judging": 1}
    green = folded(of(STARTED), of(BEGUN), of(AGENT), ("story_verified", "A", {}))
    assert green.statuses() == {"agent": 0, "landing": 1, "judging": 0}
    assert folded(of(STARTED), of(BEGUN), ("run_finished", None, {"exit_code": 130})).active_agents == 0


def test_what_goes_on_behind_its_agent_starts_no_other_one():
    again = ("story_started", "A", {"resumed": True})
    fold = folded(of(STARTED), of(BEGUN), of(AGENT), ("story_interrupted", "A", {}),
                  ("run_finished", None, {"exit_code": 130}), ("run_resumed", None, {}), of(again))  # fmt: skip
    assert total(fold, "rad_agents_spawned_total", "command") == 1
    assert fold.active_agents == 0
    assert fold.state == "running"
    cut = folded(of(STARTED), of(BEGUN), ("story_interrupted", "A", {}), of(again))
    assert total(cut, "rad_agents_spawned_total", "command") == 2
    failed = folded(
        of(STARTED), of(BEGUN), of(AGENT), ("attempt_failed", "A", {"reason": "gate-red"}), of(again)
    )
    assert total(failed, "rad_agents_spawned_total", "command") == 2


def test_failures_are_counted_by_reasons_that_are_known():
    fold = folded(
        of(STARTED), of(BEGUN), ("stage_finished", "A", {"stage": "agent", "ok": False, "seconds": 9000.0}),
        ("attempt_failed", "A", {"reason": "timeout"}), ("story_failed", "A", {"reason": "US-1 is bad"}),
    )  # fmt: skip
    assert total(fold, "rad_agents_failed_total", "command") == 1
    assert total(fold, "rad_attempts_failed_total", "timeout") == 1
    assert total(fold, "rad_attempts_failed_total", "other") == 1
    assert total(fold, "rad_stories_total", "failed") == 1
    assert (
        fold.measures.spreads["rad_agent_duration_seconds", ("command",)].counts[-1] == 1
    )  # beyond all bounds


def test_what_agents_say_of_their_cost_is_kept_apart():
    stage = {"stage": "agent", "seconds": 1.0, "unmetered": True, "stated_usd": 0.5}
    fold = folded(("run_started", None, {"agent": "codex"}), ("stage_finished", "B", stage))
    assert total(fold, "rad_stated_cost_usd_total", "other") == 0.5
    assert total(fold, "rad_runs_started_total", "other") == 1


def test_a_landing_without_a_verdict_in_this_process_has_no_duration():
    fold = folded(
        ("story_landed", "A", {"unverified": True}), ("story_started", "B", {}), ("story_landed", "B", {})
    )
    assert total(fold, "rad_landings_total", "unverified") == 1
    assert not fold.measures.spreads


def test_pauses_hosts_and_unknown_events():
    paused = (of(STARTED), ("starts_paused", None, {"cause": "memory"}))
    assert folded(*paused).paused
    fold = folded(*paused, ("starts_resumed", None, {}), ("network_asked", "A", {"allowed": True}),
                  ("network_asked", None, {"allowed": False}), ("of_a_later_version", None, {}))  # fmt: skip
    assert not fold.paused
    assert total(fold, "rad_start_pauses_total", "memory") == 1
    assert total(fold, "rad_hosts_asked_total", "allowed") == 1
    assert total(fold, "rad_hosts_asked_total", "denied") == 1


def test_what_the_gateway_says_is_counted_and_survives_the_journal():
    counted = Measures()
    for event in (
        {"event": "request", "status": 200, "seconds": 0.3}, {"event": "request", "status": 429, "seconds": 400.0},
        {"event": "refused", "reason": "budget"}, {"event": "refused", "reason": "new"},
        {"event": "retried", "status": 503}, {"event": "limited", "queued": True}, {"event": "limited", "queued": False},
        {"event": "clamped"}, {"event": "cached", "tier": "session"}, {"event": "coalesced"},
        {"event": "breaker", "state": "open"}, {"event": "soft-limit", "scope": "run"}, {"event": "beat"},
    ):  # fmt: skip
        metering.count(counted, event)
    told = counted.to_json()
    fold = folded(("models_counted", None, dict(told)), ("models_counted", None, dict(told)))
    assert total(fold, "rad_requests_total", "2xx") == 2
    assert total(fold, "rad_requests_total", "429") == 2
    assert total(fold, "rad_requests_refused_total", "budget") == 2
    assert total(fold, "rad_requests_refused_total", "other") == 2
    assert total(fold, "rad_requests_retried_total", "5xx") == 2
    assert total(fold, "rad_requests_limited_total", "refused") == 2
    assert total(fold, "rad_requests_clamped_total") == 2
    assert total(fold, "rad_cached_answers_total", "coalesced") == 2
    assert total(fold, "rad_breaker_changes_total", "open") == 2
    assert total(fold, "rad_budget_warnings_total", "run") == 2
    spread = fold.measures.spreads["rad_request_duration_seconds", ()]
    assert (sum(spread.counts), spread.counts[-1], spread.total) == (4, 2, pytest.approx(800.6))


def test_calls_that_are_paid_for_are_counted_by_family():
    fold = Metering()
    usage = {"input": 10, "output": 4, "cache_read": 7, "cache_write_5m": 1, "cache_write_1h": 2}
    fold.settled({"model": "claude-sonnet-4-5", "micro_usd": 1_500_000, "usage": usage})
    fold.settled({"model": "", "micro_usd": 0, "usage": {"orphan": 700}})
    assert total(fold, "rad_prompt_tokens_total", "sonnet", "input") == 10
    assert total(fold, "rad_prompt_tokens_total", "sonnet", "cache_write") == 3
    assert total(fold, "rad_completion_tokens_total", "sonnet") == 4
    assert total(fold, "rad_cost_usd_total", "sonnet") == 1.5
    assert total(fold, "rad_model_calls_total", "other") == 1
    assert total(fold, "rad_unseen_tokens_total") == 700


def test_labels_have_values_of_closed_lists():
    assert gate_label("tests", {"tests"}) == "tests"
    assert gate_label("US-17 works", {"US-17 works"}) == "other"  # configured, and yet no name
    assert gate_label("US-17", {"tests"}) == "other"
    assert known(None, ("x",)) == "other"
    assert [family(model) for model in ("CLAUDE-Opus-9", "llama", None)] == ["opus", "other", "other"]
    assert [status_class(status) for status in (204, 429, 499, 529)] == ["2xx", "429", "499", "5xx"]


def test_a_record_of_another_version_is_read_as_far_as_it_is_understood():
    known_name = "rad_landing_duration_seconds"
    told = {
        "sums": [["rad_gone_total", [], 3], ["rad_landings_total", ["verified"], 2]],
        "spreads": [["rad_gone_seconds", [], [1], 1.0], [known_name, [], [1, 2], 1.0]],
    }
    found = Measures.from_json(told)
    assert found.sums == {("rad_landings_total", ("verified",)): 2}
    assert not found.spreads


def test_every_metric_has_a_name_of_the_standard_form():
    for metric in METRICS.values():
        assert metric.name.startswith("rad_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert list(metric.bounds) == sorted(metric.bounds)
