"""The door of a deployment: connections go to the best target that takes them, and a swap loses none."""

import asyncio
import http.client
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rad_engineer.delivery import deploy_door


@contextmanager
def service(word):
    """A server that answers with a word; ended like a service that is stopped."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(word)))
            self.end_headers()
            self.wfile.write(word)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def aim(targets, *ports):
    new = targets.with_name("new")
    new.write_text("".join(f"127.0.0.1:{port}\n" for port in ports))
    new.rename(targets)


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.fixture
def targets(tmp_path):
    path = tmp_path / "targets"
    path.write_text("")
    return path


@pytest.fixture
def door(targets):
    argv = [
        sys.executable,
        "-m",
        deploy_door.__name__,
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--targets",
        str(targets),
    ]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line.startswith("listening on port ")
    yield int(line.split()[-1])
    child.send_signal(signal.SIGTERM)
    assert child.wait(timeout=30) == 0
    child.stdout.close()


def test_a_prober_sees_no_failure_while_generations_come_and_go(door, targets):
    stop, seen, failed = threading.Event(), [], []

    def probe():
        while not stop.is_set():
            try:
                seen.append(ask(door))
            except OSError as error:
                failed.append(error)

    with service(b"first") as first:
        aim(targets, first)
        prober = threading.Thread(target=probe)
        prober.start()
        words = [b"first"]
        running = service(b"0")
        port = running.__enter__()
        try:
            for number in range(1, 6):
                aim(targets, port, first)
                while words[-1] != b"%d" % (number - 1):
                    words.append(ask(door))
                after = service(b"%d" % number)
                next_port = after.__enter__()
                aim(targets, next_port, port)
                while words[-1] != b"%d" % number:
                    words.append(ask(door))
                running.__exit__(None, None, None)  # the old one stops last
                running, port = after, next_port
        finally:
            stop.set()
            prober.join()
            running.__exit__(None, None, None)
    assert failed == []
    assert {b"first", b"1", b"5"} <= set(seen) | set(words)


def test_where_the_best_refuses_the_next_one_is_asked(door, targets):
    with socket.socket() as closed, service(b"second") as second:
        closed.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        aim(targets, closed.getsockname()[1], second)
        assert ask(door) == b"second"


def test_a_client_waits_until_somebody_serves(door, targets):
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ask(door)))
    waiting.start()
    with service(b"late") as port:
        aim(targets, port)
        waiting.join(timeout=30)
    assert answers == [b"late"]


def test_a_client_that_goes_away_does_no_harm(door, targets):
    with service(b"well") as port:
        aim(targets, port)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", door), timeout=10) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert ask(door) == b"well"


def test_lines_that_are_no_targets_are_passed_over(tmp_path):
    path = tmp_path / "targets"
    path.write_text("generation-2:9090\n\nnonsense\nhost:\nhost:x\n::1:80\n")
    assert deploy_door.read_targets(path) == [("generation-2", 9090), ("::1", 80)]
    assert deploy_door.read_targets(tmp_path / "missing") == []


def test_when_nobody_ever_serves_the_client_is_let_go(targets, monkeypatch):
    monkeypatch.setattr(deploy_door, "PATIENCE", 0.0)
    assert asyncio.run(deploy_door._reach(targets)) is None
