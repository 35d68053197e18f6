"""What CI requires where: the engine where it runs, nothing that takes root for anybody else. Its programs are fakes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = "git node npm make gcc openssl bwrap shellcheck promtool chromium apt-get"
SAYS = 'echo "${0##*/} $*" >>said'
CHECK = "echo check ${RAD_ENGINE-no} ${RAD_REQUIRE-nothing} >>said; exit 3"


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def run(tmp_path):
    """Runs it in a checkout where everything says that it was called; gives how it ended and what was said."""
    top = tmp_path / "a checkout"
    for name in PROGRAMS.split():
        script(tmp_path / "bin" / name, SAYS)
    for name in ("install.sh", "requirements/venv", "requirements/npm"):
        script(top / name, "")
    script(top / "check", CHECK)
    (top / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", top / ".ci/run")

    def ran(engine="echo engine 1.0, compose 2.0", uid=0, **env):
        script(tmp_path / "bin" / "id", f"echo {uid}")
        script(top / "tests" / "engine", f"{SAYS}\ncase $1 in up) {engine} ;; esac")
        plain = {"PATH": f"{tmp_path / 'bin'}:{os.defpath}", "TMPDIR": str(tmp_path)}
        ended = subprocess.run([top / ".ci/run"], env=plain | env, stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, check=False)  # fmt: skip
        assert not list(tmp_path.glob("tmp.*"))
        return ended, (top / "said").read_text().splitlines()

    return ran


def test_an_engine_that_runs_is_required_and_ended(run):
    ended, said = run()
    assert ended.returncode == 3, ended.stderr
    assert "== engine 1.0, compose 2.0: " in ended.stdout
    assert [line.split(",")[0] for line in said] == ["engine up", "check short engine", "engine down"]
    assert "promtool" in said[1]


def test_where_none_runs_that_is_said_aloud_and_the_rest_is_required(run):
    ended, said = run("echo no cgroups here; exit 1")
    assert ended.returncode == 3
    assert "!! NO CONTAINER ENGINE" in ended.stderr
    assert "!! no cgroups here" in ended.stderr
    assert [line.split(",")[0] for line in said] == ["engine up", "check no check-jsonschema", "engine down"]


def test_one_that_does_not_come_up_holds_nothing_up(run, tmp_path):
    script(tmp_path / "bin" / "timeout", "exit 124")
    ended, said = run()
    assert ended.returncode == 3
    assert "!! NO CONTAINER ENGINE" in ended.stderr
    assert [line.split(",")[0] for line in said] == ["check no check-jsonschema", "engine down"]


def test_without_root_nothing_is_required(run):
    ended, said = run(uid=1000)
    assert ended.returncode == 3
    assert "!! NO CONTAINER ENGINE" in ended.stderr
    assert said == ["check no nothing"]


def test_what_somebody_requires_is_kept(run):
    _, said = run(RAD_REQUIRE="sandbox", RAD_ENGINE="1")
    assert said[1] == "check 1 sandbox"
