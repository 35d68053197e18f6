"""Whose turn it is in a file that is worked through in its order, when its stories come and go."""

from plans import prd, story
from schedules import Run


def in_order(*states: str, **options: object) -> Run:
    stories = [story(name, state=state) for name, state in zip("ABCD", states, strict=False)]
    return Run(prd(*stories), **options)


def test_who_is_approved_late_waits_for_the_story_that_runs_and_goes_before_the_rest() -> None:
    run = in_order("human", "todo", "todo")
    assert run.take() == "B"
    run.released("A")
    assert run.take() == ""
    assert run.why("A") == "comes after B in its file"
    assert run.land("B") == "A"
    assert run.land("A") == "C"


def test_who_is_approved_early_waits_for_its_turn_and_has_it_once() -> None:
    run = in_order("todo", "todo", "human", "todo")
    assert run.take() == "A"
    run.released("C")
    assert run.why("C") == "comes after B in its file"
    assert [run.land(key) for key in "ABCD"] == ["B", "C", "D", ""]


def test_an_approval_in_a_file_that_a_failure_has_stopped_starts_nothing() -> None:
    run = in_order("todo", "human")
    assert run.take() == "A"
    run.failed("A")
    run.released("B")
    assert run.take() == ""
    assert run.why("B") == "blocked by A, which has failed"


def test_an_attempt_that_ends_in_a_file_that_a_failure_has_stopped_is_the_last() -> None:
    run = in_order("todo", "todo", statuses={"A": "failed", "B": "landing"})
    assert run.take() == ""
    run.again("B")  # it did not fit: there is no other attempt while the file is stopped
    assert run.take() == ""
    assert run.why("B") == "blocked by A, which has failed"
    assert run.schedule.newly_blocked() == [(1, (0,))]
    assert run.schedule.open_count() == 0


def test_what_waits_to_land_from_before_has_the_turn_wherever_it_stands() -> None:
    run = in_order("todo", "todo", "todo", "todo", statuses=dict.fromkeys("BC", "landing"))
    assert run.take() == ""
    assert [run.why(key) for key in "AD"] == ["comes after C in its file"] * 2
    assert run.land("B") == ""
    assert [run.land(key) for key in "CAD"] == ["A", "D", ""]


def test_what_waits_to_land_from_before_and_does_not_fit_is_back_in_its_order() -> None:
    run = in_order("todo", "todo", "todo", statuses=dict.fromkeys("BC", "landing"))
    run.again("C")
    run.again("B")
    assert run.take() == "A"
    assert [run.land(key) for key in "ABC"] == ["B", "C", ""]


def test_who_is_approved_last_starts_at_once() -> None:
    run = in_order("human", "todo")
    assert run.take() == "B"
    assert run.land("B") == ""
    run.released("A")
    assert run.take() == "A"


def test_what_is_done_before_is_not_waited_for() -> None:
    run = in_order("todo", "done", "skipped", "todo")
    assert run.take() == "A"
    assert run.why("D") == "comes after A in its file"
    assert run.land("A") == "D"


def test_an_approval_behind_a_failure_names_the_failure_and_not_what_stands_between() -> None:
    run = Run(prd(story("A"), story("B", "A"), story("C", "B", state="human"), story("D", "C")))
    assert run.take() == "A"
    run.failed("A")
    run.released("C")
    assert run.take() == ""
    assert [run.why(key) for key in "BCD"] == ["blocked by A, which has failed"] * 3


def test_an_approval_behind_its_own_failed_need_is_blocked_by_it() -> None:
    run = Run(prd(story("A"), story("B"), story("C", "A", "B", state="human")))
    assert run.take() == "A B"
    assert run.land("A") == ""
    run.failed("B")
    run.released("C")
    assert run.take() == ""
    assert run.why("C") == "blocked by B, which has failed"


def test_a_story_outside_the_selection_that_lands_after_all_frees_what_needs_it() -> None:
    run = Run(prd(story("A"), story("B", "A"), story("C")), only="B")
    assert run.take() == ""
    assert run.land("A") == "B"
    assert run.why("C") == "is not among the selected stories"
    assert run.schedule.open_count() == 1
    assert run.land("B") == ""
    assert run.schedule.open_count() == 0


def test_what_can_start_says_so_until_it_does() -> None:
    run = in_order("todo")
    assert run.why("A") == "can start now"
    assert run.take() == "A"
    assert run.why("A") == "is running"


def test_who_is_approved_while_another_file_is_waited_for_goes_first_and_alone() -> None:
    run = Run(prd(story("A"), file="a.json"),
              prd(story("X", state="human"), story("Y"), file="b.json", needs=("a",)))  # fmt: skip
    assert run.take() == "A"
    run.released("X")
    assert run.take() == ""
    assert run.land("A") == "X"
    assert run.land("X") == "Y"
