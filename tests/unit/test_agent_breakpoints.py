"""Where requests of the built-in agent are marked for the prompt cache."""

import itertools

import pytest

from rad_engineer.agents.anthropic.breakpoints import MARKER, MOST, REACH, marked, places
from rad_engineer.agents.anthropic.transcript import last_markable

FIRST = {"role": "user", "content": [{"type": "text", "text": "project"}, {"type": "text", "text": "story"}]}


def turn(calls, *, thinking=False):
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}] * thinking
    uses = [{"type": "tool_use", "id": f"t{n}", "name": "read", "input": {}} for n in range(calls)]
    results = [{"type": "tool_result", "tool_use_id": f"t{n}", "content": "x"} for n in range(calls)]
    return [{"role": "assistant", "content": thought + uses}, {"role": "user", "content": results}]


def test_the_first_request_is_marked_at_system_project_and_story():
    assert places([FIRST], None) == (True, ((0, 0), (0, 1)))


def test_the_next_one_is_marked_where_the_last_one_ended_and_at_its_end():
    messages = [FIRST, *turn(1)]
    assert places(messages, (0, 1)) == (True, ((0, 0), (0, 1), (2, 0)))
    messages += turn(2)
    assert places(messages, (2, 0)) == (True, ((0, 0), (2, 0), (4, 1)))


@pytest.mark.parametrize("calls", [1, 5, 9, 10, 11, 15, 19, 20, 25, 29])
@pytest.mark.parametrize("thinking", [False, True])
def test_no_gap_is_longer_than_the_reach_of_a_mark(calls, thinking):
    messages = [FIRST, *turn(3), *turn(calls, thinking=thinking)]
    system, found = places(messages, (2, 2))
    assert system + len(found) <= MOST
    assert (2, 2) in found
    assert found[-1] == (4, calls - 1)
    order = [
        (number, index) for number, message in enumerate(messages) for index in range(len(message["content"]))
    ]
    moving = [order.index(place) for place in found if place >= (2, 2)]
    assert all(after - before <= REACH for before, after in itertools.pairwise(moving))
    assert all(messages[number]["content"][index]["type"] != "thinking" for number, index in found)


def test_a_turn_that_no_marks_can_span_still_marks_both_ends():
    system, found = places([FIRST, *turn(60)], (0, 1))
    assert (found[0], found[-1], len(found) + system) == ((0, 1), (2, 59), MOST)


def test_thinking_and_empty_text_carry_no_mark():
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    messages = [
        FIRST,
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "a"}, thought, {"type": "text", "text": ""}],
        },
    ]
    assert last_markable(messages) == (1, 0)


def test_marking_changes_nothing_else():
    messages = [FIRST, *turn(1)]
    found = marked(messages, ((0, 1), (2, 0)))
    assert found[0]["content"][1] == {**FIRST["content"][1], "cache_control": MARKER}
    assert "cache_control" not in str(messages)
    for message in found:
        for block in message["content"]:
            block.pop("cache_control", None)
    assert found == messages
