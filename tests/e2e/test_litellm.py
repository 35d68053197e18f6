"""A second encoder of the Messages API: LiteLLM's proxy as the gateway's upstream, before the OpenAI side of the mock.

RAD_LITELLM names its program (`litellm`, of a `litellm[proxy]` in an environment of its own). Skipped, this is no evidence.
It has two encoders: one for OpenAI's responses, one for its chat completions.
"""

import json
import os
import shutil
import subprocess
from contextlib import contextmanager

import anthropic
import pytest

from benchmarks import litellm_proxy
from tests import aimock, gateways
from tests.conftest import prd, story
from tests.e2e.test_agent_run import after, call, met, says, script

PROGRAM = shutil.which(os.environ.get("RAD_LITELLM", ""))
ENCODERS = {"responses": "/v1/responses", "chat": "/v1/chat/completions"}
CHAT = (
    "use_chat_completions_url_for_anthropic_messages: true",
    "drop_params: true",
)  # thinking is not OpenAI's

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="NO EVIDENCE: RAD_LITELLM names no program of LiteLLM"),
    pytest.mark.timeout(600),
    pytest.mark.parametrize("encoder", ENCODERS),
]  # fmt: skip


@contextmanager
def chain(folder, fixtures, capsys, encoder):
    """What a gateway can ask: a tap, LiteLLM, another tap, the mock; and the key that LiteLLM wants."""
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    with capsys.disabled():
        print(f"\n{' '.join(version.split())}, {encoder}")
    settings = CHAT if encoder == "chat" else ()
    with (
        aimock.serve(folder / "mock", fixtures) as mock,
        aimock.tap(mock.url) as behind,
        litellm_proxy.running(PROGRAM, f"{behind.url}/v1", gateways.MODEL, folder / "litellm", provider="openai",
                              settings=settings) as (url, key, _),
        aimock.tap(url) as before,
    ):  # fmt: skip
        yield before, behind, key
    assert before.violations() == []
    assert {seen.path for seen in behind.exchanges if seen.method == "POST"} == {ENCODERS[encoder]}


def billed(exchanges) -> int:
    """What the mock says that it has used, in any of OpenAI's forms."""
    total = 0
    for seen in exchanges:
        lines = [line.removeprefix(b"data: ") for line in seen.answer.splitlines()]
        events = [json.loads(line) for line in lines if line.startswith(b"{")]
        told = [found for one in events if (found := one.get("response", one).get("usage"))]
        total += told[-1]["total_tokens"] if told else 0
    return total


def test_the_built_in_agent_does_its_stories(project, capsys, encoder):
    names = "ABCED"
    config = '[gates]\ncheck = "sh check.sh"\n'
    project.init({"prd.json": prd(*(story(name) for name in names)), "rad-engineer.toml": config,
                  "check.sh": "test ! -e bad\n", "notes": "base\n"})  # fmt: skip
    fixtures = [line for name in names for line in script(name)]
    with chain(project.folder.parent, fixtures, capsys, encoder) as (before, behind, key):
        ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--attempts", "1", "--upstream", before.url,
                          env={"ANTHROPIC_API_KEY": key, "HTTP_PROXY": "http://127.0.0.1:1"}, timeout=500)  # fmt: skip
        assert ran.code == 1, ran.err
        assert project.landed("rad/demo") == list("ABCE")
        assert project.git("show", "rad/demo:notes") == "A B C E base\n"
        told = {one["key"]: one for one in project.report()["stories"]}
        assert told["D"]["status"] == "failed"
        for name in names:
            mine = [seen for seen in behind.exchanges if f"Story {name}:" in seen.body.decode()]
            assert told[name]["tokens"] == billed(mine) > 0
        assert all(seen.data["stream"] for seen in before.exchanges if seen.method == "POST")
        assert key not in ran.out + ran.err


def test_a_plain_client_does_a_tool_loop(tmp_path, capsys, encoder):
    answers = [
        says(call("look", path="notes"), when={"hasToolResult": False}),
        says(when=after("two lines"), text="It has two."),
    ]
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}}
    messages = [{"role": "user", "content": "How many lines have the notes?"}]
    with (
        chain(tmp_path, answers, capsys, encoder) as (before, behind, key),
        gateways.opened(tmp_path / "door", before.url, key=key) as opened,
    ):
        url, token = opened.door.session("s1", 1)
        with anthropic.Anthropic(base_url=url, auth_token=token, api_key=None, max_retries=0) as client:
            asked = client.messages.create(
                model=gateways.MODEL, max_tokens=500, tools=[tool], messages=messages
            )
            [use] = [block for block in asked.content if block.type == "tool_use"]
            assert (asked.stop_reason, use.name, use.input) == ("tool_use", "look", {"path": "notes"})
            result = {"type": "tool_result", "tool_use_id": use.id, "content": "two lines"}
            messages += [
                {"role": "assistant", "content": asked.content},
                {"role": "user", "content": [result]},
            ]
            done = client.messages.create(
                model=gateways.MODEL, max_tokens=500, tools=[tool], messages=messages
            )
        assert done.content[-1].text == "It has two."
        spent = opened.door.standing("s1", 1)
        assert spent["tokens"] == billed(behind.exchanges) == 220
        assert not any(seen.data.get("stream") for seen in before.exchanges if seen.method == "POST")


@pytest.mark.parametrize(
    ("status", "kind", "reason", "most"),
    [(401, "authentication_error", "login", 1), (429, "rate_limit_error", "limit", 4)],
)
def test_what_it_refuses_parks_the_story(project, capsys, encoder, status, kind, reason, most):
    project.init({"prd.json": prd(story("A"))})
    refusal = {"match": {}, "response": {"error": {"message": "no", "type": kind}, "status": status}}
    with chain(project.folder.parent, [refusal], capsys, encoder) as (before, behind, key):
        ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", before.url,
                          env={"ANTHROPIC_API_KEY": key}, timeout=500)  # fmt: skip
        assert ran.code == (69 if status == 401 else 4), ran.out + ran.err
        [told] = project.report()["stories"]
        assert (told["reason"], told["tokens"]) == (reason, 0)
        assert 1 <= len([seen for seen in before.exchanges if seen.method == "POST"]) <= most
        with capsys.disabled():  # its own tries come on top of the gateway's
            print(f"{status}: {len(behind.exchanges)} requests to the mock")


def test_a_stream_that_is_cut_is_no_answer(project, capsys, encoder):
    """What the mock cuts off, LiteLLM hands on in its own way; the story must not take half of it for the whole."""
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "test -e A"\n'})
    long = call("bash", command="touch A; echo " + "x" * 400)
    answers = [
        {**says(long, when={"hasToolResult": False, "sequenceIndex": 0}), "truncateAfterChunks": 6, "chunkSize": 20},
        says(long, when={"hasToolResult": False}),
        says(met("A", "A:1"), when={"hasToolResult": True}),
    ]  # fmt: skip
    with chain(project.folder.parent, answers, capsys, encoder) as (before, _, key):
        ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", before.url,
                          env={"ANTHROPIC_API_KEY": key}, timeout=500)  # fmt: skip
        assert ran.code == 0, ran.out + ran.err
        assert project.landed("rad/demo") == ["A"]
