"""Answers with nonsense beside the message: it is paid and passed on all the same, or refused as what it is."""

import gzip
import json
import socket

import pytest

from tests import faulty_upstream
from tests.gateways import MODEL, opened

LIMIT = "anthropic-ratelimit"
HUGE = 10**400


ODD = {
    "not ASCII": {"x-note": "日本"},
    "no digit": {f"{LIMIT}-requests-remaining": "²", f"{LIMIT}-requests-reset": "2100-01-01T00:00:00Z"},
    "endless": {f"{LIMIT}-requests-remaining": "9" * 5000, f"{LIMIT}-requests-reset": "2100-01-01T00:00:00Z"},
    "never": {
        f"{LIMIT}-unified-status": "rejected",
        f"{LIMIT}-unified-reset": "²",
    },  # and nobody is asked after it
}


def beside(headers):
    """A good message, and headers beside it."""

    async def move(wire):
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        kind = "text/event-stream" if wire.data.get("stream") else "application/json"
        await wire.send(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{lines}connection: close\r\n\r\n".encode()
        )
        plain = [json.dumps(faulty_upstream.message(wire.data)).encode()]
        await wire.send(b"".join(faulty_upstream.events(wire.data) if wire.data.get("stream") else plain))
        wire.writer.close()

    return move


@pytest.mark.parametrize("stream", [False, True])
def test_headers_that_say_nothing_do_not_lose_an_answer_that_is_paid(tmp_path, stream):
    with (
        faulty_upstream.serve({name: [beside(headers)] for name, headers in ODD.items()}) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):
        found = {name: gateway.ask(name, stream=stream) for name in ODD}
        assert {name: each.status_code for name, each in found.items()} == dict.fromkeys(ODD, 200)
        spent = [(each["micro_usd"], each["uncertain"]) for each in gateway.named("spend")]
        assert spent == [(50, False)] * len(ODD)
        assert (b"x-note", "日本".encode()) in found["not ASCII"].headers.raw


def counting(usage):
    async def move(wire):
        body = json.dumps({**faulty_upstream.message(wire.data), "usage": usage}).encode()
        await faulty_upstream.raw(200, body)(wire)

    return move


def test_a_count_that_nobody_could_use_is_no_count(tmp_path):
    usage = {"input_tokens": 10, "output_tokens": HUGE, "server_tool_use": {"web_search_requests": HUGE}}
    with (
        faulty_upstream.serve({"odd": [counting(usage)]}) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):
        assert gateway.ask("odd").status_code == 200
        (spent,) = gateway.named("spend")
        assert 0 < spent["micro_usd"] < 1_000
        assert gateway.ask("after").status_code == 200


def test_a_status_that_is_none_and_what_is_encoded_twice_are_garbage(tmp_path):
    twice = gzip.compress(gzip.compress(json.dumps(faulty_upstream.message({})).encode()))
    plans = {
        "600": [faulty_upstream.says(600, "api_error")],
        "999": [faulty_upstream.says(999, "api_error")],
        "twice": [faulty_upstream.raw(200, twice, content_encoding="gzip, gzip")],
    }
    with faulty_upstream.serve(plans) as upstream, opened(tmp_path / "g", upstream.url) as gateway:
        for name in plans:
            refused = gateway.ask(name)
            assert (name, refused.status_code, refused.json()["rad"]["reason"]) == (name, 502, "garbage")


def in_pieces(ending):
    async def move(wire):
        stream = b"".join(faulty_upstream.events(wire.data)).replace(b"\n", ending)
        await faulty_upstream.streams(*(stream[at : at + 1] for at in range(len(stream))))(wire)

    return move


def test_a_stream_may_end_its_lines_as_it_likes_and_arrive_in_any_pieces(tmp_path):
    plans = {"both": [in_pieces(b"\r\n")], "one": [in_pieces(b"\r")]}
    with faulty_upstream.serve(plans) as upstream, opened(tmp_path / "g", upstream.url) as gateway:
        for name in plans:
            answer = gateway.ask(name, stream=True)
            assert faulty_upstream.said(answer.content) == "well"
            assert b"\r" not in answer.content
        assert [(each["micro_usd"], each["uncertain"]) for each in gateway.named("spend")] == [
            (50, False)
        ] * 2


def test_what_a_client_says_beside_its_request_is_passed_on_or_refused(tmp_path):
    cases = [
        ("/v1/messages", "user-agent: café", 200),
        ("/v1/messages?" + "x" * 70_000, "x-a: b", 400),
        ("/v1/messages?beta=true#x", "x-a: b", 400),
    ]
    said = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "odd"}]}
    body = json.dumps(said).encode()
    with faulty_upstream.serve() as upstream, opened(tmp_path / "g", upstream.url) as gateway:
        _, token = gateway.door.session("s1", 1)
        for path, line, status in cases:
            head = [
                f"POST {path} HTTP/1.1",
                "host: x",
                f"x-api-key: {token}",
                f"content-length: {len(body)}",
                line,
            ]
            answer = raw_answer(gateway, "\r\n".join(head).encode() + b"\r\n\r\n" + body)
            assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert [headers["user-agent"] for _, headers, _ in upstream.seen] == [
            "café".encode().decode("latin-1")
        ]


def raw_answer(gateway, request):
    """What a client gets that speaks HTTP by hand."""
    url = gateway.client.base_url
    with socket.create_connection((url.host, url.port), timeout=60) as client:
        client.sendall(request)
        return client.recv(1 << 16)


def test_a_model_that_is_not_there_does_not_stop_the_counting_for_others(tmp_path):
    async def counts(wire):
        if wire.data["model"] == MODEL:
            await faulty_upstream.raw(200, b'{"input_tokens": 77}')(wire)
        else:
            await faulty_upstream.says(404, "not_found_error", "model: another")(wire)

    with (
        faulty_upstream.serve(otherwise=counts) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):
        path = "/v1/messages/count_tokens"
        assert gateway.ask("q", path=path, model="another").headers["x-rad-estimate"] == "true"
        assert gateway.ask("q", path=path, model="another").headers["x-rad-estimate"] == "true"
        assert gateway.ask("q", path=path, story="s2").json() == {"input_tokens": 77}
        assert len(upstream.seen) == 2


@pytest.mark.parametrize("odd", [{"stop_reason": None}, {"stop_reason": "pause_turn", "content": []}])
def test_an_answer_that_says_nothing_is_not_given_again(tmp_path, odd):
    async def move(wire):
        body = json.dumps({**faulty_upstream.message(wire.data), **odd}).encode()
        await faulty_upstream.raw(200, body)(wire)

    with (
        faulty_upstream.serve({"odd": [move, faulty_upstream.answers()]}) as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
    ):
        asked = [gateway.ask("odd").json() for _ in range(3)]
        assert [each["content"] for each in asked[1:]] == [[{"type": "text", "text": "well"}]] * 2
        assert upstream.calls["odd"] == 2
