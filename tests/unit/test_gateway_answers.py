"""Messages from streams and back: what a client makes of the events is the message that was recorded."""

import json

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

from rad_engineer.gateway.answers import decoded, encoded
from tests.unit.gateway_calls import message

BLOCKS = [
    {"type": "text", "text": 'Größe 🜚 "quoted"\n\nand more\u2028'},
    {"type": "text", "text": ""},
    {"type": "text", "text": "plain", "citations": None},
    {"type": "text", "text": "cited", "citations": [{"type": "char_location", "cited_text": "x",
     "document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1, "file_id": None}]},
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "b3BhcXVl"},
    {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": 'ls "a b"', "n": [1, {"x": None}]}},
    {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {}},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    {"type": "unheard_of", "anything": {"goes": True}},
]  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["type"])
def test_there_and_back(block):
    there = message("before", block, "after", stop="tool_use")
    assert decoded(b"".join(encoded(there))) == there


def test_everything_a_message_may_say_beside_its_content():
    there = message(
        "x",
        stop="refusal",
        stop_details={"type": "refusal", "category": "cyber"},
        container={"id": "c", "expires_at": "2026-01-01T00:00:00Z"},
        context_management={"applied_edits": []},
    )
    assert decoded(b"".join(encoded(there))) == there
    assert decoded(b"".join(encoded({**message("x"), "usage": None})))["usage"] == {"output_tokens": 0}


def test_the_vendors_own_client_makes_the_same_message_of_the_events():
    there = message(*BLOCKS[:2], *BLOCKS[4:10], stop="tool_use")
    events = TypeAdapter(RawMessageStreamEvent)
    snapshot, buffers = None, {}
    for event in b"".join(encoded(there)).decode().split("\n\n")[:-1]:
        parsed = events.validate_json(event.partition("data: ")[2])
        snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=buffers)
    found = json.loads(snapshot.to_json())
    assert found["content"] == there["content"]
    assert (found["stop_reason"], found["usage"]["output_tokens"]) == ("tool_use", 5)


def sse(*events: dict) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


START = {"type": "message_start", "message": message(stop_reason=None)}
TOOL = {"type": "content_block_start", "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "bash", "input": {}}}  # fmt: skip


def piece(**delta: str) -> dict:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


STOP = {"type": "content_block_stop", "index": 0}
END = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9, "input_tokens": None}},
    {"type": "message_stop"},
]  # fmt: skip


def test_pieces_are_put_together():
    found = decoded(
        sse(
            START, {"type": "ping"}, TOOL, piece(type="input_json_delta", partial_json=""),
            piece(type="input_json_delta", partial_json='{"a'),
            piece(type="input_json_delta", partial_json='b":1}'), STOP, *END,
        )
    )  # fmt: skip
    assert found["content"][0]["input"] == {"ab": 1}
    assert (found["stop_reason"], found["usage"]) == ("end_turn", {"input_tokens": 10, "output_tokens": 9})


def test_an_input_that_broke_off_is_given_again_as_far_as_it_came():
    body = sse(START, TOOL, piece(type="input_json_delta", partial_json='{"command": "rm'), STOP, *END)
    again = b"".join(encoded(decoded(body)))
    assert b'"partial_json":"{\\"command\\": \\"rm"' in again
    assert decoded(again) == decoded(body)


def test_a_compaction_is_kept():
    body = sse(
        START, {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        piece(type="compaction_delta", content="so far", encrypted_content="e"), STOP, *END,
    )  # fmt: skip
    assert decoded(body)["content"] == [{"type": "compaction", "content": "so far", "encrypted_content": "e"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        sse(START),
        sse(START, TOOL, STOP, END[0]),
        sse(START, {"type": "error", "error": {"type": "overloaded_error"}}),
    ],
    ids=["nothing", "begun", "no end", "error"],
)
def test_what_did_not_end_as_it_should_is_no_message(body):
    assert decoded(body) is None
