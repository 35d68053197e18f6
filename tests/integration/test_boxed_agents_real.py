"""Real agents inside bubblewrap, through the real gateway, to a mock server: RAD_CLI_AGENTS=1, after `requirements/npm agents`.

`qwen`, `claude:acp` and `qwen:acp` are tried where RAD_CLI_AGENTS_AT names a folder with their programs. Nothing here is
evidence where it was skipped; versions are printed.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

from rad_engineer import agents, process, sandbox
from rad_engineer.agents import AgentResult, AgentWork, cli_agents
from rad_engineer.agents.adapters import ADAPTERS, own_folder
from rad_engineer.sandbox import Grants, Mount, Place
from tests import aimock, gateways
from tests.conftest import Project, prd, story
from tests.integration.test_acp_real import answer
from tests.integration.test_cli_agents_real import BIN
from tests.sandboxes import needs_bubblewrap

NAMES = ("claude", "opencode", "qwen", "opencode:acp", "claude:acp", "qwen:acp")
SHELLS = {"claude": "Bash", "opencode": "bash", "qwen": "run_shell_command"}
BINS = os.pathsep.join([str(BIN), *filter(None, [os.environ.get("RAD_CLI_AGENTS_AT")])])
LOOK = (
    "{ cat notes.txt; pwd; id -u; env | grep -c planted; ls %s; } >> seen.txt 2>&1; echo second >> notes.txt"
)

pytestmark = [
    pytest.mark.skipif(os.environ.get("RAD_CLI_AGENTS") != "1", reason="NO EVIDENCE: RAD_CLI_AGENTS=1 is not set"),
    pytest.mark.timeout(300),
]  # fmt: skip


def scripted(name: str, folder: Path) -> list[aimock.Fixture]:
    """One tool call that looks around and appends to a file, then an answer."""
    given: dict[str, object] = {"command": LOOK % folder, "description": "appends"}
    if name.startswith("qwen"):
        given["is_background"] = False
    call: dict[str, object] = {"name": SHELLS[name.partition(":")[0]], "arguments": given}
    return [
        {"match": {"userMessage": "STORY", "hasToolResult": False}, "response": answer("", call)},
        {"match": {"hasToolResult": True}, "response": answer("Story done.")},
        {"match": {}, "response": answer("A title")},
    ]  # fmt: skip


@pytest.fixture
def walled(project: Project, capsys, request) -> Project:
    needs_bubblewrap()
    name = request.getfixturevalue("name")
    path = f"{BINS}{os.pathsep}{project.env['PATH']}"
    if shutil.which(ADAPTERS[name].program, path=BINS) is None:
        pytest.skip(f"NO EVIDENCE: {name} is not installed ({ADAPTERS[name].program})")
    project.env |= {"RAD_SANDBOX": "bubblewrap", "PATH": path}
    found = cli_agents.probe(ADAPTERS[name], project.env)
    with capsys.disabled():
        print(f"\n{name} {found.version} in bubblewrap (its row was held against {ADAPTERS[name].checked})")
    return project


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_stories_in_boxes(walled: Project, tmp_path: Path, name: str):
    """From the command line to landed commits: it works, sees its slot and nothing of the user's."""
    stories = [story(f"S{number}", title=f"STORY S{number}") for number in range(1, 3)]
    config = "[gates]\ncheck = 'sh check.sh'\n"
    walled.init({"prd.json": prd(*stories), "notes.txt": "first\n", "check.sh": "grep -q second notes.txt\n",
                 "rad-engineer.toml": config})  # fmt: skip
    env = {"ANTHROPIC_API_KEY": gateways.KEY, "MY_VALUE": "planted"}
    with (
        aimock.serve(tmp_path / "mock", scripted(name, walled.folder)) as mock,
        aimock.tap(mock.url) as tap,
    ):
        ran = walled.rad(
            "run", "prd.json", "--yes", "--json", "--agent", name, "--model", gateways.MODEL, "--upstream", tap.url,
            "-j", "1", env=env, timeout=280,
        )  # fmt: skip
        logs = "\n".join(path.read_text() for path in walled.folder.rglob(".rad-engineer/**/agent*.log"))
        assert ran.code == 0, f"{ran.out}\n{ran.err}\n{logs}"
        assert walled.landed("rad/demo") == ["S1", "S2"]
        seen = walled.git("show", "rad/demo:seen.txt").splitlines()
        assert seen[1:4] == ["/src/project", *seen[2:3], "0"], seen
        assert seen[2] != "0"
        assert "No such file" in seen[4]
        assert [one for one in tap.exchanges if gateways.KEY in json.dumps(dict(one.headers))]
    assert walled.report()["sandbox"] == "bubblewrap"


@pytest.mark.parametrize("name", NAMES[:4])
def test_a_session_is_gone_on_with_in_another_box(walled: Project, tmp_path: Path, monkeypatch, name: str):
    """Its worker was killed, and its box with it: what it needs to go on lies in its home folder."""
    monkeypatch.setenv("PATH", walled.env["PATH"])
    slot, attempt = tmp_path / "slot", tmp_path / "story" / "attempt-1"
    home = tmp_path / "story" / own_folder(name)
    for made in (slot, attempt, home):
        made.mkdir(parents=True)
    (slot / "notes.txt").write_text("first\n")
    row = ADAPTERS[name]
    with (
        aimock.serve(tmp_path / "mock", scripted(name, walled.folder)) as mock,
        aimock.tap(mock.url) as tap,
        gateways.opened(tmp_path / "door", tap.url) as opened,
    ):

        def asked(prompt: str, session: str = "") -> AgentResult:
            (attempt / "prompt.md").write_text(f"# {prompt}\n\nDo it.\n")
            for folder in (slot, home):
                sandbox.hand_over(folder, sandbox.owner())
            url, token = opened.door.session("story", 1)
            mounts = (Mount(attempt / "prompt.md", "/rad/prompt.md"), *cli_agents.mounts(row, os.environ))
            place = Place(slot, "/src/demo", mounts, owner=sandbox.owner())
            grants = Grants(("host",), home=home)
            with sandbox.open_box("bubblewrap", place, grants) as box:
                work = AgentWork(
                    story_id="S-1", title="notes", attempt=1, slot=slot, box=box, prompt=attempt / "prompt.md",
                    log=attempt / "agent.log", env=sandbox.environment(os.environ, {}), base_url=url, token=token,
                    limits=process.Limits(seconds=200, grace=1), model=gateways.MODEL, session=session,
                )  # fmt: skip
                return agents.agent(name).run(work)

        first = asked("STORY-1: append to the notes")
        assert first.outcome == "finished", (attempt / "agent.log").read_text()
        before = len(tap.exchanges)
        second = asked("REMARK: mend it", session=first.session)
        assert second.outcome == "finished", (attempt / "agent.log").read_text()
        later = [seen for seen in tap.exchanges[before:] if b"REMARK" in seen.body]
        assert any(b"STORY-1" in seen.body for seen in later)


@pytest.mark.parametrize("name", NAMES[:3])
def test_where_no_model_can_be_reached_the_story_waits(walled: Project, name: str):
    """claude gives up by itself; opencode and qwen ask again and again, and are ended after a minute of it."""
    walled.init({"prd.json": prd(story("S1")), "rad-engineer.toml": "[gates]\ncheck = 'true'\n"})
    ran = walled.rad(
        "run", "prd.json", "--yes", "--json", "--agent", name, "--model", gateways.MODEL, "--upstream",
        "http://127.0.0.1:9", env={"ANTHROPIC_API_KEY": gateways.KEY}, timeout=280,
    )  # fmt: skip
    assert ran.code == 4, ran.out
    [one] = walled.report()["stories"]
    assert (one["status"], one["reason"], one["attempts"]) == ("waiting", "offline", 1), ran.out + ran.err
