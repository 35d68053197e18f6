"""Large requests are bounded while they are here, however their senders behave, and who is refused for it knows why."""

import json
import socket
from contextlib import ExitStack, contextmanager

import pytest

from tests import faulty_upstream
from tests.gateways import MODEL, door_waits, opened

ROOM = 4_000_000
SIZE = 1_300_000  # two of them fill the room for the largest; no session has room for a second one


def large(text, *, story):
    return [{"role": "user", "content": story.ljust(SIZE, "A")}, {"role": "user", "content": text}]


@contextmanager
def sending(gateway, story, body, announced):
    """A client that has sent so much of what it has announced."""
    _, token = gateway.door.session(story, 1)
    url = gateway.client.base_url
    with socket.create_connection((url.host, url.port), timeout=60) as client:
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {token}\r\ncontent-length: {announced}\r\n\r\n"
        client.sendall(head.encode() + body)
        yield client


def leave_on_the_way(gateway, upstream, story):
    """Asks for an answer that never comes, and leaves."""
    said = {"model": MODEL, "max_tokens": 100, "messages": large("held", story=story)}
    body = json.dumps(said).encode()
    before = upstream.calls["held"]
    with sending(gateway, story, body, len(body)):
        while upstream.calls["held"] == before:
            door_waits(gateway.door)


@pytest.mark.parametrize("drain", [60.0, 0.1])
def test_what_a_client_has_left_behind_keeps_its_room_while_it_is_here(tmp_path, drain):
    told = {
        "body_bytes": ROOM,
        "drain_seconds": drain,
        "linger_seconds": 0.0,
        "body_wait_seconds": 60.0 if drain < 1 else 0.1,
    }
    with (
        faulty_upstream.serve({"held": [faulty_upstream.is_silent]}) as upstream,
        opened(tmp_path / "g", upstream.url, **told) as gateway,
    ):
        for story in ("one", "two"):
            leave_on_the_way(gateway, upstream, story)
        asked = gateway.ask("", story="three", messages=large("more", story="three"))
        assert asked.status_code == (200 if drain < 1 else 429)
        if drain > 1:
            assert asked.headers["x-should-retry"] == "false"
            assert gateway.door.standing("three", 1)["reason"] == "limit"
            assert gateway.ask("small", story="three").status_code == 200
            assert gateway.door.standing("three", 1)["reason"] is None


def test_who_sends_slowly_has_room_for_a_moment_only(tmp_path):
    with (
        faulty_upstream.serve() as upstream,
        opened(tmp_path / "g", upstream.url, body_bytes=ROOM, body_seconds=0.3) as gateway,
        ExitStack() as slow,
    ):
        clients = [slow.enter_context(sending(gateway, story, b"{", SIZE)) for story in "abcd"]
        asked = gateway.ask("", story="three", messages=large("more", story="three"))
        assert asked.status_code == 200
        for client, story in zip(clients, "abcd", strict=True):
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
            gateway.wait_for(
                lambda event, story=story: (event["event"], event.get("story")) == ("refused", story)
            )
            assert gateway.door.standing(story, 1)["reason"] == "limit"


def test_the_usual_conversation_does_not_wait_for_the_largest(tmp_path):
    with (
        faulty_upstream.serve() as upstream,
        opened(tmp_path / "g", upstream.url, body_bytes=ROOM, body_wait_seconds=0.1) as gateway,
        ExitStack() as slow,
    ):
        for story in "ab":
            slow.enter_context(sending(gateway, story, b"{", SIZE))
        assert gateway.ask("", story="c", messages=large("", story="c")).status_code == 429
        assert gateway.ask("B" * 400_000, story="c").status_code == 200


def test_who_asks_for_too_much_is_told_to_its_owner(tmp_path):
    with (
        faulty_upstream.serve() as upstream,
        opened(tmp_path / "g", upstream.url) as gateway,
        sending(gateway, "greedy", b"", 33 << 20) as client,
    ):
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")
        refused = gateway.wait_for(lambda event: event["event"] == "refused")
        assert (refused["story"], refused["status"], refused["reason"]) == ("greedy", 413, "invalid")
        assert gateway.door.standing("greedy", 1)["reason"] == "invalid"


def test_a_message_nested_deeper_than_can_be_named_is_refused_not_a_crash(tmp_path):
    record = tmp_path / "recorded"
    deep = [{"role": "user", "content": json.loads("[" * 880 + "]" * 880)}]
    with faulty_upstream.serve() as upstream:
        with opened(tmp_path / "g", upstream.url, record=str(record)) as gateway:
            gateway.ask("first")
            assert gateway.ask("", messages=deep).status_code in (200, 400)
        with opened(tmp_path / "r", f"replay:{record}") as gateway:
            assert gateway.ask("", messages=deep).status_code in (400, 409)
            assert gateway.ask("first").status_code == 200
