"""Markdown plans: which way of writing is recognised, and what each story says."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.prd import Check, Prd
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers.markdown import load_markdown
from rad_engineer.importers.write_back import mark

SHARED = Path(__file__).parents[2].parent / "shared"

HEADINGS = """\
# Shop

**Branch**: `feature/shop`

A small shop.

## Progress
- [x] US-001: Cart
- [ ] US-002: Checkout - depends: US-001

## Stories

### US-001: Cart ✅ DONE
**Description:** As a buyer, I want a cart.

**Acceptance Criteria:**
- [x] Items can be added
- [x] `npm test` passes

### US-002 — Checkout
**Priority**: High
**Points**: 5 pts
**Dependencies**: US-001
**Agent**: developer

#### Acceptance Criteria
- [ ] Paying works
  - [ ] with a card

#### Files
- `src/pay.ts` (new)
- src/old.ts (modify)

#### Verification
```bash
cd app  # where it lives
npm test   # all green
# nothing else
```

## Quality Gates

These must pass for every story:
- `npm run lint` - style

### Final Gates
```sh
npm run e2e
```
"""

CHECKLIST = """\
# Fix plan

## High
- [x] **Task 1: Write the test**
  - the details
- [ ] Document it
  1. [ ] with examples
  2. [x] with pictures

## Low
* [ ] T2: Clean up (depends on: Task-1)
+ [-] Not needed any more
- [ ] Document it
- [1] a footnote, no box
"""

TABLE = """\
# Plan

| # | Task ID | Title | Status | Dependencies | Priority |
|---|---------|-------|--------|--------------|----------|
| 1 | M-001 | Monorepo | 🟢 DONE | — | P0 |
| 2 | M-002 | Types \\| more | 🔴 TODO | 001 | P1 |
| 3 | M-003 | Both | ⏸️ deferred | 001, 002 | low |
|   | Total | 3 | | | |
"""


def load(text: str) -> Prd:
    return load_markdown(text, "plan.md", "/plan.md")


def test_heading_stories_with_their_fields() -> None:
    prd = load(HEADINGS)
    assert prd.container == "headings"
    assert (prd.name, prd.project, prd.branch) == ("Shop", "Shop", "feature/shop")
    assert "A small shop." in prd.notes
    cart, checkout = prd.stories
    assert (cart.id, cart.title, cart.state) == ("US-001", "Cart", "done")
    assert cart.description == "As a buyer, I want a cart."
    assert [(c.text, c.command) for c in cart.criteria] == [
        ("Items can be added", None),
        ("`npm test` passes", "npm test"),
    ]
    assert (checkout.id, checkout.title, checkout.state) == ("US-002", "Checkout", "todo")
    assert (checkout.priority, checkout.points, checkout.agent) == (1, 5.0, "developer")
    assert checkout.needs == ("US-001",)
    assert [c.text for c in checkout.criteria] == ["Paying works", "with a card"]
    assert checkout.files == ("src/pay.ts", "src/old.ts")
    assert checkout.checks == (Check("verify", "cd app && npm test"),)
    assert cart.group == "Stories"
    assert cart.span is not None
    assert prd.text[slice(*cart.span)].startswith("### US-001")
    assert prd.text[slice(*cart.span)].endswith("`npm test` passes")


def test_gate_sections_become_gates() -> None:
    prd = load(HEADINGS)
    assert prd.gates == (Check("npm-run-lint", "npm run lint"),)
    assert prd.wave_gates == ()
    assert prd.final_gates == (Check("npm-run-e2e", "npm run e2e"),)


def test_checklist_items_are_stories_and_indented_boxes_their_criteria() -> None:
    prd = load(CHECKLIST)
    assert prd.container == "checklist"
    told = [(s.id if not s.id_generated else "", s.title, s.state, s.group) for s in prd.stories]
    assert told == [
        ("Task-1", "Write the test", "done", "High"),
        ("", "Document it", "todo", "High"),
        ("T2", "Clean up", "todo", "Low"),
        ("", "Not needed any more", "skipped", "Low"),
        ("", "Document it", "todo", "Low"),
    ]
    assert [c.text for c in prd.stories[1].criteria] == ["with examples", "with pictures"]
    assert prd.stories[0].description == "- the details"
    assert prd.stories[2].needs == ("Task-1",)
    assert len({story.id for story in prd.stories}) == 5


def test_generated_ids_do_not_depend_on_the_place() -> None:
    moved = "# Fix plan\n\n## High\n- [ ] Something new\n- [ ] Document it\n"
    ids = [story.id for story in load("# P\n\n## High\n- [ ] Document it\n").stories]
    assert ids == [load(moved).stories[1].id]


def test_tables() -> None:
    prd = load(TABLE)
    assert prd.container == "table"
    assert [(s.id, s.title, s.state, s.needs, s.priority) for s in prd.stories] == [
        ("M-001", "Monorepo", "done", (), 0),
        ("M-002", "Types | more", "todo", ("001",), 1),
        ("M-003", "Both", "skipped", ("001", "002"), 3),
    ]
    assert prd.stories[2].reason == "⏸️ deferred"


def test_running_numbers_are_ids_only_where_there_are_no_boxes() -> None:
    table = "| # | Task | Status |\n|---|---|---|\n| 1 | One | done |\n| 2 | Two | pending |\n"
    assert [story.id for story in load(table).stories] == ["1", "2"]
    assert [story.title for story in load(table + "\n- [ ] Real work\n").stories] == ["Real work"]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("### US-001: Title", ("US-001", "Title")),
        ("### ✅ US-001 - Title", ("US-001", "Title")),
        ("### [US-C01] Title", ("US-C01", "Title")),
        ("### [US-C01]: Title", ("US-C01", "Title")),
        ("### **T1**: Title", ("T1", "Title")),
        ("### P0-1 完善 OAuth", ("P0-1", "完善 OAuth")),
        ("### F1-UI: Title", ("F1-UI", "Title")),
        ("### Task 3: Title", ("Task-3", "Title")),
        ("### Story 4 — Title", ("Story-4", "Title")),
        ("### Phase 1: Title", None),
        ("### Sprint 2 - Title", None),
        ("### P1: High priority", None),
        ("### 3.1 Title", None),
        ("### OAuth2 login", None),
    ],
)
def test_headings_that_name_a_story(heading: str, expected: tuple[str, str] | None) -> None:
    prd = load(f"# Plan\n\n## All\n\n{heading}\n- [ ] one\n- [ ] two\n")
    if expected is None:
        assert (prd.container, len(prd.stories)) == ("checklist", 2)
    else:
        assert [(s.id, s.title) for s in prd.stories] == [expected]
        assert [c.text for c in prd.stories[0].criteria] == ["one", "two"]


def test_headings_with_fewer_than_half_of_the_boxes_are_groups() -> None:
    text = "### T1: One\n- [ ] a\n\n### Rest\n- [ ] b\n- [ ] c\n- [ ] d\n"
    assert [story.title for story in load(text).stories] == ["a", "b", "c", "d"]


def test_a_box_in_the_heading_speaks_for_the_story() -> None:
    prd = load("### [x] US-1: One\n- [ ] a\n### [ ] US-2: Two\n- [x] b\n")
    assert [story.state for story in prd.stories] == ["done", "todo"]


def test_a_status_line_speaks_for_the_story() -> None:
    prd = load(
        "### US-1: One\n**Status**: Completed\n- [ ] a\n### US-2: Two\n**Status:** blocked by design\n- [x] b\n"
    )
    assert [(story.state, story.reason) for story in prd.stories] == [
        ("done", ""),
        ("blocked", "blocked by design"),
    ]


def test_stories_without_any_box_keep_their_criteria() -> None:
    prd = load("# PRD\n\n### US-1: One\nText.\n\n**Acceptance criteria**:\n- first\n- second\n")
    assert [c.text for c in prd.stories[0].criteria] == ["first", "second"]


def test_boxes_in_code_and_comments_are_not_tasks() -> None:
    prd = load("- [ ] real\n\n```\n- [ ] shown\n```\n\n<!--\n- [ ] hidden\n-->\n\n    - [ ] indented code\n")
    assert [story.title for story in prd.stories] == ["real"]


def test_a_repeated_story_extends_the_first_and_another_one_gets_its_own_id() -> None:
    prd = load(
        "### US-1: One\n- [ ] a\n### US-1: Two\n- [ ] b\n### US-1: One\n**Points**: 3\n- [ ] a\n- [ ] c\n"
    )
    assert [(s.id, s.title, [c.text for c in s.criteria]) for s in prd.stories] == [
        ("US-1", "One", ["a", "c"]),
        ("US-1#2", "Two", ["b"]),
    ]
    assert prd.stories[0].points == 3.0
    assert [finding.code for finding in prd.findings] == ["duplicate-id"]


@pytest.mark.parametrize(
    "text", ["", "# Only prose\n\nAnd a list:\n- one\n- two\n", "| a | b |\n|---|---|\n| 1 | 2 |\n"]
)
def test_markdown_without_tasks_is_refused(text: str) -> None:
    with pytest.raises(PrdInvalid) as refused:
        load(text)
    assert refused.value.code == "MD_NO_TASKS"
    assert refused.value.hint


def test_front_matter_is_read_and_is_no_heading() -> None:
    prd = load("---\nproject: demo\nbranch: feat/x\n---\n# Title\n- [ ] one\n")
    assert (prd.project, prd.name, prd.branch) == ("demo", "demo", "feat/x")
    assert prd.text.startswith("---")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_line_ends_change_nothing(end: str) -> None:
    text = HEADINGS.replace("\n", end)
    stories = [(s.id, s.state, s.criteria, s.needs, s.checks, s.files) for s in load(text).stories]
    assert stories == [
        (s.id, s.state, s.criteria, s.needs, s.checks, s.files) for s in load(HEADINGS).stories
    ]


def test_a_json_fence_with_stories_comes_first() -> None:
    text = f'# PRD\n\n- [ ] not this\n\n```json\n{{"userStories": []}}\n```\n\n{CHECKLIST}'
    prd = load(
        text.replace("[]", '[{"id": "S-1", "title": "One", "passes": true}, {"id": "S-2", "title": "Two"}]')
    )
    assert (prd.format, prd.container) == ("markdown", ".userStories")
    assert [(story.id, story.state) for story in prd.stories] == [("S-1", "done"), ("S-2", "todo")]
    assert prd.text.startswith("# PRD")


corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")


@corpus
def test_the_corpus() -> None:
    rows = [json.loads(line) for line in (SHARED / "prd-corpus" / "expected.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["file"].endswith(".md")]
    assert len(rows) > 5
    for row in rows:
        text = (SHARED / "prd-corpus" / "files" / row["file"]).read_text("utf-8")
        if row["outcome"] == "refuse":
            with pytest.raises(PrdInvalid, match="without tasks"):
                load_markdown(text, row["file"], row["file"])
            continue
        prd = load_markdown(text, row["file"], row["file"])
        told = (
            len(prd.stories),
            sum(story.state == "done" for story in prd.stories),
            sum(len(story.needs) for story in prd.stories),
            sum(len(story.criteria) for story in prd.stories),
        )
        assert told == (row["stories"], row["done"], row["edges"], row["acceptance_total"]), row["file"]


lines = st.sampled_from(
    [
        "# Plan", "## High", "### US-1: One", "### US-2 - Two ✅", "## Phase 2: Later", "#### Tests", "- [ ] open", "- [x] done",
        "  - [ ] inner", "  - note", "* [X] T1: explicit", "1. [ ] numbered (needs: T1)", "> - [ ] quoted", "- [-] struck", "- []",
        "**Status**: pending", "**Dependencies**: US-1, T1", "| ID | Title | Status |", "|---|---|---|", "| A | b | done |",
        "| US-1 | c | todo", "|||", "```", "```json", '{"tasks": [', '{"tasks": [{"id": 1, "title": "t", "done": false}]}', "[ ] US-1: tracker",
        "---", "<!--", "-->", "", "", "\t- [ ] tab", "text: `code`", "- - [ ] twice", "### [ ] US-3: Box", "\u2028",
    ]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(lines, max_size=25), st.sampled_from(["\n", "\r\n"]))
def test_any_markdown_is_loaded_or_refused_and_can_be_marked_and_unmarked(
    parts: list[str], newline: str
) -> None:
    text = newline.join(parts)
    try:
        prd = load(text)
    except PrdInvalid:
        return
    todo = [story.id for story in prd.stories if story.state != "done" and story.done_field]
    new, missing = mark(text.encode(), prd, dict.fromkeys(todo, True))
    assert missing == []
    assert mark(new, prd, dict.fromkeys(todo, False)) == (text.encode(), [])
    after = {story.id: story.state for story in load(new.decode()).stories}
    assert {after[story_id] for story_id in todo} <= {"done"}


def test_task_headings_inside_of_stories_are_parts_of_them() -> None:
    prd = load("## US-1: One\n- [ ] a\n\n### Task 1: Write\n- [ ] b\n\n## TASK-2: Two\n- [ ] c\n")
    assert [(s.id, len(s.criteria)) for s in prd.stories] == [("US-1", 2), ("TASK-2", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "# " + "(" * 50_000 + "\n- [ ] a",
        "- [ ] " + " " * 50_000 + "a",
        "### US-1: " + "✅ " * 20_000 + "x\n- [ ] a",
        "### US-1: a\n- [ ] a\n**Dependencies**: " + "a (" * 20_000,
        ">" * 20_000 + " - [ ] a\n- [ ] b",
    ],
    ids=["brackets", "blanks", "signs", "needs", "quotes"],
)
@pytest.mark.timeout(5)
def test_hostile_lines_do_not_take_for_ever(text: str) -> None:
    assert load(text).stories
