"""What a worker is told about a story beside the story: hints, notes, and what others have learned."""

import json

import pytest

from rad_engineer import importers, store
from rad_engineer.core import graph as graphs
from rad_engineer.core.events import Event
from rad_engineer.launch.story_jobs import PROGRESS_LIMIT, StoryJobs


def jobs(folder, **more):
    stories = [
        {"id": name, "title": f"do {name}", "acceptanceCriteria": [], "passes": False, "agent": "planner", "model": "opus"}
        for name in ("A", "B", "C")
    ]  # fmt: skip
    (folder / "prd.json").write_text(json.dumps({"project": "toy", "userStories": stories, **more}))
    graph = graphs.build(importers.load(str(folder / "prd.json")))
    return StoryJobs(graph, store.RunDir(folder / "run"))


def landed(found, index, *learnings):
    identity, name = found.graph.identities[index], found.graph.keys[index]
    for kind, data in (
        ("story_verified", {"changed": ["a.py"], "learnings": learnings}),
        ("story_landed", {}),
    ):
        found.hear(Event(kind, 1, 1.0, "r", name, 1, identity, data))


def test_hints_are_passed_on(tmp_path):
    told = jobs(tmp_path)(0, False)["story"]
    assert (told["agent"], told["model"]) == ("planner", "opus")


def test_learnings_are_said_once(tmp_path):
    found = jobs(tmp_path)
    landed(found, 0, "run make first", "mind the gap")
    landed(found, 1, "Run `make` first!")
    context = found(2, False)["context"]
    assert context["learnings"] == ["(A) mind the gap", "(A, B) run make first"]
    assert context["earlier"] == ["A: a.py", "B: a.py"]


def test_progress_notes_beside_the_prd_are_read_once(tmp_path):
    (tmp_path / "progress.txt").write_text(
        "## Codebase Patterns\n- use make\n" + "x" * 20_000 + "\nthe newest\n"
    )
    found = jobs(tmp_path, description="A toy.")
    (tmp_path / "progress.txt").write_text(
        "changed since: another prompt for every story would cost its cache\n"
    )
    notes = found(0, False)["context"]["notes"]
    assert "A toy." in notes
    assert "### progress.txt\n\n## Codebase Patterns\n- use make\n" in notes
    assert notes.endswith("the newest")
    assert len(notes) < PROGRESS_LIMIT + 500


def test_progress_notes_that_lie_elsewhere_are_not_read(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("secret")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "progress.txt").symlink_to(elsewhere)
    assert "secret" not in jobs(tmp_path / "here")(0, False)["context"]["notes"]


@pytest.mark.parametrize("content", [None, b"", b" \n"])
def test_no_progress_notes(tmp_path, content):
    if content is not None:
        (tmp_path / "progress.txt").write_bytes(content)
    assert "progress" not in jobs(tmp_path)(0, False)["context"]["notes"]
