"""Command-line agents with bubblewrap around them: programs that do as the real ones do; test_boxed_agents_real.py has those."""

import json
import os
from pathlib import Path

import pytest

from tests import cli_streams, fake_acp
from tests.conftest import Project, prd, story
from tests.fake_cli import FakeCli, install
from tests.sandboxes import needs_bubblewrap

CONFIG = '[gates]\ncheck = "grep -q hi made.txt"\n[grants]\nnetwork = ["host"]\n'
KEY = {"ANTHROPIC_API_KEY": "sk-ant-planted-000", "MY_TOKEN": "planted-111"}
NOBODY = ("--upstream", "http://127.0.0.1:9")
PACKAGE = "lib/node_modules/@maker/agent"


@pytest.fixture
def walled(project: Project, tmp_path: Path) -> Project:
    needs_bubblewrap()
    home = tmp_path / "home" / "tools"
    project.env |= {
        "RAD_SANDBOX": "bubblewrap",
        "PATH": f"{home / 'bin'}{os.pathsep}{project.env['PATH']}",
    }
    (tmp_path / "home" / "secret").write_text("of the user")
    return project


def installed(project: Project, name: str) -> FakeCli:
    """A program that lies below the home folder, as npm installs them for one user."""
    tools = project.folder.parent / "home" / "tools"
    tools.mkdir()
    return install(name, tools, package=PACKAGE)


def home_of(project: Project, name: str) -> Path:
    """The agent's home folder, as it is called outside."""
    return next(project.folder.glob(f".rad-engineer/runs/*/stories/*/agent-{name}"))


def test_an_agent_from_a_package_below_the_home_folder(walled: Project):
    """It runs, has a home folder of its own and sees nothing of the user's."""
    fake = installed(walled, "claude")
    good = cli_streams.text_of(cli_streams.GOOD["claude"])
    fake.plan(
        good,
        files={"made.txt": "hi\n"},
        looks=[str(walled.folder.parent / "home/secret"), str(walled.folder)],
    )
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": CONFIG})
    ran = walled.rad("run", "prd.json", "--yes", "--agent", "claude", *NOBODY, env=KEY)
    assert ran.code == 0, ran.out + ran.err
    assert walled.landed("rad/demo") == ["A"]
    [asked] = fake.asked_in(home_of(walled, "claude"))
    env = asked["env"]
    assert (asked["cwd"], env["HOME"], env["CLAUDE_CONFIG_DIR"]) == (
        "/src/project",
        "/home/agent",
        "/home/agent",
    )
    assert not [value for value in env.values() if "planted" in value]
    assert asked["seen"] == []
    assert "Story A" in asked["prompt"]


def test_over_the_protocol(walled: Project):
    """Our own client is in the box as well, and what it is made of is nothing that the agent could take for its own."""
    tools = walled.folder.parent / "home" / "tools"
    fake = fake_acp.install("opencode:acp", tools)
    fake.plan(["say", "I write."], ["write", "$PWD/made.txt", "hi\n"], ["say", "Done."])
    readable = json.dumps([str(fake.folder), fake_acp.__file__])
    walled.init({"prd.json": prd(story("A")), "rad-engineer.toml": f"{CONFIG}read = {readable}\n"})
    ran = walled.rad("run", "prd.json", "--yes", "--agent", "opencode:acp", *NOBODY, env=KEY)
    assert ran.code == 0, ran.out + ran.err
    assert walled.landed("rad/demo") == ["A"]
    heard = [
        json.loads(line)
        for line in (home_of(walled, "opencode-acp") / "heard.jsonl").read_text().splitlines()
    ]
    assert heard[0]["cwd"] == "/src/project"
    assert "PYTHONPATH" not in heard[0]["env"]
    assert next(one["at"] for one in heard if "new" in one) == "/src/project"
