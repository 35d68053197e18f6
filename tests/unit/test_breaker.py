"""When a breaker opens, who may try, and what closes it."""

from dataclasses import replace

import pytest

from rad_engineer.core.breaker import Breaker, BreakerSettings

SETTINGS = BreakerSettings(window=10, least_calls=4, percent=50, pause=5, longest_pause=12, probe_time=60)


def opened(now=0.0):
    breaker = Breaker(SETTINGS)
    for _ in range(4):
        assert breaker.ask(now) == "go"
    for _ in range(4):
        breaker.ended(now, ok=False)
    return breaker


def test_few_failures_open_nothing():
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.ended(0, ok=False)
    assert (breaker.ask(0), breaker.state(0)) == ("go", "closed")


@pytest.mark.parametrize(("ends", "state"), [("gfgfgfg", "closed"), ("gfgff", "open"), ("gggff", "closed")])
def test_the_rate_is_what_counts(ends, state):
    breaker = Breaker(replace(SETTINGS, percent=60))
    for end in ends:
        breaker.ended(0, ok=end == "g")
    assert breaker.state(0) == state


def test_old_failures_are_forgotten():
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.ended(0, ok=False)
    breaker.ended(10, ok=False)  # the three have left the window
    for _ in range(2):
        breaker.ended(11, ok=True)
    assert breaker.state(11) == "closed"
    breaker.ended(11, ok=False)
    assert breaker.state(11) == "open"


def test_what_is_forgotten_does_not_count_any_more():
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.ended(0, ok=False)
    for ok in (True, True, True, True, False):
        breaker.ended(10, ok=ok)
    assert breaker.state(10) == "closed"


def test_an_open_breaker_names_the_wait():
    breaker = opened()
    assert (breaker.ask(0), breaker.ask(3), breaker.state(3)) == (5, 2, "open")


def test_one_of_64_is_the_probe():
    breaker = opened()
    answers = [breaker.ask(5) for _ in range(64)]
    assert answers == ["probe"] + [60] * 63
    assert breaker.state(5) == "half-open"


def test_a_probe_that_succeeds_closes_it_with_a_clean_record():
    breaker = opened()
    breaker.ask(5)
    breaker.ended(6, ok=True, probe=True)
    assert (breaker.state(6), breaker.ask(6)) == ("closed", "go")
    for _ in range(3):
        breaker.ended(6, ok=False)
    assert breaker.state(6) == "closed"
    breaker.ended(6, ok=False)
    assert breaker.ask(6) == 5  # not twice: the pause began anew


def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest():
    breaker, now, waits = opened(), 5.0, []
    for _ in range(3):
        assert breaker.ask(now) == "probe"
        breaker.ended(now, ok=False, probe=True)
        waits.append(breaker.ask(now))
        now += waits[-1]
    assert waits == [10, 12, 12]


def test_a_probe_whose_client_went_away_makes_room_for_another():
    breaker = opened()
    breaker.ask(5)
    breaker.ended(6, None, probe=True)
    assert breaker.ask(6) == "probe"


def test_a_probe_of_which_nothing_is_heard_is_given_up():
    breaker = opened()
    assert [breaker.ask(now) for now in (5, 64, 65)] == ["probe", 1, "probe"]
    breaker.ended(66, ok=True, probe=True)
    breaker.ended(67, ok=False, probe=True)  # the one that was given up
    assert breaker.state(67) == "closed"


def test_calls_from_before_it_opened_change_nothing():
    breaker = opened()
    breaker.ended(1, ok=True)
    breaker.ask(5)
    breaker.ended(5, ok=True)
    assert breaker.state(5) == "half-open"


def test_a_client_that_goes_away_says_nothing_of_the_upstream():
    breaker = Breaker(SETTINGS)
    for _ in range(20):
        breaker.ended(0, None)
    for _ in range(3):
        breaker.ended(0, ok=False)
    assert breaker.state(0) == "closed"
