"""The real claude and opencode, through the real gateway, to a mock server: RAD_CLI_AGENTS=1, after `requirements/npm agents`.

Nothing here is evidence where it was skipped; versions are printed.
"""

import os
from pathlib import Path

import pytest

from rad_engineer import agents
from rad_engineer.agents import AgentResult, AgentWork, cli_agents
from rad_engineer.agents.adapters import ADAPTERS
from rad_engineer.process import Limits
from tests import aimock, gateways
from tests.boxes import off
from tests.conftest import prd, story
from tests.marks import MARKS

BIN = Path(__file__).parents[1] / "npm-agents/node_modules/.bin"
DEAD = "http://127.0.0.1:9"
NAMES = ("claude", "opencode")
TOOLS = {"claude": "Bash", "opencode": "bash", "opencode:acp": "bash"}

pytestmark = [
    pytest.mark.skipif(os.environ.get("RAD_CLI_AGENTS") != "1", reason="NO EVIDENCE: RAD_CLI_AGENTS=1 is not set"),
    pytest.mark.timeout(300),
]  # fmt: skip


def use(sent: int, received: int) -> dict[str, int]:
    return {"input_tokens": sent, "output_tokens": received}


def scripted(name: str) -> list[aimock.Fixture]:
    """One tool call that appends to a file that is there, then an answer."""
    call = {
        "name": TOOLS[name],
        "arguments": {"command": "echo second >> notes.txt", "description": "appends"},
    }
    return [
        {"match": {"userMessage": "LIMITED"}, "response": {
            "error": {"message": "slow down", "type": "rate_limit_error"}, "status": 429}},
        {"match": {"userMessage": "LOCKED"}, "response": {
            "error": {"message": "invalid x-api-key", "type": "authentication_error"}, "status": 401}},
        {"match": {"userMessage": "STORY", "hasToolResult": False},
         "response": {"toolCalls": [call], "usage": use(100, 10)}},
        {"match": {"hasToolResult": True}, "response": {"content": "Story done.", "usage": use(120, 17)}},
        {"match": {}, "response": {"content": "A title", "usage": use(3, 2)}},
    ]  # fmt: skip


class Real:
    """One installed agent before a gateway, a tap and a mock server."""

    def __init__(self, name: str, folder: Path, opened: gateways.Opened, tap: aimock.Tap) -> None:
        self.name, self.folder, self.opened, self.tap = name, folder, opened, tap
        self.slot, self.attempt = folder / "slot", folder / "story" / "attempt-1"
        for made in (self.slot, self.attempt, folder / "home"):
            made.mkdir(parents=True)
        (self.slot / "notes.txt").write_text("first\n")

    def run(self, prompt: str, session: str = "") -> AgentResult:
        (self.attempt / "prompt.md").write_text(f"# {prompt}\n\nDo it.\n")
        url, token = self.opened.door.session("story", 1)
        env = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.folder / "home"), "LANG": "C.UTF-8",
               "HTTP_PROXY": DEAD, "HTTPS_PROXY": DEAD, "http_proxy": DEAD, "https_proxy": DEAD,
               "ANTHROPIC_API_KEY": "sk-ant-of-the-user-000"}  # fmt: skip
        work = AgentWork(
            story_id="S-1", title="notes", attempt=1, slot=self.slot, marks=MARKS, box=off(), prompt=self.attempt / "prompt.md",
            log=self.attempt / "agent.log", env=env, limits=Limits(seconds=200, grace=1), base_url=url, token=token,
            model=gateways.MODEL, session=session,
        )  # fmt: skip
        return agents.agent(self.name).run(work)

    @property
    def asked(self) -> list[aimock.Exchange]:
        return [seen for seen in self.tap.exchanges if "/messages" in seen.path]


@pytest.fixture
def real(request, tmp_path, capsys):
    name = request.param
    if not (BIN / ADAPTERS[name].program).exists():
        pytest.skip(f"NO EVIDENCE: {name} is not installed (requirements/npm agents)")
    env = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    found = cli_agents.probe(ADAPTERS[name], env)
    with capsys.disabled():
        print(f"\n{name} {found.version} (its row was held against {ADAPTERS[name].checked})")
    assert found.warnings == ()
    assert found.version == ADAPTERS[name].checked
    with (
        aimock.serve(tmp_path / "mock", scripted(name)) as mock,
        aimock.tap(mock.url) as tap,
        gateways.opened(tmp_path / "door", tap.url) as opened,
    ):
        yield Real(name, tmp_path, opened, tap)


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_a_tool_call_changes_a_file(real):
    result = real.run("STORY-1: append to the notes")
    assert result.outcome == "finished", (real.attempt / "agent.log").read_text()
    assert (real.slot / "notes.txt").read_text() == "first\nsecond\n"
    assert (result.summary, result.unmetered) == ("Story done.", False)
    assert result.tokens == 247
    assert result.session
    log = (real.attempt / "agent.log").read_text()
    assert f"→ {TOOLS[real.name]}: echo second >> notes.txt" in log
    assert "Story done." in log
    assert real.asked
    for seen in real.asked:
        told = f"{seen.headers.get('authorization', '')} {seen.headers.get('x-api-key', '')}"
        assert gateways.KEY in told
        assert "of-the-user" not in told
        assert "anthropic-version" in seen.headers
    spent = real.opened.door.standing("story", 1)
    assert spent["tokens"] >= 247
    assert spent["reason"] in (None, "")


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_it_goes_on_with_a_session(real):
    first = real.run("STORY-1: append to the notes")
    before = len(real.asked)
    second = real.run("REMARK: mend it", session=first.session)
    assert second.outcome == "finished", (real.attempt / "agent.log").read_text()
    later = [seen for seen in real.asked[before:] if b"REMARK" in seen.body]
    assert any(b"STORY-1" in seen.body for seen in later)


@pytest.mark.parametrize(
    ("real", "word", "reason"),
    [
        ("claude", "LIMITED", "limit"),
        ("claude", "LOCKED", "login"),
        ("opencode", "LOCKED", "login"),
        ("opencode", "LIMITED", "limit"),
    ],
    indirect=["real"],
)
def test_refusals_park_the_story_after_few_calls(real, word, reason):
    """What the gateway has given up is final, whatever a client makes of it: opencode asks five times more."""
    result = real.run(f"{word}: whatever")
    assert result.outcome in ("later", "failed"), (real.attempt / "agent.log").read_text()
    if result.outcome == "later":
        assert result.reason == reason
    assert 1 <= len(real.asked) <= 4
    if word == "LIMITED":
        assert real.opened.door.standing("story", 1)["reason"] == "limit"


@pytest.mark.parametrize("name", [*NAMES, "opencode:acp"])
def test_a_run_of_stories(project, tmp_path, name):
    """From the command line to landed commits, with a dead proxy set; the report's figure is the mock's bill."""
    if not (BIN / ADAPTERS[name].program).exists():
        pytest.skip(f"NO EVIDENCE: {name} is not installed (requirements/npm agents)")
    stories = [story(f"S{number}", title=f"STORY S{number}") for number in range(1, 4)]
    project.init({"prd.json": prd(*stories), "notes.txt": "first\n", "check.sh": "grep -q second notes.txt\n",
                  "rad-engineer.toml": "[gates]\ncheck = 'sh check.sh'\n"})  # fmt: skip
    path = f"{project.env['PATH']}{os.pathsep}{BIN}"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD)
    with aimock.serve(tmp_path / "mock", scripted(name)) as mock, aimock.tap(mock.url) as tap:
        ran = project.rad(
            "run", "prd.json", "--yes", "--json", "--agent", name, "--model", gateways.MODEL, "--upstream", tap.url,
            "-j", "1", env={**proxies, "PATH": path, "ANTHROPIC_API_KEY": gateways.KEY}, timeout=280,
        )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    assert project.landed("rad/demo") == ["S1", "S2", "S3"]
    assert project.git("show", "rad/demo:notes.txt") == "first\nsecond\nsecond\nsecond\n"
    billed = [
        seen.usage for seen in tap.exchanges if "/messages" in seen.path and "count_tokens" not in seen.path
    ]
    tokens = sum(one["input_tokens"] + one["output_tokens"] for one in billed)
    assert sum(one["tokens"] for one in project.report()["stories"]) == tokens
    assert sum(one["cost_usd"] for one in project.report()["stories"]) > 0
    everything = "".join(
        file.read_text("utf-8", "replace")
        for file in project.folder.rglob(".rad-engineer/**/*")
        if file.is_file()
    )
    assert gateways.KEY not in everything + ran.out + ran.err
