"""Where the stories are."""

import json
from typing import Any

import pytest

from rad_engineer.core.prd import Prd
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers.json_prd import load_json
from tests.story_texts import story_texts

A = {"id": "A", "title": "One", "passes": False}
B = {"id": "B", "title": "Two", "passes": True, "dependsOn": ["A"]}


def load(document: Any, **options: Any) -> Prd:
    return load_json(json.dumps(document), "prd.json", "/prd.json", **options)


def ids(prd: Prd) -> list[str]:
    return [story.id for story in prd.stories]


@pytest.mark.parametrize(
    ("document", "container"),
    [
        ({"userStories": [A, B]}, ".userStories"),
        ({"user_stories": [A, B]}, ".user_stories"),
        ({"User Stories": [A, B]}, ".User Stories"),
        ({"stories": [A, B], "milestones": [{"name": "m"}]}, ".stories"),
        ({"tasks": [A, B]}, ".tasks"),
        ({"issues": [A, B]}, ".issues"),
        ({"items": [A, B]}, ".items"),
        ({"units": [A, B]}, ".units"),
        ({"features": [A, B]}, ".features"),
        ({"modules": [A, B]}, ".modules"),
        ({"milestones": [A, B]}, ".milestones"),
        ([A, B], "[]"),
        ({"data": {"tasks": [A, B]}}, ".data.tasks"),
        ({"prd": {"userStories": [A, B]}}, ".prd.userStories"),
        ({"project": {"name": "x"}, "current_prd": {"user_stories": [A, B]}}, ".current_prd.user_stories"),
        ({"master": {"tasks": [A, B], "metadata": {}}}, ".master.tasks"),
        ({"phases": [{"name": "p", "tasks": [A]}, {"name": "q", "tasks": [B]}]}, ".phases[].tasks"),
        ({"data": {"features": [{"name": "f", "user_stories": [A, B]}]}}, ".data.features[].user_stories"),
        ({"milestones": [{"epics": [{"stories": [A]}]}, {"epics": [{"stories": [B]}]}]}, ".milestones[].epics[].stories"),
        ({"stories": {"A": {"title": "One"}, "B": {"title": "Two", "dependsOn": ["A"]}}}, ".stories{}"),
        ({"US-1": {"status": "open", "title": "x"}, "US-2": {"status": "done", "title": "y"}}, "{}"),
        ([{"epic": "e", "stories": [A]}, {"epic": "f", "stories": [B]}], "[].stories"),
    ],
)  # fmt: skip
def test_containers(document: Any, container: str) -> None:
    prd = load(document)
    assert prd.container == container
    assert len(prd.stories) == 2
    assert all(json.loads(text) for text in story_texts(prd))


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"userStories": []},
        {"stories": {}},
        {"master": {"tasks": []}},
        {"phases": []},
        {"project": {"name": "x"}, "tasks": []},
    ],
)
def test_empty_lists_are_no_error(document: Any) -> None:
    assert load(document).stories == ()


def test_a_list_with_stories_is_preferred_to_an_empty_one() -> None:
    assert load({"userStories": [], "stories": [A]}).container == ".stories"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "NO_STORIES"),
        ("text", "NO_STORIES"),
        (None, "NO_STORIES"),
        ([1, 2], "NO_STORIES"),
        ({"tasks": ["do this", "do that"]}, "NO_STORIES"),
        (
            {"version": "2.0.0", "tasks": [{"label": "build", "type": "shell", "command": "make"}]},
            "NO_STORIES",
        ),
        ({"requirements": {"functional": {"a": [1]}, "other": {}}}, "NO_STORIES"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"userStories": {}}},
            "IS_SCHEMA",
        ),
        ({"type": "object", "properties": {"stories": {"type": "array"}}}, "IS_SCHEMA"),
    ],
)
def test_what_is_no_prd(document: Any, code: str) -> None:
    with pytest.raises(PrdInvalid) as refused:
        load(document)
    assert refused.value.code == code


def test_the_closest_candidate_is_offered_and_its_path_works() -> None:
    document = {
        "spec": {"functional": {"core": [{"id": "x", "desc": "d"}], "ports": [{"port": 1}, {"port": 2}]}}
    }
    with pytest.raises(PrdInvalid) as refused:
        load(document)
    assert refused.value.hint is not None
    assert "--stories-path '.spec.functional.core'" in refused.value.hint
    assert ids(load(document, stories_path=".spec.functional.core")) == ["x"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".phases[].tasks", ["A", "B"]), ("phases[0].tasks", ["A"]), ("$.phases[1].tasks[]", ["B"]), (".phases.0", None),
        (".later", ["A"]), (".nowhere", None), (".phases[7].tasks", None), ("[]", None), (".by_id", ["A", "B"]),
    ],
)  # fmt: skip
def test_stories_path(path: str, found: list[str] | None) -> None:
    document = {
        "phases": [{"tasks": [A]}, {"tasks": [B]}],
        "later": [A],
        "by_id": {"A": {"title": "x"}, "B": {"title": "y"}},
    }
    if found is None:
        with pytest.raises(PrdInvalid):
            load(document, stories_path=path)
    else:
        assert ids(load(document, stories_path=path)) == found


def test_groups_keep_their_names_and_empty_groups_are_no_stories() -> None:
    prd = load(
        {
            "phases": [
                {"name": "Start", "tasks": [A]},
                {"name": "Later", "tasks": []},
                {"id": "P3", "title": "Alone"},
            ]
        }
    )
    assert ids(prd) == ["A", "P3"]
    assert prd.stories[0].group == "Start"


def test_nested_groups_keep_both_names() -> None:
    prd = load({"milestones": [{"name": "M1", "epics": [{"title": "E1", "stories": [A]}]}]})
    assert prd.stories[0].group == "M1 / E1"


def test_a_feature_with_a_done_flag_is_a_story_itself() -> None:
    assert ids(load({"features": [{**A, "tasks": [{"title": "x"}]}]})) == ["A"]
    assert ids(load({"features": [{"id": "F", "title": "f", "tasks": [B]}]})) == ["B"]


def test_tasks_inside_stories_are_their_checklist() -> None:
    prd = load({"stories": [{"id": "S", "title": "s", "tasks": [{"id": "t", "description": "First"}]}]})
    assert ids(prd) == ["S"]
    assert prd.stories[0].criteria[0].text == "First"


def test_phases_are_barriers_only_where_needs_let_stories_run_side_by_side() -> None:
    phases = [{"name": "1", "tasks": [A]}, {"name": "2", "tasks": [B]}]
    assert [story.wave.number for story in load({"phases": phases}).stories if story.wave] == [1, 2]
    without = [{"name": "1", "tasks": [A]}, {"name": "2", "tasks": [{**B, "dependsOn": []}]}]
    assert [story.wave for story in load({"phases": without}).stories] == [None, None]


def test_phases_that_a_need_contradicts_are_no_barriers() -> None:
    prd = load({"phases": [{"tasks": [B]}, {"tasks": [A]}]})
    assert [story.wave for story in prd.stories] == [None, None]
    assert "waves-contradict" in {finding.code for finding in prd.findings}


def test_epics_are_no_barriers() -> None:
    assert [story.wave for story in load({"epics": [{"stories": [A]}, {"stories": [B]}]}).stories] == [
        None,
        None,
    ]


def test_task_master_tags() -> None:
    document = {"one": {"tasks": [A]}, "two": {"tasks": [B]}}
    assert ids(load(document, tag="two")) == ["B"]
    assert ids(load({**document, "master": {"tasks": [A, B]}})) == ["A", "B"]
    with pytest.raises(PrdInvalid, match="several tags: one, two"):
        load(document)
    with pytest.raises(PrdInvalid, match="no tag 'three'"):
        load(document, tag="three")
    assert ids(load({"userStories": [A]}, tag="two")) == ["A"]


def test_a_file_that_is_one_story() -> None:
    prd = load(A)
    assert ids(prd) == ["A"]
    assert "overwritten" in {finding.code for finding in prd.findings}


def test_side_lists_are_told_and_not_run() -> None:
    prd = load({"userStories": [A], "backlog": [B], "tasks": [B]})
    assert ids(prd) == ["A"]
    message = next(finding.message for finding in prd.findings if finding.code == "side-list")
    assert ".backlog (1 items)" in message
    assert ".tasks (1 items)" in message


def test_elements_that_are_no_objects_are_told() -> None:
    prd = load({"tasks": [A, "and this", B, None]})
    assert ids(prd) == ["A", "B"]
    assert "item-ignored" in {finding.code for finding in prd.findings}
    assert json.loads(story_texts(prd)[1]) == B


def test_findings_know_their_line() -> None:
    text = '{"userStories": [\n  {"id": 1, "title": "a", "acceptanceCriteria": ["x"]},\n  {"id": 2, "title": "b"}\n]}'
    (finding,) = load_json(text, "prd.json", "/prd.json").findings
    assert (finding.code, finding.line, finding.column) == ("no-acceptance", 3, 3)
