"""Agents over the Agent Client Protocol: real processes that speak it with the library's agent side, or do not speak it."""

import json
import os
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from rad_engineer import agents
from rad_engineer.agents import AgentWork, acp, choice, cli_agents
from rad_engineer.agents.adapters import ADAPTERS
from rad_engineer.errors import NoAgent
from rad_engineer.process import Limits
from rad_engineer.settings import AgentChoice
from tests.boxes import off
from tests.fake_acp import FakeAcp, install
from tests.marks import MARKS

OVER_ACP = sorted(name for name, row in ADAPTERS.items() if row.acp)
PROMPT = "# Story S-1: Żółw 🐢\n\n" + 'Do what it says, `$HOME` and "quotes" and all.\n' * 3_000
TOKEN = "session-token-0123456789"
KEYS = {"ANTHROPIC_API_KEY": "sk-ant-planted-000", "GEMINI_API_KEY": "planted-555", "AWS_SECRET_ACCESS_KEY": "planted-666"}  # fmt: skip


class Place:
    """A slot, an attempt's folder, and one installed agent."""

    def __init__(self, folder: Path, name: str = "opencode:acp") -> None:
        self.folder, self.name = folder, name
        self.slot, self.attempt = folder / "slot", folder / "story" / "attempt-1"
        for made in (self.slot, self.attempt, folder / "home"):
            made.mkdir(parents=True)
        (self.attempt / "prompt.md").write_text(PROMPT)
        self.fake: FakeAcp = install(name, folder)
        self.lines: list[str] = []
        self.results: list[agents.AgentResult] = []

    def run(self, *steps, metered=True, session="", plan=None, **more):
        self.fake.plan(*steps, **(plan or {}))
        env = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.folder / "home"),
               **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}, **KEYS}  # fmt: skip
        given = {"base_url": "http://127.0.0.1:9/", "token": TOKEN} if metered else {}
        about = {"model": "some-model", "limits": Limits(seconds=60, grace=1), **given, **more}
        work = AgentWork(
            story_id="S-1", title="Żółw", attempt=1, slot=self.slot, marks=MARKS, box=off(), prompt=self.attempt / "prompt.md",
            log=self.attempt / "agent.log", env=env, on_line=self.lines.append, session=session,
            on_finished=self.results.append, **about,
        )  # fmt: skip
        return agents.agent(self.name).run(work)

    @property
    def log(self) -> str:
        return (self.attempt / "agent.log").read_text()


@pytest.fixture
def place(tmp_path, childless):
    return Place(tmp_path)


def test_a_session_is_gone_on_with(place):
    (place.fake.folder / "ses-0").touch()
    result = place.run(["say", "Two."], session="ses-0")
    assert (result.outcome, result.session, result.summary) == ("finished", "ses-0", "Two."), place.log
    assert place.fake.heard("load") == ["ses-0"]
    assert "said before" not in place.log


def test_a_story_is_done(place):
    result = place.run(
        ["say", "I look ", "first.\n", "Then I write."],
        ["tool", "execute", "a command", {"command": "echo hi > made.txt"}],
        ["make", "made.txt", "hi\n"],
        ["ask", {"kind": "edit", "title": "made.txt", "locations": [{"path": str(place.slot / "made.txt")}]}],
        ["write", "$PWD/deep/er.txt", "Ż\n"],
        ["read", "$PWD/deep/er.txt"],
        ["say", "Story ", "done."],
        ["spend", 0.25, 100, 20],
    )
    assert (result.outcome, result.code, len(place.results)) == ("finished", 0, 1), place.log
    assert (result.summary, result.session, result.unmetered) == ("Story done.", "ses-1", False)
    assert (result.tokens, result.cost_usd) == (120, 0.25)
    assert (place.slot / "deep/er.txt").read_text() == "Ż\n"
    assert place.log.splitlines() == [
        "I look first.", "Then I write.", "→ execute: echo hi > made.txt", "→ edit: made.txt", "Story done.",
    ]  # fmt: skip
    assert set(place.lines) - {""} <= set(place.log.splitlines())
    assert place.fake.heard("asked") == ["the-allow_once"]
    assert place.fake.heard("given") == [None, "Ż\n"]
    assert place.fake.heard("prompt") == [PROMPT]
    [begun] = [heard for heard in place.fake.heard() if "argv" in heard]
    assert (begun["cwd"], begun["argv"][2:]) == (str(place.slot), ["acp"])
    assert "planted" not in str(begun)
    config = json.loads(begun["env"]["OPENCODE_CONFIG_CONTENT"])
    assert config["provider"]["anthropic"]["options"] == {"baseURL": "http://127.0.0.1:9/v1", "apiKey": TOKEN}
    assert (config["model"], config["permission"]["external_directory"]) == ("anthropic/some-model", "ask")
    [can] = place.fake.heard("can")
    assert can["fs"] == {"read_text_file": True, "write_text_file": True}
    assert not can.get("terminal")
    assert TOKEN not in place.log


def test_what_lies_outside_the_slot_is_refused(place):
    secret = place.folder / "home" / "secret.txt"
    secret.write_text("of the user\n")
    (place.slot / "way-out").symlink_to(secret.parent)
    os.mkfifo(place.slot / "pipe")
    result = place.run(
        ["read", str(secret)],
        ["read", "$PWD/../home/secret.txt"],
        ["read", "$PWD/way-out/secret.txt"],
        ["read", "$PWD/pipe"],
        ["read", "$PWD/none.txt"],
        ["write", str(secret), "changed"],
        ["write", "$PWD/way-out/new.txt", "made"],
        ["write", "$PWD/pipe", "blocked"],
        ["ask", {"kind": "edit", "rawInput": {"filepath": str(secret)}}],
        ["ask", {"kind": "read", "locations": [{"path": "../home"}]}, "allow_once", "allow_always"],
        ["say", "Done all the same."],
    )
    assert result.outcome == "finished", place.log
    assert secret.read_text() == "of the user\n"
    assert [path.name for path in secret.parent.iterdir()] == ["secret.txt"]
    assert place.fake.heard("given") == []
    codes = [code for code, _ in place.fake.heard("refused")]
    assert codes == [-32602] * 4 + [-32002] + [-32602] * 3
    assert place.fake.heard("asked") == ["the-reject_once", "cancelled"]
    refused = [line for line in place.log.splitlines() if line.startswith("refused: ")]
    assert f"refused: read {secret}, which is not in the working copy" in refused
    assert f"refused: write {secret}, which is not in the working copy" in refused
    assert f"refused: edit {secret}, which is not in the working copy" in refused


@pytest.mark.parametrize(
    ("metered", "step", "outcome"), [(False, ["die", 9], "failed"), (True, ["fail", "x"], "failed")]
)
def test_who_dies_in_the_middle_has_failed(place, metered, step, outcome):
    result = place.run(["say", "I begin."], step, metered=metered)
    assert (result.outcome, result.unmetered, len(place.results)) == (outcome, not metered, 0), place.log


def test_who_never_ends_is_stopped(place):
    assert place.run(["wait", True], limits=Limits(seconds=3, grace=0.1)).outcome == "timeout"
    assert place.results == []


def test_a_run_that_is_stopped_cancels_the_turn(place):
    ours, theirs = os.pipe()

    def stop() -> None:
        while not place.fake.heard("waits"):
            threading.Event().wait(0.02)
        os.write(theirs, b"x")

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        result = place.run(["wait"], cancel=ours, limits=Limits(seconds=60, grace=20))
    finally:
        stopper.join()
        os.close(ours)
        os.close(theirs)
    assert (result.outcome, place.fake.heard("cancel")) == ("cancelled", ["ses-1"])


@pytest.mark.parametrize("name", OVER_ACP)
def test_rows_are_whole(tmp_path, name):
    row = ADAPTERS[name]
    own, token, base = "planted-own", "planted-token", "http://127.0.0.1:9"
    env = {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        **dict.fromkeys(row.variables, own),
        "NPM_TOKEN": "of-npm",
    }
    for url in (base, "") if row.metered else ("",):
        work = AgentWork(
            story_id="S", title="T", attempt=1, marks=MARKS, slot=tmp_path, box=off(), prompt=tmp_path / "p.md", log=tmp_path / "log", env=env,
            limits=Limits(), base_url=url, token=token if url else "", model="claude-opus-5-5",
        )  # fmt: skip
        line = cli_agents.command_line(
            cli_agents.Installed(row, f"/bin/{row.program}"), work, tmp_path, "ses-1"
        )
        told = cli_agents.environment(row, work, tmp_path)
        at = line.index(f"/bin/{row.program}")
        assert line[:at] == acp.command(work.box, work.prompt, "ses-1", "" if url else "claude-opus-5-5", [])
        assert not any(mark in text for mark in "{}" for text in line)
        assert own not in str(line)
        assert token not in str(line)
        assert (token in str(told), own in str(told)) == (bool(url), bool(row.variables) and not url)
        assert not url or any("claude-opus-5-5" in value for value in told.values())
    assert ADAPTERS[name.removesuffix(":acp")].acp is False
    assert row.login


def test_the_package_may_be_missing(place, monkeypatch):
    looked_for = []
    monkeypatch.setattr(acp, "find_spec", looked_for.append)
    result = place.run()
    wanted = f"opencode:acp: it needs a package that is not installed: uv pip install --python {sys.executable} '{acp.PACKAGE}'"
    assert (result.outcome, result.output) == ("missing", f"{wanted}\n")
    env = {"PATH": str(place.folder / "bin")}
    with pytest.raises(NoAgent, match="uv pip install"):
        choice.choose(AgentChoice("opencode:acp", "", "--agent"), env, key=True)
    assert choice.choose(
        AgentChoice("opencode:acp", "", "--agent", ("anthropic",)), env, key=True
    ).agents == ("anthropic",)
    assert looked_for[:2] == ["acp", "pip"]


def test_the_package_is_the_extra():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["acp"] == [acp.PACKAGE]
    assert acp.lacking() == ""
