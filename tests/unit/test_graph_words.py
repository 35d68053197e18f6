"""What the graph says of plans that contradict themselves, word for word."""

import pytest
from plans import prd, story

from rad_engineer.core import graph
from rad_engineer.errors import PrdInvalid


def circle(count: int) -> str:
    """What is said of so many stories of which each needs the next."""
    names = [f"S{number:02}" for number in range(count)]
    stories = [story(name, names[(at + 1) % count]) for at, name in enumerate(names)]
    with pytest.raises(PrdInvalid) as caught:
        graph.build([prd(*stories)])
    assert caught.value.hint == "remove one of these needs"
    return str(caught.value).removeprefix("stories need each other: ")


def test_a_circle_is_shown_whole_as_long_as_it_fits_and_else_by_its_ends() -> None:
    assert circle(19).count(" -> ") == 19  # the first is named again at the end: 20 names
    shown = circle(24).split(" -> ")
    assert shown[10] == "… (5 more)"
    assert (len(shown), shown[0], shown[-1]) == (21, shown[-1], shown[0])


def test_what_gives_way_is_told() -> None:
    waves = graph.build([prd(story("A", "B", wave=1), story("B", wave=2))])
    assert [(f.code, f.message) for f in waves.findings] == [
        ("waves-contradict-needs", "prd.json: its waves contradict its needs; the needs count")
    ]
    first = prd(story("A", "B"), file="a.json")
    order = graph.build([first, prd(story("B"), file="b.json", needs=("a",))])
    assert [(f.code, f.message) for f in order.findings] == [
        (
            "prd-order-contradicts-needs",
            "b.json: the PRDs it depends on need stories of it; the stories' needs count",
        )
    ]


def test_a_small_number_comes_first_and_nought_before_one() -> None:
    plan = graph.build([prd(story("A"), story("B", priority=1), story("C", priority=0))])
    assert plan.sequences == [[2, 1, 0]]


def test_lint_calls_stories_as_a_run_would() -> None:
    found = graph.lint([prd(story("A", "ghost"), file="a.json"), prd(story("A", "ghost"), file="b.json")])
    assert found.dangling == ("a/A needs ghost", "b/A needs ghost")
