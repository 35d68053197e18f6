"""Whole runs with hosts that are granted to one stage and not to another."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story
from tests.required import needs
from tests.sandboxes import needs_bubblewrap
from tests.tls_server import TlsServer, serve

PAGE = 'curl -sS --noproxy "" --max-time 30 --cacert ca.pem https://localhost:{port}/{name}'


@pytest.fixture
def walled(project: Project) -> Project:
    needs_bubblewrap()
    project.env["RAD_SANDBOX"] = "bubblewrap"
    return project


def events(project: Project, kind: str) -> list[dict]:
    journal = next((project.folder / ".rad-engineer").glob("runs/*/journal.jsonl")).read_text().splitlines()
    found = [json.loads(line) for line in journal]
    return [event for event in found if event.get("event") == kind]


def prepare(project: Project, server: TlsServer, config: str) -> None:
    certificate = Path(server.certificate).read_text()
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": config, "ca.pem": certificate})


def test_a_host_is_granted_to_the_stage_that_needs_it(walled: Project, tmp_path: Path):
    with serve(tmp_path, "localhost") as server:
        page = PAGE.format(port=server.port, name="{}")
        config = f"[grants]\nnetwork = [\"localhost:{server.port}\"]\n[gates]\ntest = 'test ! -e fetched || {page.format('gate')}'\n"
        prepare(walled, server, config)
        command = agent(
            walled,
            f"{page.format('agent')} > fetched; curl -sS https://evil.test/ 2>/dev/null; test -s fetched",
        )
        ran = walled.rad("run", "prd.json", "--yes", "--attempts", "1", "--private-network", *command)
        assert ran.code == 1, ran.err
        assert server.asked == [f"localhost:{server.port} /agent"]
    (told,) = walled.report()["stories"]
    assert told["reason"] == "gate-red"
    asked = events(walled, "network_asked")
    assert {(each["stage"], each["host"], each["allowed"]) for each in asked} == {
        ("agent", "localhost", True), ("agent", "evil.test", False),
    }  # fmt: skip
    denied = 'evil.test:443 is not granted: grants.network = ["evil.test:443"] would'
    assert any(denied in event["text"] for event in events(walled, "note"))


def test_who_may_not_reach_addresses_of_this_machine_is_told_why(walled: Project, tmp_path: Path):
    with serve(tmp_path, "localhost") as server:
        page = PAGE.format(port=server.port, name="x")
        config = f"[grants]\ngate_network = [\"localhost:{server.port}\"]\n[gates]\ntest = 'test ! -e a || {page} --fail'\n"
        prepare(walled, server, config)
        ran = walled.rad("run", "prd.json", "--yes", "--attempts", "1", *agent(walled, "echo 1 > a"))
        assert ran.code == 1, ran.err
        assert server.asked == []
    assert "--private-network" in json.dumps(walled.report()) + ran.err


def lock_of(number: int) -> str:
    """So many packages that npm has to ask for."""
    packages = {
        f"node_modules/p{each}": {"version": "1.0.0", "integrity": f"sha512-{'A' * 86}=="}
        for each in range(number)
    }
    needed = {f"p{each}": "1.0.0" for each in range(number)}
    return json.dumps({"name": "x", "version": "1.0.0", "lockfileVersion": 3, "packages": {
        "": {"name": "x", "version": "1.0.0", "dependencies": needed}, **packages}})  # fmt: skip


DENIED = 'evil.test:443 is not granted: grants.setup_network = ["evil.test:443"] would'


def test_a_setup_that_is_denied_a_host_is_ended_and_names_it(walled: Project):
    """npm waits for ever, and does not listen to SIGTERM, once more requests were refused than it has connections."""
    needs("node", shutil.which("npm"))
    setup, lock = "npm ci --ignore-scripts --registry https://evil.test/", lock_of(60)
    walled.init({"prd.json": prd(story("A")), "package-lock.json": lock,
                 "rad-engineer.toml": f'[workspace]\nsetup = "{setup}"\n[gates]\ntest = "true"\n',
                 "package.json": json.dumps(json.loads(lock)["packages"][""])})  # fmt: skip
    ran = walled.rad("run", "prd.json", "--yes", *agent(walled, "echo 1 > a"), timeout=60)
    assert ran.code == 78, ran.err
    assert f"`{setup}`: ended, as it was denied a host" in ran.err
    assert DENIED in ran.err


def test_what_is_tried_as_setup_ends_as_setup_does(walled: Project):
    walled.init({"a": "1"})
    command = ("sh", "-c", "curl -sS https://evil.test/; exec sleep 900")
    ran = walled.rad("sandbox", "run", "--yes", "--as", "setup", "--", *command, timeout=60)
    assert "it was ended: it was denied a host" in ran.err
    assert DENIED in ran.err


@pytest.mark.parametrize("grant", ["127.0.0.1:443", "*.com"])
def test_a_grant_that_names_no_host(walled: Project, grant: str):
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": f'[grants]\nnetwork = ["{grant}"]\n'})
    ran = walled.rad("run", "prd.json", "--yes", "--allow-unverified", *agent(walled, "true"))
    assert ran.code == 78
    assert f"grants.network: `{grant}` names no host" in ran.err


def test_registries_are_shown_before_setup_reaches_them(walled: Project):
    config = '[workspace]\nsetup = "true"\n[gates]\ncheck = "true"\n'
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": config})
    env = {
        "PIP_INDEX_URL": "https://me:a-tok@packages.test/simple",
        "npm_config_registry": "https://npm.test/",
    }
    refused = walled.rad("run", "prd.json", *agent(walled, "true"), env=env)
    assert refused.code == 77
    told = " ".join(refused.err.split())
    assert "registry pypi packages.test:443" in told
    assert "registry npm npm.test:443" in told
    assert "a-tok" not in refused.err
    walled.rad("trust", "prd.json", "--yes", *agent(walled, "true"), env=env)
    other = {**env, "npm_config_registry": "https://other.test/"}
    assert walled.rad("run", "prd.json", *agent(walled, "true"), env=other).code == 77
    assert walled.rad("run", "prd.json", "--sandbox", "off", *agent(walled, "true")).code == 77


INSTALLS = {
    "python": (
        "python3 -m venv .venv && .venv/bin/pip install -q six==1.17.0",
        ".venv/bin/python -c 'import six; assert six.__version__ == \\\"1.17.0\\\"'",
    ),
    "node": (
        "npm install --silent is-odd@3.0.1",
        "node -e 'process.exit(require(\\\"is-odd\\\")(3) ? 0 : 1)'",
    ),
}


@pytest.mark.skipif(
    not os.environ.get("RAD_REGISTRIES"), reason="RAD_REGISTRIES=1 fetches packages from the network"
)
@pytest.mark.parametrize("kind", INSTALLS)
def test_setup_installs_real_packages_and_nobody_else_has_a_network(walled: Project, kind: str):
    """`--private-network`, for machines that have registries of their own."""
    setup, gate = INSTALLS[kind]
    lonely = "! curl -sS --max-time 20 https://{0}.test/ && ! getent hosts {0}.test".format
    config = f'[workspace]\nsetup = "{setup}"\n[gates]\ntest = "{gate} && {lonely("gate")}"\n'
    walled.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": config,
                 "package.json": '{"name": "x", "version": "1.0.0"}', ".gitignore": ".venv/\nnode_modules/\npackage-lock.json\n"})  # fmt: skip
    command = agent(walled, f"{lonely('agent')} && echo 1 > $RAD_STORY_ID")
    env = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "npm_", "SSL_"))}
    ran = walled.rad("run", "prd.json", "--yes", "--private-network", *command, env=env)
    assert walled.landed("rad/demo") == ["A", "B"], ran.err + ran.out
    asked = {(each["stage"], each["allowed"]) for each in events(walled, "network_asked")}
    assert asked == {("setup", True)}
