"""New starts stop when a machine gets short of something, and come back bit by bit."""

import pytest

from rad_engineer.core.pressure import Change, Reading, Throttle, careful

GIB = 1 << 30
CALM = Reading(8 * GIB, 16 * GIB, {"memory": 0.0, "io": 0.1})
FULL = Reading(GIB // 8, 16 * GIB, {})
STALLED = Reading(8 * GIB, 16 * GIB, {"memory": 0.5})


def looked(throttle, *readings, running=3):
    return [throttle.look(reading, running) for reading in readings]


@pytest.mark.parametrize(
    ("reading", "cause"),
    [(FULL, "memory"), (STALLED, "memory"), (Reading(None, None, {"io": 0.9}), "io")],
)
def test_two_readings_in_a_row_pause_new_starts(reading, cause):
    throttle = Throttle(4)
    assert looked(throttle, reading, CALM, reading) == [None, None, None]
    assert throttle.room(3) == 1
    assert looked(throttle, reading, reading) == [Change(cause, 3), None]
    assert throttle.room(3) == 0


def test_what_ends_meanwhile_is_not_replaced_but_one_may_always_run():
    throttle = Throttle(4)
    looked(throttle, FULL, FULL)
    assert throttle.room(2) == 1
    looked(throttle, FULL, running=1)
    assert throttle.room(1) == 0
    looked(throttle, FULL, running=0)
    assert throttle.room(0) == 1


def test_after_three_calm_readings_one_more_may_run_and_then_another():
    throttle = Throttle(4)
    looked(throttle, FULL, FULL, running=1)
    between = Reading(GIB, 16 * GIB, {})  # neither short nor calm
    assert looked(throttle, CALM, CALM, between, CALM, CALM, CALM, running=1) == [None] * 5 + [
        Change(None, 2)
    ]
    assert throttle.room(1) == 1
    assert looked(throttle, CALM, CALM, CALM, running=2) == [None] * 3  # it was said that starts go on
    assert throttle.jobs == 4
    looked(throttle, CALM, CALM)
    assert throttle.jobs == 4


def test_all_that_run_may_go_on_running():
    throttle = Throttle(3)
    assert looked(throttle, FULL, FULL) == [None, Change("memory", 3)]
    assert looked(throttle, STALLED, CALM, CALM, CALM)[-1] == Change(None, 3)


def test_a_machine_of_which_nothing_is_known_gets_little_to_do():
    assert careful(16, None, GIB) == 2
    assert careful(1, None, GIB) == 1
    assert careful(16, 4 * GIB, GIB) == 4
    assert careful(16, GIB // 2, GIB) == 1
    throttle = Throttle(2)
    assert looked(throttle, *[Reading(None, None, {})] * 4) == [None] * 4
