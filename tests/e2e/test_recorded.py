"""The built-in agent through the gateway: asked of a mock model, recorded, and played again anywhere without one."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests import quickstart
from tests.aimock import serve, tap
from tests.conftest import Project
from tests.marks import TOKEN

NO_PROXY_WORKS = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
KEY = "sk-ant-api03.not-a-real-one.but-it-looks-like-it"


def pocketbook(folder: Path) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    project = Project(folder)
    skipped = shutil.ignore_patterns("__pycache__", ".*cache")
    shutil.copytree(quickstart.EXAMPLE, project.folder, dirs_exist_ok=True, ignore=skipped)
    return project.init({})


def exchanges(folder: Path) -> dict[str, object]:
    """What was recorded, without the names that a model gives to its answers."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        text = path.read_text()
        found[str(path.relative_to(folder))] = json.loads(text)
    return found


def test_five_stories_are_asked_for_paid_recorded_and_played_again(tmp_path: Path) -> None:
    project = pocketbook(tmp_path / "first")
    tape = tmp_path / "tape"
    with serve(tmp_path / "mock", quickstart.fixtures()) as mock, tap(mock.url) as seen:
        ran = project.rad("run", "prd.json", "--yes", "--upstream", seen.url, "--record", str(tape), "--attempts", "1",
                          env={"ANTHROPIC_API_KEY": KEY, **NO_PROXY_WORKS})  # fmt: skip
        assert ran.code == 0, ran.err
        assert seen.violations() == []
        bill = [exchange.usage for exchange in seen.exchanges if exchange.path.startswith("/v1/messages")]
    assert len(bill) == 20
    stories = project.report()["stories"]
    tokens = sum(usage["input_tokens"] + usage["output_tokens"] for usage in bill)
    dollars = sum(2 * usage["input_tokens"] + 10 * usage["output_tokens"] for usage in bill) / 1e6
    assert sum(story["tokens"] for story in stories) == tokens
    assert sum(story["cost_usd"] for story in stories) == pytest.approx(dollars, abs=1e-5)
    assert sorted(project.landed("rad/pocketbook")) == ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]
    places = [project.folder, tmp_path / "tape", *tmp_path.glob("first/*")]
    assert not [path for place in places for path in place.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]  # fmt: skip

    again = pocketbook(tmp_path / "some" / "where" / "else")
    ran = again.rad("run", "prd.json", "--yes", "--upstream", f"replay:{tape}", env=NO_PROXY_WORKS)
    assert ran.code == 0, ran.err
    trees = [of.git("rev-parse", "rad/pocketbook^{tree}") for of in (project, again)]
    assert trees[0] == trees[1]
    assert sum(story["tokens"] for story in again.report()["stories"]) == 0


def test_the_recording_of_the_quickstart_is_what_the_model_of_the_tests_says(tmp_path: Path) -> None:
    """It is made again with: run examples/quickstart with `--record` against the fixtures of tests/quickstart."""
    recorded = exchanges(quickstart.EXAMPLE / "recording")
    answers = [entry["answer"]["message"]["content"] for entry in recorded.values() if "answer" in entry]  # type: ignore[index]
    said = {
        json.dumps([block["input"] for block in blocks if block["type"] == "tool_use"]) for blocks in answers
    }
    wanted = {json.dumps([call["arguments"] for call in fixture["response"]["toolCalls"]]) for fixture in quickstart.fixtures()}  # fmt: skip
    assert said == {one.replace(TOKEN, "<token>") for one in wanted}


ASKS = """
import json, os, sys, urllib.error, urllib.request
body = {"model": "claude-sonnet-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "another question"}]}
request = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", json.dumps(body).encode(),
                                 {"x-api-key": os.environ["ANTHROPIC_API_KEY"]})
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
except urllib.error.HTTPError as error:
    sys.exit(f"it was refused: {error.code}")
"""


def test_an_agent_of_another_kind_that_asks_what_was_not_recorded_is_not_tried_again(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    (tmp_path / "asks.py").write_text(ASKS)
    command = f"{sys.executable} {tmp_path / 'asks.py'}"
    ran = project.rad("run", "prd.json", "--yes", "--only", "PB-1", "--agent-command", command)
    assert ran.code == 1, ran.err
    entry = next(story for story in project.report()["stories"] if story["key"] == "PB-1")
    assert (entry["status"], entry["reason"], entry["attempts"]) == ("failed", "drift", 1)
    assert "messages[0].content[0].text differs from character 0 on: 'another question'" in entry["detail"]


def test_one_changed_word_of_a_story_is_drift_and_named(tmp_path: Path) -> None:
    project = pocketbook(tmp_path)
    text = (project.folder / "prd.json").read_text()
    project.write(
        {"prd.json": text.replace("so that I need not think about cents", "so that I need not think")}
    )
    ran = project.rad("run", "prd.json", "--yes", "--only", "PB-1")
    assert ran.code == 1
    entry = next(story for story in project.report()["stories"] if story["key"] == "PB-1")
    assert (entry["status"], entry["reason"], entry["attempts"]) == ("failed", "drift", 1)
    assert re.match(r"messages\[0\]\.content\[1\]\.text differs from character \d+ on: ", entry["detail"])
    assert "recorded was '…hat I need not think about cents" in entry["detail"]
    assert "differs from character" in " ".join(project.rad("explain", "PB-1").out.split())
    assert (
        "differs from character" in (next(project.folder.glob(".rad-engineer/runs/*/report.md"))).read_text()
    )
