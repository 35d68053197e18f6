"""Bodies of requests, read: as the standard library reads them, whoever does it."""

import asyncio
import json
import threading
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.gateway import tokens
from rad_engineer.gateway.bodies import Bodies
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.exchange import Refusal, Session
from rad_engineer.gateway.messages import LARGE, understand
from rad_engineer.gateway.mock import Mock
from rad_engineer.gateway.server import Server
from rad_engineer.gateway.sessions import Sessions

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def body(rest: bytes, encoding: str = "utf-8") -> bytes:
    text = f'{{"model": "m", "messages": [], "x": {rest.decode("latin-1")}}}'
    return text.encode(encoding)


@pytest.mark.parametrize(
    "value",
    [b"-0", b"[-0.0, 1E400, 5e-324, 1e23]", b"12345678901234567890123", b'{"a": 1, "a": 2}', b'"\\ud800"',
     b'"\\u00e9\\ud83d\\ude00"', b"[NaN]", b"[" * 300 + b"]" * 300],
)  # fmt: skip
def test_odd_values_are_what_the_standard_library_takes_them_for(value):
    assert repr(understand(body(value))) == repr(json.loads(body(value)))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_are_read(encoding):
    assert understand(body(b'"\xe9"', encoding))["x"] == "é"


@given(JSON)
def test_any_value_is_read_as_it_was_written(value):
    written = json.dumps({"model": "m", "messages": [], "x": value}).encode()
    assert repr(understand(written)) == repr(json.loads(written))


@pytest.mark.parametrize(
    ("wrong", "where"),
    [(b"{", "line 1 column 2"), (b'{"model": "m",}', "line 1 column 15"), (b'"\xff"', "position 1"), (b"", "line 1 column 1")],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place(wrong, where):
    with pytest.raises(Refusal, match="the body is not JSON") as refused:
        understand(wrong)
    assert where in refused.value.message


def arrived(*bodies):
    """The calls that these bodies are, as the server understands them, and what the loop's own thread has read of them."""

    class Watched(Server):
        def _read(self, body):
            here.append(threading.current_thread() is threading.main_thread())
            return super()._read(body)

    async def scene():
        server = server_with(Watched)
        with ExitStack() as room:
            return [await server._call(headed(body), _Arriving(body), room) for body in bodies]

    here = []

    return asyncio.run(scene()), here


def server_with(kind, **settings):
    bodies = Bodies(GatewaySettings(**settings))
    return kind(b"s", None, Mock(), Sessions(60.0), bodies, lambda _name, **_fields: None)


def headed(body):
    token = tokens.issue(b"s", Session("A", 1, "run"))
    headers = [(b"x-api-key", token.encode()), (b"content-length", b"%d" % len(body))]
    return {"headers": headers, "path": "/v1/messages", "query_string": b""}


class _Arriving:
    def __init__(self, body, seen=None, number=0):
        self.body = body
        self.seen = [] if seen is None else seen
        self.number = number

    async def __call__(self):
        self.seen.append(f"{self.number} is read")
        return {"type": "http.request", "body": self.body}


def test_a_large_body_is_not_read_before_there_is_room_for_it():
    async def scene():
        server = server_with(Server, body_bytes=8 * len(large))
        await asyncio.gather(call(server, large, 0), call(server, large, 1), call(server, b"{}", 2))

    async def call(server, body, number):
        with ExitStack() as room:
            with suppress(Refusal):
                await server._call(headed(body), _Arriving(body, seen, number), room)
            await asyncio.sleep(0)
            seen.append(f"{number} is over")

    large, seen = json.dumps({"model": "m", "max_tokens": 1, "messages": ["x" * LARGE]}).encode(), []
    asyncio.run(scene())
    assert seen.index("1 is read") > seen.index("0 is over") > seen.index("2 is over")


def nested(depth):
    return b'{"model":"m","max_tokens":1,"messages":[%b]}' % (b"[" * depth + b"]" * depth)


def test_a_long_body_is_read_beside_the_loop_with_all_its_parts():
    short, long = (
        json.dumps({"model": "m", "max_tokens": 1, "messages": ["x" * size]}).encode() for size in (9, LARGE)
    )
    calls, here = arrived(short, long)
    assert here == [True, False]
    assert [len(one.said.parts["messages"]) for one in calls] == [1, 1]


def test_what_is_nested_too_deeply_is_refused_at_every_depth():
    """Between what can be read and what can be written again are a few depths, by how deep the stack is."""
    said = set()
    for depth in range(800, 1000):
        try:
            arrived(nested(depth))
            said.add((200, "read"))
        except Refusal as refusal:
            said.add((refusal.status, refusal.kind))
    assert said == {(200, "read"), (400, "invalid_request_error")}
