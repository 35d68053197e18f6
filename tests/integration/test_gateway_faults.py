"""What becomes of a call when the upstream fails: every kind of fault has its class, its message and its number of calls."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rad_engineer.gateway import spend
from rad_engineer.gateway.messages import estimate_tokens
from tests import faulty_upstream as faulty
from tests.gateways import KEY, Opened, opened


@dataclass(frozen=True)
class Kind:
    """A fault, and what a client gets: `event` is the error that ends a stream."""

    name: str
    moves: Sequence[faulty.Move]
    status: int
    calls: int
    error: str = ""
    reason: str = ""
    stream: bool = False
    event: str = ""


DATA = {"model": "m"}
GOOD = faulty.events(DATA)
TOOL = faulty.events(DATA, tool=True)
OVERLOADED = {"type": "overloaded_error", "message": "too much"}


def stream(name: str, moves: Sequence[faulty.Move], status: int = 200, calls: int = 1, **more: Any) -> Kind:
    return Kind(name, moves, status, calls, stream=True, **more)


def limited(after: str) -> faulty.Move:
    return faulty.says(429, "rate_limit_error", retry_after=after)


KINDS = [
    Kind("429, retry at once", [limited("0"), faulty.answers()], 200, 2),
    Kind("429, retry after 2 s", [limited("2"), faulty.answers()], 200, 2),
    Kind("429, retry after 49 days", [limited("4294967")], 429, 4, "rate_limit_error", "limit"),
    Kind("429, retry after an hour", [limited("3600")], 429, 1, "rate_limit_error", "usage-limit"),
    Kind("429, retry after nonsense", [limited("soon"), faulty.answers()], 200, 2),
    Kind("429 for ever", [faulty.says(429, "rate_limit_error")], 429, 4, "rate_limit_error", "limit"),
    Kind("529 twice", [faulty.says(529, "overloaded_error")] * 2 + [faulty.answers()], 200, 3),
    Kind("529 for ever", [faulty.says(529, "overloaded_error")], 529, 4, "overloaded_error", "overloaded"),
    Kind("500 once", [faulty.says(500, "api_error"), faulty.answers()], 200, 2),
    Kind("500 as a page", [faulty.raw(500, b"<h1>oh</h1>", "text/html")], 500, 4, "api_error", "upstream"),
    Kind("500, not again", [faulty.says(500, "api_error", x_should_retry="false")], 500, 1, "api_error", "upstream"),
    Kind("503 for ever", [faulty.says(503, "api_error")], 503, 4, "api_error", "overloaded"),
    Kind("400", [faulty.says(400, "invalid_request_error")], 400, 1, "invalid_request_error", "upstream"),
    Kind("400, no credit", [faulty.says(400, "invalid_request_error", "Your credit balance is too low to access it")],
         400, 1, "invalid_request_error", "billing"),
    Kind("401", [faulty.says(401, "authentication_error")], 401, 1, "authentication_error", "auth"),
    Kind("402", [faulty.says(402, "billing_error")], 402, 1, "billing_error", "billing"),
    Kind("403", [faulty.says(403, "permission_error")], 403, 1, "permission_error", "auth"),
    Kind("404", [faulty.says(404, "not_found_error")], 404, 1, "not_found_error", "upstream"),
    Kind("413", [faulty.says(413, "request_too_large")], 413, 1, "request_too_large", "upstream"),
    Kind("302", [faulty.raw(302, b"", location="http://127.0.0.1:9/")], 502, 1, "api_error", "garbage"),
    Kind("reset once", [faulty.resets, faulty.answers()], 200, 2),
    Kind("reset for ever", [faulty.resets], 502, 4, "api_error", "reset"),
    Kind("no HTTP", [faulty.babbles], 502, 4, "api_error", "reset"),
    Kind("silence", [faulty.is_silent], 504, 1, "timeout_error", "timeout"),
    Kind("a head without end", [faulty.trickles], 504, 1, "timeout_error", "timeout"),
    Kind("a page", [faulty.raw(200, b"<html>", "text/html")], 502, 1, "api_error", "garbage"),
    Kind("half of JSON", [faulty.raw(200, b'{"id": "m')], 502, 1, "api_error", "garbage"),
    Kind("nothing", [faulty.raw(200, b"")], 502, 1, "api_error", "garbage"),
    Kind("no object", [faulty.raw(200, b"[1]")], 502, 1, "api_error", "garbage"),
    Kind("half an answer", [faulty.breaks_off], 502, 1, "api_error", "cut"),
    stream("stream: cut after the first event", [faulty.streams(GOOD[0], end="reset")], event="api_error"),
    stream("stream: cut in a tool call", [faulty.streams(*TOOL[:3], end="reset")], event="api_error"),
    stream("stream: cut in an event", [faulty.streams(*GOOD[:2], GOOD[2][:20], end="reset")], event="api_error"),
    stream("stream: ends too early", [faulty.streams(*GOOD[:3])], event="api_error"),
    stream("stream: stalls", [faulty.streams(*GOOD[:3], end="silence")], event="timeout_error"),
    stream("stream: garbage in it", [faulty.streams(*GOOD[:3], b"data: {oh\n\n")], event="api_error"),
    stream("stream: error in it", [faulty.streams(*GOOD[:3], faulty.event("error", error=OVERLOADED))],
           event="overloaded_error"),
    stream("stream: error first", [faulty.streams(faulty.event("error", error=OVERLOADED)), faulty.answers()], calls=2),
    stream("stream: cut before it begins", [faulty.streams(end="reset"), faulty.answers()], calls=2),
    stream("stream: empty", [faulty.streams()], 502, 4, error="api_error", reason="cut"),
    stream("stream: a page", [faulty.streams(b"<html>\n\n</html>\n\n")], 502, 1, error="api_error", reason="garbage"),
    stream("stream: not one", [faulty.raw(200, json.dumps(faulty.message(DATA)).encode())], 502, 1, error="api_error",
           reason="garbage"),
    stream("stream: stays open behind its end", [faulty.streams(*GOOD, end="silence")]),
    stream("stream: 529 twice", [faulty.says(529, "overloaded_error")] * 2 + [faulty.answers()], calls=3),
]  # fmt: skip


PRICES = {
    name: {"input": 1.0, "output": 1.0}
    for name in [*(kind.name for kind in KINDS), "a limited model", "a model of its own"]
}
TIMES = {"key_seconds": 0.0, "first_wait": 0.01, "answer_seconds": 0.5, "gap_seconds": 0.5}
BOOKED = {
    "500 as a page": (0, 0),
    "401": (0, 0),
    "reset for ever": (0, 0),
    "a page": (0, 0),
    "stream: cut after the first event": (11, 1),
    "stream: cut in a tool call": (19, 1),
    "stream: ends too early": (12, 1),
    "stream: error in it": (12, 1),
    "stream: 529 twice": (13, 0),
    "stream: stays open behind its end": (13, 0),
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[faulty.Faulty]:
    with faulty.serve({kind.name: kind.moves for kind in KINDS}) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: faulty.Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("gateway")
    with opened(folder, upstream.url, prices=PRICES, **TIMES) as running:
        yield running
        assert KEY not in (folder / "gateway.log").read_text()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_fault(gateway: Opened, upstream: faulty.Faulty, kind: Kind) -> None:
    answer = gateway.ask(kind.name, model=kind.name, stream=kind.stream, story=kind.name)
    assert answer.status_code == kind.status, answer.text
    assert upstream.calls[kind.name] == kind.calls
    assert answer.headers["request-id"]
    assert KEY not in answer.text
    if kind.error:
        said = answer.json()
        assert (said["error"]["type"], said["rad"]["reason"]) == (kind.error, kind.reason)
        assert said["type"] == "error"
        assert said["error"]["message"]
        assert answer.headers["x-should-retry"] == "false"
    elif kind.stream:
        last = answer.text.rstrip().rpartition("\n\n")[2].splitlines()
        assert last[0] == ("event: error" if kind.event else "event: message_stop")
        if kind.event:
            assert json.loads(last[1].removeprefix("data: "))["error"]["type"] == kind.event
    else:
        assert answer.json()["content"] == [{"type": "text", "text": "well"}]


def test_the_end_of_a_usage_limit_is_told_to_everybody(gateway: Opened, upstream: faulty.Faulty) -> None:
    before = upstream.calls["429, retry after an hour"]
    for story in ("another", "a third"):
        answer = gateway.ask("429, retry after an hour", model="a limited model", story=story)
        assert answer.status_code == 429
        assert 3590 < int(answer.headers["retry-after"]) <= 3600
        assert abs(answer.json()["rad"]["retry_at"] - time.time() - 3600) < 60
        assert gateway.door.standing(story, 1)["reason"] == "limit"
    assert upstream.calls["429, retry after an hour"] == before + 1


@pytest.mark.parametrize(
    ("name", "waits_for"),
    [("401", "login"), ("400, no credit", "budget"), ("529 for ever", "offline"), ("400", "upstream")],
)
def test_what_is_no_fault_of_the_story_is_told_as_what_it_waits_for(
    gateway: Opened, name: str, waits_for: str
) -> None:
    gateway.ask(name, model="a model of its own", story=f"waits {name}")
    assert gateway.door.standing(f"waits {name}", 1)["reason"] == waits_for


def test_every_fault_is_booked_once(tmp_path: Path, upstream: faulty.Faulty) -> None:
    """What came whole costs what it says; what was cut what was seen of it; what never began costs nothing."""
    kinds = {kind.name: kind for kind in KINDS if kind.name in {*BOOKED, "half an answer"}}
    with opened(tmp_path, upstream.url, prices=PRICES, **TIMES) as gateway:
        for kind in kinds.values():
            gateway.ask(kind.name, model=kind.name, stream=kind.stream, story=kind.name)
    booked = spend.read(tmp_path / "spend.jsonl")
    found = {name: (story.tokens, story.uncertain_calls, story.open.tokens) for name, story in booked.items()}
    least = found.pop("half an answer")
    assert least[1:] == (1, 0)
    assert least[0] >= 15  # its input by length, and what it may have said by then
    assert found == {name: (tokens, uncertain, 0) for name, (tokens, uncertain) in BOOKED.items()}


UNSTATED = {name: part for name, part in faulty.message(DATA).items() if name != "usage"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_does_not_say_what_it_costs_is_not_free(tmp_path: Path, stream: bool) -> None:
    start = faulty.event("message_start", message={**UNSTATED, "content": []})
    quiet = faulty.event("message_delta", delta={"stop_reason": "end_turn"})
    move = (
        faulty.streams(start, *GOOD[1:4], quiet, GOOD[5])
        if stream
        else faulty.raw(200, json.dumps(UNSTATED).encode())
    )
    text = "it costs " + "x" * 400
    with faulty.serve({text: [move]}) as upstream, opened(tmp_path, upstream.url) as gateway:
        assert gateway.ask(text, stream=stream).status_code == 200
        story = gateway.door.standing("s1", 1)
    booked = spend.read(tmp_path / "spend.jsonl")["s1"]
    assert (booked.calls, booked.uncertain_calls, booked.open.tokens) == (1, 1, 0)
    assert booked.input_tokens > 100
    assert booked.output_tokens > 0
    assert booked.micro_usd == story["micro_usd"] > 0


def test_tries_whose_end_nobody_heard_may_cost_and_those_that_fell_at_once_do_not(tmp_path: Path) -> None:
    plans = {
        "late": [faulty.hangs_up(after=0.15), faulty.hangs_up(after=0.15), faulty.answers()],
        "never": [faulty.hangs_up(after=0.15)],
        "at once": [faulty.resets],
        "begun": [faulty.streams()],
    }
    prices = {name: {"input": 1.0, "output": 1.0} for name in plans}
    told = {"first_wait": 0.01, "unheard_seconds": 0.1, "prices": prices}
    with faulty.serve(plans) as upstream, opened(tmp_path, upstream.url, **told) as gateway:
        for name in plans:
            gateway.ask(name, story=name, model=name, stream=name == "begun")
    booked = spend.read(tmp_path / "spend.jsonl")
    guess = {name: estimate_tokens({"messages": [{"role": "user", "content": name}]}) for name in plans}
    found = {
        name: (each.input_tokens, each.uncertain_calls, each.open.tokens) for name, each in booked.items()
    }
    assert found == {
        "late": (10 + 2 * guess["late"], 1, 0),
        "never": (4 * guess["never"], 1, 0),
        "at once": (0, 0, 0),
        "begun": (4 * guess["begun"], 1, 0),
    }
    assert booked["never"].output_tokens >= 4 * int(0.15 * 256)
