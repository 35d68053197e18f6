"""A budget is kept, what waits for money loses nothing, and a killed gateway is nobody's end."""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rad_engineer.gateway import spend
from tests import billing_upstream, faulty_upstream, quickstart
from tests.aimock import serve, tap
from tests.conftest import Project, prd, story
from tests.e2e.test_recorded import pocketbook

KEY = {"ANTHROPIC_API_KEY": "sk-ant-test"}


def test_a_run_stops_at_its_budget_and_goes_on_with_more(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    with serve(tmp_path / "mock", quickstart.fixtures()) as mock, tap(mock.url) as seen:
        first = ("run", "prd.json", "--yes", "--upstream", seen.url, "--budget", "0.10", "--attempts", "1")
        stopped = project.rad(*first, env=KEY)
        assert stopped.code == 4, stopped.err
        assert "budget" in stopped.out + stopped.err
        report = project.report()
        waiting = [story for story in report["stories"] if story["reason"] == "budget"]
        assert waiting
        assert {story["status"] for story in waiting} == {"waiting"}
        spent = sum(story["cost_usd"] for story in report["stories"])
        assert 0.04 <= spent <= 0.10
        asked = len(seen.exchanges)
        resumed = project.rad("resume", "--budget", "1", "--upstream", seen.url, env=KEY)
        assert resumed.code == 0, resumed.err
        assert sorted(project.landed("rad/pocketbook")) == ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]
        assert seen.violations() == []
        assert 0 < asked < len(seen.exchanges) == 20  # no turn was asked, or paid, twice
    bill = (
        sum(2 * one.usage["input_tokens"] + 10 * one.usage["output_tokens"] for one in seen.exchanges) / 1e6
    )
    told = sum(story["cost_usd"] for story in project.report()["stories"])
    assert told == pytest.approx(bill, abs=1e-5)
    assert [story["attempts"] for story in project.report()["stories"]] == [1] * 5


def test_a_killed_gateway_is_started_again_and_the_stories_land(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    with serve(tmp_path / "mock", quickstart.fixtures(), "--latency", "5") as mock, tap(mock.url) as seen:
        run = project.start("run", "prd.json", "--yes", "--upstream", seen.url, "--attempts", "1", env=KEY)
        killed = 0
        while run.poll() is None and killed < 3:
            if len(seen.exchanges) > 4 * killed:
                killed += _kill_gateway(run.pid)
            time.sleep(0.02)
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, f"{out}{err}"
        assert killed == 3
        assert len(seen.exchanges) <= 20 + killed * 2
    assert sorted(project.landed("rad/pocketbook")) == ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]


@pytest.mark.skipif(
    not os.environ.get("RAD_CAMPAIGN"), reason="waits until a gateway has been silent for long"
)
def test_a_gateway_that_hangs_is_started_again_and_the_stories_land(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    with serve(tmp_path / "mock", quickstart.fixtures(), "--latency", "20") as mock, tap(mock.url) as seen:
        run = project.start("run", "prd.json", "--yes", "--upstream", seen.url, "--attempts", "1", env=KEY)
        while len(seen.exchanges) < 6:
            assert run.poll() is None, run.communicate()
            time.sleep(0.005)
        for pid in _gateways(run.pid):
            os.kill(pid, signal.SIGSTOP)
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, f"{out}{err}"
        bill = sum(2 * one.usage["input_tokens"] + 10 * one.usage["output_tokens"] for one in seen.exchanges)
    assert "the gateway hung: it said nothing for 15 s" in "".join(
        path.read_text() for path in _journals(project.folder)
    )
    assert sorted(project.landed("rad/pocketbook")) == ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]
    entries = [*spend.read(next(project.folder.glob(".rad-engineer/runs/*/gateway/spend.jsonl"))).values()]
    orphans = sum(entry.uncertain_calls for entry in entries)
    assert 20 <= len(seen.exchanges) <= 20 + orphans
    assert (
        bill
        <= sum(entry.micro_usd for entry in entries)
        <= bill + orphans * 10 * (1_000 + spend.SLACK_TOKENS)
    )


def test_a_ledger_that_cannot_be_written_stops_the_run_and_burns_no_attempt(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    with serve(tmp_path / "mock", quickstart.fixtures(), "--latency", "5") as mock, tap(mock.url) as seen:
        run = project.start("run", "prd.json", "--yes", "--upstream", seen.url, env=KEY)
        while len(seen.exchanges) < 6:
            assert run.poll() is None, run.communicate()
            time.sleep(0.005)
        for pid in _gateways(run.pid):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))  # as on a full disk
        out, err = run.communicate(timeout=100)
        assert run.returncode == 73, f"{out}{err}"
        assert "spend.jsonl" in err
        assert "rad-engineer resume" in err
        assert "attempt_failed" not in "".join(path.read_text() for path in _journals(project.folder))
        lost = [one for one in seen.exchanges if b"message_stop" not in one.answer]
        asked = len(seen.exchanges)
        resumed = project.rad("resume", "--upstream", seen.url, env=KEY)
        assert resumed.code == 0, resumed.err
        assert asked < len(seen.exchanges) <= 20 + len(lost) + 2  # two were not booked
    assert [story["attempts"] for story in project.report()["stories"]] == [1] * 5
    assert sorted(project.landed("rad/pocketbook")) == ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]


ASKS = """
import json, os, threading, urllib.request
def ask(number):
    data = {"model": "claude-sonnet-5-5", "max_tokens": 9_000, "stream": True,
            "messages": [{"role": "user", "content": f"call {number}"}]}
    request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(data).encode(),
                                     {"x-api-key": os.environ["ANTHROPIC_API_KEY"]})
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
for number in range(5):
    threading.Thread(target=ask, args=(number,)).start()
"""
OBEYS = """
import json, os, time, urllib.error, urllib.request
data = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
while True:
    request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(data).encode(),
                                     {"x-api-key": os.environ["ANTHROPIC_API_KEY"]})
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
    except urllib.error.HTTPError as error:
        time.sleep(int(error.headers["retry-after"]))
"""


@pytest.mark.skipif(not os.environ.get("RAD_CAMPAIGN"), reason="waits until an agent has slept for long")
def test_an_agent_that_sleeps_until_a_usage_limit_ends_is_ended_and_its_story_waits(project: Project) -> None:
    project.init({"prd.json": prd(story("A"))})
    (project.folder.parent / "obeys.py").write_text(OBEYS)
    command = f"{sys.executable} {project.folder.parent / 'obeys.py'}"
    plans = {"hello": [faulty_upstream.says(429, "rate_limit_error", retry_after="86400")]}
    with faulty_upstream.serve(plans) as upstream:
        ran = project.rad(
            "run", "prd.json", "--yes", "--agent-command", command, "--upstream", upstream.url, env=KEY
        )
    entry = project.report()["stories"][0]
    assert (ran.code, entry["status"], entry["reason"], entry["attempts"]) == (4, "waiting", "limit", 1), (
        ran.err
    )
    assert len(upstream.seen) == 1
    assert project.processes() == []


STOPS = {"kill -9": (signal.SIGKILL, -9), "^C": (signal.SIGINT, 130), "SIGTERM": (signal.SIGTERM, 143)}


@pytest.mark.parametrize("how", [*STOPS][: 3 if os.environ.get("RAD_CAMPAIGN") else 1])
def test_a_run_that_is_stopped_while_models_answer_knows_what_they_cost(project: Project, how: str) -> None:
    project.init({"prd.json": prd(story("A"))})
    (project.folder.parent / "asks.py").write_text(ASKS)
    command = f"{sys.executable} {project.folder.parent / 'asks.py'}"
    with billing_upstream.serve(output=640, pace=0.04) as bill:  # 1.6 s
        run = project.start("run", "prd.json", "--yes", "--agent-command", command, "--upstream", bill.url,
                            "--grace", "0.1", env=KEY)  # fmt: skip
        while bill.output_tokens < 400:
            assert run.poll() is None, run.communicate()
            time.sleep(0.005)
        run.send_signal(STOPS[how][0])
        out, err = run.communicate(timeout=100)
        assert run.returncode == STOPS[how][1], f"{out}{err}"
        if how == "kill -9":  # and goes on at once: the gateway of before has the ledger still
            assert project.rad("resume", "--attempts", "1", env=KEY).code == 1  # it changes nothing
    entry = next(
        iter(spend.read(next(project.folder.glob(".rad-engineer/runs/*/gateway/spend.jsonl"))).values())
    )
    assert bill.calls == 5  # and nobody pays again for what came when nobody listened any more
    assert (entry.micro_usd, entry.uncertain_calls) == (2 * bill.input_tokens + 10 * bill.output_tokens, 0)
    assert entry.open.tokens == 0
    assert project.report()["totals"]["cost_usd"] == pytest.approx(entry.micro_usd / 1e6)


def _journals(folder: Path) -> list[Path]:
    return list(folder.glob(".rad-engineer/runs/*/journal.jsonl"))


def _kill_gateway(parent: int) -> int:
    for pid in _gateways(parent):
        os.kill(pid, signal.SIGKILL)
        return 1
    return 0


def _gateways(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            about = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(about[1]) == parent and b"gateway.program" in (entry / "cmdline").read_bytes():
                yield int(entry.name)


def test_nobody_is_paid_without_a_key(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    settings = (project.folder / "rad-engineer.toml").read_text()
    project.write({"rad-engineer.toml": settings.replace('[gateway]\nupstream = "replay:recording"\n', "")})
    ran = project.rad("run", "prd.json", "--yes", "--json")
    assert ran.code == 69
    assert "key" in ran.err
    assert "rad-engineer login" in ran.err
    assert not [json.loads(line) for line in ran.out.splitlines()]
