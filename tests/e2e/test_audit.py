"""The audit log of real runs: what is in it, that it goes on after a kill, and who may switch it off."""

import json
import os
import signal
from typing import Any

import pytest

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\necho mail ann@example.org\n'
TOKEN = "ghp" + "_" + "a1B2" * 9
FILES = {"rad-engineer.toml": '[gates]\ncheck = "sh check.sh"\n', "check.sh": "test ! -e out/bad\n"}


def _records(project: Project, *more: str) -> list[dict[str, Any]]:
    shown = project.rad("audit", "show", "--json", *more)
    assert shown.code == 0, shown.err
    return [json.loads(line) for line in shown.out.splitlines()]


def _of(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record for record in found if record["kind"] == kind]


def test_a_run_leaves_its_trail(project: Project) -> None:
    """Trust, processes, commands, gates, files as landed, landings, the level of the sandbox; and it verifies."""
    project.init({**FILES, "prd.json": prd(story("A"), story("B", "A"))})
    ran = project.rad("run", "prd.json", *agent(project, f"{WRITE}: {TOKEN}\n"), "--yes")
    assert ran.code == 0, ran.err
    found = _records(project)
    assert [record["seq"] for record in found] == list(range(1, len(found) + 1))
    assert _of(found, "opened")[0]["resumed"] is False
    assert _of(found, "trust")[0]["decision"] == "yes-flag"
    assert [record["state"] for record in _of(found, "run")] == ["started", "finished"]
    assert _of(found, "run")[0]["sandbox"] in ("off", "bubblewrap", "landlock")
    assert _of(found, "spawn")
    assert {record["what"] for record in _of(found, "command")} >= {"agent", "gate"}
    landed = [record["commit"] for record in _of(found, "landing")]
    files = {record["commit"]: record["files"] for record in _of(found, "files")}
    assert [[row[:2] for row in files[commit]] for commit in landed] == [
        [["A", "out/A.txt"]],
        [["A", "out/B.txt"]],
    ]
    assert files[landed[0]][0][2] == project.git("rev-parse", "rad/demo:out/A.txt").strip()
    assert {record["story"] for record in _records(project, "--story", "B")} == {"B"}
    assert {record["kind"] for record in _records(project, "--kind", "gate")} == {"gate"}
    verified = project.rad("audit", "verify", "--json")
    assert verified.code == 0
    assert json.loads(verified.out)["runs"][0]["records"] == len(found)


def test_a_killed_run_goes_on_with_the_same_chain(project: Project) -> None:
    """Killed with -9 in the middle of a story; the second process says that it goes on."""
    project.init({**FILES, "prd.json": prd(story("A"), story("B", "A"))})
    command = agent(project, "sleep 0.2\n" + WRITE)
    first = project.start("run", "prd.json", *command, "--yes", "--json")
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "gate_finished":
            break
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=60)
    assert project.rad("run", "prd.json", *command, "--yes").code == 0
    found = _records(project)
    assert [record["resumed"] for record in _of(found, "opened")] == [False, True]
    assert _of(found, "damaged") == []
    assert len({record["commit"] for record in _of(found, "landing")}) == 2
    assert project.rad("audit", "verify").code == 0


def test_what_was_changed_is_named(project: Project) -> None:
    """With the file and the byte, and exit code 1; `export` says so in its last line."""
    project.init({**FILES, "prd.json": prd(story("A"))})
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0
    (path,) = project.folder.glob(".rad-engineer/runs/*/audit/0001.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    verified = project.rad("audit", "verify")
    assert verified.code == 1
    assert f"0001.jsonl: byte {len(lines[0] + lines[1])}: record 3 is missing before record 4" in verified.out
    out = project.folder.parent / "audit.jsonl"
    assert project.rad("audit", "export", "--output", str(out)).code == 1
    assert json.loads(out.read_text().splitlines()[-1])["verified"] is False
    assert out.stat().st_mode & 0o077 == 0


def test_a_project_cannot_switch_it_off_unseen(project: Project) -> None:
    """A file that comes with the project has to be trusted for that; the user may."""
    config = FILES["rad-engineer.toml"] + '[audit]\nlog = "off"\n'
    project.init({**FILES, "rad-engineer.toml": config, "prd.json": prd(story("A"))})
    refused = project.rad("run", "prd.json", *agent(project, WRITE))
    assert refused.code == 77
    assert "audit log" in refused.err
    assert "refused" in project.rad("audit", "show", "user").out
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0
    assert list(project.folder.glob(".rad-engineer/runs/*/audit")) == []
    assert project.rad("audit", "show").code == 66


@pytest.mark.parametrize("words", [("audit", "show", "--kind", "strange"), ("audit", "verify", "x", "--all")])
def test_wrong_words_are_refused(project: Project, words: tuple[str, ...]) -> None:
    """With what there is."""
    project.init({})
    assert project.rad(*words).code == 2


def test_what_people_decide_about_a_run_that_does_not_go_on_is_in_its_log(project: Project) -> None:
    """A story passed by hand, in a run that was and in one that is made for it; a run given up for a fresh one."""
    project.init({**FILES, "prd.json": prd(story("A"), story("B", "A")), "other.json": prd(story("C"))})
    command = agent(project, WRITE)
    assert project.rad("run", "prd.json", *command, "--yes", "--once").code == 3
    assert project.rad("pass", "prd.json", "B").code == 0
    passed = _of(_records(project), "story")[-1]
    assert (passed["story"], passed["state"], bool(passed["by"])) == ("B", "passed-by-hand", True)
    first = project.report()["run"]
    assert project.rad("run", "prd.json", *command, "--yes", "--fresh").code == 0
    states = [record["state"] for record in _of(_records(project, first), "run")]
    assert states[-2:] == ["given-up", "finished"]
    assert project.rad("pass", "other.json", "C").code == 0
    assert [(record["kind"], record.get("state")) for record in _records(project)] == [
        ("opened", None), ("run", "started"), ("story", "passed-by-hand"), ("run", "finished"),
    ]  # fmt: skip
    assert project.rad("audit", "verify", "--all").code == 0
