"""Answers as bytes: what is a whole one, what it means when one is not, and every reason to stop."""

import json
import socket
import threading
from contextlib import ExitStack, contextmanager

import pytest
from agent_bench import Bench, report

from rad_engineer import agents
from rad_engineer.process import Limits
from tests.marks import bare

STARTED = b"""HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
event: message_start
data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],\
"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}

"""


@contextmanager
def talking(*answers, hang=False):
    """A server that gives these answers, one a connection, and may hang after the last until it is left."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as open_ones:

        def serve_all():
            for number, answer in enumerate(answers, 1):
                connection = open_ones.enter_context(server.accept()[0])
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(1 << 20) or b"\r\n\r\n"
                connection.sendall(answer)
                if not (hang and number == len(answers)):
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve_all, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(30)
        assert not thread.is_alive()


def run(bench, **more):
    return agents.agent("anthropic").run(bench.work(**more))


def test_silence_of_the_model_is_told_from_a_long_run(tmp_path):
    with talking(STARTED, hang=True) as url:
        assert run(Bench(tmp_path, url), limits=Limits(seconds=60, idle=0.3)).outcome == "idle"


@pytest.mark.parametrize(
    ("error", "outcome", "asked"),
    [
        ({"type": "overloaded_error", "message": "busy"}, "later", 4),
        ({"type": "billing_error", "message": "spent"}, "later", 1),
    ],
)
def test_an_error_within_a_stream_is_no_end_of_the_message(tmp_path, monkeypatch, error, outcome, asked):
    monkeypatch.setattr("rad_engineer.agents.anthropic.calls._PAUSE", 0.001)
    said = f"event: error\ndata: {json.dumps({'type': 'error', 'error': error})}\n\n".encode()
    with talking(*[STARTED + said] * asked) as url:
        ended = run(Bench(tmp_path, url))
    assert (ended.outcome, ended.reason) == (outcome, "offline" if asked > 1 else "budget")


def event(**fields):
    return f"event: {fields['type']}\ndata: {json.dumps(fields)}\n\n".encode()


TOOL = event(
    type="content_block_start",
    index=0,
    content_block={"type": "tool_use", "id": "t", "name": "bash", "input": {}},
)
STOPPED = event(type="content_block_stop", index=0)
DELTA = event(
    type="message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 1}
)
LAST = event(type="message_stop")


def partial(text):
    return event(
        type="content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": text}
    )


@pytest.mark.parametrize(
    "stream",
    [
        TOOL + partial('{"command": "touch n"}') + STOPPED + DELTA,  # the SDK takes that for a whole message
        TOOL + partial('{"command": "touch n"}') + STOPPED + LAST,
        b"data: {]\n\n",
        event(type="message_start", message=None),
        event(type="content_block_delta", index=7, delta={"type": "text_delta", "text": "x"}),
    ],
)
def test_what_only_looks_like_an_answer_is_none(tmp_path, monkeypatch, stream):
    monkeypatch.setattr("rad_engineer.agents.anthropic.calls._PAUSE", 0.001)
    with talking(*[STARTED + stream] * 4) as url:
        ended = run(Bench(tmp_path, url))
    assert (ended.outcome, ended.reason, ended.turns) == (
        "later",
        "offline",
        0,
    )  # nobody's attempt is burnt for it
    assert "4 answers in a row broke off" in ended.output


def stopping(reason, *blocks):
    delta = event(
        type="message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 1}
    )
    return STARTED + b"".join(blocks) + delta + LAST


def saying(text):
    return (
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""})
        + event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        + STOPPED
    )


def reporting():
    start = {"type": "tool_use", "id": "r", "name": "report", "input": {}}
    given = json.dumps(report()["arguments"])
    return event(type="content_block_start", index=0, content_block=start) + partial(given) + STOPPED


@pytest.mark.parametrize(
    ("answers", "outcome", "output", "turns"),
    [
        ([stopping("refusal", saying("I will not."))], "failed", "the model refused: I will not.", 1),
        ([stopping("pause_turn", saying("hm")), stopping("tool_use", reporting())], "finished", "done", 2),
        ([stopping("stop_sequence", saying("hm")), stopping("tool_use", reporting())], "finished", "done", 2),
        (
            [stopping("model_context_window_exceeded", saying("so")), stopping("end_turn", saying("summary")), stopping("tool_use", reporting())],
            "finished", "done", 3,
        ),
        ([stopping("model_context_window_exceeded", saying("so"))] * 2, "failed", "the conversation does not fit into the model's window", 2),
        ([stopping("something_new", saying("hm"))] * 2, "failed", "the model ended its turn twice without a report", 2),
        ([stopping("end_turn")] * 2, "failed", "the model ended its turn twice without a report", 2),
    ],
)  # fmt: skip
def test_every_reason_to_stop_has_a_meaning(tmp_path, answers, outcome, output, turns):
    with talking(*answers) as url:
        ended = run(Bench(tmp_path, url), settings={"effort": "high", "thinking": "off"})
    assert (ended.outcome, ended.output, ended.turns) == (outcome, output, turns)


def refused(reason, *headers, status=429, final=False):
    error = {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "wait"},
        "rad": {"reason": reason, "retry_at": None, "final": final},
    }
    body = json.dumps(error).encode()
    lines = [
        f"HTTP/1.1 {status} No",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answers", "outcome", "reason"),
    [
        ([refused("limit", "retry-after: 0"), stopping("tool_use", reporting())], "finished", ""),
        ([refused("breaker", "retry-after: 0")] * 4, "later", "offline"),
        ([refused("limit", "retry-after: 3600")], "later", "limit"),
        ([refused("limit", final=True)], "later", "limit"),
        ([refused("repeated", status=400)], "later", "offline"),
        ([refused("usage-limit", "retry-after: 60")], "later", "limit"),
        ([refused("offline")], "later", "offline"),
        ([refused("auth")], "later", "login"),
        ([refused("billing")], "later", "budget"),
        ([refused("overloaded", "retry-after: 9", status=529)], "later", "offline"),
        ([refused("upstream", status=500)], "later", "offline"),
        ([refused("garbage", status=502)], "later", "offline"),
        ([refused("upstream", "retry-after: soon")], "failed", ""),
        ([refused("unknown-model")], "failed", ""),
    ],
)
def test_who_is_only_to_wait_waits(tmp_path, answers, outcome, reason):
    with talking(*answers) as url:
        bench = Bench(tmp_path, url)
        ended = run(bench)
    assert (ended.outcome, ended.reason) == (outcome, reason)
    assert ("wait" in bench.work().log.read_text()) == (outcome != "finished")
    said_when = b"retry-after" in answers[0] and b"soon" not in answers[0]
    assert (ended.retry_at is not None) == (outcome == "later" and said_when)


@pytest.mark.parametrize(
    "said",
    [
        '{"command": "tou',
        '{"command": 1e999}',
        '{"command":',
        '{"command": touch n}',
        "touch n",
        "[" * 100_000,
    ],
)
def test_input_that_is_no_json_is_carried_out_by_nobody_and_shown_to_the_model(tmp_path, said):
    """The SDK takes half an input for an empty or a shorter one, and gives up where it sees that it is none."""
    answers = [STARTED + TOOL + partial(said) + STOPPED + DELTA + LAST, stopping("tool_use", reporting())]
    with talking(*answers) as url:
        bench = Bench(tmp_path, url)
        assert run(bench).outcome == "finished"
    assert bench.records("answer")[0]["content"][0]["input"] == {"INVALID_JSON": said}
    (told,) = bench.records("result")
    assert (bare(told["text"]), told["error"]) == ("`command` must be given, as a string", True)


def test_what_the_api_would_refuse_is_not_sent_back(tmp_path):
    """Text of nothing and thinking without its end come from the API, and break every request that has them."""
    empty = (
        event(type="content_block_start", index=0, content_block={"type": "text", "text": " \n"}) + STOPPED
    )
    thinking = {"type": "thinking", "thinking": "half", "signature": ""}
    cut = event(type="content_block_start", index=0, content_block=thinking) + STOPPED
    signed = (
        event(type="content_block_start", index=0, content_block={**thinking, "signature": "s"}) + STOPPED
    )
    answers = [
        stopping("max_tokens", cut),
        stopping("pause_turn", empty),
        stopping("stop_sequence", signed, empty),
    ]
    with talking(*answers, stopping("tool_use", reporting())) as url:
        bench = Bench(tmp_path, url)
        assert run(bench).outcome == "finished"
    told = [[block["type"] for block in answer["content"]] for answer in bench.records("answer")]
    assert told == [[], [], ["thinking"], ["tool_use"]]
