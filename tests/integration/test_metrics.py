"""Metrics say what run directories keep, and their counters never fall; read by the official parser."""

import json
import time

import pytest
from past_runs import STORIES, Past, repository
from prometheus_client.parser import text_string_to_metric_families

from rad_engineer import durable
from rad_engineer.commands.compact import compact
from rad_engineer.commands.metrics import metrics
from rad_engineer.core.measures import METRICS
from rad_engineer.watch import kept
from rad_engineer.watch.metrics import exposition

GATES = [{"name": "tests", "command": "true", "scope": "project", "runner": "opaque"}]
RULES = {"workspace": "slots", "gates": GATES, "wave_gates": [], "final_gates": []}
NOW = 2_000_000_000.0


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = repository(tmp_path / "repo")
    monkeypatch.chdir(folder)
    return folder


def scraped(runs, **more):
    """Every sample by name and labels."""
    body, kind = exposition(runs, **more)
    assert kind.startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(body.decode()))
    assert {family.name for family in families} == {name.removesuffix("_total") for name in METRICS}
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def work(past, key, gate="tests"):
    past.say("story_started", key, resumed=False)
    past.say("stage_finished", key, stage="agent", ok=True, seconds=12.5)
    past.say("gate_finished", key, gate=gate, ok=True, verdict="green", seconds=0.5)
    past.say("story_verified", key, commit="c" * 40)
    past.say("story_landed", key, commit="c" * 40)


def pulse(past, at=None, **more):
    told = {"at": time.time() if at is None else at, "jobs": 4, **more}
    past.rundir.pulse.write_text(json.dumps(told))


def test_a_run_that_goes_on_shows_what_it_does(place):
    past = Past(place, rules=RULES, at=time.time() - 10)
    work(past, "US-1")
    past.say("story_started", "US-2", resumed=False)
    machine = {"cpu": 0.5, "memory_used": 3, "memory_limit": 8, "pressure": {"memory": 0.25}}
    pulse(past, resources=machine)
    found = scraped([past.rundir.path])
    assert found["rad_agents_spawned_total", ("agent", "command")] == 2
    assert found["rad_agent_duration_seconds_sum", ("agent", "command")] == 12.5
    assert found["rad_agent_duration_seconds_bucket", ("agent", "command"), ("le", "15.0")] == 1
    assert found["rad_gates_total", ("gate", "tests"), ("verdict", "green")] == 1
    assert found[("rad_active_agents",)] == 1
    assert found[("rad_active_runs",)] == 1
    assert found[("rad_jobs",)] == 4
    assert found[("rad_cpu_usage_ratio",)] == 0.5
    assert found["rad_pressure_ratio", ("resource", "memory")] == 0.25
    pulse(past, at=time.time() - 60)  # killed: it has said nothing for a minute
    found = scraped([past.rundir.path])
    assert found[("rad_active_agents",)] == 0
    assert found[("rad_memory_limit_bytes",)] > 8  # of this machine


def test_what_the_gateway_has_written_is_in_it(place):
    past = Past(place, rules=RULES)
    folder = past.rundir.path / "gateway"
    folder.mkdir()
    line = {"kind": "settled", "call": 1, "story": "x", "micro_usd": 2_000_000, "usage": {"input": 50, "output": 5},
            "model": "claude-opus-4"}  # fmt: skip
    spend = folder / "spend.jsonl"
    spend.write_bytes(durable.seal(durable.dump(line)) + b"\n")
    state = {"breakers": {"m": {"state": "open", "waiting": 1}}, "lanes": {"m": {"waiting": 2}},
             "money": {"waiting": 0, "cap": {"run": 4_000_000}, "spent_micro_usd": 2_000_000}}  # fmt: skip
    (folder / "state.json").write_text(json.dumps(state))
    pulse(past)
    found = scraped([past.rundir.path])
    assert found["rad_cost_usd_total", ("model", "opus")] == 2
    assert found["rad_completion_tokens_total", ("model", "opus")] == 5
    assert found["rad_prompt_tokens_total", ("model", "opus"), ("source", "input")] == 50
    assert found[("rad_breakers_open",)] == 1
    assert found[("rad_requests_waiting",)] == 3
    assert found[("rad_budget_used_ratio",)] == 0.5
    with spend.open("ab") as file:
        file.write(durable.seal(durable.dump({**line, "call": 2})) + b"\n")
    assert scraped([past.rundir.path])["rad_cost_usd_total", ("model", "opus")] == 4


def test_what_has_been_read_is_not_read_again(place):
    past = Past(place, rules=RULES)
    work(past, "US-1")
    assert scraped([past.rundir.path])["rad_landings_total", ("verdict", "verified")] == 1
    data = past.rundir.journal.read_bytes()
    with past.rundir.journal.open(
        "r+b"
    ) as file:  # the same file and size: only who reads it again would notice
        file.write(b"x" * len(data))
    work(past, "US-2")
    found = scraped([past.rundir.path])
    assert found["rad_landings_total", ("verdict", "verified")] == 2
    assert found[("rad_damaged_runs",)] == 0


def test_a_journal_that_is_damaged_is_named_and_loses_nothing_that_was_counted(place):
    past = Past(place, rules=RULES)
    work(past, "US-1")
    scraped([past.rundir.path])
    with past.rundir.journal.open("ab") as file:
        file.write(b"torn")
    assert scraped([past.rundir.path])[("rad_damaged_runs",)] == 0  # it may be being written
    with past.rundir.journal.open("ab") as file:
        file.write(b"\n{}\n")
    found = scraped([past.rundir.path])
    assert found[("rad_damaged_runs",)] == 1
    assert found["rad_landings_total", ("verdict", "verified")] == 1


def test_counters_do_not_fall_when_runs_are_removed(place, capsys):
    for number in range(3):
        past = Past(place, run=f"2026010{number}-000000-aaaa", rules=RULES, at=1000.0)
        for key in ("US-1", "US-2", "US-3"):
            work(past, key)
            past.say("story_marked", key, path="prd.json")
        past.say("run_finished", exit_code=0)
        past.journal.close()
    folder = past.rundir.path.parent
    before = counters(scraped(sorted(folder.iterdir()), folders=[folder]))
    assert before["rad_landings_total", ("verdict", "verified")] == 9
    assert compact(max_age=1.0, keep=0, now=NOW) == 0
    assert not list(folder.iterdir())
    assert counters(scraped([], folders=[folder])) == before
    past = Past(place, run="20260201-000000-bbbb", rules=RULES)
    work(past, "US-1")
    after = counters(scraped([past.rundir.path]))
    assert all(after[key] >= value for key, value in before.items())
    assert after["rad_landings_total", ("verdict", "verified")] == 10
    capsys.readouterr()
    assert metrics(json=False, output=None) == 0
    assert 'rad_landings_total{verdict="verified"} 10.0' in capsys.readouterr().out


def counters(found):
    return {
        key: value for key, value in found.items() if key[0].endswith(("_total", "_count", "_sum", "_bucket"))
    }


def test_a_run_that_is_being_removed_counts_once(place):
    past = Past(place, rules=RULES)
    work(past, "US-1")
    kept.remember([past.rundir.path])
    kept.remember([past.rundir.path])  # a kill between the totals and the removal: it is done again
    assert past.rundir.path.exists()
    assert scraped([past.rundir.path])["rad_landings_total", ("verdict", "verified")] == 1


def test_labels_do_not_grow_with_stories(tmp_path, monkeypatch):
    many = [{**STORIES[0], "id": f"US-{number}"} for number in range(1000)]
    place = repository(tmp_path / "repo", many)
    past = Past(place, rules=RULES)
    past.journal.commit = lambda: None
    for story in many:
        work(past, story["id"], gate=f"checks {story['id']}")
    del past.journal.commit
    past.journal.commit()
    found = scraped([past.rundir.path])
    assert found["rad_landings_total", ("verdict", "verified")] == 1000
    values = {
        value for (_n, *labels), number in found.items() if number for name, value in labels if name != "le"
    }
    assert values <= {"command", "other", "green", "verified", "landed", "agent", "judging", "landing", "real",
                      "cpu", "memory", "io"}  # fmt: skip


def test_the_command_prints_and_writes_them(place, capsys):
    work(Past(place, rules=RULES), "US-1")
    assert metrics(json=True, output=None) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert {"name": "rad_landings_total", "labels": {"verdict": "verified"}, "value": 1} in document[
        "metrics"
    ]
    assert metrics(json=False, output="rad.prom") == 0
    assert capsys.readouterr().out == ""
    assert 'rad_landings_total{verdict="verified"} 1.0' in (place / "rad.prom").read_text()
