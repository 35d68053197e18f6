"""`run --serve`: a run is told of over HTTP while it goes on, and does not depend on it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story
from tests.serving import Client

campaign = pytest.mark.skipif(not os.environ.get("RAD_SERVER"), reason="RAD_SERVER=1 runs it")
FILES = {"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "true"\n', "README.md": "demo\n"}


@pytest.fixture
def go(project: Project) -> Path:
    project.init(FILES)
    return project.folder.parent / "go"


def started(project: Project, go: Path, port: int = 0) -> tuple[subprocess.Popen[str], Client, list[str]]:
    """A run whose agent waits, and what is said before its first story."""
    script = f"while ! test -e {go}; do sleep 0.05; done\necho done > out.txt\n"
    project.env["RAD_SERVE_PORT"] = str(port)
    run = project.start(
        "run", "prd.json", *agent(project, script), "--yes", "--plain", "--serve", "--sandbox", "off"
    )
    assert run.stderr is not None
    said = []
    for line in run.stderr:
        said.append(line)
        if line.startswith("serving: "):
            return run, Client(line.removeprefix("serving: ").strip()), said
    raise AssertionError("".join(said))


def until_running(client: Client) -> None:
    while client.get("/status").json["queue"]["running"] != 1:
        time.sleep(0.02)


def answers(client: Client) -> bool:
    try:
        with socket.create_connection((client.host, client.port), timeout=5):
            return True
    except ConnectionRefusedError:
        return False


def test_a_run_is_told_of_until_it_ends(project: Project, go: Path) -> None:
    run, client, _said = started(project, go)
    until_running(client)
    status = client.get("/status").json
    assert (status["state"], status["sandbox"]) == ("running", {"level": "off", "alive": False})
    go.touch()
    run.communicate(timeout=60)
    assert run.returncode == 0
    assert not answers(client)


@campaign
def test_a_run_that_is_killed_takes_its_server_along(project: Project, go: Path) -> None:
    run, client, _said = started(project, go)
    until_running(client)
    run.kill()
    run.communicate(timeout=60)
    try:
        while answers(client):
            time.sleep(0.02)
    finally:
        go.touch()


@campaign
def test_a_run_goes_on_when_its_server_is_killed(project: Project, go: Path) -> None:
    run, client, _said = started(project, go)
    until_running(client)
    for pid in children_of(run.pid):
        if b"rad_engineer.server.companion" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    while answers(client):
        time.sleep(0.02)
    go.touch()
    run.communicate(timeout=60)
    assert run.returncode == 0


def children_of(pid: int) -> Iterator[int]:
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@campaign
def test_a_port_that_is_taken_stops_no_run(project: Project, go: Path) -> None:
    go.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run, client, said = started(project, go, port)
        run.communicate(timeout=60)
    assert run.returncode == 0
    assert client.port != port
    assert any(f"port {port}" in line for line in said)
