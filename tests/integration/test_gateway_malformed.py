"""What is no HTTP is refused in the vendor's shape, with an id, and the gateway goes on."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.gateways import opened

HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("gateway"), "mock") as running:
        yield running


def said(gateway, *parts: bytes) -> tuple[bytes, bytes]:
    """Head and body of all that comes back until the gateway hangs up."""
    where = urlsplit(gateway.door.base_url)
    with socket.create_connection((where.hostname, where.port), timeout=60) as client:
        for part in parts:
            client.sendall(part)
        answer = b""
        while piece := client.recv(1 << 16):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((b"NO REQUEST LINE\r\n\r\n",), 400),
        ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",), 400),  # a client that speaks TLS
        ((b"POST /v1/messages HTTP/1.1\r\n\r\n",), 400),  # nobody is named
        ((HEAD + b"bad header\r\n\r\n",), 400),
        ((HEAD + b"content-length: many\r\n\r\n",), 400),
        ((HEAD + b"content-length: -1\r\n\r\n",), 400),
        ((HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n",), 400),
        ((HEAD + b"transfer-encoding: gzip\r\n\r\n",), 501),
        ((HEAD + b"x-long: " + b"x" * 100_000,), 431),
    ],
)
def test_what_is_no_http_is_refused_in_the_vendors_shape(gateway, parts, status):
    head, body = said(gateway, *parts)
    lines = head.decode().lower().split("\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["content-type"] == "application/json"
    assert headers["x-should-retry"] == "false"
    told = json.loads(body)
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert told["error"]["message"].startswith("Invalid HTTP request received: ")
    assert headers["request-id"] == told["request_id"] != ""
    assert gateway.ask("goes on").status_code == 200


def test_a_body_that_breaks_its_own_rules_is_refused_too(gateway):
    _, token = gateway.door.session("s1", 1)
    head = HEAD + b"x-api-key: " + token.encode() + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    first, body = said(gateway, head, b"5\r\nhello\r\n", b"no length\r\n")
    assert first.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_within_an_answer_nothing_is_said(gateway):
    """Its head is out already: what came behind it would be taken for a part of it."""
    head = HEAD + b"transfer-encoding: chunked\r\n\r\n"  # 401: answered before its body is read
    first, body = said(gateway, head, b"no length\r\n")
    assert first.count(b"HTTP/1.1 ") + body.count(b"HTTP/1.1 ") == 1
    assert gateway.ask("goes on").status_code == 200
