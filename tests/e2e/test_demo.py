"""The quickstart does what the README promises: five stories landed, proved by gates, and then nothing to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
STORIES = ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]


@pytest.fixture
def pocketbook(tmp_path):
    project = Project(tmp_path)
    shutil.copytree(
        QUICKSTART,
        project.folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", ".*cache"),
    )
    project.init({})
    return project


def test_the_quickstart_runs_to_its_end_and_then_has_nothing_to_do(pocketbook):
    ran = pocketbook.rad("run", "prd.json", "--yes", "--json", "-j", "2")
    assert ran.code == 0, ran.err
    gates = [event for event in ran.events if event["event"] == "gate_finished"]
    assert {event["story"] for event in gates if event["ok"]} == set(STORIES)
    assert not [event for event in gates if not event["ok"]]

    landed = pocketbook.landed("rad/pocketbook")
    assert sorted(landed) == STORIES
    assert landed.index("PB-2") < landed.index("PB-3") < landed.index("PB-5")
    assert landed.index("PB-1") < landed.index("PB-2") < landed.index("PB-4") < landed.index("PB-5")
    assert pocketbook.passes() == STORIES
    assert len(pocketbook.git("diff", "--numstat").splitlines()) == 1
    assert pocketbook.git("diff", "--numstat").split()[:2] == ["5", "5"]

    report = pocketbook.report()
    assert [story["status"] for story in report["stories"]] == ["passed"] * 5
    assert not [c["text"] for story in report["stories"] for c in story["criteria"] if c["proved_by"] is None]

    again = pocketbook.rad("run", "prd.json", "--yes")
    assert again.code == 0
    assert "nothing to do" in again.out + again.err
    assert pocketbook.landed("rad/pocketbook") == landed

    pocketbook.git("stash", "--quiet")  # the marks in the PRD
    pocketbook.git("switch", "--quiet", "rad/pocketbook")
    command = [sys.executable, "-m", "pocketbook", "january.csv", "--budget", "food=20"]
    told = subprocess.run(
        command, cwd=pocketbook.folder, env=pocketbook.env, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines()[-1] == "food was 17.50 over in 2026-01"


READY = pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv" or not (ROOT / ".venv" / ".made-dev").is_file(),
    reason="./demo would install packages",
)


@READY
def test_the_demo_goes_on_without_a_sandbox_and_says_so(tmp_path):
    """On a machine that has none: its bubblewrap does not work."""
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho no namespaces here >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    env = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "PATH": path,
        "RAD_SANDBOX": "bubblewrap",
    }
    demo = [str(ROOT / "demo"), "--only", "PB-1", "--json"]
    ended = subprocess.run(
        demo, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True, timeout=100
    )
    assert ended.returncode == 0, ended.stderr
    assert "no sandbox works here: bubblewrap" in ended.stderr
    assert "NO SANDBOX: the demo goes on with --sandbox off" in ended.stdout
    events = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert [event["sandbox"] for event in events if event["event"] == "run_started"] == ["off"]


@READY
@pytest.mark.timeout(300)  # on a machine with much else to do
def test_the_demo_shows_the_quickstart(tmp_path):
    env = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    ended = subprocess.run(
        [str(ROOT / "demo"), "--json"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    assert [event["exit_code"] for event in events if event["event"] == "run_finished"] == [0]
    assert "$ rad-engineer plan prd.json" in ended.stdout
    [scratch] = tmp_path.glob("rad-engineer-demo.*")
    assert f"The repository is {scratch}/pocketbook" in ended.stdout
    outside = {path.name for path in tmp_path.iterdir()} - {scratch.name}
    assert not [name for name in outside if "rad" in name]
