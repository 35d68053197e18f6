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


def test_the_order_of_prds_does_not_give_way_where_dropping_waves_is_enough() -> None:
    plan = graph.build(
        [
            prd(story("A", "C2"), file="a.json"),
            prd(story("B"), file="b.json", needs=("a.json",)),
            prd(story("C1", "B", wave=1), story("C2", wave=2), file="c.json"),
        ]
    )
    assert [(f.code, f.message) for f in plan.findings] == [
        ("waves-contradict-needs", "c.json: its waves contradict its needs; the needs count")
    ]
    assert plan.prd_needs == [(), (0,), ()]


def lost(files: int, needs: int) -> PrdInvalid:
    """The refusal of so many files where the first one's story has so many needs that name nothing."""
    ghosts = [f"ghost{number}" for number in range(needs)]
    others = [prd(story(f"S{number}"), file=f"{number}.json") for number in range(1, files)]
    with pytest.raises(PrdInvalid) as caught:
        graph.build([prd(story("A", *ghosts), file="0.json"), *others])
    assert caught.value.hint == "correct them, or ignore them with --allow-dangling"
    return caught.value


def test_any_story_that_two_files_contain_is_told_with_both() -> None:
    files = [prd(story("A"), story("B"), file="a.json"), prd(story("C"), story("B"), file="b.json")]
    with pytest.raises(PrdInvalid, match=r"a\.json and b\.json both contain B “Title of B”") as caught:
        graph.build(files)
    assert caught.value.hint == "give one of the two files, or remove the story from one of them"


def test_needs_that_name_nothing_are_told_with_the_files() -> None:
    one = "A needs ghost0, which no story answers to"
    assert str(lost(1, 1)) == f"0.json: {one}"
    assert str(lost(3, 1)) == f"0.json, 1.json, 2.json: {one}"
    assert str(lost(4, 1)) == f"0.json, 1.json, 2.json, …: {one}"
    two = "A needs ghost1, which no story answers to"
    assert str(lost(1, 2)) == f"0.json: needs that name no story\n  {one}\n  {two}"
    assert str(lost(1, 20)).count("\n") == 20
    assert str(lost(1, 22)).splitlines()[21:] == ["  and 2 more"]


def test_needs_that_may_name_nothing_are_all_told() -> None:
    ghosts = [f"ghost{number}" for number in range(22)]
    plan = graph.build([prd(story("A", *ghosts))], allow_dangling=True)
    assert [(f.code, f.message) for f in plan.findings] == [
        ("dangling", f"A needs {ghost}, which no story answers to") for ghost in ghosts
    ]


def test_a_small_number_comes_first_and_nought_before_one() -> None:
    plan = graph.build([prd(story("A"), story("B", priority=1), story("C", priority=0))])
    assert plan.sequences == [[2, 1, 0]]


def test_lint_calls_stories_as_a_run_would() -> None:
    found = graph.lint([prd(story("A", "ghost"), file="a.json"), prd(story("A", "ghost"), file="b.json")])
    assert found.dangling == ("a/A needs ghost", "b/A needs ghost")
