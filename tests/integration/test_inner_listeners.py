"""The gateway behind a listener that was made inside a box: open to one attempt, there again after a restart."""

import functools
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from rad_engineer import sandbox
from rad_engineer.gateway import listeners
from rad_engineer.sandbox import Grants, Listener
from tests import faulty_upstream as faulty
from tests.gateways import MODEL, door_waits, opened
from tests.sandboxes import needs_bubblewrap, place, slot_in

ASK = """
import json, sys, urllib.error, urllib.request
token, text = sys.argv[1:]
body = {"model": "%s", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
headers = {"x-api-key": token, "content-type": "application/json", "anthropic-version": "2023-06-01"}
request = urllib.request.Request("%s/v1/messages", json.dumps(body).encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture
def upstream():
    with faulty.serve({}) as running:
        yield running


@pytest.fixture
def gateway(upstream, tmp_path):
    """One that is heard all the time, as a coordinator does."""
    needs_bubblewrap()
    with opened(tmp_path / "gateway", upstream.url) as running:
        over = threading.Event()

        def hear() -> None:
            while not over.is_set():
                running.hear()
                door_waits(running.door)

        thread = threading.Thread(target=hear)
        thread.start()
        yield running
        over.set()
        thread.join()


class Story:
    """A box for an attempt at a story, with the gateway in it."""

    def __init__(self, gateway, folder: Path, story: str) -> None:
        folder.mkdir()
        self.slot = slot_in(folder)
        (self.slot / "ask.py").write_text(ASK % (MODEL, listeners.base_url()))
        self.token = gateway.door.inner_token(story, 1)
        self.outer = gateway.door.session(story, 1)[1]
        serve = functools.partial(listeners.hand_over, folder.parent / "gateway", self.outer)
        self.box = sandbox.open_box(
            "bubblewrap", place(self.slot), Grants(listeners=(Listener(listeners.PORT, serve),))
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about: object) -> None:
        self.box.close()

    def ask(self, token: str, text: str = "hello") -> str:
        env = sandbox.environment(os.environ, {})
        python = os.path.realpath(sys.executable)
        ended = self.box.run([python, "-I", "ask.py", token, text], cwd=self.slot, env=env)
        return ended.output.strip()


def test_who_is_in_a_box_asks_models_with_its_own_token_and_no_other(gateway, upstream, tmp_path):
    with Story(gateway, tmp_path / "a", "a") as one, Story(gateway, tmp_path / "b", "b") as two:
        assert [one.ask(one.token), two.ask(two.token)] == ["200", "200"]
        assert [one.ask(two.token), two.ask(one.token)] == ["401", "401"]
        assert [one.ask(two.outer), one.ask(one.outer)] == ["401", "401"]
        assert [one.ask(one.token, "again"), two.ask(two.token, "again")] == ["200", "200"]
    assert upstream.calls == {"hello": 2, "again": 2}
    told = {event["story"] for event in gateway.named("request") if event["status"] == 200}
    assert told == {"a", "b"}


def test_what_is_good_in_a_box_is_good_nowhere_else(gateway, tmp_path):
    with Story(gateway, tmp_path / "a", "a") as story:
        assert story.ask(story.token) == "200"
        for path in ("/v1/messages", "/v1/models"):
            body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
            headers = {"x-api-key": story.token}
            method = "POST" if path == "/v1/messages" else "GET"
            content = json.dumps(body) if method == "POST" else None
            answer = gateway.client.request(method, path, headers=headers, content=content)
            assert answer.status_code == 401


def test_a_gateway_that_was_killed_is_there_again(gateway, tmp_path):
    with Story(gateway, tmp_path / "a", "a") as story:
        assert story.ask(story.token) == "200"
        for round_ in range(2):
            os.kill(gateway.door.pid, signal.SIGKILL)
            assert story.ask(story.token, f"round {round_}") == "200"
            assert story.ask(gateway.door.inner_token("b", 1), f"round {round_}") == "401"
    assert len(gateway.named("restarted")) == 2


def test_a_box_that_is_made_again_has_its_way_out_again(gateway, tmp_path):
    with Story(gateway, tmp_path / "a", "a") as story:
        assert story.ask(story.token) == "200"
        story.box.close()
        assert story.ask(story.token, "after") == "200"


def test_the_end_of_an_attempt_is_the_end_of_its_token(gateway, tmp_path):
    with Story(gateway, tmp_path / "a", "a") as story:
        assert story.ask(story.token) == "200"
        gateway.door.end_session("a", 1)
        assert story.ask(story.token, "after") == "401"


def test_who_knows_no_token_hands_nothing_over(gateway, tmp_path):
    for token in ("", "rad-nobody.x", gateway.door.inner_token("a", 1)):
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        end = listeners.hand_over(tmp_path / "gateway", token, listener)
        with suppress(ConnectionError), socket.create_connection(address) as client:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(1) == b""
        end()
