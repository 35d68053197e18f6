"""How often a request is sent, when its client asks for it again and again."""

import re

import pytest

from rad_engineer.gateway.exchange import Refusal
from rad_engineer.gateway.normal_form import same_turn
from rad_engineer.gateway.tries import HELD_SECONDS, Tries
from tests.unit.gateway_calls import asked, call

# What opencode 1.18 takes for a reason to ask again, in a message or anywhere in a body.
AGAIN = re.compile(
    r"429|500|502|503|504|524|rate.?limit|too many requests|overloaded|unavailable|internal|server.error|terminated"
    r"|connection (?:error|refused|lost)|(?:try|retry) your request|exhausted|try again|timed? ?out|at capacity",
    re.IGNORECASE,
)


def refused(status=529, kind="overloaded_error", retry_after=None):
    return Refusal(status, kind, "Overloaded", reason="overloaded", retry_after=retry_after)


def test_a_request_goes_on_with_the_tries_that_are_left():
    tries = Tries()
    assert (tries.of("a", 0.0), len(tries)) == (0, 0)
    tries.failed("a", refused(), 3, 0.0, final=False)
    assert (tries.of("a", 1.0), tries.of("b", 1.0)) == (3, 0)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 529])
def test_what_clients_would_ask_again_for_is_told_in_a_way_that_stops_them(status):
    tries = Tries()
    tries.failed("a", refused(status), 4, 0.0, final=True)
    with pytest.raises(Refusal) as told:
        tries.of("a", 1.0)
    assert (told.value.status, told.value.kind, told.value.reason) == (
        400,
        "invalid_request_error",
        "repeated",
    )
    assert not AGAIN.search(told.value.body("req_abc").decode())
    assert AGAIN.search(refused().message)
    assert tries.of("b", 1.0) == 0


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (413, "request_too_large")])
def test_what_stops_clients_anyway_is_told_as_it_was(status, kind):
    tries = Tries()
    tries.failed("a", refused(status, kind), 1, 0.0, final=True)
    with pytest.raises(Refusal, match="Overloaded") as told:
        tries.of("a", 1.0)
    assert (told.value.status, told.value.kind, told.value.reason) == (status, kind, "overloaded")


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, HELD_SECONDS), (2.0, HELD_SECONDS), (90.0, 90.0)]
)
def test_after_a_while_it_is_a_request_like_any_other(retry_after, seconds):
    tries = Tries()
    tries.failed("a", refused(retry_after=retry_after), 4, 10.0, final=True)
    with pytest.raises(Refusal):
        tries.of("a", 10.0 + seconds - 0.1)
    assert (tries.of("a", 10.0 + seconds), len(tries)) == (0, 0)


def test_an_answer_ends_it_and_what_is_old_is_forgotten():
    tries = Tries()
    tries.failed("a", refused(), 4, 0.0, final=True)
    tries.answered("a")
    tries.answered("never asked")
    assert tries.of("a", 1.0) == 0
    for number in range(40):
        tries.failed(f"r{number}", refused(), 2, 0.0, final=False)
    assert (len(tries), tries.of("r0", 1.0), tries.of("r39", 1.0)) == (16, 0, 2)


def test_a_request_is_the_same_whether_streamed_or_not_and_however_long():
    plain = same_turn(call(asked("hello", system="You help.")))
    again = asked("hello", system="You help.", stream=True, max_tokens=64_000, metadata={"user_id": "u"})
    assert same_turn(call(again)) == plain
    assert same_turn(call(asked("hello", system="You write titles."))) != plain
    assert same_turn(call(asked("hello", "well", "and now?", system="You help."))) != plain
    assert same_turn(call({**asked("hello", system="You help."), "model": "another"})) != plain
