"""The plan command on files: what is read besides them, the forms, the refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project

SHARED = Path(__file__).parents[2].parent / "shared"


def text(*stories: dict[str, Any], **more: Any) -> str:
    return json.dumps({"project": "P", **more, "userStories": list(stories)})


def story(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": f"Title {name}",
        "acceptanceCriteria": ["works"],
        "dependsOn": list(needs),
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Project:
    """No repository: a plan needs none."""
    return Project(tmp_path)


def test_forms(folder: Project) -> None:
    folder.write({"prd.json": text(story("A"), story("B", "A"))})
    assert folder.rad("plan", "prd.json").out.startswith("2 stories, 0 done, 2 to do\n")
    assert json.loads(folder.rad("plan", "prd.json", "--json").out)["waves"] == [["A"], ["B"]]
    assert (
        folder.rad("plan", "prd.json", "--format", "json").out == folder.rad("plan", "prd.json", "--json").out
    )
    assert folder.rad("plan", "prd.json", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert folder.rad("plan", "prd.json", "--format", "dot").out.endswith("}\n")
    narrow = folder.rad("plan", "prd.json", env={"COLUMNS": "40"}).out
    assert max(map(len, narrow.splitlines())) <= 40


@pytest.mark.parametrize(
    ("stories", "code", "message"),
    [
        ([story("A", "B"), story("B", "A")], 65, "stories need each other: A -> B -> A"),
        ([story("A", "X")], 65, "prd.json: A needs X, which no story answers to"),
        ([story("A"), story("A")], 65, "the story A stands twice"),
    ],
)
def test_refusals(folder: Project, stories: list[dict[str, Any]], code: int, message: str) -> None:
    folder.write({"prd.json": text(*stories)})
    ran = folder.rad("plan", "prd.json")
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert "hint: " in ran.err


def test_a_missing_file_or_story_or_wave(folder: Project) -> None:
    folder.write({"prd.json": text(story("A"))})
    assert folder.rad("plan", "none.json").code == 66
    assert folder.rad("plan", "prd.json", "--only", "Z").code == 66
    assert folder.rad("plan", "prd.json", "--wave", "7").code == 2


def test_an_empty_list_is_nothing_to_do(folder: Project) -> None:
    folder.write({"prd.json": text()})
    ran = folder.rad("plan", "prd.json")
    assert (ran.code, ran.out) == (0, "Nothing to do: there are no stories\n")


def test_settings_and_flags(folder: Project) -> None:
    folder.write({"prd.json": text(story("A", "X"), story("B"), story("C"))})
    ran = folder.rad("plan", "prd.json", "--allow-dangling", "--json", "--parallel")
    assert json.loads(ran.out)["starts"] == ["A", "B", "C"]
    assert "warning: A needs X, which no story answers to" in ran.err
    assert "Starts at once: B\n" in folder.rad("plan", "prd.json", "--allow-dangling", "--only", "b").out


def test_a_prd_that_is_named_but_not_given_is_read_for_what_is_done(folder: Project) -> None:
    later = text(story("B1", "A1"), story("B2", "A2"), depends_on=["one.json"])
    folder.write({"one.json": text(story("A1", passes=True), story("A2", passes=False)), "two.json": later})
    found = json.loads(folder.rad("plan", "two.json", "--json").out)
    assert {one["key"]: one["state"] for one in found["stories"]} == {"B1": "blocked", "B2": "blocked"}
    assert found["prds"][0]["needs"] == ["one.json"]
    folder.write({"one.json": text(story("A1", passes=True), story("A2", passes=True))})
    assert json.loads(folder.rad("plan", "two.json", "--json").out)["starts"] == ["B1", "B2"]
    both = json.loads(folder.rad("plan", "two.json", "one.json", "--json").out)
    assert [one["file"] for one in both["prds"]] == ["one.json", "two.json"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")
def test_the_four_phases(folder: Project) -> None:
    files = sorted(map(str, (SHARED / "prd-corpus" / "phases").glob("phase*.json")))
    found = json.loads(folder.rad("plan", *files, "--json").out)
    assert len(found["stories"]) == 15
    assert [Path(one["file"]).stem for one in found["prds"]] == ["phase1", "phase2", "phase3", "phase4"]
    needs = {one["key"]: one["needs"] for one in found["stories"] if one["needs"]}
    assert needs == {"4.2": ["3.1", "3.2"], "4.3": ["4.1"], "4.4": ["4.1"]}
