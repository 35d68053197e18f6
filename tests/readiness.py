"""A world that is ready for production, owned by an ordinary user: a project, a run that has landed, a key, an API."""

import json
import os
import pty
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rad_engineer import durable
from tests.conftest import Ran, prd, story
from tests.faulty_upstream import message
from tests.somebody import Somebody, other_user

KEY, OTHER_KEY = "sk-ant-planted.first", "sk-ant-planted.second"
TOOLS = {"docker": "#!/bin/sh\n[ ! -e ${0%/*}/stopped ] || exit 1\necho 27.0\n"}
SETTINGS = '[agent]\nname = "anthropic"\n\n[gates]\nthere = "test -e notes.txt"\n'
WRITE = "echo done > notes-$RAD_STORY_ID.txt"


class Api(ThreadingHTTPServer):
    """A Messages API that knows one key."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.key, self.calls = KEY, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Nobody answers there any more."""
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        data = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.calls += 1
        good = self.headers.get("x-api-key") == self.server.key
        refusal = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
        body = json.dumps(message(data, 1) if good else refusal).encode()
        self.send_response(200 if good else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass
class World:
    """Somebody who has all that is needed, and what production checks say of it."""

    who: Somebody
    api: Api
    collector: socket.socket
    collector_at: tuple[str, int]

    @property
    def home(self) -> Path:
        return self.who.home

    @property
    def project(self) -> Path:
        return self.who.folder

    def shell(self, script: str) -> Ran:
        """Runs a script for bash as them; standard input is what `login` reads."""
        with self.who.popen("bash", "-c", script) as process:
            out, err = process.communicate(timeout=110)
        return Ran(process.returncode, out, err)

    def look(self, before: str = "", more: str = "") -> dict[str, Any]:
        """The report; `before` is run in the same shell."""
        ran = self.shell(f"{before}\nrad-engineer validate --production --json {more}")
        assert "\n{" in f"\n{ran.out}", ran
        found: dict[str, Any] = json.loads(
            ran.out[ran.out.index("{") :]
        )  # a command before it may say something
        assert ran.code == (0 if found["ready"] else 1)
        return found

    def fix(self, command: str) -> None:
        """Runs a printed command verbatim, on a terminal, with somebody who answers what it asks."""
        answer = f"{self.api.key}\n" if "login" in command else "y\n"
        ours, theirs = pty.openpty()
        user = self.who.user
        extra = {} if user is None else {"user": user, "group": user, "extra_groups": []}
        with subprocess.Popen(
            ["setsid", "--ctty", "bash", "-c", command], cwd=self.project, env=self.who.env,
            stdin=theirs, stdout=theirs, stderr=theirs, **extra,
        ) as process:  # fmt: skip
            os.close(theirs)
            told = b""
            try:
                while part := os.read(ours, 4096):
                    told += part
                    if answer and told.rstrip().endswith(
                        (b"key:", b"[y/N]")
                    ):  # what is typed earlier is thrown away
                        os.write(ours, answer.encode())
                        answer = ""
            except OSError:  # nobody has the terminal open any more
                pass
            process.wait()  # a terminal that goes while somebody ends kills them
            os.close(ours)
        assert process.returncode == 0, (process.returncode, told)

    def runs(self) -> list[Path]:
        return sorted((self.project / ".rad-engineer" / "runs").iterdir())


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Makes one; everything in it is made by the user themselves."""
    home = folder / "home"
    project = home / "project"
    project.mkdir(parents=True)
    who = Somebody(home, project, other_user())
    del who.env["RAD_SANDBOX"]
    tools = home / "bin"
    packages = shlex.quote(who.env["PYTHONPATH"])
    ours = f'#!/bin/sh\nexec env PYTHONPATH={packages} {who.python} -P -m rad_engineer "$@"\n'
    for name, text in {"rad-engineer": ours, **TOOLS}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    collector = socket.create_server(("127.0.0.1", 0))
    made = World(who, Api(), collector, collector.getsockname())
    try:
        endpoint = f"http://127.0.0.1:{made.collector_at[1]}"
        who.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        configuration = home / ".config" / "rad-engineer" / "rad-engineer.toml"
        configuration.parent.mkdir(parents=True, mode=0o700)
        configuration.write_text(f'[gateway]\nupstream = "{made.api.url}"\n')
        (project / "rad-engineer.toml").write_text(SETTINGS)
        (project / "notes.txt").write_text("first\n")
        (project / "prd.json").write_text(prd(story("A", verify=["test -e notes-A.txt"])))
        who.moves_in()
        _settle(made)
        yield made
    finally:
        made.api.close()
        made.collector.close()


def _settle(made: World) -> None:
    """A first commit, a remote, a key, trust, and a run with an audit log."""
    who = made.who
    who.begins("first")
    for name, value in (("user.name", "Grace"), ("user.email", "grace@example.org")):
        who.git("config", name, value)
    who.git("init", "-q", "--bare", str(made.home / "remote.git"))
    who.git("remote", "add", "origin", str(made.home / "remote.git"))
    script = f"printf '%s\\n' {KEY} | rad-engineer login && rad-engineer trust --yes"
    run = f"rad-engineer run prd.json --yes --sandbox off --agent-command {shlex.quote(WRITE)}"
    ran = made.shell(f"umask 077; set -e; {script}; env -u OTEL_EXPORTER_OTLP_ENDPOINT {run}")
    assert ran.code == 0, ran
    (made.home / ".cache" / "rad-engineer").mkdir(parents=True, exist_ok=True)


def flip(path: Path, at: int) -> None:
    """Changes one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def old_runs(made: World, number: int) -> None:
    """Copies of the run that ended long ago."""
    (newest,) = made.runs()
    for count in range(number):
        copy = newest.with_name(f"20260101-{count:06}-abcd")
        shutil.copytree(
            newest, copy, ignore=shutil.ignore_patterns("audit")
        )  # whose chain is that of its run
        lines = []
        for line in (copy / "journal.jsonl").read_bytes().splitlines():
            event = json.loads(line)
            event.pop("~")
            event |= {"at": time.time() - 90 * 86400, "run": copy.name}
            lines.append(durable.seal(durable.dump(event)) + b"\n")
        (copy / "journal.jsonl").write_bytes(b"".join(lines))
    made.who.moves_in()
