"""Identical requests through a real gateway: one call upstream for all of them, and answers that are given again."""

import asyncio
import json
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import httpx2
import pytest

from tests import faulty_upstream as faulty
from tests.gateways import MODEL, Opened, door_waits, opened

LARGE = 64 * 1024
PARTS = 500  # of a long stream: four times what a flight keeps


@dataclass
class Gate:
    """An upstream that answers when it is let."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    async def _wait(self) -> None:
        self.reached.set()
        await asyncio.get_running_loop().run_in_executor(None, self.opened.wait)

    def before(self, move: faulty.Move) -> faulty.Move:
        async def moves(wire: faulty.Wire) -> None:
            await self._wait()
            await move(wire)

        return moves

    async def within(self, wire: faulty.Wire) -> None:
        """A stream that stops after its beginning."""
        first, *others = faulty.events(wire.data)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        await wire.send(head + b"%x\r\n%b\r\n" % (len(first), first))
        await self._wait()
        rest = b"".join(others)
        await wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(rest), rest))


@pytest.fixture(scope="module")
def upstream() -> Iterator[faulty.Faulty]:
    with faulty.serve({}) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(upstream: faulty.Faulty, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("gateway")
    with opened(folder, upstream.url, cache_folder=str(folder / "cache"), first_wait=0.01) as running:
        yield running


class Crowd:
    """Asks the same in the name of different stories, each in a thread of its own; `what` is asked by no other test."""

    def __init__(
        self, gateway: Opened, upstream: faulty.Faulty, what: str, threads: ThreadPoolExecutor
    ) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.what = what
        self._threads = threads
        gateway.hear()
        self._known = len(gateway.events)

    def upstream_does(self, *moves: faulty.Move) -> None:
        assert isinstance(self.upstream.plans, dict)
        self.upstream.plans[self.what] = moves

    def ask(self, story: str, **request: Any) -> "Future[httpx2.Response]":
        return self._threads.submit(self.gateway.ask, self.what, story=f"{self.what}-{story}", **request)

    def named(self, name: str) -> list[dict[str, Any]]:
        """Those of its own stories: what the test before has left may be heard late."""
        heard = [event for event in self.gateway.hear()[self._known :] if event["event"] == name]
        return [event for event in heard if event["story"].startswith(f"{self.what}-")]

    def heard(self, name: str, count: int) -> None:
        """Returns when there were so many events of that name."""
        while len(self.named(name)) < count:
            door_waits(self.gateway.door)

    @property
    def calls(self) -> int:
        return self.upstream.calls[self.what]

    def tokens(self, story: str) -> int:
        return int(self.gateway.door.standing(f"{self.what}-{story}", 1)["tokens"])


@pytest.fixture
def crowd(gateway: Opened, upstream: faulty.Faulty, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    with ThreadPoolExecutor(20) as threads:
        yield Crowd(gateway, upstream, f"{zlib.crc32(request.node.name.encode()):x}", threads)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_ten_who_ask_the_same_make_one_call_and_one_pays(crowd, stream):
    gate = Gate()
    crowd.upstream_does(gate.within if stream else gate.before(faulty.answers()))
    leader = crowd.ask("s0", stream=stream)
    gate.reached.wait()
    others = [crowd.ask(f"s{number}", stream=stream) for number in range(1, 10)]
    crowd.heard("coalesced" if stream else "joined", 9)
    gate.opened.set()
    answers = [each.result() for each in (leader, *others)]
    link = f"{crowd.what}-s0#1/1"
    assert crowd.calls == 1
    assert {answer.content for answer in answers} == {answers[0].content}
    assert [answer.status_code for answer in answers] == [200] * 10
    assert [answer.headers.get("x-rad-coalesced") for answer in answers] == [None] + [link] * 9
    assert [event["tokens"] for event in crowd.named("spend")] == [13]
    assert [(event["link"], event["micro_usd"]) for event in crowd.named("coalesced")] == [(link, 0)] * 9
    assert [crowd.tokens(f"s{number}") for number in range(10)] == [13] + [0] * 9


def left_alone(crowd: Crowd, story: str) -> HTTPConnection:
    """One who has asked, and may leave."""
    connection = HTTPConnection(crowd.gateway.door.base_url.removeprefix("http://"))
    data = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": crowd.what}]}
    token = crowd.gateway.door.session(f"{crowd.what}-{story}", 1)[1]
    head = {"authorization": f"Bearer {token}", "anthropic-version": "2026-10-21"}
    connection.request("POST", "/v1/messages", json.dumps(data), head)
    return connection


def test_a_leader_that_leaves_does_not_take_the_answer_with_it(crowd):
    gate = Gate()
    crowd.upstream_does(gate.before(faulty.answers()))
    leader = left_alone(crowd, "s0")
    gate.reached.wait()
    follower = crowd.ask("s1")
    crowd.heard("joined", 1)
    leader.close()
    crowd.heard("request", 1)
    assert [event["status"] for event in crowd.named("request")] == [499]
    gate.opened.set()
    answer = follower.result()
    assert (answer.status_code, answer.headers["x-rad-coalesced"]) == (200, f"{crowd.what}-s0#1/1")
    assert crowd.calls == 1
    assert (crowd.tokens("s0"), crowd.tokens("s1")) == (13, 0)


def test_a_slow_follower_gets_an_error_and_the_others_everything(crowd):
    first, second, *tail = faulty.events({})
    filling = faulty.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x" * LARGE})
    long = [first, second, *[filling] * PARTS, *tail]
    gate = Gate()
    crowd.upstream_does(gate.before(faulty.streams(*long)))
    leader = crowd.ask("s0", stream=True)
    gate.reached.wait()
    data = {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": crowd.what}],
        "stream": True,
    }
    token = crowd.gateway.door.session(f"{crowd.what}-slow", 1)[1]
    given = {"authorization": f"Bearer {token}", "anthropic-version": "2026-10-21"}
    with (
        httpx2.Client(base_url=crowd.gateway.door.base_url, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        request = client.build_request("POST", "/v1/messages", json=data, headers=given)
        sent = thread.submit(client.send, request, stream=True)
        crowd.heard("joined", 1)
        gate.opened.set()
        slow = sent.result()
        assert leader.result().content == b"".join(long)
        got = b"".join(slow.iter_bytes())
        slow.close()
    assert crowd.calls == 1
    before, _, last = got.rpartition(b"event: error")
    assert b"".join(long).startswith(before)
    assert b"read too slowly" in last


def test_two_api_versions_are_two_requests(crowd):
    gate = Gate()
    crowd.upstream_does(gate.before(faulty.answers()))
    old = {"headers": {"anthropic-version": "2023-06-01"}}
    leaders = [crowd.ask("n0"), crowd.ask("o0", **old)]
    while crowd.calls < 2:
        gate.reached.wait()
        gate.reached.clear()
    others = [crowd.ask("n1"), crowd.ask("o1", **old), crowd.ask("n2"), crowd.ask("o2", **old)]
    crowd.heard("joined", 4)
    gate.opened.set()
    links = [each.result().headers.get("x-rad-coalesced") for each in (*leaders, *others)]
    new_one, old_one = (f"{crowd.what}-{story}#1/1" for story in ("n0", "o0"))
    assert links == [None, None, new_one, old_one, new_one, old_one]
    assert crowd.calls == 2


@pytest.mark.parametrize(("failure", "calls"), [(faulty.says(400, "invalid_request_error"), 1),
                                                (faulty.says(529, "overloaded_error"), 4)])  # fmt: skip
def test_a_failure_reaches_everybody_and_is_asked_for_anew(crowd, failure, calls):
    gate = Gate()
    crowd.upstream_does(gate.before(failure), *[failure] * (calls - 1), faulty.answers())
    leader = crowd.ask("s0")
    gate.reached.wait()
    others = [crowd.ask(f"s{number}") for number in range(1, 10)]
    crowd.heard("joined", 9)
    gate.opened.set()
    assert {each.result().status_code for each in (leader, *others)} in ({400}, {529})
    assert crowd.calls == calls
    assert crowd.ask("again").result().status_code == 200
    assert crowd.calls == calls + 1
    assert crowd.named("cached") == []


def test_a_leader_whose_budget_is_used_up_while_it_waits_hands_over(tmp_path):
    """Another call of its story holds the money, and then has spent it: the next in line asks, and pays."""
    gate = Gate()
    plans = {"costly": [gate.before(faulty.answers(tokens=8500))]}
    with (
        faulty.serve(plans) as upstream,
        opened(tmp_path, upstream.url, story_tokens=10_000, run_micro_usd=None) as running,
        ThreadPoolExecutor(5) as threads,
    ):
        costly = threads.submit(running.ask, "costly", story="s0", max_tokens=8000)
        gate.reached.wait()
        asked = []
        for stories, joined in ((("s0", "s0"), 1), (("s1", "s2"), 3)):  # whoever leads is of s0
            asked += [threads.submit(running.ask, "same", story=story, max_tokens=1000) for story in stories]
            while len(running.named("joined")) < joined:
                door_waits(running.door)
        gate.opened.set()
        assert costly.result().status_code == 200
        answers = [each.result() for each in asked]
        assert [answer.status_code for answer in answers] == [402, 402, 200, 200]
        assert {answer.json()["rad"]["reason"] for answer in answers[:2]} == {"budget"}
        assert upstream.calls == {"costly": 1, "same": 1}
        assert sorted(running.door.standing(story, 1)["tokens"] for story in ("s1", "s2")) == [0, 13]


def test_answers_are_given_again_in_memory_and_after_a_restart_but_no_turns_with_tools(tmp_path):
    plans = {"tool": [faulty.streams(*faulty.events({}, tool=True))]}
    settings = {"cache_folder": str(tmp_path / "cache")}
    with faulty.serve(plans) as upstream:
        with opened(tmp_path / "one", upstream.url, **settings) as running:
            first = [running.ask(text, story="s0", stream=stream) for text, stream in
                     (("plain", False), ("flow", True), ("tool", True))]  # fmt: skip
            again = [running.ask(text, story="s1", stream=stream) for text, stream in
                     (("plain", False), ("flow", True), ("tool", True))]  # fmt: skip
            assert [answer.content for answer in again] == [answer.content for answer in first]
            assert [answer.headers.get("x-rad-cache") for answer in again] == ["s0#1/1", "s0#1/2", None]
            assert [event["tier"] for event in running.named("cached")] == ["cache", "cache"]
            assert running.door.standing("s1", 1)["calls"] == 1
        with opened(tmp_path / "two", upstream.url, **settings) as running:
            assert running.ask("plain", story="s2", stream=False).headers["x-rad-cache"] == "s0#1/1"
        for name, hits, asked in (("one", "memory_hits", (2, 4)), ("two", "disk_hits", (1, 0))):
            shown = json.loads((tmp_path / name / "state.json").read_text())
            assert (shown["cache"][hits], shown["cache"]["misses"]) == asked
            assert shown["cache"]["hit_rate"] == asked[0] / sum(asked)
            assert shown["breakers"] == ({MODEL: {"state": "closed", "waiting": 0}} if name == "one" else {})
            assert {"money", "flights", "limits", "lanes"} <= shown.keys()
        assert upstream.calls == {"plain": 1, "flow": 1, "tool": 2}


def test_nothing_of_one_tenant_reaches_another_unless_sharing_is_on(tmp_path):
    folder = str(tmp_path / "cache")
    with faulty.serve() as upstream:
        for tenant, share, calls in (("a", True, 1), ("b", True, 1), ("b", False, 2)):
            settings = {"cache_folder": folder, "tenant": tenant, "share": share}
            with opened(tmp_path / f"{tenant}{share}", upstream.url, **settings) as running:
                running.ask("secret", story=f"{tenant}{share}")
            assert upstream.calls["secret"] == calls, (share, tenant)
