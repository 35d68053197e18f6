"""The contract of the wire, held against the real API: RAD_LIVE=1 and ANTHROPIC_API_KEY. All of it costs less than 0.05 USD.

The same tests run against the mock, so what is wrong with them is found without a key; against the API they are evidence
only where they have run. Everything passes the gateway, which keeps the budgets, and a tap, which checks what is sent.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass

import anthropic
import pytest

from rad_engineer.gateway.configuration import ANTHROPIC
from tests import aimock, gateways
from tests.conftest import prd, story
from tests.e2e.test_agent_run import after, call, met, says

KEY = os.environ.get("ANTHROPIC_API_KEY", "") if os.environ.get("RAD_LIVE") == "1" else ""
MODEL = "claude-haiku-5-5"
CALLS, STORY = 5_000, 25_000  # micro-dollars that the calls of one test may cost, and the story

pytestmark = pytest.mark.timeout(300)
UNLESS = pytest.mark.skipif(
    not KEY, reason="NO EVIDENCE: the real API is not asked without RAD_LIVE=1 and ANTHROPIC_API_KEY"
)

LOOK = {"name": "look", "description": "Tells what a file says.",
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}  # fmt: skip
SCRIPT = [
    {"match": {"toolResultContains": "of nothing"}, "response": {
        "error": {"message": "unexpected tool_use_id", "type": "invalid_request_error"}, "status": 400}},
    says(call("look", path="notes.txt"), when={"userMessage": "notes.txt", "hasToolResult": False}),
    says(when={"toolResultContains": "blue"}, text="They say blue."),
    says(call("bash", command="printf hello > hello.txt; cat hello.txt"), when={"userMessage": "Story S", "hasToolResult": False}),
    says(met("S", "hello.txt:1"), when={"userMessage": "Story S", **after("hello")}),
    says(when={}, text="pong"),
]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """What answers, behind a tap; and what asks it within a budget."""

    tap: aimock.Tap
    key: str
    opened: gateways.Opened
    live: bool


@pytest.fixture(scope="module", params=["mock", pytest.param("live", marks=UNLESS)])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    live = request.param == "live"
    with ExitStack() as stack:
        url = ANTHROPIC if live else stack.enter_context(aimock.serve(folder / "mock", SCRIPT)).url
        tap, key = stack.enter_context(aimock.tap(url)), KEY if live else gateways.KEY
        door = gateways.opened(
            folder / "door", tap.url, key=key, run_micro_usd=5 * CALLS, story_micro_usd=CALLS
        )
        yield Server(tap, key, stack.enter_context(door), live)


@pytest.fixture
def wire(request, server):
    """A client of the vendor's, and what it has sent: lawful requests, whose cost the gateway has booked."""
    server.tap.exchanges.clear()
    name = request.node.name
    url, token = server.opened.door.session(name, 1)
    with anthropic.Anthropic(base_url=url, auth_token=token, api_key=None, max_retries=0) as client:
        yield client, server.tap
    assert server.tap.violations() == []
    spent = server.opened.door.standing(name, 1)
    assert spent["tokens"] == billed(server.tap)
    assert spent["micro_usd"] <= CALLS


def billed(tap) -> int:
    counted = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    answers = [seen.usage for seen in tap.exchanges if seen.path.partition("?")[0].endswith("/messages")]
    return sum(usage.get(name) or 0 for usage in answers for name in counted)


def said(text: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": text}]


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_turn(wire):
    client, _ = wire
    answer = client.messages.create(
        model=MODEL, max_tokens=50, messages=said("Answer with the one word pong.")
    )
    assert answer.stop_reason == "end_turn"
    assert "pong" in text_of(answer).lower()
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0
    assert answer._request_id


def test_a_tool_call(wire):
    client, _ = wire
    about = {"model": MODEL, "max_tokens": 200, "tools": [LOOK]}
    messages = said("What does notes.txt say?")
    asked = client.messages.create(messages=messages, tool_choice={"type": "tool", "name": "look"}, **about)
    [use] = [block for block in asked.content if block.type == "tool_use"]
    assert (asked.stop_reason, use.name, use.input) == ("tool_use", "look", {"path": "notes.txt"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "blue"}
    messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    answer = client.messages.create(messages=messages, **about)
    assert answer.stop_reason == "end_turn"
    assert "blue" in text_of(answer).lower()


def test_a_stream(wire):
    client, tap = wire
    asked = {"model": MODEL, "max_tokens": 50, "messages": said("Answer with the one word pong.")}
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert "content_block_delta" in kinds
    assert "pong" in text_of(answer).lower()
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0
    assert tap.exchanges[-1].data["stream"] is True


def test_tokens_are_counted(wire, server):
    """By the API where it does it, else by an estimate that must not be far off."""
    client, _ = wire
    asked = {"model": MODEL, "messages": said("Answer with the one word pong." * 50), "tools": [LOOK]}
    counted = client.messages.count_tokens(**asked).input_tokens
    used = client.messages.create(max_tokens=50, **asked).usage.input_tokens
    assert counted > 200
    assert not server.live or 0.8 * used <= counted <= 1.2 * used


def test_a_bad_request_is_refused_once(wire):
    client, tap = wire
    orphan = [{"type": "tool_result", "tool_use_id": "toolu_none", "content": "the result of nothing"}]
    with pytest.raises(anthropic.BadRequestError) as refused:
        client.messages.create(model=MODEL, max_tokens=50, messages=[{"role": "user", "content": orphan}])
    assert (refused.value.status_code, refused.value.type) == (400, "invalid_request_error")
    assert "tool_use" in str(refused.value)
    assert len(tap.exchanges) == 1
    tap.exchanges.clear()  # a request that no honest client sends


def test_a_small_story(project, server):
    wanted = story(
        "S", acceptanceCriteria=["hello.txt says hello and nothing else, without a line break at its end"]
    )
    settings = (
        "[agent]\nmax_tokens = 4096\nmax_turns = 12\nthinking = 'off'\n[gates]\ncheck = 'sh check.sh'\n"
    )
    project.init(
        {
            "prd.json": prd(wanted),
            "check.sh": 'test "$(cat hello.txt)" = hello\n',
            "rad-engineer.toml": settings,
        }
    )
    tap, key = server.tap, server.key
    tap.exchanges.clear()
    ran = project.rad(
        "run", "prd.json", "--yes", "--agent", "anthropic", "--model", MODEL, "--attempts", "1", "--upstream", tap.url,
        "--budget", str(STORY / 1e6), env={"ANTHROPIC_API_KEY": key}, timeout=280,
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    assert project.landed("rad/demo") == ["S"]
    [told] = project.report()["stories"]
    assert (told["status"], told["tokens"]) == ("passed", billed(tap))
    assert 0 < told["cost_usd"] <= STORY / 1e6
    assert tap.violations() == []
    assert key not in ran.out + ran.err


def test_it_is_cheap():
    assert 5 * CALLS + STORY <= 50_000
