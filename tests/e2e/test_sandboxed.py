"""Whole runs with bubblewrap around every command that a stranger chose; most other tests run without."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Project, agent, prd, story
from tests.sandboxes import needs_bubblewrap

if TYPE_CHECKING:
    import subprocess

CHECK = "ls notes/* >/dev/null"
TESTS = "import unittest\n\nclass T(unittest.TestCase):\n    def test_one(self): pass\n"
LOOK = """
mkdir -p notes
out=notes/$RAD_STORY_ID.txt
look() { cat "$1" >/dev/null 2>&1 && echo "read $2" >> $out; }
plant() { { echo x > "$1"; } 2>/dev/null && echo "wrote $2" >> $out; }
for path in {home}/secret {folder}/prd.json {folder}/.git/HEAD {cache}; do look $path $path; done
for path in {home}/planted {folder}/.git/hooks/pre-commit /usr/planted {tmp}/planted; do plant $path $path; done
ls {folder}/.rad-engineer >/dev/null 2>&1 && echo "saw the runs" >> $out
env | grep -q 'PLANTED' && echo "saw the environment" >> $out
cp /bin/sh plant; chmod 4755 plant 2>/dev/null && echo "setuid" >> $out; rm -f plant
(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo "network" >> $out
test "$(id -u)" = 0 && echo root >> $out
setsid sleep {sleep} >/dev/null 2>&1 &
(setsid sh -c 'while :; do date >> late; sleep 0.01; done' >/dev/null 2>&1 &)
grep -q "$RAD_STORY_ID" "$RAD_PROMPT_FILE" && git status --short >/dev/null && git log --oneline | grep -q init || exit 9
echo "notes has a file for each story" >> "$RAD_LEARNINGS_FILE"
case $PWD in /src/project) echo done >> $out ;; esac
"""


@pytest.fixture
def walled(project: Project) -> Project:
    needs_bubblewrap()
    project.env["RAD_SANDBOX"] = "bubblewrap"
    return project


def running(word: str) -> list[int]:
    """Processes with this word on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if word.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def test_an_agent_sees_its_slot_and_next_to_nothing_else(walled: Project, tmp_path: Path):
    sleep = f"{os.getpid()}.25"
    (tmp_path / "home" / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {"home": tmp_path / "home", "folder": walled.folder, "cache": tmp_path / "cache", "tmp": tmp_path,
                  "port": server.getsockname()[1], "sleep": sleep}  # fmt: skip
        script = LOOK
        for name, value in places.items():
            script = script.replace(f"{{{name}}}", str(value))
        walled.init(
            {
                "prd.json": prd(story("A"), story("B", "A")),
                "rad-engineer.toml": f'[gates]\ncheck = "{CHECK}"\n',
            }
        )
        ran = walled.rad(
            "run", "prd.json", "--yes", *_bash(walled, script), env={"PLANTED": "x", "MY_TOKEN": "x"}
        )
        assert ran.code == 0, ran.out + ran.err
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert walled.landed("rad/demo") == ["A", "B"]
    for name in ("A", "B"):
        assert walled.git("show", f"rad/demo:notes/{name}.txt") == "done\n"
    assert running(sleep) == []
    assert not (tmp_path / "planted").exists()
    assert walled.report()["sandbox"] == "bubblewrap"
    prompt = next(
        (walled.folder / ".rad-engineer").glob("runs/*/stories/B-*/attempt-1/prompt.md")
    ).read_text()
    assert "notes has a file for each story" in prompt


def _bash(project: Project, script: str) -> tuple[str, ...]:
    path = project.folder.parent / "agent.bash"
    path.write_text(script)
    return ("--agent-command", f"bash {path}")


def test_without_the_sandbox_the_same_agent_sees_it_all(walled: Project, tmp_path: Path):
    """Else the test above could not fail."""
    (tmp_path / "home" / "secret").write_text("secret")
    script = LOOK.replace("{home}", str(tmp_path / "home")).replace("{folder}", str(walled.folder))
    script = (
        script.replace("{sleep}", "0")
        .replace("{port}", "1")
        .replace("{tmp}", str(tmp_path))
        .replace("/usr/", "/no/")
    )
    walled.init({"prd.json": prd(story("A"))})
    walled.rad(
        "run",
        "prd.json",
        "--sandbox",
        "off",
        "--allow-unverified",
        *_bash(walled, script),
        env={"PLANTED": "x"},
    )
    seen = walled.git("show", "rad/demo:notes/A.txt")
    for what in ("read", "wrote", "saw the runs", "saw the environment", "setuid"):
        assert what in seen


def test_the_level_is_a_rule_of_the_run_and_told(walled: Project):
    walled.init(
        {"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": f'[gates]\ncheck = "{CHECK}"\n'}
    )
    command = agent(walled, "mkdir -p notes && pwd > notes/$RAD_STORY_ID.txt")
    off = {"RAD_SANDBOX": "off"}
    first = walled.rad(
        "run", "prd.json", "--yes", "--plain", "--once", "--sandbox", "auto", *command, env=off
    )
    assert first.code == 3, first.err
    assert "; sandbox: bubblewrap" in first.err
    second = walled.rad("resume", "--plain", env=off)
    assert "goes on; sandbox: bubblewrap" in second.err
    assert walled.git("show", "rad/demo:notes/B.txt") == "/src/project\n"
    assert json.loads(walled.rad("report", "--json").out)["sandbox"] == "bubblewrap"
    assert "sandbox bubblewrap" in walled.rad("report").out + (_newest(walled) / "report.md").read_text()


def _newest(project: Project) -> Path:
    return max((project.folder / ".rad-engineer" / "runs").iterdir())


def test_what_a_file_opens_has_to_be_trusted(walled: Project):
    config = '[sandbox]\nlevel = "off"\n[grants]\nsetup_network = ["host"]\n[gates]\ncheck = "true"\n'
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": config})
    del walled.env["RAD_SANDBOX"]
    refused = walled.rad("run", "prd.json", *agent(walled, "true"))
    assert refused.code == 77
    told = " ".join(refused.err.split())
    assert "sandbox off" in told
    assert "grant grants.setup_network host" in told


@pytest.mark.parametrize(
    ("setup", "gate", "made"),
    [
        (
            "python3 -m venv --without-pip .venv && echo 'X = 1' > $(echo .venv/lib/python3.*/site-packages)/dep.py",
            ".venv/bin/python -c 'import dep, app' && .venv/bin/python -m unittest -q test_app",
            ".venv",
        ),
        (
            "mkdir -p node_modules/dep && echo 'module.exports = 1' > node_modules/dep/index.js",
            'node -e \'require(\\"dep\\"); require(\\"./app.js\\")\'',
            "node_modules",
        ),
    ],
    ids=["python", "node"],
)
def test_a_project_with_a_setup(walled: Project, setup: str, gate: str, made: str):
    """What setup makes in one copy is right in each, because all have one name; who is judged can only read it."""
    config = f'[workspace]\nsetup = "{setup}"\n[gates]\ntest = "{gate} && if test -e bad; then echo 1 > {made}/mine; fi"\n'
    walled.init({"prd.json": prd(story("A"), story("B", "A"), story("C", "B")), "rad-engineer.toml": config, "app.js": "",
                 "app.py": "", "test_app.py": TESTS, ".gitignore": "node_modules/\n.venv/\n__pycache__/\n"})  # fmt: skip
    command = agent(walled, "echo 1 > $RAD_STORY_ID; test $RAD_STORY_ID != C || echo 1 > bad")
    ran = walled.rad("run", "prd.json", "--yes", "--attempts", "1", *command)
    assert walled.landed("rad/demo") == ["A", "B"], ran.err
    *_, last = walled.report()["stories"]
    assert (last["status"], last["reason"]) == ("failed", "gate-red")
    assert "read-only for gates" in ran.err + json.dumps(last)


def test_a_gate_that_would_find_another_program(walled: Project, tmp_path: Path):
    shim = tmp_path / "home" / "pick"
    shim.write_text("#!/bin/sh\necho 7.0\n")
    shim.chmod(0o755)
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "pick that"\n'})
    path = f"{tmp_path / 'home'}{os.pathsep}{walled.env['PATH']}"
    ran = walled.rad("run", "prd.json", "--yes", *agent(walled, "echo 1 > a"), env={"PATH": path})
    assert ran.code == 78, ran.err
    assert "`pick` is" in ran.err
    assert "not there in the sandbox: [grants] read" in ran.err


@pytest.fixture
def gone(walled: Project) -> Iterator[str]:
    word = f"{os.getpid()}.{time.monotonic_ns() % 10_000}"
    yield word
    for pid in running(word):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["coordinator", "worker"])
@pytest.mark.parametrize("after", [0.0, 0.008, 0.03])
def test_nothing_survives_a_kill_while_a_sandbox_starts(
    walled: Project, gone: str, victim: str, after: float
):
    walled.init({"prd.json": prd(story("A"))})
    run = walled.start("run", "prd.json", "--allow-unverified", *agent(walled, f"sleep {gone}"))
    try:
        bwrap = _first(lambda: _boxes(walled), run)
        time.sleep(after)
        worker = _parent(bwrap)
        with suppress(ProcessLookupError):
            os.kill(run.pid if victim == "coordinator" else worker, signal.SIGKILL)
        if victim == "worker":
            run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
        until = time.monotonic() + 20
        while (left := running(gone) + _boxes(walled)) and time.monotonic() < until:
            time.sleep(0.01)
        assert left == []
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()


def _boxes(project: Project) -> list[int]:
    """The outermost processes of boxes of this project's runs; the trial at the start has no run."""
    marks = {entry.name for entry in (project.folder / ".rad-engineer" / "runs").glob("*")}
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text() == "bwrap\n":
                env = (entry / "environ").read_bytes()
                if any(f"RAD_RUN_MARK={mark}".encode() in env for mark in marks):
                    found.append(int(entry.name))
    return found


def _parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def _first(look, run: "subprocess.Popen[str]") -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = look()
        if found:
            return found[0]
        assert run.poll() is None, run.communicate()
    raise AssertionError("nothing has started")
