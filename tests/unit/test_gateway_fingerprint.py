"""When two requests are the same."""

import pytest

from rad_engineer.gateway.fingerprint import CacheKeys
from tests.unit.gateway_calls import asked, call

ONE = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
SPELLED_OTHERWISE = b'{ "max_tokens": 9, "messages": [ {"content":"\\u0068i","role":"user"} ], "model": "m" }'


def cache_key(one, *, sharing=False, keys={}):  # noqa: B006 -- one for all tests: what it remembers changes nothing
    return keys.setdefault(sharing, CacheKeys(sharing=sharing)).of(one)


def test_the_same_said_otherwise_is_the_same():
    assert cache_key(call(body=ONE)) == cache_key(call(body=SPELLED_OTHERWISE))


def test_the_order_of_betas_does_not_count():
    one = call(headers={"anthropic-beta": "b-2, a-1,b-2"})
    other = call(headers={"anthropic-beta": "a-1,b-2"})
    assert cache_key(one) == cache_key(other)


def test_session_number_and_other_headers_do_not_count():
    assert cache_key(call()) == cache_key(
        call(story="other", attempt=3, number=9, headers={"user-agent": "x"})
    )


@pytest.mark.parametrize(
    "other",
    [
        call(path="/v1/messages/count_tokens"),
        call(query="beta=true"),
        call(headers={"anthropic-version": "2023-06-01"}),
        call(headers={"anthropic-beta": "a-1"}),
        call(asked("hello!")),
        call(asked("hello", stream=True)),
        call(tenant="run-2"),
    ],
    ids=["path", "query", "version", "beta", "body", "stream", "tenant"],
)
def test_each_of_these_makes_another_request(other):
    assert cache_key(other) != cache_key(call())


def test_parts_do_not_run_into_each_other():
    assert cache_key(call(path="/a", query="b")) != cache_key(call(path="/ab", query=""))


def test_tenants_share_only_what_is_the_same_byte_for_byte():
    one, same, respelled = (
        call(body=ONE), call(body=ONE, tenant="run-2"), call(body=SPELLED_OTHERWISE, tenant="run-2"),
    )  # fmt: skip
    assert cache_key(one) != cache_key(same)
    assert cache_key(one, sharing=True) == cache_key(same, sharing=True)
    assert cache_key(one, sharing=True) != cache_key(respelled, sharing=True)


def test_a_broken_surrogate_is_no_reason_to_fail():
    assert cache_key(call(body=b'{"model":"m","x":"\\ud800"}'))


def test_what_is_the_same_to_python_and_not_in_json_is_another_request():
    tools = [[{"name": "t", "input_schema": {"minimum": one}}] for one in (1, True, 1.0, "1", None, 0, False)]
    assert len({cache_key(call(asked("x", tools=each))) for each in tools}) == len(tools)


def test_what_was_looked_into_before_changes_nothing():
    turns = [asked(*"abcdefgh"[:number], system=[{"type": "text", "text": "s"}]) for number in range(8)]
    alone = [CacheKeys().of(call(turn)) for turn in turns]
    keys = CacheKeys()
    assert [keys.of(call(turn)) for turn in turns] == alone
    assert [keys.of(call(turn)) for turn in reversed(turns)] == alone[::-1]
    assert len(set(alone)) == 8


def test_a_list_is_not_taken_for_the_names_of_its_parts():
    data = asked("x")
    names = [part.name.hex() for part in call(data).said.parts["messages"]]
    assert cache_key(call({**data, "messages": names})) != cache_key(call(data))


def test_a_text_alone_is_not_the_same_as_a_list_of_one():
    assert cache_key(call(asked("x", system="s"))) != cache_key(
        call(asked("x", system=[{"type": "text", "text": "s"}]))
    )
