"""What a call has used, read off whole answers and streams, and the shorter request that is asked for in its place."""

import json

import pytest

from rad_engineer.gateway.exchange import Usage
from rad_engineer.gateway.messages import Meter, estimate_input, estimate_tokens, shortened, usage_of
from tests.unit.gateway_calls import asked, call

SAID = {
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 40,
    "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 25},
    "iterations": [
        {"type": "message", "input_tokens": 10, "output_tokens": 20},
        {"type": "compaction", "input_tokens": 1_000, "output_tokens": 2_000, "cache_read_input_tokens": 3_000,
         "cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 5}},
        "nonsense",
    ],
    "server_tool_use": {"web_search_requests": 2},
    "speed": "fast",
}  # fmt: skip
FOUND = Usage(1_010, 2_020, 3_030, 15, 30, {"web_search_requests": 2}, "m", "fast")


def test_what_the_vendor_used_to_shorten_a_conversation_is_paid_too():
    assert usage_of({"model": "m", "usage": SAID}) == FOUND


def event(name, **fields):
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def test_a_stream_says_it_at_its_end():
    meter = Meter()
    meter.see(
        event("message_start", message={"model": "m", "usage": {"input_tokens": 10, "output_tokens": 1}})
    )
    assert meter.usage == Usage(10, 1, model="m")
    meter.see(event("message_delta", delta={"stop_reason": "end_turn"}, usage=SAID) + event("message_stop"))
    assert meter.usage == FOUND
    assert meter.complete


def test_a_shorter_answer_may_not_be_all_thinking():
    thinking = {"type": "enabled", "budget_tokens": 5_000, "display": "omitted"}
    data = {"model": "m", "max_tokens": 9_000, "thinking": thinking, "messages": []}
    assert json.loads(shortened(data, 6_000)) == {**data, "max_tokens": 6_000}
    found = json.loads(shortened(data, 5_000))
    assert found == {**data, "max_tokens": 5_000, "thinking": {**thinking, "budget_tokens": 2_500}}
    adaptive = {**data, "thinking": {"type": "adaptive"}}
    assert json.loads(shortened(adaptive, 5_000)) == {**adaptive, "max_tokens": 5_000}


def test_half_a_character_is_passed_on_as_it_came():
    body = shortened({"model": "m", "max_tokens": 9, "messages": "half \ud800 ein\u00fc"}, 5)
    assert body == b'{"model":"m","max_tokens":5,"messages":"half \\ud800 ein\xc3\xbc"}'
    assert estimate_tokens({"messages": "half \ud800"}) > 0


def test_what_an_answer_does_not_state_is_seen_by_its_length():
    text = {"content": [{"type": "text", "text": "x" * 400}]}
    found = usage_of({"model": "m", **text})
    assert (found.stated, found.input_tokens) == (False, 0)
    assert 100 <= found.output_tokens <= 120
    odd = {"usage": {"input_tokens": "12", "output_tokens": -4, "cache_read_input_tokens": True}}
    assert usage_of({"model": "m", **text, **odd}) == found
    assert usage_of({"usage": {"input_tokens": 0, "output_tokens": 0}}) == Usage()


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {"output_tokens": None}}])
def test_a_stream_that_states_nothing_is_seen_by_its_length(usage):
    meter = Meter()
    deltas = [{"type": "text_delta", "text": "x" * 40}] * 10
    meter.see(event("message_start", message={"model": "m", **usage}))
    meter.see(b"".join(event("content_block_delta", index=0, delta=delta) for delta in deltas))
    meter.see(event("message_delta", delta={"stop_reason": "end_turn"}, **usage) + event("message_stop"))
    assert meter.complete
    assert not meter.usage.stated
    assert meter.usage.output_tokens >= 10


def test_a_large_input_that_nobody_states_is_not_written_out_anew():
    small, large = call(asked("x" * 400)), call(asked("x" * 400_000))
    assert estimate_input(small) == estimate_tokens(small.data)
    assert estimate_input(large) == len(large.body) // 4 >= estimate_tokens(large.data)
