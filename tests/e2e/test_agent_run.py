"""Whole runs of the built-in agent: models are asked through the gateway, files change, gates judge, stories land."""

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from rad_engineer import process
from tests.aimock import serve, tap
from tests.conftest import ROOT, prd, story

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import EDITOR, after, call, report, says

EVERYONE = os.environ.get("RAD_KILL_EVERYWHERE")
CONFIG = '[gates]\ncheck = "sh check.sh"\n'


@contextmanager
def playing(project, fixtures, *names):
    """A project of these stories, and what it is run with: a mock, a tap before it, and no way out through a proxy."""
    files = {"prd.json": prd(*(story(name) for name in names)), "rad-engineer.toml": CONFIG}
    project.init({**files, "check.sh": "test ! -e bad\n", "notes": "base\n"})
    project.env |= {"ANTHROPIC_API_KEY": "sk-ant-the-key", "HTTP_PROXY": "http://127.0.0.1:1"}
    with serve(project.folder.parent / "mock", fixtures) as mock, tap(mock.url) as seen:
        yield seen, ("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", seen.url)
    assert seen.violations() == []
    assert project.processes() == []


def met(name, place):
    return report(criteria=[{"criterion": f"{name} is there", "met": True, "evidence": [place]}])


def script(name):
    """What the model says of a story: it looks, and what it writes depends on what it saw."""
    mine = {"userMessage": f"Story {name}:"}
    return [
        says(call("bash", command="cat notes; ls bad; echo seen"), when={**mine, "hasToolResult": False}),
        says(call(EDITOR, command="str_replace", path="notes", old_str="base", new_str=f"{name} base"),
             call(EDITOR, command="create", path="bad" if name == "D" else f"{name}.txt", file_text=name),
             call("record_learning", learning=f"learned from {name}"),
             when={**mine, **after("base\nls")}),
        says(met(name, "notes:1"), when={**mine, **after("recorded")}),
    ]  # fmt: skip


def test_five_stories(project):
    with playing(project, [line for name in "ABCED" for line in script(name)], *"ABCED") as (seen, command):
        ran = project.rad(*command, "--attempts", "1")
        assert ran.code == 1, ran.err
        assert "at most 10.00 USD (the default" in ran.err
        found = {entry["key"]: entry for entry in project.report()["stories"]}
        assert {key: entry["status"] for key, entry in found.items()} == {
            **dict.fromkeys("ABCE", "passed"),
            "D": "failed",
        }
        assert project.landed("rad/demo") == list("ABCE")
        assert project.git("show", "rad/demo:notes") == "A B C E base\n"
        bill, money = dict.fromkeys("ABCDE", 0), dict.fromkeys("ABCDE", 0)
        for exchange in seen.exchanges:
            (name,) = (name for name in bill if f"Story {name}:" in exchange.body.decode())
            bill[name] += sum(exchange.usage.values())
            money[name] += 2 * exchange.usage["input_tokens"] + 10 * exchange.usage["output_tokens"]
        assert {key: entry["tokens"] for key, entry in found.items()} == bill
        assert {key: round(entry["cost_usd"] * 1e6) for key, entry in found.items()} == money
        prefixes = {
            json.dumps([e.data["system"], e.data["tools"], e.data["messages"][0]["content"][0]])
            for e in seen.exchanges
        }
        assert len(prefixes) == 1
        sent = b"".join(exchange.body for exchange in seen.exchanges).decode()
        for secret in (str(project.folder.parent), project.report()["run"], project.report()["base"]):
            assert secret not in sent
        assert "learned from A" in sent


APPENDED = [
    says(
        call("bash", command="test -e log || echo line >> log; echo counted"),
        when=after("in part or in full"),
    ),
    says(met("A", "log:1"), when=after("counted")),
]


def test_a_worker_that_is_killed_in_the_middle_of_a_command(project):
    deadly = (
        "echo line >> log; test -e ../../died || { touch ../../died; kill -9 $PPID; sleep 60; }; echo counted"
    )
    answers = [says(call("bash", command=deadly), when={"hasToolResult": False}), *APPENDED]
    with playing(project.unboxed(), answers, "A") as (seen, command):
        ran = project.rad(*command)
        assert ran.code == 0, ran.err
        assert [len(exchange.data["messages"]) for exchange in seen.exchanges] == [1, 3, 5]
        assert project.git("show", "rad/demo:log") == "line\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_in_the_middle_of_a_turn_goes_on_in_it(project, number):
    begun = project.folder.parent / "begun"
    answers = [
        says(
            call("bash", command=f"echo line >> log; touch {begun}; sleep 100"), when={"hasToolResult": False}
        ),
        *APPENDED,
    ]
    with playing(project.unboxed(), answers, "A") as (seen, command):
        running = project.start(*command, "--grace", "0")
        until = time.monotonic() + 60
        while not begun.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(running.pid, number)
        running.communicate(timeout=60)
        assert running.returncode != 0
        ran = project.rad("resume", "--yes")
        assert ran.code == 0, ran.err
        assert project.git("show", "rad/demo:log") == "line\n"
        assert [len(exchange.data["messages"]) for exchange in seen.exchanges] == [1, 3, 5]


def test_a_story_that_waits_for_money_goes_on_with_the_call_that_was_refused(project):
    first = says(call("bash", command="echo line >> log; echo counted"), when={"hasToolResult": False},
                 usage={"input_tokens": 1000, "output_tokens": 60_000})  # fmt: skip
    with playing(project, [first, *APPENDED], "A") as (seen, command):
        ran = project.rad(*command, "--budget", "0.5")
        assert (ran.code, len(seen.exchanges)) == (4, 1), ran.err + ran.out
        assert project.report()["stories"][0]["reason"] == "budget"
        ran = project.rad("resume", "--yes", "--budget", "5")
        assert ran.code == 0, ran.err
        assert [len(exchange.data["messages"]) for exchange in seen.exchanges] == [1, 3]
        assert project.git("show", "rad/demo:log") == "line\n"


def test_models_are_asked_for_by_the_names_that_people_use_and_those_without_a_price_before_anything_starts(
    project,
):
    answers = [says(call("bash", command="echo line >> ours; echo seen"), when={"hasToolResult": False}),
               says(met("A", "notes:1"), when=after("seen"))]  # fmt: skip
    with playing(project, answers, "A") as (seen, command):
        mine = "[gateway.prices]\nmine = { input = 1, output = 1 }\n"
        project.write({"prd.json": prd(story("A"), story("B", model="mine"), story("C", model="claude-nobody")),
                       "rad-engineer.toml": CONFIG + mine})  # fmt: skip
        for option in ("--model", "--fallback-model"):
            ran = project.rad(*command, option, "nobody-knows")
            assert (ran.code, seen.exchanges) == (78, [])
            assert "[gateway.prices]" in ran.err
        ran = project.rad(*command, "--model", "opus", "--attempts", "1")
        assert ran.code == 0, ran.err
        asked = {}
        for exchange in seen.exchanges:
            (name,) = (name for name in "ABC" if f"Story {name}:" in exchange.body.decode())
            asked[name] = exchange.data["model"]
        assert asked == {"A": "claude-opus-5-5", "B": "mine", "C": "claude-opus-5-5"}
        assert "claude-nobody" in ran.err


def test_a_recording_with_gaps_is_not_taken_for_a_whole_one(project):
    with playing(project, script("A"), "A") as (_seen, command):
        recording = project.folder.parent / "recording"
        recording.mkdir()
        (recording / "recording.json").write_text('{"schema_version": 1}')
        (recording / "stories").write_text("no folder")
        ran = project.rad(*command, "--record", str(recording))
        assert ran.code == 0, ran.err
        (note,) = (note for note in project.report()["notes"] if "recording" in note)
        assert "has gaps" in note
        assert str(recording / "stories") in note


def test_a_story_that_was_offline_goes_on_when_it_is_not(project):
    with playing(project, script("A"), "A") as (seen, command):
        ran = project.rad(*command, "--offline")
        assert (ran.code, seen.exchanges) == (4, []), ran.err
        [told] = project.report()["stories"]
        assert (told["status"], told["reason"], told["attempts"]) == ("waiting", "offline", 1)
        still = project.rad("resume", env={"RAD_OFFLINE": "true"})
        assert (still.code, seen.exchanges) == (4, []), still.err
        ran = project.rad("resume")
        assert (ran.code, len(seen.exchanges)) == (0, 3), ran.err
        assert project.report()["stories"][0]["attempts"] == 1


def below(pid):
    """The processes of a run: the one that workers are forked from, its workers, and the gateway."""
    found = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in process.children(pid)}
    gateways = [child for child, line in found.items() if b"gateway" in line]
    zygotes = [child for child, line in found.items() if b"rad_engineer\0run" in line]
    return gateways, [worker for zygote in zygotes for worker in process.children(zygote)]


SLOW = {"before it": {"latency": 300}, "within it": {"latency": 30, "chunkSize": 8}}


@pytest.mark.parametrize("when", [*SLOW][0 if EVERYONE else 1 :])
@pytest.mark.parametrize(
    ("who", "most"), [("worker", 2), ("gateway", 3), ("both", 3)][0 if EVERYONE else 2 :]
)
def test_whoever_is_killed_while_a_turn_is_answered(project, who, most, when):
    looks = says(call("bash", command="cat log; echo counted"), when=after("appended"), text="I look. " * 40)
    slow = {**looks, **SLOW[when]}
    answers = [
        says(call("bash", command="echo line >> log; echo appended"), when={"hasToolResult": False}),
        slow,
        says(met("A", "log:1"), when=after("counted")),
        says(call("bash", command="cat log; echo counted"), when=after("not carried out")),
    ]
    with playing(project, answers, "A") as (seen, command):
        running = project.start(*command)
        until = time.monotonic() + 60
        wanted = b"I look" if when == "within it" else b""
        while len(seen.exchanges) < 2 or wanted not in seen.exchanges[1].answer:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < until
            time.sleep(0.005)
        assert b"message_stop" not in seen.exchanges[1].answer
        gateways, workers = below(running.pid)
        assert (len(gateways), len(workers)) == (1, 1)
        for pid in (*(gateways if who != "worker" else ()), *(workers if who != "gateway" else ())):
            os.kill(pid, signal.SIGKILL)
        out, err = running.communicate(timeout=90)
        assert running.returncode == 0, out + err
        assert project.git("show", "rad/demo:log") == "line\n"
        turns = [len(exchange.data["messages"]) for exchange in seen.exchanges]
        assert turns.count(1) == 1  # what was answered is not asked again
        assert turns.count(3) <= most - 1
        assert turns == sorted(turns)
