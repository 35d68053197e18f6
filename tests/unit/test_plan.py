"""What a plan says, in its four forms."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import prd, story

from rad_engineer.core import graph, plan_drawing, plan_text
from rad_engineer.core import plan as plans
from rad_engineer.core.plan import Plan
from rad_engineer.core.printable import width


def made(*prds: Any, **options: Any) -> Plan:
    return plans.make(graph.build(prds, **options))


def document(plan: Plan) -> dict[str, Any]:
    return json.loads("\n".join(plans.json_lines(plan)))


SMALL = (
    prd(
        story("A", title="First", points=2.0, files=("src/a.py",)),
        story("B", "A", title="Second", priority=1, points=1.5),
        story("C", title="Third", state="done"),
        story("D", title="Fourth", state="human"),
        story("E", "D", title="Fifth"),
        story("F", title="Sixth", files=("src/",)),
        story("G", title="Seventh", state="blocked", reason="no key"),
        story("H", "G", title="Eighth"),
        file="one.json",
        name="One",
        branch="feat/one",
    ),
    prd(story("X", title="Other"), file="two.json", name="Two", needs=("one.json", "zero.json")),
)


def test_the_json_document() -> None:
    found = document(made(*SMALL))
    assert found["schema_version"] == 1
    assert found["prds"] == [
        {"file": "one.json", "name": "One", "branch": "feat/one", "needs": [], "sequential": False,
         "stories": list("ABCDEFGH")},
        {"file": "two.json", "name": "Two", "branch": None, "needs": ["one.json", "zero.json"], "sequential": True,
         "stories": ["X"]},
    ]  # fmt: skip
    assert found["stories"][:2] == [
        {"key": "A", "id": "A", "prd": "one.json", "title": "First", "needs": [], "wave": 1, "priority": None,
         "points": 2, "files": ["src/a.py"], "done": False, "state": "pending", "why": "starts at once"},
        {"key": "B", "id": "B", "prd": "one.json", "title": "Second", "needs": ["A"], "wave": 2, "priority": 1,
         "points": 1.5, "files": [], "done": False, "state": "pending", "why": "needs A"},
    ]  # fmt: skip
    assert {one["key"]: (one["state"], one["why"]) for one in found["stories"][2:]} == {
        "C": ("already-done", "is done already"),
        "D": ("waiting", "waits for a person: rad-engineer approve D"),
        "E": ("waiting", "needs D, which waits for a person"),
        "F": ("pending", "waits for A, which touches src/a.py too"),
        "G": ("blocked", "the PRD says blocked: no key"),
        "H": ("blocked", "blocked by G, which is blocked in the PRD"),
        "X": ("pending", "comes after one"),
    }
    assert [one["done"] for one in found["stories"]].count(True) == 1
    assert found["waves"] == [["A", "C", "D", "F", "G"], ["B", "E", "H"], ["X"]]
    assert found["wave_names"] == ["Wave 1", "Wave 2", "Wave 3"]
    assert (found["critical_path"], found["critical_path_length"]) == (["A", "B", "X"], 4.5)
    assert (found["starts"], found["edges"], found["warnings"]) == (["A"], 3, [])


def test_the_selected_stories_only() -> None:
    plan = plans.make(graph.build([prd(story("A"), story("B"), story("C", "A"))]), only=frozenset({1}))
    assert (plan.first, plan.left) == ((1,), 1)
    assert plan.why[0] == "is not among the selected stories"


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.text(), st.one_of(st.none(), st.floats(), st.integers()))
def test_json_survives_any_text(name: str, title: str, points: float | None) -> None:
    lines = list(
        plans.json_lines(made(prd(story(name, title=title, points=points, files=(title,)), name=name)))
    )
    assert all(line.isprintable() for line in lines)
    found = json.loads("\n".join(lines), parse_constant=pytest.fail)["stories"][0]
    assert (found["key"], found["title"], found["files"]) == tuple(
        json.loads(json.dumps(value)) for value in (name, title, [title])
    )


def test_json_keeps_what_steers_or_is_no_text_as_escapes() -> None:
    title = 'a\x1b[31m "b"\u2028\ud800\U000e0001'
    lines = list(plans.json_lines(made(prd(story("A", title=title)))))
    assert any(r'"title":"a\u001b[31m \"b\"\u2028\ud800\udb40\udc01"' in line for line in lines)
    assert json.loads("\n".join(lines))["stories"][0]["title"] == title


def test_the_text() -> None:
    assert (
        "\n".join(plan_text.lines(made(*SMALL), 80))
        == """\
9 stories in 2 PRDs, 1 done, 2 waiting, 2 blocked, 6 to do
one: One, 8 stories
two: Two, 1 story in order, after one, zero.json

Wave 1
  A  First
     2 points; starts at once
  C  Third
     is done already
  D  Fourth
     waits for a person: rad-engineer approve D
  F  Sixth
     waits for A, which touches src/a.py too
  G  Seventh
     the PRD says blocked: no key

Wave 2
  B  Second
     1.5 points; needs A
  E  Fifth
     needs D, which waits for a person
  H  Eighth
     blocked by G, which is blocked in the PRD

Wave 3
  X  Other
     comes after one

Longest way (4.5 points): A -> B -> X
Starts at once: A"""
    )


def test_a_file_in_order_is_a_list() -> None:
    assert (
        "\n".join(plan_text.lines(made(prd(story("A"), story("B"))), 80))
        == """\
2 stories, 0 done, 2 to do

In this order
  A  Title of A
     starts at once
  B  Title of B
     comes after A in its file

Starts at once: A"""
    )


@pytest.mark.parametrize(
    ("plan", "end"),
    [
        (made(prd()), "Nothing to do: there are no stories"),
        (made(prd(story("A", state="done"))), "Nothing to do: everything is done or skipped"),
        (made(prd(story("A", state="human"))), "Nothing can start now"),
    ],
)
def test_when_nothing_starts_the_text_says_so(plan: Plan, end: str) -> None:
    assert list(plan_text.lines(plan, 80))[-1] == end


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=90), min_size=1, max_size=5, unique=True),
    st.sampled_from([20, 40, 80]),
)
def test_no_line_is_wider_than_the_screen(names: list[str], columns: int) -> None:
    plan = made(prd(*[story(f"S{i}", title=f"{name} {name}") for i, name in enumerate(names)], name=names[0]))
    for line in plan_text.lines(plan, columns):
        assert width(line) <= columns
        assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in line)


def test_long_keys_get_a_line_of_their_own() -> None:
    assert list(plan_text.lines(made(prd(story("a-very-long-generated-identifier"))), 40))[3:6] == [
        "  a-very-long-generated-identifier",
        "                 Title of",
        "                 a-very-long-generated-i",
    ]


def test_mermaid() -> None:
    plan = made(prd(story("A", title='say "hi" #1 <b>'), story("B", "A"), story("C", state="done")))
    assert list(plan_drawing.mermaid(plan)) == [
        "flowchart TD",
        '  s0["A: say #quot;hi#quot; #35;1 #lt;b#gt;"]',
        '  s1["B: Title of B"]',
        '  s2["C: Title of C"]',
        "  s0 --> s1",
        "  classDef alreadydone fill:#c8e6c9,color:#000",
        "  class s2 alreadydone",
        "  classDef first fill:#bbdefb,color:#000",
        "  class s0 first",
    ]


def test_drawings_show_waves_prds_and_order() -> None:
    plan = made(prd(story("A", wave=1), story("B", wave=2), story("C")))
    drawn = list(plan_drawing.mermaid(plan))
    assert '  subgraph b0["Wave 1"]' in drawn
    assert "  b0 ==> b1" in drawn
    two = made(prd(story("A"), story("B"), file="a.json"), prd(file="e.json"),
               prd(story("C"), file="c.json", needs=("a", "e")))  # fmt: skip
    drawn = list(plan_drawing.mermaid(two))
    assert [line for line in drawn if ">" in line] == ["  s0 -.-> s1", "  b0 ==> b1"]
    dotted = list(plan_drawing.dot(two))
    assert "  s0 -> s1 [style=dashed];" in dotted
    assert "  s1 -> s2 [ltail=cluster_0, lhead=cluster_1, style=bold];" in dotted


def test_a_prd_without_waves_is_drawn_outside_the_waves_of_another() -> None:
    plan = made(prd(story("A", wave=1), story("B", wave=2), file="a.json"), prd(story("C"), file="c.json"))
    for drawing, begin, end in (
        (plan_drawing.mermaid, "subgraph", "  end"),
        (plan_drawing.dot, "subgraph", "  }"),
    ):
        drawn = list(drawing(plan))
        assert sum(line.strip().startswith(begin) for line in drawn) == drawn.count(end) == 2
        (outside,) = [line for line in drawn if line.startswith(("  s2[", "  s2 ["))]
        assert "Title of C" in outside


def test_graphviz() -> None:
    plan = made(prd(story("A", title='a "b" \\ c'), story("B", "A")))
    assert list(plan_drawing.dot(plan)) == [
        "digraph plan {",
        "  compound=true; rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fillcolor=white];',
        '  s0 [label="A\\na \\"b\\" \\\\ c", fillcolor="#bbdefb"];',
        '  s1 [label="B\\nTitle of B"];',
        "  s0 -> s1;",
        "}",
    ]
