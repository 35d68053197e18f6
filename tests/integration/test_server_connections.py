"""Connections that are held open, requests that never end, and requests that are too large."""

import contextlib
import http.client
import os
import signal
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest
from past_runs import Past, repository

from rad_engineer.errors import ConfigInvalid
from rad_engineer.server import sockets
from rad_engineer.server.configuration import Serving
from tests.serving import HURRIED, served
from tests.tls_server import certificate_for

FEW = ("prlimit", "--nofile=256:256")
DEADLINE = 0.5
campaign = pytest.mark.skipif(not os.environ.get("RAD_SERVER"), reason="RAD_SERVER=1 runs it")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("connections") / "project")


@pytest.fixture(scope="module")
def client(project):
    with served(
        project,
        project.parent,
        "--requests-per-minute",
        0,
        before=FEW,
        changed=HURRIED.format(DEADLINE, DEADLINE),
    ) as found:
        yield found


def whole(connection):
    """Everything that comes until the other end closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


@pytest.fixture
def flood(client):
    with contextlib.ExitStack() as stack:

        def opened(number, beginning=b""):
            connections = []
            for _ in range(number):
                connection = stack.enter_context(client.raw())
                with contextlib.suppress(ConnectionError):
                    connection.sendall(beginning)
                connections.append(connection)
            return connections

        yield opened


@pytest.mark.parametrize(
    "beginning", [b"", b"GET /health HTTP/1.1\r\nhost: x\r\nx-"], ids=["silent", "half a head"]
)
def test_400_half_open_connections_keep_nobody_out(client, flood, beginning):
    flood(400, beginning)
    began = time.monotonic()
    assert client.get("/health").status == 200
    assert client.get("/ready").status == 200
    assert time.monotonic() - began < DEADLINE + 1
    assert client.log.stat().st_size < 100_000


def test_400_connections_at_one_moment_leave_descriptors(client, flood):
    client.process.send_signal(signal.SIGSTOP)
    try:
        flood(400)
    finally:
        client.process.send_signal(signal.SIGCONT)
    assert client.get("/health").status == 200
    assert "Too many open files" not in client.log.read_text()


def test_connections_stay_below_the_limit_of_the_system(client, flood):
    flood(400)
    assert client.get("/health").status == 200
    told = client.get("/status").json["connections"]
    assert told["open"] <= told["limit"] <= 256 - 64
    assert sum(1 for _ in Path(f"/proc/{client.process.pid}/fd").iterdir()) < 256


def test_one_address_does_not_get_all_connections(client, flood):
    flood(100)
    told = client.get("/status").json["connections"]
    assert 8 <= told["open"] <= told["limit"] // 4


@pytest.mark.parametrize(
    ("beginning", "said"),
    [
        (b"", None),
        (b"GET /health HTTP/1.1\r\nhost: x\r\n", 408),
        (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx", 200),
        (b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /hea", 200),
    ],
    ids=["nothing", "half a head", "half a body", "half a second head"],
)
def test_a_request_that_does_not_end_is_cut_off(client, beginning, said):
    with client.raw() as connection:
        connection.settimeout(20)
        connection.sendall(beginning)
        assert status(whole(connection)) == said


def test_a_deadline_is_not_moved_by_what_trickles_in(client):
    with client.raw() as connection:
        connection.settimeout(20)
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(400):  # far beyond the deadline, if it let us
                connection.sendall(b"x-%d: y\r\n" % number)
                connection.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    assert status(connection.recv(4096)) == 408
                    return
    raise AssertionError("nobody has cut it off")


def test_a_connection_is_used_again(client):
    with client.raw() as connection:
        connection.settimeout(20)
        for _ in range(3):
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, b"ok" in answer.read()) == (200, True)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000, 431),
        (b"GET /health HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 101 + b"\r\n", 431),
        (b"GET /health?" + b"a" * 9_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 70000\r\n\r\n", 413),
        (b"GET /health HTTP/1.1\r\nhost: x\r\ncontent-length: 7e4\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n", 400),
    ],
    ids=["head", "endless head", "many headers", "address", "length", "no length", "no host", "no HTTP"],
)
def test_what_is_too_large_or_no_request_is_refused(client, request_, said):
    with client.raw() as connection:
        connection.settimeout(20)
        with contextlib.suppress(ConnectionError):
            connection.sendall(request_)
        answer = whole(connection)
    assert status(answer) == said
    assert b'"error"' in answer
    assert client.get("/health").status == 200


def test_a_body_without_a_length_ends_with_its_connection(client):
    with client.raw() as connection:
        connection.settimeout(20)
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall((b"1000\r\n" + b"a" * 4096 + b"\r\n") * 10_000)
    assert client.get("/health").status == 200


@campaign
def test_an_answer_that_nobody_takes_is_given_up(project, client):
    past = Past(project)
    past.say("note", text="x" * 16_000_000)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(client.raw())
            connection.sendall(
                b"GET /api/runs/%b/events HTTP/1.1\r\nhost: localhost\r\n\r\n" % past.rundir.run.encode()
            )
        give_up = time.monotonic() + 60
        while client.get("/status").json["connections"]["open"] > 1:
            assert time.monotonic() < give_up
            time.sleep(0.1)
        assert len(whole(connection)) < 16_000_000


def test_what_strangers_send_fills_no_disk(client):
    for _ in range(300):
        with client.raw() as connection:
            connection.sendall(b"no HTTP at all\r\n\r\n")
            whole(connection)
    assert client.log.stat().st_size < 100_000


def test_tls_is_spoken_and_half_a_handshake_keeps_nobody_out(project, tmp_path):
    cert, key = certificate_for(tmp_path, "IP:127.0.0.1")
    flags = ("--certificate", cert, "--key", key, "--requests-per-minute", 0)
    with (
        served(project, tmp_path, *flags, before=FEW, changed=HURRIED.format(DEADLINE, DEADLINE)) as client,
        contextlib.ExitStack() as stack,
    ):
        assert client.url.startswith("https://127.0.0.1:")
        for number in range(400):
            connection = stack.enter_context(client.raw())
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"\x16\x03\x01" if number % 2 else b"")
        context = ssl.create_default_context(cafile=cert)
        with context.wrap_socket(client.raw(), server_hostname="127.0.0.1") as encrypted:
            encrypted.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert status(whole(encrypted)) == 200
        with client.raw() as plain:
            plain.settimeout(20)
            plain.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200" not in whole(plain)
        assert client.log.stat().st_size < 100_000


def test_the_limit_of_an_address_holds_by_itself(tmp_path):
    with served(tmp_path, tmp_path) as client:
        began, answered = time.monotonic(), 0
        while (answer := client.get("/api/runs")).status == 200:
            answered += 1
        refilled = (time.monotonic() - began) * 100 / 60
        assert 100 <= answered <= 100 + refilled + 1
        assert (answer.status, answer.code) == (429, "rate")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        for path in ("/health", "/ready", "/status", "/metrics"):
            assert [client.get(path).status for _ in range(3)] == [200] * 3


def test_a_socket_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serving = Serving("127.0.0.1", port, b"", frozenset(), 0, None, 8, 8)
        with pytest.raises(ConfigInvalid, match=f"port {port}") as refused:
            sockets.listen(serving)
    assert "--port" in refused.value.hint
    with pytest.raises(ConfigInvalid, match=r"cannot listen on 192\.0\.2\.1") as elsewhere:
        sockets.listen(replace(serving, host="192.0.2.1"))
    assert "--host" in elsewhere.value.hint
