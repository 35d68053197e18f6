"""Fields of a story in their spellings."""

import json
from typing import Any

import pytest

from rad_engineer.core.prd import Prd, Story, Wave, identity
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import references, states
from rad_engineer.importers.json_prd import load_json


def load(*stories: dict[str, Any], **project: Any) -> Prd:
    return load_json(json.dumps({**project, "userStories": list(stories)}), "prd.json", "/prd.json")


def only(**fields: Any) -> Story:
    return load({"id": "US-1", "title": "One", **fields}).stories[0]


def codes(prd: Prd) -> set[str]:
    return {finding.code for finding in prd.findings}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"), (7, "7"), ("US-1", "US-1"), (" a ", "a"), ("a\nb", "a b"), ("a\x1b[31m", "a [31m"),
    ],
)  # fmt: skip
def test_ids(value: Any, expected: str) -> None:
    assert load({"id": value, "title": "x"}).stories[0].id == expected


def test_float_ids_keep_their_digits() -> None:
    prd = load_json('{"tasks": [{"id": 3.10, "title": "x"}, {"id": 3.1, "title": "y"}]}', "t.json", "/t.json")
    assert [story.id for story in prd.stories] == ["3.10", "3.1"]


@pytest.mark.parametrize("value", [None, "", True, [], {"a": 1}])
def test_missing_ids_are_made_of_the_text_not_of_the_place(value: Any) -> None:
    item = {"id": value, "title": "Add a login form", "acceptanceCriteria": ["It works"]}
    alone, after = load(item).stories[0], load({"id": "x", "title": "y"}, item).stories[1]
    assert alone.id == after.id
    assert alone.id.startswith("add-a-login-form-")
    assert alone.id_generated
    assert load({**item, "title": "Add a logout form"}).stories[0].id != alone.id


def test_equal_items_without_id_stay_apart() -> None:
    prd = load({"title": "Same"}, {"title": "Same"})
    assert len({story.id for story in prd.stories}) == 2
    assert "same-twice" in codes(prd)


def test_a_giant_id_is_shortened_and_stays_unique() -> None:
    one, other = load({"id": "x" * 5000, "title": "a"}, {"id": "x" * 4999, "title": "b"}).stories
    assert len(one.id) <= 200
    assert one.id != other.id


def test_the_same_story_twice_is_refused_with_both_places() -> None:
    text = '{"userStories": [\n {"id": "A", "title": "One"},\n {"id": "A", "title": "one"}\n]}'
    with pytest.raises(PrdInvalid, match="stands twice, here and in line 2") as refused:
        load_json(text, "prd.json", "/prd.json")
    assert (refused.value.code, refused.value.line, refused.value.column) == ("DUPLICATE", 3, 2)


def test_an_id_used_for_two_stories_renames_the_second() -> None:
    prd = load({"id": "A", "title": "One"}, {"id": "A", "title": "Two"}, {"id": "A", "title": "Three"})
    assert [story.id for story in prd.stories] == ["A", "A#2", "A#3"]
    assert "duplicate-id" in codes(prd)


def test_a_need_of_an_ambiguous_id_is_refused() -> None:
    with pytest.raises(PrdInvalid, match="B needs A, an id that several"):
        load(
            {"id": "A", "title": "One"},
            {"id": "A", "title": "Two"},
            {"id": "B", "title": "x", "needs": ["A"]},
        )


@pytest.mark.parametrize(
    "key", ["title", "name", "task_name", "task", "story", "feature", "Statement", "task-name"]
)
def test_title_synonyms(key: str) -> None:
    assert load({"id": 1, key: "A title\twith a tab"}).stories[0].title == "A title with a tab"


def test_a_description_lends_its_first_sentence() -> None:
    prd = load({"id": 1, "description": "Sort the list. Then show it.\nMore."})
    assert prd.stories[0].title == "Sort the list."
    assert prd.stories[0].description == "Sort the list. Then show it.\nMore."
    assert "title-from-description" in codes(prd)


def test_a_user_story_object_becomes_a_sentence() -> None:
    story = only(user_story={"as_a": "user", "i_want": "to log in", "so_that": "I see my data"})
    assert story.description == "As user, I want to log in, so that I see my data"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (0, 0), (-3, -3), ("2", 2), ("P0", 0), ("p1", 1), ("Critical", 0), ("CRITICAL — must come first", 0),
        ("high", 1), ("Should", 1), ("MEDIUM — after revenue", 2), ("could", 2), ("low", 3), ("P3", 3), ("P0-Critical", 0),
        (None, None), ("", None), ("someday", None), (True, None), ([], None), (10**400, None),
    ],
)  # fmt: skip
def test_priority(value: Any, expected: int | None) -> None:
    assert references.priority(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5.0), ("3", 3.0), ("0.5", 0.5), ("8-12 hours", 10.0), ("30 minutes", 0.5), ("2 days", 16.0), ("S", 2.0), ("large", 5.0),
        ("Very High", 8.0), ("medium", 3.0), (None, None), (0, None), (-1, None), ("unknown", None), (True, None), ("Infinity", None),
    ],
)  # fmt: skip
def test_points(value: Any, expected: float | None) -> None:
    assert references.points(value) == expected


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "todo"), ({"passes": True}, "done"), ({"passes": False}, "todo"), ({"passes": []}, "todo"),
        ({"passes": None}, "todo"), ({"passes": ""}, "todo"), ({"passes": "true"}, "done"), ({"passes": "no"}, "todo"),
        ({"passes": "partial"}, "todo"), ({"passes": "deferred"}, "skipped"), ({"completed": "skipped"}, "skipped"),
        ({"completed": 1}, "done"), ({"done": 0}, "todo"), ({"completed": "2026-01-12"}, "done"), ({"tested": True}, "done"),
        ({"status": "Done"}, "done"), ({"status": "🟢 DONE"}, "done"), ({"status": "completed (2026-01-01)"}, "done"),
        ({"status": "NOT_STARTED"}, "todo"), ({"status": "not-started yet"}, "todo"), ({"status": "in progress"}, "todo"),
        ({"status": "not done"}, "todo"), ({"status": "✅"}, "done"), ({"status": "cancelled"}, "skipped"),
        ({"status": "deferred"}, "skipped"), ({"status": "blocked"}, "blocked"), ({"status": "needs-human"}, "human"),
        ({"status": "已完成"}, "done"), ({"passes": False, "status": "blocked"}, "blocked"), ({"passes": False, "skip": True}, "skipped"),
        ({"passes": False, "skip": False}, "todo"), ({"blocked": True}, "blocked"), ({"blocked": []}, "todo"),
        ({"checkpoint": True}, "human"), ({"HITL": True}, "human"), ({"labels": ["backend", "needs-human"]}, "human"),
        ({"type": "checkpoint:human-verify"}, "todo"), ({"supersededBy": "US-9"}, "skipped"), ({"passes": True, "checkpoint": True}, "done"),
        ({"passes": True, "status": "pending"}, "done"), ({"passes": False, "status": "done"}, "todo"),
    ],
)  # fmt: skip
def test_states(fields: dict[str, Any], state: str) -> None:
    assert only(**fields).state == state


def test_contradictions_and_unknown_words_are_told() -> None:
    assert "status-contradiction" in codes(load({"id": 1, "title": "x", "passes": False, "status": "done"}))
    assert "status-contradiction" not in codes(
        load({"id": 1, "title": "x", "passes": False, "status": "in_progress"})
    )
    assert "status-unknown" in codes(load({"id": 1, "title": "x", "status": "frobnicated"}))


def test_why_it_is_skipped() -> None:
    assert only(skip=True, skipReason="no key yet").reason == "no key yet"
    assert only(passes=False, skipReason="old remark").reason == ""


def test_status_words_of_every_state_are_known() -> None:
    assert {states.of_status(word) for word in ("done", "pending", "skipped", "blocked", "hitl")} == {
        "done", "todo", "skipped", "blocked", "human",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dependsOn": ["A", "B"]}, ("A", "B")), ({"dependencies": [1, 2]}, ("1", "2")), ({"depends_on": "US-001"}, ("US-001",)),
        ({"deps": "US-1, US-2;US-3"}, ("US-1", "US-2", "US-3")), ({"requires": "US-1 and US-2"}, ("US-1", "US-2")),
        ({"blockedBy": ["A"], "dependencies": ["B", "A"]}, ("B", "A")), ({"dependsOn": ["US-015 for adding employees"]}, ("US-015 for adding employees",)),
        ({"dependsOn": ["None"]}, ()), ({"dependsOn": "none"}, ()), ({"dependsOn": None}, ()), ({"dependsOn": [None, "", "-"]}, ()),
        ({"dependsOn": [{"id": "A"}, {"story_id": 3}, {"x": 1}]}, ("A", "3")), ({"dependsOn": [True]}, ()), ({"prerequisites": ["A"]}, ("A",)),
        ({"dependencies": {"pino": "^8.17.0", "@scope/x": "~1"}, "dependencies_runtime": ["3.1"]}, ("3.1",)),
        ({"blocked_by": ["A"]}, ("A",)), ({"Depends On": ["A"]}, ("A",)),
    ],
)  # fmt: skip
def test_needs(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert only(**fields).needs == expected


def test_a_table_that_is_no_package_list_is_told() -> None:
    assert "dependencies-table" in codes(
        load({"id": 1, "title": "x", "dependencies": {"US-2": "needs its API"}})
    )
    assert "dependencies-table" not in codes(
        load({"id": 1, "title": "x", "dependencies": {"pino": "^8.17.0"}})
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"files": ["a/b.py", "c.ts (NEW)"]}, ("a/b.py", "c.ts")), ({"files_to_create": ["x.py"], "files_to_modify": ["y.py"]}, ("x.py", "y.py")),
        ({"files": "a.py, b.py"}, ("a.py", "b.py")), ({"files": [{"path": "a.py"}, {"path": "r.py", "type": "REFERENCE"}]}, ("a.py",)),
        ({"files": {"create": ["a.py"], "modify": ["./b.py", "a.py"]}}, ("a.py", "b.py")), ({"files": ["the login page"]}, ()),
        ({"files": ["src/x.rs - add the type", "Makefile", "https://x.y/z"]}, ("src/x.rs", "Makefile")), ({"files": None}, ()),
        ({"touches": ["src/**/*.ts"]}, ("src/**/*.ts",)), ({"files": []}, ()), ({"files": [1, None, ""]}, ()),
    ],
)  # fmt: skip
def test_files(fields: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert only(**fields).files == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["One", " Two "], ["One", "Two"]), ("- One\n- [ ] Two\n3. Three\n", ["One", "Two", "Three"]), (["[x] One", "- [ ] Two"], ["One", "Two"]),
        (["3 retries", "-1 is refused"], ["3 retries", "-1 is refused"]),
        ([{"description": "One"}, {"criterion": "Two"}, {"id": "ac-3", "text": "Three"}], ["One", "Two", "Three"]),
        ([{"scenario": "s", "given": "g", "when": "w", "then": "t"}], ["scenario: s, given: g, when: w, then: t"]),
        ({"api": ["One", "Two"], "ui": "Three"}, ["api: One", "api: Two", "ui: Three"]), ([["One"], "Two"], ["One", "Two"]),
        ([], []), ("", []), (None, []), ([None, 5, True], ["5"]), (["", "  "], []),
    ],
)  # fmt: skip
def test_criteria(value: Any, expected: list[str]) -> None:
    assert [criterion.text for criterion in only(acceptanceCriteria=value).criteria] == expected


def test_criteria_with_commands() -> None:
    story = only(
        acceptance_criteria=[
            {"description": "Types hold", "testCommand": "pnpm typecheck"},
            "`npm test` passes",
            "It looks good",
        ]
    )
    assert [criterion.command for criterion in story.criteria] == ["pnpm typecheck", "npm test", None]


def test_the_first_field_with_criteria_counts() -> None:
    assert [c.text for c in only(acceptanceCriteria=[], steps=["One"], requirements=["Two"]).criteria] == [
        "One"
    ]


def test_criteria_out_of_an_issue_body() -> None:
    body = "## Task\n- not this\n\n## Acceptance Criteria\n- [ ] One\n- Two\n\n## Notes\n- not this either\n"
    prd = load({"title": "x", "body": body})
    assert [criterion.text for criterion in prd.stories[0].criteria] == ["One", "Two"]


def test_task_master_strategy_and_subtasks_are_criteria_whatever_is_done_of_them() -> None:
    def task(status: str) -> Story:
        return only(
            testStrategy="Try it.",
            subtasks=[{"id": 1, "title": "First", "status": status}, {"id": 2, "title": "Second"}],
        )

    assert [criterion.text for criterion in task("done").criteria] == ["Try it.", "First", "Second"]
    assert identity("p", task("done")) == identity("p", task("pending"))


def test_verify_commands_become_checks_and_prose_becomes_criteria() -> None:
    story = only(verify=["pytest -q", "Open the page and look", "Run npm test"], acceptanceCriteria=["One"])
    assert [check.command for check in story.checks] == ["pytest -q", "npm test"]
    assert len({check.name for check in story.checks}) == 2
    assert [criterion.text for criterion in story.criteria] == ["One", "Open the page and look"]
    named = only(gateCmds={"unit": "npm test", "e2e": "npx playwright test"}).checks
    assert [(check.name, check.command) for check in named] == [
        ("unit", "npm test"),
        ("e2e", "npx playwright test"),
    ]
    assert [c.text for c in only(verification={"visual": "Record it, verify no flash"}).criteria] == [
        "visual: Record it, verify no flash"
    ]


def test_verify_commands_that_prove_little_are_told() -> None:
    found = codes(load({"id": 1, "title": "x", "verify": ["npm test | tail -5", "cd /srv && make"]}))
    assert {"exit-masked", "elsewhere"} <= found


@pytest.mark.parametrize(
    ("value", "wave"), [(2, 2), ("Wave 3", 3), ("B", 2), ("auth", None), (None, None), (True, None)]
)
def test_waves(value: Any, wave: int | None) -> None:
    assert only(wave=value).wave == (Wave("", wave) if wave else None)
    assert only(parallel_group=value).wave == (Wave("", wave) if wave else None)


def test_hints_are_carried_as_they_are() -> None:
    story = only(model="gpt-5.5", engine="codex", storyPoints=8, epic="Auth", notes=["a", "b"], estimate="L")
    assert (story.model, story.agent, story.points, story.group, story.notes) == (
        "gpt-5.5",
        "codex",
        8.0,
        "Auth",
        "- a\n- b",
    )


def test_project_fields() -> None:
    prd = load(
        {"id": 1, "title": "x"},
        project={"name": "Shop", "description": "Sells things"},
        branchName="ralph/shop",
        depends_on=["phase1.json", "Phase 0 (must be done)"],
        qualityGates=["npm test", "Everybody is happy"],
        finalGates={"e2e": "npx playwright test"},
        waveGates="make check",
        techStack=["Rust"],
    )
    assert (prd.name, prd.project, prd.branch, prd.needs) == (
        "Shop",
        "Shop",
        "ralph/shop",
        ("phase1.json", "Phase 0"),
    )
    assert [check.command for check in prd.gates] == ["npm test"]
    assert [check.command for check in prd.wave_gates] == ["make check"]
    assert [(check.name, check.command) for check in prd.final_gates] == [("e2e", "npx playwright test")]
    for part in ("Sells things", "Rust", "Everybody is happy"):
        assert part in prd.notes


def test_names_without_a_project() -> None:
    assert (load({"id": 1, "title": "x"}).name, load({"id": 1, "title": "x"}).project) == ("prd", "")
    assert load({"id": 1, "title": "x"}, name="Phase 1", priority="P0-Critical").name == "Phase 1"
    assert load({"id": 1, "title": "x"}, metadata={"branchName": "main"}).branch is None


def test_notes_are_bounded() -> None:
    assert (
        len(
            load(
                {"id": 1, "title": "x"},
                description="d" * 50_000,
                context=["c" * 50_000],
                rules={"r": "r" * 50_000},
            ).notes
        )
        < 13_000
    )


def test_whether_the_file_keeps_a_done_field() -> None:
    assert [only(**fields).done_field for fields in ({}, {"passes": None}, {"status": "todo"})] == [
        False,
        True,
        True,
    ]
