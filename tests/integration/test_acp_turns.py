"""One turn over the Agent Client Protocol with agents that err: a small program says word for word what a table says."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from rad_engineer.agents.acp import session
from rad_engineer.agents.acp.session import Asked, turn
from rad_engineer.agents.acp.told import Telling
from rad_engineer.agents.cli_events import Reader

PROGRAM = """
import json, os, sys, time
says = json.loads(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    print(line, file=open("heard", "a"), end="")
    for said in says.get(asked.get("method", ""), []):
        if said[0] == "!":
            exec(said[1:])
        else:
            print(said.replace("$ID", str(asked.get("id"))), flush=True)
"""
BEGINS = {
    "initialize": ['{"jsonrpc":"2.0","id":$ID,"result":{"protocolVersion":1}}'],
    "session/new": ['{"jsonrpc":"2.0","id":$ID,"result":{"sessionId":"s-1"}}'],
}
DONE = '{"jsonrpc":"2.0","id":$ID,"result":{"stopReason":"end_turn"}}'


def fails(code: int, message: str, details: str = "") -> str:
    error = {"code": code, "message": message, **({"data": {"details": details}} if details else {})}
    return '{"jsonrpc":"2.0","id":$ID,"error":' + json.dumps(error) + "}"


def update(**content: object) -> str:
    params = {"sessionId": "s-1", "update": content}
    return json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params})


def piece(text: str, message: str | None = None, session: str = "s-1") -> str:
    more = {} if message is None else {"messageId": message}
    said = update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text}, **more)
    return said.replace('"s-1"', f'"{session}"')


class Turn:
    """A finished turn: the exit code, what was understood, and what was shown."""

    def __init__(self, folder: Path, says: dict[str, list[str]], asked: Asked) -> None:
        reader, self.shown = Reader("claude"), []
        telling = Telling(lambda data: self.shown.extend(reader.feed(data)))
        agent = [sys.executable, "-SE", "-c", PROGRAM, json.dumps({**BEGINS, **says})]
        self.code = asyncio.run(turn(asked, folder, agent, telling))
        self.told = reader.told
        heard = folder / "heard"
        self.heard = [json.loads(line) for line in heard.read_text().splitlines()] if heard.exists() else []

    def params(self, method: str) -> list[dict[str, object]]:
        return [one["params"] for one in self.heard if one.get("method") == method]


@pytest.fixture
def take(tmp_path):
    return lambda says, asked=None: Turn(tmp_path, says, asked or Asked("do it"))


def test_a_turn_is_told_as_it_happens(take, tmp_path):
    began = {"toolCallId": "t", "title": "Terminal", "kind": "execute"}
    took = take({"session/prompt": [
        piece("I look", "m1"), piece(" first.", "m1"), piece("elsewhere", session="s-2"), piece("Then I run it.", "m2"),
        update(sessionUpdate="agent_thought_chunk", content={"type": "text", "text": "hm"}),
        update(sessionUpdate="tool_call", status="pending", **began),
        update(sessionUpdate="tool_call_update", toolCallId="t", title="ls", rawInput={"command": "ls -l"}),
        update(sessionUpdate="tool_call_update", toolCallId="t", status="completed"),
        update(sessionUpdate="tool_call_update", toolCallId="t", status="completed"),
        update(sessionUpdate="tool_call", toolCallId="never-begun", title="a.py", kind="read", status="pending"),
        update(sessionUpdate="usage_update", used=5, size=9, cost={"amount": 0.5, "currency": "USD"}),
        update(sessionUpdate="usage_update", used=5, size=9, cost={"amount": 700, "currency": "JPY"}),
        update(sessionUpdate="of tomorrow", what="?"),
        piece("Done."),
        DONE.replace('"end_turn"', '"end_turn","usage":{"totalTokens":50,"inputTokens":7,"outputTokens":9,"cachedReadTokens":34}'),
    ]})  # fmt: skip
    assert took.code == 0
    assert took.shown == ["I look first.", "Then I run it.", "→ execute: ls -l", "Done.", "→ read: a.py"]
    assert (took.told.text, took.told.session, took.told.trouble) == ("Done.", "s-1", None)
    assert (took.told.input_tokens, took.told.output_tokens, took.told.cost_usd) == (41, 9, 0.5)
    assert took.params("session/new") == [{"cwd": str(tmp_path), "mcpServers": []}]
    assert took.params("session/prompt") == [
        {"sessionId": "s-1", "prompt": [{"type": "text", "text": "do it"}]}
    ]


FAKED = json.dumps({"type": "result", "is_error": True, "result": "rate limit", "session_id": "mine"})


def test_what_is_no_protocol_does_no_harm(take):
    took = take({"session/prompt": [
        "Loading…", FAKED, "123", "[1, 2]", '{"id": [], "result": 1}', '{"id": 7, "error": "x"}', '{"id": 7, "result": 1}',
        '{"jsonrpc": "2.0", "method": ["x"]}', '{"jsonrpc": "2.0", "method": "nobody/knows"}', '{"id": 3, "method": "no/such"}',
        '{"id": 4, "method": "fs/read_text_file", "params": {"path": 7}}', "{" * 9_000, '{"a":' * 3_000,
        f"!print({FAKED!r}, file=sys.stderr)", "!os.write(1, bytes(range(128, 256)) + b'\\n')", piece("Done."), DONE,
    ]})  # fmt: skip
    assert (took.code, took.told.text, took.told.session, took.told.trouble) == (0, "Done.", "s-1", None)
    assert {"Loading…", f"· {FAKED}", "123", "[1, 2]", "Done."} <= set(took.shown)
    assert took.shown.count(f"· {FAKED}") == 2
    assert max(map(len, took.shown)) < 2_100


def test_a_message_without_end_is_left_out(take, monkeypatch):
    monkeypatch.setattr(session, "LONGEST", 50_000)
    took = take({"session/prompt": ["!print('{x' * 100_000, flush=True)", piece("Done."), DONE]})
    assert (took.code, took.told.text) == (0, "Done.")
    assert sum(map(len, took.shown)) < 50_000


@pytest.mark.parametrize(
    ("says", "words", "trouble"),
    [
        ({"session/prompt": ["!os.kill(os.getpid(), 9)"]}, "it ended in the middle of `prompt` (signal 9)", "error"),
        ({"session/prompt": ["!sys.exit(3)"]}, "it ended in the middle of `prompt` (exit code 3)", "error"),
        ({"session/prompt": ["!os.close(1); sys.stdin.read()"]}, "it ended in the middle of `prompt`", "error"),
        ({"session/prompt": [DONE.replace("end_turn", "refusal")]}, "it stopped before it was done: refusal", "error"),
        ({"session/prompt": [DONE.replace("end_turn", "max_tokens")]}, "it stopped before it was done: max_tokens", "error"),
        ({"session/prompt": [DONE.replace("end_turn", "cancelled")]}, "it stopped before it was done: cancelled", "error"),
        ({"session/prompt": [DONE.replace("end_turn", "tired")]}, "its answer to `prompt` is not the protocol's: stopReason", "error"),
        ({"session/prompt": [fails(-32000, "Authentication required")]}, "Authentication required", "login"),
        ({"session/prompt": [fails(-32603, "Internal error", "429: rate_limit")]}, "Internal error: 429: rate_limit", "limit"),
        ({"session/prompt": [fails(-32603, "")]}, "error -32603", "error"),
        ({"session/new": [fails(-32000, "Who are you?")]}, "Who are you?", "login"),
        ({"session/new": ['{"id":$ID,"result":{}}']}, "its answer to `session` is not the protocol's: sessionId", "error"),
        ({"initialize": ["Usage: agent [command]", "!sys.exit(2)"]}, "it ended in the middle of `initialize` (exit code 2)", "error"),
        ({"initialize": ['{"id":$ID,"result":{"protocolVersion":7}}']}, "it speaks version 7 of the protocol, we speak 1", "error"),
        ({"initialize": ['{"id":$ID,"result":[]}']}, "its answer to `initialize` is not the protocol's", "error"),
    ],
)  # fmt: skip
def test_ends_that_are_not_good(take, says, words, trouble):
    took = take(says)
    assert (took.code, took.told.trouble, took.told.ended) == (1, trouble, False), took.shown
    assert took.told.message.startswith(words)


def test_who_never_begins_is_not_waited_for(take, monkeypatch):
    monkeypatch.setattr(session, "_BEGINS_WITHIN", 0.2)
    took = take({"initialize": ["I am no agent"]})
    assert (took.code, took.told.message) == (
        1, "it did not answer `initialize` within 0.2 s: does it speak the protocol?"
    )  # fmt: skip


def test_who_does_not_end_by_itself_is_ended(take, monkeypatch):
    monkeypatch.setattr(session, "_ENDS_WITHIN", 0.1)
    stays = "!import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    assert take({"session/prompt": [DONE, stays]}).code == 0


def test_a_program_that_is_not_there(tmp_path):
    reader = Reader("claude")
    telling = Telling(lambda data: list(reader.feed(data)))
    assert asyncio.run(turn(Asked("x"), tmp_path, [str(tmp_path / "none")], telling)) == 127
    assert reader.told.message == f"{tmp_path / 'none'}: No such file or directory"


RESUMES = '{"id":$ID,"result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true,"sessionCapabilities":{"resume":{}}}}}'
KNOWN = '{"id":$ID,"result":{}}'
UNKNOWN = fails(-32002, "Resource not found")


@pytest.mark.parametrize(
    ("can", "resume", "load", "asked", "session"),
    [
        (RESUMES, KNOWN, "", ["session/resume"], "s-9"),
        (RESUMES, UNKNOWN, KNOWN, ["session/resume", "session/load"], "s-9"),
        (RESUMES, UNKNOWN, UNKNOWN, ["session/resume", "session/load", "session/new"], "s-1"),
        (RESUMES.replace('"resume":{}', ""), "", KNOWN, ["session/load"], "s-9"),
        (BEGINS["initialize"][0], "", "", ["session/new"], "s-1"),
    ],
)
def test_sessions_are_gone_on_with_in_the_best_way_there_is(take, can, resume, load, asked, session):
    done = update(sessionUpdate="tool_call", toolCallId="t", title="what was done before", status="completed")
    says = {
        "initialize": [can],
        "session/resume": [resume],
        "session/load": [done, load],
        "session/prompt": [piece("Now.", session=session), DONE],
    }
    took = take(says, Asked("go on", session="s-9"))
    assert (took.code, took.told.session) == (0, session)
    assert [one["method"] for one in took.heard if one["method"].startswith("session/")] == [
        *asked,
        "session/prompt",
    ]
    assert not any("done before" in line for line in took.shown)
    assert took.told.text == "Now."
    assert [one["sessionId"] for one in took.params("session/prompt")] == [session]


@pytest.mark.parametrize(
    ("model", "chosen", "words"),
    [
        ("large", ["vendor/large"], ""),
        ("vendor/small", ["vendor/small"], ""),
        ("huge", [], "it has no model huge; it offers vendor/small, vendor/large"),
    ],
)
def test_a_model_is_chosen_where_the_agent_offers_it(take, model, chosen, words):
    offers = [{"value": f"vendor/{name}", "name": name} for name in ("small", "large")]
    models = {"id": "m", "category": "model", "type": "select", "name": "Model", "currentValue": "vendor/small",
              "options": [{"group": "g", "name": "All", "options": offers}]}  # fmt: skip
    new = '{"id":$ID,"result":' + json.dumps({"sessionId": "s-1", "configOptions": [models]}) + "}"
    says = {
        "session/new": [new],
        "session/set_config_option": ['{"id":$ID,"result":{"configOptions":[]}}'],
        "session/prompt": [DONE],
    }
    took = take(says, Asked("do it", model=model))
    assert took.code == (1 if words else 0)
    assert took.told.message == words
    assert [(one["configId"], one["value"]) for one in took.params("session/set_config_option")] == [
        ("m", one) for one in chosen
    ]


def test_a_model_cannot_be_chosen_where_none_is_offered(take):
    assert (
        take({}, Asked("do it", model="large")).told.message
        == "it lets nobody choose a model, so not large either"
    )
