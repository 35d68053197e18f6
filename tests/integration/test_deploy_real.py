"""A deployment on a real engine, from nothing to nothing.

RAD_ENGINE=1 is the whole life and takes minutes, RAD_ENGINE=short what CI runs; tests/engine starts one where none answers.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

import rad_engineer
from tests import required
from tests.conftest import ROOT, Project
from tests.integration.deploy_engine_state import Prober, ask, bytes_of, docker, everything

pytestmark = [pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def base():
    """An engine that answers, and the name of its base image."""
    asked = os.environ.get("RAD_ENGINE") in ("1", "short")
    required.needs("engine", asked, "asked for with RAD_ENGINE=1 or RAD_ENGINE=short")
    script = ROOT / "tests" / "engine"
    subprocess.run([script], check=True, timeout=900)
    return subprocess.run([script, "base"], check=True, capture_output=True, text=True).stdout.strip()


class Deployed:
    """A project with a deployment, by a rad-engineer whose source can be changed: a new version of it."""

    def __init__(self, folder: Path, base: str) -> None:
        self.base = base
        self.project = Project(folder).init({"README.md": "x"})
        self.source = folder / "source"
        shutil.copytree(Path(rad_engineer.__file__).parent, self.source / "rad_engineer",
                        ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
        # What pip has fetched here before is not fetched again.
        cache = os.environ.get("PIP_CACHE_DIR") or Path.home() / ".cache" / "pip"
        self.env = {
            "PYTHONPATH": str(self.source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_CACHE_DIR": str(cache),
        }

    def up(self, *words, code=0):
        return self.local("--base", self.base, *words, code=code)

    def local(self, *words, code=0):
        ran = self.project.rad("deploy", "local", *words, env=self.env, timeout=900)
        assert ran.code == code, ran.err + ran.out
        return ran

    def status(self):
        return json.loads(self.local("--status", "--json").out)

    def change(self, text):
        """Another version: its server does this first."""
        path = self.source / "rad_engineer" / "commands" / "serve.py"
        path.write_text(Path(rad_engineer.__file__).with_name("commands").joinpath("serve.py").read_text().replace(
            "    place = ground.look(os.environ)\n", f"{text}\n    place = ground.look(os.environ)\n", 1))  # fmt: skip


CRASHES = "    Path('/state/kept').write_text('broken'); raise SystemExit(3)"
HANGS = "    import time; Path('/state/kept').write_text('broken'); time.sleep(3600)"
WELL = "    assert os.environ['HOME'] == '/state'  # version {}"


def port_of(told):
    return int(re.search(r"^Health: http://127\.0\.0\.1:(\d+)/health$", told, re.MULTILINE)[1])


@pytest.fixture(scope="module")
def world(base, tmp_path_factory):
    before = everything()
    made = Deployed(tmp_path_factory.mktemp("deployed"), base)
    yield made, before
    subprocess.run(made.project.command("deploy", "local", "--down", "--purge", "--yes"), cwd=made.project.folder,
                   env={**made.project.env, **made.env}, check=False, timeout=300)  # fmt: skip


def test_from_nothing_to_nothing(world):
    made, before = world
    port = first(made)
    keep(made, "precious")
    state_survives_a_restart(made, port)
    if os.environ["RAD_ENGINE"] == "short":
        a_failing_upgrade_changes_nothing(made, port, CRASHES)
        nothing_is_left(made, before, port)
        return
    state_survives_its_end(made, port)
    an_upgrade_loses_no_request(made, port)
    a_failing_upgrade_changes_nothing(made, port, CRASHES)
    a_failing_upgrade_changes_nothing(made, port, HANGS)
    a_kill_is_cleared_up(made, port)
    a_rollback_brings_the_version_before(made, port)
    nothing_is_left(made, before, port)


def first(made):
    told = made.up()
    assert "Waiting for health... healthy" in told.err
    port = port_of(told.out)
    assert ask(port, "/health")[0] == 200
    assert ask(port, "/ready")[0] == 200
    assert ask(port, "/api/runs")[0] == 401
    token = Path(re.search(r"^Token: in (.+)$", told.out, re.MULTILINE)[1]).read_text().strip()
    assert token not in told.out + told.err
    right = {"Authorization": f"Bearer {token}"}
    assert ask(port, "/api/runs", right)[0] == 200
    assert ask(port, "/metrics", right)[0] == 200
    assert ask(port, "/api/runs", {**right, "Host": "evil.example"})[0] == 421
    seen = made.status()
    container = next(row["container"] for row in seen["containers"] if row["part"] == "serve")
    told = json.loads(docker("inspect", container))[0]
    assert told["HostConfig"]["ReadonlyRootfs"] is True
    assert told["HostConfig"]["CapDrop"] == ["ALL"]
    assert told["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
    assert token not in json.dumps(told)
    assert token not in docker("history", "--no-trunc", seen["image"])
    runs = next(mount for mount in told["Mounts"] if mount["Destination"] == "/runs")
    assert runs["RW"] is False
    assert "already" in made.up().err  # the same again changes nothing
    assert made.status()["generation"] == seen["generation"]
    return port


def serving(made):
    return next(
        row["container"]
        for row in made.status()["containers"]
        if row["part"] == "serve" and row["state"] == "running"
    )


def keep(made, text):
    """Writes into the volume as the service would."""
    docker("exec", serving(made), "sh", "-c", f"echo {text} > /state/kept")


def state_survives_a_restart(made, port):
    container = serving(made)
    with Prober(port) as prober:
        docker("restart", container)
        while not prober.answers:
            pass
    assert set(prober.answers) == {200}  # the door holds them until it is there again
    assert docker("exec", container, "cat", "/state/kept") == "precious\n"


def state_survives_its_end(made, port):
    made.local("--down")
    assert ask(port, "/health")[0] != 200
    assert not [
        row
        for row in everything()["containers"]
        if row in docker("ps", "-aq", "--no-trunc", "--filter", "label=rad-engineer.deployment").split()
    ]
    assert port_of(made.up("--port", str(port)).out) == port
    assert docker("exec", serving(made), "cat", "/state/kept") == "precious\n"


def an_upgrade_loses_no_request(made, port):
    before = made.status()
    made.change(WELL.format(2))
    with Prober(port) as prober:
        made.up()
    after = made.status()
    assert (after["previous"], after["generation"] > before["generation"]) == (before["generation"], True)
    assert after["image"] != before["image"]
    assert len(prober.answers) > 20
    assert set(prober.answers) == {200}


def a_failing_upgrade_changes_nothing(made, port, text):
    before, content = made.status(), bytes_of(made.status()["volume"])
    assert content["kept"][3] == b"precious\n"
    volumes = everything()["volumes"]
    made.change(text)
    with Prober(port) as prober:
        failed = made.up("--timeout", "10", code=1)
    assert f"generation {before['generation']} was not touched" in failed.err
    assert len(prober.answers) > 20
    assert set(prober.answers) == {200}
    assert bytes_of(before["volume"]) == content
    assert everything()["volumes"] == volumes
    after = made.status()
    assert [row for row in after["containers"] if row["state"] == "running"] == [
        {**row, "health": "healthy"} for row in before["containers"] if row["state"] == "running"
    ]
    assert after["history"][-1]["outcome"].startswith("failed")


def a_kill_is_cleared_up(made, port):
    """Killed while the candidate is awaited: the old one serves, and the next deployment clears up."""
    before = made.status()
    made.change(HANGS + "  # killed")
    child = subprocess.Popen(made.project.command("deploy", "local", "--base", made.base, "--timeout", "300"), cwd=made.project.folder,
                             env={**made.project.env, **made.env}, stderr=subprocess.PIPE, text=True)  # fmt: skip
    for line in child.stderr:
        if "waiting for" in line:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    child.stderr.close()
    assert ask(port, "/health")[0] == 200
    assert len(made.status()["containers"]) > len(before["containers"])
    made.change(WELL.format(3))
    made.up()
    after = made.status()
    assert after["previous"] == before["generation"]
    parts = [row["part"] for row in after["containers"]]
    assert sorted(parts) == ["door", "serve", "serve"]
    assert len([name for name in everything()["volumes"] if name.startswith(after["name"])]) == 2


def a_rollback_brings_the_version_before(made, port):
    before = made.status()
    with Prober(port) as prober:
        made.local("--rollback")
    after = made.status()
    assert (after["generation"], after["previous"]) == (before["previous"], before["generation"])
    assert set(prober.answers) == {200}
    assert "listening on" in made.local("--logs").out


def nothing_is_left(made, before, port):
    refused = made.local("--down", "--purge", code=77)
    assert "--yes" in refused.err
    assert ask(port, "/health")[0] == 200
    made.local("--down", "--purge", "--yes")
    assert everything() == before
    assert made.local("--status", code=66).out == ""
    state = Path(made.project.env["XDG_STATE_HOME"])
    assert [path for path in state.rglob("*") if "deployments" in path.name] == []
