"""What a session remembers of its last requests: the same normal forms as without, and each part of them made once."""

import json
from itertools import chain

import pytest

from rad_engineer.gateway.normal_form import Forms, fingerprint, lane_of
from rad_engineer.gateway.redaction import Redaction
from rad_engineer.gateway.remembered import Remembered
from tests.unit.gateway_calls import asked, call

BREAKPOINT = {"cache_control": {"type": "ephemeral"}}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("bash", "edit")]


class Counting(Redaction):
    """Counts what it was given: the fields of a request, and each part that is made."""

    def __init__(self):
        super().__init__()
        self.given = self.depth = 0

    def tree(self, value):
        self.given += self.depth == 0
        self.depth += 1
        try:
            return super().tree(value)
        finally:
            self.depth -= 1


def turn(number, **more):
    """The request of a turn: the breakpoint moves with it, results say when they were made."""
    blocks = [
        [{"role": "assistant", "content": [{"type": "tool_use", "id": f"t{at}", "name": "bash", "input": {"command": f"ls {at}"}}]},
         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{at}", "content": f"/tmp/a/{at} in {at}.5s",
                                       **(BREAKPOINT if at == number else {})}]}]
        for at in range(1, number + 1)
    ]  # fmt: skip
    data = asked("go", system=[{"type": "text", "text": "CWD: /tmp/a\nBe good.", **BREAKPOINT}], tools=TOOLS)
    return {**data, "messages": [*data["messages"], *chain.from_iterable(blocks)], **more}


def elsewhere(data):
    return json.loads(json.dumps(data).replace("CWD: /tmp/a", "CWD: /tmp/b"))


SERIES = {
    "turns": [turn(number) for number in range(5)],
    "the same again": [turn(3), turn(3)],
    "back again": [turn(3), turn(1), turn(4)],
    "another model": [turn(1), turn(1, model="claude-opus-5-5")],
    "another system prompt": [turn(2), turn(2, system="Be bad."), turn(2, system=None)],
    "other tools": [turn(2), turn(2, tools=TOOLS[:1]), turn(2, tools=[*reversed(TOOLS)])],
    "another folder": [turn(2), elsewhere(turn(2)), turn(3)],
    "side by side": [turn(1), asked("title?"), turn(2), asked("title!"), asked("a"), asked("b"), turn(3)],
    "a changed middle": [turn(3), {**turn(3), "messages": [*turn(3)["messages"][:2], *turn(2)["messages"][3:]]}],
    "no messages": [asked(), turn(1), asked()],
}  # fmt: skip


@pytest.mark.parametrize("name", SERIES)
def test_what_is_remembered_changes_nothing(name):
    forms = Forms(Redaction())
    for data in SERIES[name]:
        found, alone = forms.of(call(data)), Forms(Redaction()).of(call(data))
        assert found == alone
        assert list(found.request) == list(alone.request)
        assert (found.lane, found.fingerprint) == (lane_of(found.request), fingerprint(found.request))


def test_requests_that_say_different_things_have_different_names():
    every = [
        data for name in ("turns", "another model", "other tools", "side by side") for data in SERIES[name]
    ]
    known = {Forms(Redaction()).of(call(data)).fingerprint for data in every}
    assert len(known) == len({json.dumps({**data}, sort_keys=True) for data in every})


def test_each_part_is_made_once_however_often_it_comes_again():
    redaction = Counting()
    forms = Forms(redaction)
    for number in range(40):
        forms.of(call(turn(number)))
    fields, first, new, breakpoint_moved = 1, 1 + len(TOOLS) + 1, 2, 1
    assert redaction.given == first + 39 * (new + breakpoint_moved) - 1 + 40 * fields


def test_what_is_the_same_to_python_and_not_in_json_is_another_part():
    forms = Forms(Redaction())
    tools = [[{"name": "t", "input_schema": {"minimum": one}}] for one in (1, True, 1.0, "1", None, 0, False)]
    found = [forms.of(call(asked("x", tools=each))) for each in tools]
    assert len({one.fingerprint for one in found}) == len(tools)
    assert [json.dumps(one.request["tools"]) for one in found] == [json.dumps(each) for each in tools]


def test_what_is_remembered_has_its_bound_and_the_least_recently_used_goes_first():
    made = []
    remembered = Remembered(lambda value: made.append(value) or value, most=10_000, whole=True)
    for number in range(1000):
        assert remembered.of(["always"]) == ["always"]
        assert remembered.of([number, "x" * 500]) == [number, "x" * 500]
        assert remembered.size <= 10_000
    assert made.count(["always"]) == 1
    assert len(made) == 1001
    assert len(remembered._known) > 5
    remembered.of([999, "x" * 500])
    remembered.of([0, "x" * 500])
    assert len(made) == 1002
