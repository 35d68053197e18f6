"""Write-back: exactly the done fields change, in the file's own words, atomically."""

import codecs
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.prd import Prd
from rad_engineer.importers import json_prd, text
from rad_engineer.importers.markdown import load_markdown
from rad_engineer.importers.write_back import mark


def of_json(data: bytes) -> Prd:
    return json_prd.load_json(text.decode(data, shown="prd.json").text, "prd.json", "/prd.json")


def of_markdown(content: str) -> Prd:
    return load_markdown(content, "plan.md", "/plan.md")


def marked(content: str, prd: Prd, **changes: bool) -> str:
    data, missing = mark(
        content.encode(), prd, {name.replace("_", "-"): done for name, done in changes.items()}
    )
    assert missing == []
    return data.decode()


def stories(*items: dict[str, Any], **top: Any) -> str:
    return json.dumps(
        {
            **top,
            "userStories": [{"id": f"S-{n}", "title": f"T{n}", **item} for n, item in enumerate(items, 1)],
        },
        indent=2,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"passes": false', '"passes": true'),
        ('"passes":false', '"passes":true'),
        ('"passes": "false"', '"passes": "true"'),
        ('"passes": "no"', '"passes": "yes"'),
        ('"passes": null', '"passes": true'),
        ('"passes": []', '"passes": true'),
        ('"passes": 0', '"passes": 1'),
        ('"passes": "partial"', '"passes": true'),
        ('"done" : false', '"done" : true'),
        ('"Completed": false', '"Completed": true'),
        ('"status": "pending"', '"status": "done"'),
        ('"status": "TODO"', '"status": "DONE"'),
        ('"status": "Not Started"', '"status": "Done"'),
        ('"status": "not_started"', '"status": "completed"'),
        ('"status": "\\ud83d\\udd34 TODO"', '"status": "DONE"'),
        ('"status": null', '"status": "done"'),
        ('"status": "open", "passes": false', '"status": "closed", "passes": true'),
        ('"status": "somewhere", "passes": false', '"status": "somewhere", "passes": true'),
        ('"status": "somewhere"', '"status": "done"'),
        ('"status": {"passes": false}, "passes": false', '"status": {"passes": false}, "passes": true'),
    ],
)
def test_every_kind_of_done_field(before: str, after: str) -> None:
    frame = '{"stories": [\n {"id": 1, "title": "\\"passes\\": false", FIELD, "x": {"passes": false, "status": "pending"}}\n]}\n'
    content = frame.replace("FIELD", before)
    prd = of_json(content.encode())
    new = marked(content, prd, **{"1": True})
    if "\\ud83d" not in before:
        assert new == frame.replace("FIELD", after)
    assert of_json(new.encode()).stories[0].state == "done"
    assert marked(new, prd, **{"1": False}) == content


def test_the_words_of_the_file_are_used() -> None:
    content = stories(
        {"status": "completed"},
        {"status": "pending"},
        {"status": "done"},
        {"status": "completed"},
        {"status": "todo"},
    )
    prd = of_json(content.encode())
    new = marked(content, prd, S_2=True, S_5=True, S_3=False)
    found = [story["status"] for story in json.loads(new)["userStories"]]
    assert found == ["completed", "completed", "pending", "completed", "completed"]


def test_a_story_that_already_says_so_is_left_alone() -> None:
    content = stories({"status": "Finished!", "passes": True}, {"status": "in-review", "passes": False})
    prd = of_json(content.encode())
    assert marked(content, prd, S_1=True, S_2=False) == content


def test_a_story_without_the_field_of_the_others_gets_it_in_their_style() -> None:
    content = stories({"passes": True}, {"notes": ""}).replace("\n", "\r\n")
    new = marked(content, of_json(content.encode()), S_2=True)
    assert new == content.replace('"notes": ""\r\n', '"notes": "",\r\n      "passes": true\r\n')


def test_on_one_line_too() -> None:
    content = '[{"id":"a","description":"x","passes":false}, {"id":"b","description":"y"}]'
    new = marked(content, of_json(content.encode()), b=True)
    assert new == '[{"id":"a","description":"x","passes":false}, {"id":"b","description":"y","passes":true}]'
    assert marked(content, of_json(content.encode()), b=False) == content


def test_a_file_without_done_fields_is_not_changed() -> None:
    content = stories({"notes": "a"}, {"notes": "b"})
    assert marked(content, of_json(content.encode()), S_1=True) == content


def test_comments_and_trailing_commas_stay() -> None:
    content = '{ // "passes": false\n  "stories": [\n    {"id": "a", "title": "t", /* no */ "passes": false, },\n    {"id": "b", "title": "u",},\n  ],\n}\n'
    prd = of_json(content.encode())
    new = marked(content, prd, a=True, b=True)
    assert new == content.replace('*/ "passes": false', '*/ "passes": true').replace(
        '"u",}', '"u", "passes": true,}'
    )
    assert {story.state for story in of_json(new.encode()).stories} == {"done"}


def test_groups_tags_and_objects_by_id() -> None:
    documents: list[dict[str, Any]] = [
        {"phases": [{"name": "p", "tasks": [{"id": "a", "title": "t", "status": "pending"}]}, {"name": "q", "tasks": [{"id": "b", "title": "u", "status": "done"}]}]},
        {"master": {"tasks": [{"id": "a", "title": "t", "status": "pending", "subtasks": [{"id": 1, "title": "s", "status": "pending"}]}]}, "other": {"tasks": [{"id": "a", "title": "z", "status": "pending"}]}},
        {"stories": {"a": {"title": "t", "status": "pending"}, "b": {"title": "u", "status": "pending"}}},
    ]  # fmt: skip
    for document in documents:
        content = json.dumps(document)
        new = marked(content, of_json(content.encode()), a=True)
        assert new == content.replace('"status": "pending"', '"status": "done"', 1)


def test_the_chosen_tag_is_the_one_that_is_written() -> None:
    content = json.dumps(
        {tag: {"tasks": [{"id": 1, "title": tag, "status": "pending"}]} for tag in ("master", "next")}
    )
    prd = json_prd.load_json(content, "tasks.json", "/tasks.json", tag="next")
    edited = content.replace('"next":', '"new": {}, "next":')
    for version in (content, edited):
        changed = json.loads(marked(version, prd, **{"1": True}))
        assert [changed[tag]["tasks"][0]["status"] for tag in ("master", "next")] == ["pending", "done"]


def test_stories_are_found_again_in_an_edited_file() -> None:
    content = stories({"passes": False}, {"passes": False}, {"passes": False}, project="p")
    prd = of_json(content.encode())
    document = json.loads(content)
    first, _, third = document["userStories"]
    document["userStories"] = [{"id": "S-0", "title": "new", "passes": False}, third, first]
    edited = json.dumps(document)
    data, missing = mark(edited.encode(), prd, {"S-1": True, "S-2": True, "S-3": True})
    assert missing == ["S-2"]
    third["passes"] = first["passes"] = True
    assert data.decode() == json.dumps(document)


def test_a_generated_id_is_found_again() -> None:
    content = json.dumps(
        [{"description": "First.", "passes": False}, {"description": "Second.", "passes": False}]
    )
    prd = of_json(content.encode())
    swapped = json.dumps(list(reversed(json.loads(content))))
    data, missing = mark(swapped.encode(), prd, {prd.stories[0].id: True})
    assert missing == []
    assert [story["passes"] for story in json.loads(data)] == [False, True]


@pytest.mark.parametrize(
    "broken", [b"", b"{", b'{"userStories": [{"id": "S-1"', b"[]", b"\xff\xfe\x00", b"# prose"]
)
def test_a_file_broken_meanwhile_is_left_alone(broken: bytes) -> None:
    prd = of_json(stories({"passes": False}).encode())
    assert mark(broken, prd, {"S-1": True}) == (broken, ["S-1"])


def test_bytes_encodings_and_marks() -> None:
    content = stories({"title": "Grün", "passes": False}).replace("\\u00fc", "ü")
    for encoding, bom in (
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("cp1252", b""),
    ):
        data = bom + content.encode(encoding)
        new, missing = mark(data, of_json(data), {"S-1": True})
        assert (new, missing) == (bom + content.replace("false", "true").encode(encoding), [])


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"passes": false', "// x", "{", "}]"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["passes", "status", "x", "é"]), inner, max_size=3)
    ),
    max_leaves=5,
)
kinds = st.sampled_from(
    [
        ("passes", False, True),
        ("passed", "false", "true"),
        ("status", "pending", "completed"),
        ("completed", 0, 1),
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, bytes, list[str]]:
    """A file, the same with some stories done, and which."""
    key, no, yes = draw(kinds)
    chosen: list[str] = []
    before, after = [], []
    for number in range(draw(st.integers(1, 5))):
        filling = draw(st.dictionaries(st.sampled_from(["body", "meta", "Notiz", "x-y"]), values, max_size=3))
        done = number == 0 and key == "status"  # so that the file has a word for it
        change = not done and draw(st.booleans())
        names = draw(st.permutations(["id", "title", key, *filling]))
        story = {"id": f"S-{number}", "title": f"T {number}", key: yes if done else no, **filling}
        before.append({name: story[name] for name in names})
        after.append({name: yes if change and name == key else story[name] for name in names})
        chosen += [f"S-{number}"] if change else []
    wrap = draw(
        st.sampled_from(
            [
                lambda s: {"project": "p", "userStories": s, "z": 1},
                lambda s: s,
                lambda s: {"phases": [{"name": "n", "tasks": s}]},
            ]
        )
    )
    style = {
        "indent": draw(st.sampled_from([None, 2, 4, "\t"])),
        "ensure_ascii": draw(st.booleans()),
        "separators": draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])),
    }
    newline, end = draw(st.sampled_from(["\n", "\r\n"])), draw(st.sampled_from(["", "\n", "\n\n"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))

    def written(items: list[dict[str, Any]]) -> bytes:
        return (json.dumps(wrap(items), **style) + end).replace("\n", newline).encode(encoding)

    return written(before), written(after), chosen


@settings(max_examples=150, deadline=None)
@given(documents())
def test_exactly_the_done_values_change_and_change_back(case: tuple[bytes, bytes, list[str]]) -> None:
    before, after, chosen = case
    prd = of_json(before)
    new, missing = mark(before, prd, dict.fromkeys(chosen, True))
    assert missing == []
    assert new == after
    assert mark(new, prd, dict.fromkeys(chosen, False)) == (before, [])
    assert mark(new, of_json(new), dict.fromkeys(chosen, False)) == (before, [])


CHECKLIST = "# Plan\n\n- [x] A: one\n- [ ] B: two\n  - [ ] inner\n* [~] C: three\n1. [] D: four\n"


def test_checklist_boxes() -> None:
    prd = of_markdown(CHECKLIST)
    new = marked(
        CHECKLIST, prd, **{story.id: True for story in prd.stories if not story.title.startswith("one")}
    )
    assert new == "# Plan\n\n- [x] A: one\n- [x] B: two\n  - [ ] inner\n* [x] C: three\n1. [x] D: four\n"
    assert (
        marked(new, prd, **{story.id: False for story in prd.stories if story.state != "done"}) == CHECKLIST
    )


HEADINGS = """\
# Plan

```
[ ] US-1: one - depends: US-2
```

### US-1: One
**Status**: pending
- [ ] a
- [X] b

### US-2: Two
**Status**: completed
- [X] c

| ID | Status      |
|----|-------------|
| US-1 | pending   |
| US-2 | completed |
"""


def test_heading_stories_change_their_boxes_status_and_trackers() -> None:
    content = HEADINGS.replace("\n", "\r\n")
    prd = of_markdown(content)
    new = marked(content, prd, US_1=True)
    expected = HEADINGS.replace("[ ] US-1", "[X] US-1").replace("- [ ] a", "- [X] a")
    expected = expected.replace("**: pending", "**: completed").replace(
        "| US-1 | pending   |", "| US-1 | completed |"
    )
    assert new == expected.replace("\n", "\r\n")
    assert marked(new, prd, US_1=False) == content
    again = of_markdown(marked(new, of_markdown(new), US_1=False))
    assert again.stories[0].state == "todo"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pending", "done"),
        ("🔴 TODO", "🟢 DONE"),
        ("⬜", "✅"),
        ("❌ No", "✅ Yes"),
        ("**Pending**", "**Done**"),
        ("`open`", "`closed`"),
        ("[ ]", "[x]"),
        ("", "done"),
    ],
)
def test_status_cells_in_their_own_words(before: str, after: str) -> None:
    frame = "| ID | Task | Status | Depends |\n|---|---|---|---|\n| A-1 | One | {} | \\| |\n"
    content = frame.format(before)
    prd = of_markdown(content)
    new = marked(content, prd, A_1=True)
    assert new.split("|")[10:12] == frame.format(after).split("|")[10:12] or new == frame.format(after)
    assert of_markdown(new).stories[0].state == "done"
    assert marked(new, prd, A_1=False) == content


def test_the_word_and_the_width_of_the_column_are_kept() -> None:
    content = "| ID | Task | Status    |\n|---|---|---|\n| A | One | 🟢 Ready to go, done |\n| B | Two | pending   |\n| C | Three | shipped   |\n"
    new = marked(content, of_markdown(content), B=True)
    assert "| B | Two | shipped   |\n" in new
    assert len(new) == len(content)


def test_a_json_fence_in_markdown() -> None:
    fence = stories({"passes": True}, {"passes": False})
    content = f'# PRD\n\n- [ ] no story\n\n```json\n{fence}\n```\n\nMore: `"passes": false`\n'
    prd = of_markdown(content)
    assert (prd.format, prd.container, len(prd.stories)) == ("markdown", ".userStories", 2)
    new = marked(content, prd, S_2=True)
    assert new == content.replace('"passes": false', '"passes": true', 1)
    moved = "A new line.\n\n" + content
    assert marked(moved, prd, S_2=True) == "A new line.\n\n" + new
    assert mark(b"# PRD\n", prd, {"S-2": True}) == (b"# PRD\n", ["S-2"])


def test_markdown_stories_edited_away_are_reported() -> None:
    prd = of_markdown(CHECKLIST)
    edited = CHECKLIST.replace("B: two", "something else")
    assert mark(edited.encode(), prd, {prd.stories[1].id: True}) == (edited.encode(), [prd.stories[1].id])
