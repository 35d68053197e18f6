"""What starts when: needs, order, barriers, files, people, failures and wave gates."""

from plans import prd, story
from schedules import Run


def test_priority_then_the_longest_way_then_the_order_of_the_file() -> None:
    run = Run(prd(story("A"), story("B", priority=2), story("C", priority=1), story("D", points=5), story("E", "A"),
                  story("F"), story("Z", priority=0)))  # fmt: skip
    assert run.take() == "Z C B D A F"
    assert run.land("A") == "E"


def test_a_file_in_order_goes_on_when_the_one_before_has_landed() -> None:
    run = Run(prd(story("A"), story("B"), story("C", state="skipped"), story("D", state="human"), story("E")))
    assert run.take() == "A"
    assert run.why("B") == "comes after A in its file"
    assert run.land("A") == "B"
    assert run.land("B") == "E"
    run.released("D")
    assert run.take() == ""
    assert run.land("E") == "D"
    assert run.land("D") == ""
    assert run.schedule.open_count() == 0


def test_a_failure_stops_the_rest_of_its_file_and_only_that() -> None:
    prds = (
        prd(story("A"), story("B"), story("C"), file="a.json"),
        prd(story("X"), story("Y"), file="x.json"),
    )
    for verb in ("failed", "unverified"):
        run = Run(*prds)
        assert run.take() == "A X"
        getattr(run, verb)("A")
        assert run.blocked_now() == {"B": "A", "C": "A"}
        assert run.take() == ""
        assert run.land("X") == "Y"
    run = Run(*prds, keep_going=True)
    assert run.take() == "A X"
    run.failed("A")
    assert run.take() == "B"
    assert run.blocked_now() == {}


def test_who_waits_for_a_limit_keeps_its_turn_who_waits_for_a_person_does_not() -> None:
    run = Run(prd(story("A"), story("B")))
    assert run.take() == "A"
    run.waiting("A", holds=True)
    assert run.take() == ""
    run.released("A")
    assert run.take() == "A"
    run.waiting("A")
    assert run.take() == "B"
    run.released("A")
    assert run.take() == ""
    assert run.land("B") == "A"


def test_another_attempt_goes_first_come_first_served() -> None:
    run = Run(prd(story("A"), story("B")))
    assert run.take() == "A"
    run.again("A")
    assert run.take() == "A"


def test_a_failure_blocks_exactly_what_hangs_on_it() -> None:
    run = Run(prd(story("A"), story("B", "A"), story("C", "B"), story("D"), story("E", "D", "C")))
    assert run.take() == "A D"
    run.failed("A")
    assert run.blocked_now() == {"B": "A", "C": "A", "E": "A"}
    assert run.blocked_now() == {}
    assert run.why("C") == "blocked by A, which has failed"
    assert run.why("A") == "has failed"
    assert run.land("D") == ""
    assert run.schedule.open_count() == 0


def test_several_failures_are_all_named() -> None:
    run = Run(prd(story("A"), story("B"), story("C", "A", "B")))
    run.take()
    run.failed("A")
    run.unverified("B")
    assert run.blocked("C") == (0, 1)
    assert run.blocked("A") == ()


def test_people_hold_only_what_needs_them() -> None:
    run = Run(prd(story("A", state="human"), story("B", "A"), story("C", "B"), story("D")))
    assert run.take() == "D"
    assert run.why("A") == "waits for a person: rad-engineer approve A"
    assert run.why("B") == "needs A, which waits for a person"
    assert run.is_held("C")
    assert run.blocked_now() == {}
    assert run.schedule.open_count() == 4
    run.released("A")
    assert run.take() == "A"
    assert run.land("A") == "B"


def test_what_the_file_skips_blocks_its_dependents() -> None:
    run = Run(prd(story("A", state="skipped", reason="later"), story("B", "A"), story("C", state="blocked")))
    assert run.take() == ""
    assert run.blocked_now() == {"B": "A"}
    assert run.why("A") == "the PRD says skipped: later"
    assert run.why("C") == "the PRD says blocked"


def test_open_stories_elsewhere_block() -> None:
    run = Run(prd(story("A", "OLD"), story("B", "A")), build={"external": {"OLD": False}})
    assert run.take() == ""
    assert run.blocked_now() == {"A": "", "B": "A"}
    assert run.is_blocked("A")
    assert run.why("A").startswith("needs OLD of a PRD that is not run here")


def test_what_is_done_already_counts() -> None:
    run = Run(prd(story("A", state="done"), story("B", "A"), story("C", "B")), statuses={"B": "passed"})
    assert run.take() == "C"
    assert (run.status("A"), run.why("A")) == ("already-done", "is done already")
    assert (run.status("B"), run.why("B")) == ("passed", "has landed")


def test_a_status_counts_more_than_the_file() -> None:
    run = Run(
        prd(story("A", state="done"), story("B", state="human")), statuses={"A": "pending", "B": "pending"}
    )
    assert run.take() == "A"
    assert run.land("A") == "B"


def test_fail_fast_starts_nothing_more() -> None:
    run = Run(prd(story("A"), story("B"), story("C", "B")), fail_fast=True, build={"parallel": True})
    assert run.take() == "B A"
    run.failed("A")
    assert run.land("B") == ""
    assert run.why("C") == "nothing more starts: A has failed"
    assert (
        Run(prd(story("A"), story("B", "C"), story("C")), fail_fast=True, statuses={"A": "failed"}).take()
        == ""
    )


# -- barriers ------------------------------------------------------------------------------------------------

WAVES = (
    story("A", wave=1),
    story("B", wave=1),
    story("C", wave=2),
    story("D", wave=3),
    story("U", wave=("UI", 1)),
)


def test_declared_waves_are_barriers_in_their_own_track() -> None:
    run = Run(prd(*WAVES))
    assert run.take() == "A B U"
    assert run.why("C") == "comes after Wave 1"
    assert run.land("A") == ""
    assert run.land("B") == "C"
    assert run.waves_done() == ["Wave 1"]
    assert run.land("C") == "D"


def test_a_failure_keeps_all_later_barriers_closed() -> None:
    run = Run(prd(*WAVES), keep_going=True)
    run.take()
    run.failed("A")
    assert run.blocked_now() == {"C": "A", "D": "A"}
    assert run.land("B U") == ""
    assert run.waves_done() == ["UI Wave 1"]


def test_skipped_stories_and_people_do_not_hold_a_barrier() -> None:
    run = Run(prd(story("A", state="human", wave=1), story("B", "A", wave=1), story("S", wave=1, state="skipped"),
                  story("C", wave=2)))  # fmt: skip
    assert run.take() == "C"
    run.released("A")
    assert run.take() == "A"
    run.failed("A")
    assert run.blocked_now() == {"B": "A"}


def test_a_limit_holds_a_barrier() -> None:
    run = Run(prd(story("A", wave=1), story("C", wave=2)))
    run.take()
    run.waiting("A", holds=True)
    assert run.take() == ""
    run.waiting("A")
    assert run.take() == "C"


def test_a_story_that_is_blocked_from_elsewhere_does_not_hold_a_barrier() -> None:
    run = Run(prd(story("A", "U", wave=1), story("C", wave=2), story("U", wave=("UI", 1))))
    assert run.take() == "U"
    run.failed("U")
    assert run.blocked_now() == {"A": "U"}
    assert run.take() == "C"


def test_prds_wait_for_those_they_need() -> None:
    prds = [prd(story(f"{name}1"), story(f"{name}2"), file=f"{name}.json", needs=needs)
            for name, needs in (("a", ()), ("b", ("a",)), ("c", ("b",)))]  # fmt: skip
    run = Run(*prds)
    assert run.take() == "a1"
    assert run.why("b1") == "comes after a"
    assert run.land("a1") == "a2"
    assert run.land("a2") == "b1"
    run.failed("b1")
    assert run.blocked_now() == {"b2": "b1", "c1": "b1", "c2": "b1"}


def test_a_prd_that_is_done_or_empty_holds_nobody() -> None:
    run = Run(prd(story("A", state="done"), file="a.json"), prd(file="e.json"),
              prd(story("B"), file="b.json", needs=("a", "e")))  # fmt: skip
    assert run.take() == "B"


# -- wave gates ----------------------------------------------------------------------------------------------


def test_with_wave_gates_a_barrier_opens_by_hand() -> None:
    run = Run(prd(*WAVES), hold_waves=True)
    run.take()
    assert run.land("A B") == ""
    assert run.waves_done() == ["Wave 1"]
    assert run.waves_done() == []
    assert run.why("C") == "waits for the gates of Wave 1"
    run.schedule.open_wave(0)
    assert run.take() == "C"


def test_with_wave_gates_levels_are_barriers_too() -> None:
    run = Run(prd(story("A"), story("B"), story("C", "A"), story("D", "C")), hold_waves=True)
    assert run.take() == "A B"
    assert run.land("A") == ""
    assert run.land("B") == ""
    assert run.waves_done() == ["Wave 1"]
    run.schedule.open_wave(0)
    assert run.take() == "C"
    run.failed("C")
    assert run.blocked_now() == {"D": "C"}
    assert run.waves_done() == []


def test_waves_that_are_done_at_the_start_are_reported_one_by_one() -> None:
    run = Run(prd(story("A", state="done"), story("B", "A", state="done"), story("C", "B")), hold_waves=True)
    for number, name in enumerate(["Wave 1", "Wave 2"]):
        assert run.take() == ""
        assert run.waves_done() == [name]
        run.schedule.open_wave(number)
    assert run.take() == "C"


# -- selection -----------------------------------------------------------------------------------------------


def test_only_some_stories() -> None:
    run = Run(prd(story("A"), story("B"), story("C")), only="C")
    assert run.take() == "C"
    assert run.why("A") == "is not among the selected stories"
    assert run.land("C") == ""
    assert run.schedule.open_count() == 0


def test_needs_that_are_not_selected_stay_unmet() -> None:
    run = Run(prd(story("A"), story("B", "A"), story("C", "B")), only="B C")
    assert run.take() == ""
    assert run.why("B") == "needs A, which is not among the selected stories"
    assert run.schedule.open_count() == 2


def test_one_wave_only() -> None:
    run = Run(prd(*WAVES), wave=2, hold_waves=True)
    assert run.take() == "C"
    run = Run(prd(*WAVES), wave=9)
    assert run.take() == ""


# -- files ---------------------------------------------------------------------------------------------------


def test_stories_that_touch_the_same_files_do_not_run_at_once() -> None:
    run = Run(prd(story("A", files=("src/a.py",)), story("B", files=("src/",)), story("C", files=("docs/x.md",)),
                  story("D", files=("src/*.py",)), story("E")), build={"parallel": True})  # fmt: skip
    assert run.take() == "A C E"
    assert run.why("B") == "waits for A, which touches src/a.py too"
    assert run.land("A") == "B"
    assert run.land("B") == "D"


def test_files_are_free_again_after_every_kind_of_end() -> None:
    run = Run(prd(*[story(name, files=("a.py",)) for name in "ABCDE"]), build={"parallel": True})
    assert run.take() == "A"
    run.failed("A")
    assert run.take() == "B"
    run.unverified("B")
    assert run.take() == "C"
    run.waiting("C")
    assert run.take() == "D"
    run.again("D")
    assert run.take() == "D"
    assert run.land("D") == "E"


def test_who_is_blocked_while_parked_passes_the_file_on() -> None:
    run = Run(prd(story("A", files=("a.py",)), story("X"), story("B", files=("a.py",)), story("C", files=("a.py",)),
                  story("Z", "X")), build={"parallel": True})  # fmt: skip
    assert run.take() == "X A"
    run.waiting("X")
    assert run.land("A") == "B"


def test_stories_that_wait_to_land_from_before_keep_others_off_their_files() -> None:
    run = Run(prd(*[story(name, files=("a.py",)) for name in "ABC"], story("D")), build={"parallel": True},
              statuses=dict.fromkeys("AB", "landing"))  # fmt: skip
    assert run.take() == "D"
    assert run.land("B") == ""
    assert run.land("A") == "C"


def test_what_is_told_twice_counts_once() -> None:
    run = Run(prd(story("A"), story("B"), story("C", "A", "B")))
    assert run.take() == "A B"
    run.landed("A")
    assert run.land("A") == ""
    run.released("B")  # it does not wait
    assert run.status("B") == "running"
    assert run.land("B") == "C"


def test_an_approval_cannot_release_what_an_open_prd_elsewhere_holds() -> None:
    run = Run(prd(story("A", "OLD", state="human")), build={"external": {"OLD": False}})
    run.released("A")
    assert run.take() == ""
    assert run.why("A").startswith("needs OLD of a PRD that is not run here")


def test_another_attempt_opens_no_barrier_behind_what_needs_it() -> None:
    run = Run(prd(story("A", wave=("UI", 1)), story("B", "A", wave=1), story("C", wave=2)))
    assert run.take() == "A"
    run.again("A")
    assert run.take() == "A"
    assert run.land("A") == "B"
    assert run.land("B") == "C"


def test_who_hangs_on_two_people_is_held_until_both_have_spoken() -> None:
    run = Run(prd(story("A", state="human"), story("B", state="human"), story("C", "A", "B")))
    assert run.is_held("C")
    run.released("A")
    assert run.is_held("C")
    run.released("B")
    assert not run.is_held("C")


def test_who_hangs_on_what_is_not_selected_is_held() -> None:
    run = Run(prd(story("A"), story("B", "A"), story("C")), only="B C")
    assert (run.is_held("B"), run.is_held("C")) == (True, False)
