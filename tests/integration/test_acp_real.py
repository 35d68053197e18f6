"""Real agents over the Agent Client Protocol, through the real gateway, to a mock server: RAD_CLI_AGENTS=1, after `requirements/npm agents`.

`claude:acp` and `qwen:acp` are tried where their programs (npm: @agentclientprotocol/claude-agent-acp,
@qwen-code/qwen-code) are on the search path. Nothing here is evidence where it was skipped; versions are printed.
"""

import os
import shutil
from pathlib import Path

import pytest

from rad_engineer.agents import cli_agents
from rad_engineer.agents.adapters import ADAPTERS
from tests import aimock, gateways
from tests.integration.test_cli_agents_real import BIN, Real, use

NAMES = ("opencode:acp", "claude:acp", "qwen:acp")
SHELLS = {"opencode:acp": "bash", "claude:acp": "Bash", "qwen:acp": "run_shell_command"}
WRITERS = {
    "opencode:acp": ("write", {"filePath": "PLACE", "content": "made\n"}),
    "claude:acp": ("Write", {"file_path": "PLACE", "content": "made\n"}),
    "qwen:acp": ("edit", {"file_path": "PLACE", "old_string": "", "new_string": "made\n"}),
}
PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"

pytestmark = [
    pytest.mark.skipif(os.environ.get("RAD_CLI_AGENTS") != "1", reason="NO EVIDENCE: RAD_CLI_AGENTS=1 is not set"),
    pytest.mark.timeout(300),
]  # fmt: skip


def answer(text: str, call: dict[str, object] | None = None) -> dict[str, object]:
    """An answer with the thinking that some clients insist on."""
    told = {"reasoning": "Let me see.", "content": text, "usage": use(100, 10)}
    return {**told, "toolCalls": [call]} if call else told


def scripted(name: str, folder: Path) -> list[aimock.Fixture]:
    """One call that appends to a file, one that writes a file in the slot, one that writes one outside."""
    given = {"command": "echo second >> notes.txt", "description": "appends"}
    shell = {
        "name": SHELLS[name],
        "arguments": {**given, **({"is_background": False} if name == "qwen:acp" else {})},
    }
    tool, written = WRITERS[name]

    def writes(path: Path) -> dict[str, object]:
        return {"name": tool, "arguments": {**written, next(iter(written)): str(path)}}

    return [
        {"match": {"userMessage": "LOCKED"}, "response": {
            "error": {"message": "invalid x-api-key", "type": "authentication_error"}, "status": 401}},
        {"match": {"userMessage": "STORY", "hasToolResult": False}, "response": answer("", shell)},
        {"match": {"userMessage": "WRITES", "hasToolResult": False}, "response": answer("", writes(folder / "slot/made.txt"))},
        {"match": {"userMessage": "STRAYS", "hasToolResult": False}, "response": answer("", writes(folder / "outside.txt"))},
        {"match": {"hasToolResult": True}, "response": answer("Story done.")},
        {"match": {}, "response": answer("A title")},
    ]  # fmt: skip


@pytest.fixture
def real(request, tmp_path, capsys):
    name = request.param
    if shutil.which(ADAPTERS[name].program, path=PATH) is None:
        pytest.skip(f"NO EVIDENCE: {name} is not installed ({ADAPTERS[name].program})")
    found = cli_agents.probe(ADAPTERS[name], {"PATH": PATH, "HOME": str(tmp_path)})
    with capsys.disabled():
        print(f"\n{name} {found.version} (its row was held against {ADAPTERS[name].checked})")
    assert found.version == ADAPTERS[name].checked
    with (
        aimock.serve(tmp_path / "mock", scripted(name, tmp_path)) as mock,
        aimock.tap(mock.url) as tap,
        gateways.opened(tmp_path / "door", tap.url) as opened,
    ):
        yield Real(name, tmp_path, opened, tap)


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_a_tool_call_changes_a_file(real):
    result = real.run("STORY-1: append to the notes")
    log = (real.attempt / "agent.log").read_text()
    assert result.outcome == "finished", log
    assert (real.slot / "notes.txt").read_text() == "first\nsecond\n"
    assert (result.summary, result.unmetered) == ("Story done.", False)
    assert result.session
    assert "→ execute: echo second >> notes.txt" in log
    for seen in real.asked:
        told = f"{seen.headers.get('authorization', '')} {seen.headers.get('x-api-key', '')}"
        assert gateways.KEY in told
        assert "of-the-user" not in told
    assert real.opened.door.standing("story", 1)["tokens"] >= 220


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_files_in_the_slot_are_written_and_others_are_not(real):
    assert real.run("WRITES-1: make the file").outcome == "finished"
    assert (real.slot / "made.txt").is_file(), (real.attempt / "agent.log").read_text()
    assert (real.slot / "made.txt").read_text() == "made\n"
    result = real.run("STRAYS-1: make the file")
    log = (real.attempt / "agent.log").read_text()
    assert not (real.folder / "outside.txt").exists()
    assert "refused: " in log
    assert "outside.txt, which is not in the working copy" in log
    assert result.outcome in ("finished", "failed")


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_it_goes_on_with_a_session(real):
    first = real.run("STORY-1: append to the notes")
    before = len(real.asked)
    second = real.run("REMARK: mend it", session=first.session)
    log = (real.attempt / "agent.log").read_text()
    assert second.outcome == "finished", log
    assert second.session == first.session, log
    later = [seen for seen in real.asked[before:] if b"REMARK" in seen.body]
    assert any(b"STORY-1" in seen.body for seen in later)


@pytest.mark.parametrize("real", NAMES, indirect=True)
def test_a_refusal_parks_the_story_after_few_calls(real):
    result = real.run("LOCKED: whatever")
    assert (result.outcome, result.reason) == ("later", "login"), (real.attempt / "agent.log").read_text()
    assert 1 <= len([seen for seen in real.asked if b"LOCKED" in seen.body]) <= 4
