"""The public JSON documents: every promised key is there with its type, whatever the run has been through."""

import json
from typing import Any

import pytest

from tests.conftest import Project, agent, prd, story

STATUSES = {
    "passed", "already-done", "done-unverified", "failed", "blocked", "skipped", "pending", "waiting",
    "running", "landing", "interrupted",
}  # fmt: skip
TEXT, COUNT, NUMBER, SURE = (str,), (int,), (int, float), (bool,)
MAYBE_TEXT, MAYBE_COUNT, MAYBE_NUMBER = (str, type(None)), (int, type(None)), (int, float, type(None))

ROW = {
    "file": TEXT, "outcome": TEXT, "code": MAYBE_TEXT, "message": MAYBE_TEXT, "line": MAYBE_COUNT,
    "column": MAYBE_COUNT, "stories": COUNT, "done": COUNT, "edges": COUNT, "dangling": COUNT, "cycles": COUNT,
    "warnings": [TEXT],
}  # fmt: skip
PLAN = {
    "schema_version": COUNT,
    "prds": [{"file": TEXT, "name": TEXT, "branch": MAYBE_TEXT, "needs": [TEXT], "stories": [TEXT]}],
    "stories": [
        {
            "key": TEXT, "id": TEXT, "prd": TEXT, "title": TEXT, "needs": [TEXT], "wave": COUNT,
            "priority": MAYBE_NUMBER, "points": MAYBE_NUMBER, "files": [TEXT], "done": SURE, "state": TEXT,
            "why": TEXT,
        }
    ],
    "waves": [[TEXT]],
    "critical_path": [TEXT],
}  # fmt: skip
GATE = {
    "name": TEXT, "command": TEXT, "verdict": TEXT, "exit_code": MAYBE_COUNT, "seconds": NUMBER, "sha256": TEXT,
    "at": NUMBER, "commit": TEXT, "scope": TEXT, "ok": SURE, "proof": SURE,
}  # fmt: skip
REPORT = {
    "schema_version": COUNT, "run": TEXT, "state": TEXT, "exit_code": MAYBE_COUNT, "branch": MAYBE_TEXT,
    "base": MAYBE_TEXT, "head": MAYBE_TEXT,
    "stories": [
        {
            "key": TEXT, "status": TEXT, "attempts": COUNT, "commit": MAYBE_TEXT, "seconds": NUMBER,
            "cost_usd": MAYBE_NUMBER, "unmetered": SURE, "stated_usd": NUMBER, "tokens": COUNT,
            "criteria": [{"text": TEXT}], "gates": [GATE], "reason": MAYBE_TEXT,
        }
    ],
}  # fmt: skip
PROOF = {"command": TEXT, "exit_code": COUNT, "sha256": TEXT, "commit": TEXT, "at": NUMBER}
EVENT = {"seq": COUNT, "at": NUMBER, "run": TEXT, "event": TEXT, "story": MAYBE_TEXT, "attempt": MAYBE_COUNT}
EVENTS = {
    "run_started": {},
    "story_started": {},
    "stage_finished": {"stage": TEXT, "ok": SURE, "seconds": NUMBER},
    "gate_finished": {"gate": TEXT, "ok": SURE, "blamed": SURE},
    "story_landed": {"commit": TEXT},
    "story_failed": {"reason": TEXT},
    "story_blocked": {"by": [TEXT]},
    "run_finished": {"exit_code": COUNT},
}


def differences(shape: Any, value: Any, where: str = "") -> list[str]:
    """Where a document is not what was promised; more keys than promised are fine."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where}: not an object"]
        missing = [f"{where}.{key}: missing" for key in shape if key not in value]
        known = [key for key in shape if key in value]
        return missing + [
            line for key in known for line in differences(shape[key], value[key], f"{where}.{key}")
        ]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where}: not a list"]
        return [
            line
            for index, item in enumerate(value)
            for line in differences(shape[0], item, f"{where}[{index}]")
        ]
    if type(value) not in shape:
        return [f"{where}: {value!r} is a {type(value).__name__}"]
    return []


def test_differences_are_seen() -> None:
    assert differences({"a": [TEXT], "b": COUNT}, {"a": ["x", 1], "c": 0}) == [
        ".b: missing",
        ".a[1]: 1 is a int",
    ]
    assert differences({"a": COUNT}, {"a": True}) == [".a: True is a bool"]


@pytest.fixture
def ran(project: Project) -> Project:
    """A run with a story of nearly every fate."""
    stories = (
        story("A", passes=True),
        story("B", "A", acceptanceCriteria=["`sh check.sh` passes", "nobody can tell"], points=3, files=["out/B.txt"]),
        story("C", "B"),
        story("D", "C"),
        story("H", "A", checkpoint=True, priority="high"),
        story("S", skip=True),
    )  # fmt: skip
    toml = '[gates]\ncheck = "sh check.sh"\n'
    project.init({"prd.json": prd(*stories), "rad-engineer.toml": toml, "check.sh": "true\n"})
    script = 'mkdir -p out; echo x > "out/$RAD_STORY_ID.txt"; test "$RAD_STORY_ID" != C\n'
    ended = project.rad("run", "prd.json", *agent(project, script), "--yes", "--attempts", "1", "--json")
    assert ended.code == 1, ended.err
    (project.folder / "events").write_text(ended.out)
    return project


def test_events(ran: Project) -> None:
    events = [json.loads(line) for line in (ran.folder / "events").read_text().splitlines()]
    found = [line for event in events for line in differences(EVENT, event, event["event"])]
    for event in events:
        found += differences(EVENTS.get(event["event"], {}), event, event["event"])
    assert found == []
    assert {event["event"] for event in events} >= EVENTS.keys()
    assert (events[0]["event"], events[-1]["event"]) == ("run_started", "run_finished")


def test_report_and_status(ran: Project) -> None:
    written = ran.report()
    assert json.loads(ran.rad("status", "--json").out) == written
    assert json.loads(ran.rad("status", "prd.json", "--json").out)["stories"] == written["stories"]
    assert json.loads(ran.rad("report", "--json").out) == written
    assert differences(REPORT, written) == []
    assert written["schema_version"] == 1
    assert {one["key"]: one["status"] for one in written["stories"]} == {
        "A": "already-done", "B": "passed", "C": "failed", "D": "blocked", "H": "waiting", "S": "skipped",
    }  # fmt: skip
    assert {one["status"] for one in written["stories"]} <= STATUSES
    proved, open_one = written["stories"][1]["criteria"]
    assert differences(PROOF, proved["proved_by"]) == []
    assert open_one == {"text": "nobody can tell", "proved_by": None}
    assert [one["reason"] for one in written["stories"]] == [
        None,
        None,
        "agent-failed",
        "needs",
        "human",
        None,
    ]


def test_plan(ran: Project) -> None:
    document = json.loads(ran.rad("plan", "prd.json", "--json").out)
    assert differences(PLAN, document) == []
    assert document["schema_version"] == 1
    assert document["prds"][0] == {
        "file": "prd.json", "name": "demo", "branch": "rad/demo", "needs": [], "sequential": False,
        "stories": ["A", "B", "C", "D", "H", "S"],
    }  # fmt: skip
    assert document["stories"][1] == {
        "key": "B", "id": "B", "prd": "prd.json", "title": "Story B", "needs": ["A"], "wave": 2, "priority": None,
        "points": 3, "files": ["out/B.txt"], "done": True, "state": "already-done", "why": "is done already",
    }  # fmt: skip
    assert document["stories"][4]["priority"] == 1
    assert document["waves"] == [["A", "S"], ["B", "H"], ["C"], ["D"]]
    assert document["critical_path"] == ["A", "B", "C", "D"]


def test_plan_of_two_prds_with_the_same_ids(project: Project) -> None:
    first, second = (
        prd(story("A"), project="x"),
        prd(story("A"), story("B", "A"), project="y", depends_on=["x.json"]),
    )
    project.init({"x.json": first, "y.json": second})
    document = json.loads(project.rad("plan", "y.json", "x.json", "--json").out)
    assert differences(PLAN, document) == []
    assert [one["file"] for one in document["prds"]] == ["x.json", "y.json"]
    assert document["prds"][1]["needs"] == ["x.json"]
    assert [one["key"] for one in document["stories"]] == ["x/A", "y/A", "B"]


def test_validate(project: Project) -> None:
    project.init(
        {
            "good.json": prd(story("A", passes=True), story("B", "A", "Z")),
            "empty.json": '{"userStories": []}',
            "circle.json": prd(story("A", "B"), story("B", "A")),
            "broken.json": '{\n  "userStories": [}\n',
        }
    )
    ended = project.rad(
        "validate", "--json", "good.json", "empty.json", "circle.json", "broken.json", "none.json"
    )
    assert ended.code == 65
    document = json.loads(ended.out)
    assert document.keys() == {"schema_version", "files"}
    assert document["schema_version"] == 1
    assert differences({"files": [ROW]}, document) == []
    rows = document["files"]
    assert [row["outcome"] for row in rows] == ["ok", "empty", "refused", "refused", "refused"]
    assert [row["code"] for row in rows] == [None, "NO_STORIES_EMPTY", "CYCLE", "SYNTAX", "NO_INPUT"]
    assert [(row["stories"], row["done"], row["edges"], row["dangling"], row["cycles"]) for row in rows] == [
        (2, 1, 2, 1, 0), (0, 0, 0, 0, 0), (2, 0, 2, 0, 1), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0),
    ]  # fmt: skip
    assert [(row["line"], row["column"]) for row in rows][3:] == [(2, 19), (None, None)]
    assert rows[0]["warnings"] == ["dangling"]


def test_next(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A", checkpoint=True))})
    ended = project.rad("next", "prd.json", "--json")
    assert (ended.code, json.loads(ended.out)) == (
        0, {"schema_version": 1, "key": "A", "title": "Story A", "open": 2},
    )  # fmt: skip
    assert project.rad("pass", "prd.json", "A").code == 0
    ended = project.rad("next", "prd.json", "--json")
    assert (ended.code, json.loads(ended.out)) == (
        4, {"schema_version": 1, "key": None, "title": None, "open": 1},
    )  # fmt: skip
