"""Keys, needs, order, barriers, waves and the critical path."""

from pathlib import Path
from typing import Any

import pytest
from plans import prd, story

from rad_engineer import importers
from rad_engineer.core import graph, prd_order
from rad_engineer.core import needs as references
from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import identity, same_work
from rad_engineer.errors import PrdInvalid

SHARED = Path(__file__).parents[2].parent / "shared"


def needs(plan: Graph) -> dict[str, list[str]]:
    return {plan.keys[i]: [plan.keys[need] for need in found] for i, found in enumerate(plan.needs) if found}


def waves(plan: Graph) -> dict[str, list[str]]:
    return {
        name: [plan.keys[i] for i in wave] for name, wave in zip(plan.wave_names, plan.waves, strict=True)
    }


def refusal(*prds: Any, **options: Any) -> PrdInvalid:
    with pytest.raises(PrdInvalid) as caught:
        graph.build(prds, **options)
    return caught.value


# -- keys ----------------------------------------------------------------------------------------------------


def test_a_key_is_the_id_unless_two_prds_use_it() -> None:
    plan = graph.build([
        prd(story("US-001"), story("US-002"), file="a/web.json"),
        prd(story("US-001", title="Other"), story("US-003"), file="b/api.json"),
    ])  # fmt: skip
    assert plan.keys == ("web/US-001", "US-002", "api/US-001", "US-003")


def test_stems_that_collide_take_as_many_folders_as_they_need() -> None:
    files = ["one/x/prd.json", "two/x/prd.json", "web.json"]
    plan = graph.build([prd(story("A", title=file), file=file) for file in files])
    assert plan.keys == ("one/x/prd/A", "two/x/prd/A", "web/A")


def test_one_file_given_twice_keeps_its_keys_apart() -> None:
    plan = graph.build([prd(story("A", title="one")), prd(story("A", title="two"))])
    assert plan.keys == ("prd/A", "prd#2/A")


def test_a_reused_id_is_numbered_and_cannot_be_needed() -> None:
    plan = graph.build([prd(story("A", title="one"), story("A", title="two"), story("B", "A#2"))])
    assert plan.keys == ("A", "A#2", "B")
    assert needs(plan) == {"B": ["A#2"]}
    error = refusal(prd(story("A", title="one"), story("A", title="two"), story("B", "A")))
    assert "B needs A, which more than one story answers to" in str(error)


def test_a_number_that_the_file_has_given_itself_is_not_given_again() -> None:
    plan = graph.build([prd(story("A", title="one"), story("A", title="two"), story("A#2"))])
    assert plan.keys == ("A", "A#3", "A#2")


def test_the_same_story_twice_is_refused() -> None:
    error = refusal(prd(story("B"), story("A", title="one"), story("A", title="one")))
    assert (error.code, str(error)) == ("DUPLICATE", "prd.json: story 3 repeats story 2: A “one”")


def test_the_same_story_in_two_files_is_refused() -> None:
    error = refusal(prd(story("A"), file="a.json"), prd(story("A"), file="b.json"))
    assert (error.code, str(error)) == ("DUPLICATE", "a.json and b.json both contain A “Title of A”")
    graph.build(
        [prd(story("A"), file="a.json", project="one"), prd(story("A"), file="b.json", project="two")]
    )


def test_identities_are_those_of_the_prd() -> None:
    plan = graph.build([prd(story("A"), story("B"), project="P")])
    assert plan.identities == tuple(identity("P", item) for item in plan.stories)
    assert plan.by_identity[plan.identities[1]] == 1


def test_the_number_behind_a_reused_id_makes_no_other_work_of_a_story() -> None:
    assert same_work(story("A#2", title="Title of A"), story("A"))
    assert not same_work(story("A"), story("B", title="Title of A"))
    assert not same_work(story("A"), story("A", title="another"))


@pytest.mark.parametrize(
    ("name", "found"),
    [("MIXA-001", 0), ("mixa-001", 0), ("001", 0), ("2", None), ("02", None), ("UI", 2), ("a/x", 3), ("x", None),
     ("", None), ("1", None), ("5", None), ("nothing", None)],
)  # fmt: skip
def test_find_takes_what_people_type(name: str, found: int | None) -> None:
    plan = graph.build([
        prd(story("MIXA-001"), story("MIXA-002"), story("F1-UI"), story("x"), story("2.5"), file="a.json"),
        prd(story("OTHER-002"), story("x", title="x of b"), file="b.json"),
    ])  # fmt: skip
    assert plan.find(name) == found


def test_a_key_is_found_before_an_id_that_two_stories_have() -> None:
    plan = graph.build([prd(story("A"), story("A", title="another"))])
    assert [plan.find(name) for name in ("A", "A#2")] == [0, 1]


# -- needs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["US-015", "us-015", "US-015 for adding employees", "US-015: the model", "`US-015`", "Story US-015", "015",
     "#US-015", "Task 015 (the model)"],
)  # fmt: skip
def test_a_need_is_found_however_it_is_spelled(written: str) -> None:
    assert needs(graph.build([prd(story("US-015"), story("US-016", written))])) == {"US-016": ["US-015"]}


@pytest.mark.parametrize("written", ["none", "None", "N/A", "-", "—", " "])
def test_some_words_mean_that_nothing_is_needed(written: str) -> None:
    plan = graph.build([prd(story("A"), story("B", written))])
    assert (needs(plan), plan.sequential) == ({}, [True])


def test_exact_comes_before_case_and_case_before_the_end_of_an_id() -> None:
    plan = graph.build([prd(story("a"), story("A"), story("X-A"), story("T", "A"), story("U", "x-a"))])
    assert needs(plan) == {"T": ["A"], "U": ["X-A"]}


def test_an_end_that_fits_two_ids_is_no_answer() -> None:
    assert "more than one story answers to" in str(refusal(prd(story("A-1"), story("B-1"), story("C", "1"))))


def test_a_number_can_mean_a_group_or_a_wave() -> None:
    plan = graph.build([prd(
        story("A", group="Phase 1: Base"), story("B", group="Phase 1: Base"), story("C", "1", group="Phase 2"),
    )])  # fmt: skip
    assert needs(plan) == {"C": ["A", "B"]}
    plan = graph.build([prd(story("A", wave=1), story("B", "Wave 1", wave=2))])
    assert needs(plan) == {"B": ["A"]}
    plan = graph.build([prd(story("A", group="Log in"), story("B", "log in", group="Check out"))])
    assert needs(plan) == {"B": ["A"]}


def test_the_own_prd_comes_first_then_those_it_needs() -> None:
    first = prd(story("A", title="first"), file="first.json")
    second = prd(story("A", title="second"), file="second.json")
    third = prd(story("C", "A"), file="third.json", needs=("second.json",))
    assert needs(graph.build([first, second, third])) == {"C": ["second/A"]}
    own = prd(story("A", title="own"), story("C", "A"), file="third.json")
    assert needs(graph.build([first, second, own])) == {"C": ["third/A"]}
    lost = prd(story("C", "A"), file="third.json")
    assert "more than one" in str(refusal(first, second, lost))
    for written in ("first/A", "first.json#A", "first:a"):
        named = prd(story("C", written), file="third.json")
        assert needs(graph.build([first, second, named])) == {"C": ["first/A"]}
    wrong = prd(story("C", "first/X"), file="third.json")
    assert "C needs first/X, which no story answers to" in str(refusal(first, second, wrong))


def test_needs_without_a_story_are_listed_with_what_was_meant() -> None:
    error = refusal(prd(story("US-001", "US-0O2"), story("US-002", "XYZ")))
    assert error.code == "DANGLING"
    assert str(error) == (
        "prd.json: needs that name no story\n"
        "  US-001 needs US-0O2, which no story answers to (did you mean US-002 or US-001?)\n"
        "  US-002 needs XYZ, which no story answers to"
    )
    assert error.hint is not None
    assert "--allow-dangling" in error.hint


def test_of_many_needs_without_a_story_the_first_are_shown_and_the_rest_counted() -> None:
    lines = str(refusal(prd(*[story(f"S{i}", f"gone-{i}") for i in range(50)]))).splitlines()
    assert (len(lines), lines[1], lines[-1]) == (
        22, "  S0 needs gone-0, which no story answers to", "  and 30 more",
    )  # fmt: skip


def test_needs_without_a_story_can_be_ignored() -> None:
    plan = graph.build([prd(story("A", "X"), story("B", "A"))], allow_dangling=True)
    assert needs(plan) == {"B": ["A"]}
    assert [finding.code for finding in plan.findings] == ["dangling"]


def test_stories_elsewhere_are_met_when_done() -> None:
    item = prd(story("A", "OLD-1", "old-2"), story("B", "A"))
    plan = graph.build([item], external={"OLD-1": True, "OLD-2": False})
    assert needs(plan) == {"B": ["A"]}
    assert plan.external_open == {0: ["old-2"]}


def test_prds_elsewhere_hold_the_whole_prd_when_open() -> None:
    item = prd(story("A"), story("B"), needs=("phase1.json",))
    assert graph.build([item]).external_open == {}
    assert graph.build([item], external_prds={"phase1.json": True}).external_open == {}
    free, last = prd(story("C"), file="a.json"), prd(story("D"), file="z.json")
    held = graph.build([free, item, last], external_prds={"phase1.json": False})
    assert held.external_open == {1: ["phase1.json"], 2: ["phase1.json"]}
    assert held.prds_elsewhere == [(1, "phase1.json")]
    assert [(one.file, text) for one, text in graph.missing_prds([item])] == [("prd.json", "phase1.json")]


def test_groups_that_make_too_many_edges_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stories = [story(f"A{i}x", group="Phase 1") for i in range(3)]
    stories += [story(f"B{i}x", "Phase 1", group="Phase 2") for i in range(3)]
    monkeypatch.setattr(references, "_MOST_EDGES", 9)
    assert graph.build([prd(*stories)]).edges == 9
    monkeypatch.setattr(references, "_MOST_EDGES", 8)
    assert refusal(prd(*stories)).code == "TOO-LARGE"


# -- cycles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({"A": "B", "B": "A"}, "A -> B -> A"),
        ({"A": "A"}, "A -> A"),
        ({"A": "B", "B": "C", "C": "D", "D": "AE", "E": "D"}, "D -> E -> D"),
        ({"A": "B", "B": "C", "C": "A", "D": "A"}, "A -> B -> C -> A"),
    ],
)
def test_the_shortest_cycle_is_shown(edges: dict[str, str], cycle: str) -> None:
    error = refusal(prd(*[story(name, *edges.get(name, "")) for name in "ABCDE"]))
    assert (error.code, str(error)) == ("CYCLE", f"stories need each other: {cycle}")


def test_cycles_are_found_across_prds_and_between_them() -> None:
    error = refusal(prd(story("A", "B"), file="a.json"), prd(story("B", "A"), file="b.json"))
    assert "A -> B -> A" in str(error)
    error = refusal(
        prd(story("A"), file="a.json", needs=("b",)), prd(story("B"), file="b.json", needs=("a.json",))
    )
    assert (error.code, str(error)) == ("CYCLE", "PRDs depend on each other: a.json -> b.json -> a.json")


def test_the_shortest_circle_of_prds_is_told_without_a_graph() -> None:
    first, second = prd(file="a.json", needs=("b",)), prd(file="b.json", needs=("c", "a"))
    third = prd(file="c.json", needs=("a",))
    assert [one.file for one in prd_order.circle([first, second, third])] == ["a.json", "b.json", "a.json"]
    assert prd_order.circle([second, prd(file="a.json")]) == []


@pytest.mark.large
def test_a_huge_cycle_is_shown_by_its_ends() -> None:
    error = refusal(prd(*[story(f"S{i}", f"S{(i + 1) % 5000}") for i in range(5000)]))
    assert len(str(error)) < 500
    assert "more)" in str(error)


def test_lint_counts_and_raises_nothing() -> None:
    found = graph.lint([prd(story("A", "B"), story("B", "A"), story("C", "C", "X", "A"))])
    assert (found.edges, found.dangling, found.cycles) == (5, ("C needs X",), ("A -> B -> A", "C -> C"))


# -- order, barriers, waves ----------------------------------------------------------------------------------


def test_a_file_without_needs_is_in_order() -> None:
    item = prd(story("A", priority=2), story("B"), story("C", priority=1), story("D", priority=2))
    plan = graph.build([item])
    assert plan.sequential == [True]
    assert list(waves(plan).values()) == [["C"], ["A"], ["D"], ["B"]]
    assert [plan.keys[i] for i in plan.critical_path] == ["C", "A", "D", "B"]
    wide = graph.build([item], parallel=True)
    assert (wide.sequential, wide.waves) == ([False], [[0, 1, 2, 3]])


def test_needs_waves_and_stories_elsewhere_end_the_order_of_a_file() -> None:
    assert graph.build([prd(story("A"), story("B", "A"), story("C"))]).sequential == [False]
    assert graph.build([prd(story("A", wave=1), story("B"))]).sequential == [False]
    assert graph.build([prd(story("A"), story("B", "X"))], external={"X": True}).sequential == [False]
    assert graph.build([prd(story("A"), story("B", "X"))], allow_dangling=True).sequential == [True]


def test_waves_are_levels_where_none_are_declared() -> None:
    plan = graph.build([prd(story("A"), story("B", "A"), story("C"), story("D", "B", "C"))])
    assert waves(plan) == {"Wave 1": ["A", "C"], "Wave 2": ["B"], "Wave 3": ["D"]}
    assert plan.wave_of == [1, 2, 1, 3]


def test_declared_waves_come_by_track_the_main_one_first() -> None:
    plan = graph.build([prd(
        story("U", wave=("UI", 1)), story("A", wave=1), story("C", wave=3), story("B", "A", wave=3),
        story("X"), story("Y", "C"),
    )])  # fmt: skip
    assert waves(plan) == {"Wave 1": ["A", "X"], "Wave 3": ["C", "B", "Y"], "UI Wave 1": ["U"]}
    assert plan.wave_of == [3, 1, 2, 2, 1, 2]
    assert [plan.select_wave(number) for number in (1, 2, 3, 4)] == [0, 1, 1, None]
    several = graph.build([prd(story("A", wave=3), file="a.json"), prd(story("B", wave=3), file="b.json")])
    assert [several.select_wave(number) for number in (0, 1, 2, 3)] == [None, 0, 1, None]


def test_prds_come_after_those_they_need() -> None:
    plan = graph.build([
        prd(story("B1"), story("B2"), file="b.json", needs=("A Plan",)),
        prd(story("A1"), story("A2", "A1"), story("A3"), file="a.json", name="A plan"),
        prd(story("C1"), file="c.json"),
    ])  # fmt: skip
    assert [item.file for item in plan.prds] == ["a.json", "b.json", "c.json"]
    assert plan.prd_needs == [(), (0,), ()]
    assert waves(plan) == {"Wave 1": ["A1", "A3", "C1"], "Wave 2": ["A2"], "Wave 3": ["B1"], "Wave 4": ["B2"]}


def test_levels_stand_where_the_first_prd_that_reaches_them_stands() -> None:
    plan = graph.build([
        prd(story("A"), file="a.json"), prd(story("B"), file="b.json", needs=("./a.json",)),
        prd(story("C"), story("D", "C"), file="c.json"), prd(story("E", wave=1), file="e.json"),
    ])  # fmt: skip
    assert waves(plan) == {"Wave 1": ["A", "C"], "Wave 2": ["B", "D"], "e Wave 1": ["E"]}


def test_waves_of_several_prds_carry_their_names() -> None:
    plan = graph.build([
        prd(story("A", wave=1), story("B", wave=2), file="a.json"),
        prd(story("C"), story("D", "C"), file="c.json", needs=("a",)),
    ])  # fmt: skip
    assert waves(plan) == {"a Wave 1": ["A"], "a Wave 2": ["B"], "Wave 3": ["C"], "Wave 4": ["D"]}


def test_waves_that_contradict_needs_give_way() -> None:
    plan = graph.build([prd(story("A", "B", wave=1), story("B", wave=2), story("C", wave=2))])
    assert [finding.code for finding in plan.findings] == ["waves-contradict-needs"]
    assert waves(plan) == {"Wave 1": ["B", "C"], "Wave 2": ["A"]}


def test_only_the_prd_whose_waves_contradict_loses_them() -> None:
    plan = graph.build([
        prd(story("A", "B", wave=1), story("B", wave=2), file="a.json"),
        prd(story("C", wave=1), story("D", wave=2), file="c.json"),
    ])  # fmt: skip
    assert [barrier.prd for barrier in plan.barriers] == [1, 1]


def test_prd_order_that_contradicts_needs_gives_way() -> None:
    plan = graph.build([
        prd(story("A", "B"), file="a.json"), prd(story("B"), story("C", "B"), file="b.json", needs=("a",)),
    ])  # fmt: skip
    assert [finding.code for finding in plan.findings] == ["prd-order-contradicts-needs"]


def test_the_critical_path_goes_by_points_and_through_barriers() -> None:
    plan = graph.build([prd(
        story("A", wave=1, points=2), story("B", wave=1, points=5), story("C", "A", wave=2), story("D", wave=2, points=3),
    )])  # fmt: skip
    assert [plan.keys[i] for i in plan.critical_path] == ["B", "D"]
    assert plan.tail == [5, 8, 1, 3]


@pytest.mark.parametrize("points", [0, -3, float("nan"), float("inf"), None])
def test_points_that_cannot_be_meant_count_as_one(points: float | None) -> None:
    assert graph.build([prd(story("A", points=points))]).tail == [1.0]


@pytest.mark.large
def test_barriers_cost_no_edge_per_pair() -> None:
    plan = graph.build([prd(*[story(f"S{i}", wave=1 + i // 20_000) for i in range(40_000)])])
    assert len(plan.barriers) == 2
    assert plan.edges == 0


def test_nothing_is_a_graph_too() -> None:
    plan = graph.build([prd(), prd(file="b.json", needs=("prd",))])
    assert (plan.stories, plan.waves, plan.critical_path) == ((), [], [])
    assert graph.build([]).stories == ()


# -- real plans ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")
def test_the_four_phases() -> None:
    files = sorted((SHARED / "prd-corpus" / "phases").glob("phase*.json"))
    plan = graph.build([item for file in reversed(files) for item in importers.load(file)])
    assert [item.stem for item in plan.prds] == ["phase1", "phase2", "phase3", "phase4"]
    assert len(plan.stories) == 15
    assert needs(plan) == {"4.2": ["3.1", "3.2"], "4.3": ["4.1"], "4.4": ["4.1"]}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpus is not here")
def test_the_master_plan() -> None:
    plan = graph.build(importers.load(SHARED / "plans" / "master-plan-production-readiness.md"))
    assert len(plan.stories) == 30
    assert plan.wave_names == [f"Wave {number}" for number in range(1, 9)] + ["UI Wave 1"]
    assert [len(wave) for wave in plan.waves] == [3, 3, 3, 4, 3, 4, 4, 3, 3]
    assert needs(plan)["W7-S3"] == ["UI-S3", "W7-S2"]
    assert not plan.findings
