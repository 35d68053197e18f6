"""A real server over a project, and a client that says exactly what it is told to."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


class Client:
    """Of a server at this address; a token is shown with every request."""

    def __init__(self, url, token=None, process=None, log=None):
        self.url = url
        self.host, self.port = urlsplit(url).hostname, urlsplit(url).port
        self.token = token
        self.process = process
        self.log = log

    def get(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        if self.token and "authorization" not in headers:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            connection.putrequest(method, path, skip_host="host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def raw(self):
        return socket.create_connection((self.host, self.port), timeout=60)


def environment(folder, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAD_")}
    return {**kept, "XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache"), **more}


HURRIED = """
from dataclasses import replace
from rad_engineer.server import configuration
found = configuration.configured
configuration.configured = lambda *given: replace(found(*given), deadline={}, patience={})
"""
"""Another deadline for requests, and another patience with whoever does not take an answer."""
PLANTED = """
from rad_engineer.server import openapi, operations, program
whole = program.operations
crash = operations.Operation("/crash", "crash", "It fails.", lambda path, asked: 1 / asked.limit0, None)
def operations_and_one(*given):
    table = (*whole(*given)[:-1], crash)
    text = openapi.document(table)
    told = operations.Operation("/openapi.json", "openapi", "", lambda *_: operations.Response(text), None, quick=True)
    return (*table, told)
program.operations = operations_and_one
"""
"""A route that fails."""
_START = "\nimport sys\nfrom rad_engineer import cli\nsys.exit(cli.main(sys.argv[1:]))"


def command(*flags, changed=None):
    """`changed` is done to the program before it starts."""
    program = ["-m", "rad_engineer"] if changed is None else ["-c", changed + _START]
    return [sys.executable, "-P", *program, "serve", *map(str, flags)]


@contextmanager
def served(project, folder, *flags, token=None, before=(), changed=None, **env):
    """A server that is ready; it ends with the block. `before` stands before its command line, `changed` is done to its program."""
    log = folder / "server.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*before, *command("--port", 0, *flags, changed=changed)],
            cwd=project,
            env=environment(folder, **env),
            stdout=subprocess.PIPE,
            stderr=written,
        )
    try:
        line = process.stdout.readline().decode()
        assert line.startswith("listening on "), log.read_text()
        yield Client(line.removeprefix("listening on ").strip(), token, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        assert process.wait(30) == 0, log.read_text()


def refused(project, folder, *flags, **env):
    """The exit code and the messages of a server that does not start."""
    done = subprocess.run(
        command("--port", 0, *flags),
        cwd=project,
        env=environment(folder, **env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr
