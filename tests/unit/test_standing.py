"""Where stories stand that wait for others who wait."""

from runs import Run, graph, story

from rad_engineer.core.standing import standings


def standing(run):
    found = standings(run.graph, run.checkpoint)
    return {key: (one.status, one.by) for key, one in zip(run.graph.keys, found, strict=True)}


def test_who_needs_two_that_wait_names_both_and_holds_its_own_dependents_once():
    run = Run(
        graph(story("A", state="human"), story("B", state="human"), story("C", "A", "B"), story("D", "C"))
    )
    assert standing(run) == {
        "A": ("waiting", ()),
        "B": ("waiting", ()),
        "C": ("waiting", ("B", "A")),
        "D": ("waiting", ("C",)),
    }


def test_a_story_that_is_finished_is_not_held_by_what_waits():
    run = Run(graph(story("A", state="human"), story("B", "A"), story("C", "B")))
    run.say("story_passed", "B", by="ann")
    assert standing(run) == {"A": ("waiting", ()), "B": ("passed", ()), "C": ("pending", ())}


def test_a_blocked_story_stays_blocked_whoever_else_waits():
    run = Run(graph(story("A", state="human"), story("B"), story("C", "A", "B")))
    run.fail("B")
    assert standing(run)["C"] == ("blocked", ("B",))
