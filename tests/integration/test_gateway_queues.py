"""Limits, usage limits and the breaker through the real process: what clients see, and what the upstream is spared."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace

from rad_engineer.outcome import Outcome
from rad_engineer.spending import OUTAGE, PATIENCE, Spending
from tests import faulty_upstream as faulty
from tests.gateways import MODEL, opened

RESET = 7_200


def ledger(*stories):
    """A run's ledger that forgets what it is told."""
    numbers = {story: number for number, story in enumerate(stories)}
    graph = SimpleNamespace(identities=stories, keys=stories, by_identity=numbers)
    return SimpleNamespace(graph=graph, record=lambda *_words, **_more: None)


def test_over_a_limit_a_client_is_told_the_tier_and_when_to_come_back(tmp_path):
    with (
        faulty.serve() as upstream,
        opened(tmp_path, upstream.url, limits={"session": {"requests": 2}, "queue": 0}) as gateway,
    ):
        answers = [gateway.ask(f"call {number}") for number in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-tier"] for answer in answers] == ["user", "user", "session"]
        refused = answers[2]
        assert 25 <= int(refused.headers["retry-after"]) <= 31
        assert refused.headers["x-should-retry"] == "false"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert refused.json()["rad"]["reason"] == "limit"
        assert gateway.ask("of another", story="s2").status_code == 200
        assert gateway.named("limited")[0]["tier"] == "session"
        assert len(upstream.seen) == 3


def test_a_usage_limit_parks_every_model_until_it_ends(tmp_path):
    ends = int(time.time()) + RESET
    rejected = {
        "anthropic_ratelimit_unified_status": "rejected",
        "anthropic_ratelimit_unified_reset": str(ends),
        "anthropic_ratelimit_unified_representative_claim": "five_hour",
    }
    plans = {"too much": [faulty.says(429, "rate_limit_error", "This would exceed your limit.", **rejected)]}
    with faulty.serve(plans) as upstream, opened(tmp_path, upstream.url) as gateway:
        for text, model in (("too much", MODEL), ("another", MODEL), ("a third", "claude-opus-5-5")):
            refused = gateway.ask(text, model=model)
            assert (refused.status_code, refused.json()["rad"]["reason"]) == (429, "usage-limit")
            assert RESET - 60 < int(refused.headers["retry-after"]) <= RESET + 1
            assert refused.json()["rad"]["retry_at"] == ends
        assert len(upstream.seen) == 1
        spending = Spending(gateway.door, ledger("s1", "s2"))
        failed = Outcome("failed", reason="agent-failed", commit="c")
        assert spending.judged(0, 1, failed) == Outcome("later", reason="limit", until=ends, commit="c")
        assert spending.judged(1, 1, failed) == failed  # nobody refused it
        later = Outcome("later", reason="login", until=7.0)  # as a command-line agent has understood it
        assert spending.judged(0, 1, later) == Outcome("later", reason="limit", until=ends)
        assert spending.judged(1, 1, later) == later


def test_who_sleeps_until_a_usage_limit_ends_is_known_after_a_while(tmp_path):
    """Some agents obey a `retry-after` of days. The story waits then, and its agent need not."""
    plans = {"much": [faulty.says(429, "rate_limit_error", retry_after="86400")]}
    with faulty.serve(plans) as upstream, opened(tmp_path, upstream.url) as gateway:
        spending = Spending(gateway.door, ledger("s1", "s2"))

        def after_a_while(*said):
            asked = gateway.ask("much")
            assert asked.json()["rad"]["reason"] == "usage-limit"
            while ("s1", 1) not in spending.asleep:
                spending.hear()
            spending.asleep["s1", 1] -= PATIENCE + 1
            for event in said:
                spending.seen(0, 1, event)
            return spending.sleeps(0, 1)

        assert spending.sleeps(0, 1) is False
        assert after_a_while() is True
        assert after_a_while({"output": "it does something else"}) is False
        assert after_a_while({"event": "stage_finished", "stage": "agent"}) is False
        assert spending.asleep == {}  # nobody is ended for it while gates judge
        assert after_a_while() is True
        assert spending.sleeps(1, 1) is False
        found = spending.judged(0, 1, Outcome("interrupted"))
        assert (found.kind, found.reason) == ("later", "limit")
        assert 86_000 < found.until - time.time() <= 86_400
        assert spending.judged(0, 1, Outcome("interrupted")) == Outcome(
            "interrupted"
        )  # for a reason of its own
    assert len(upstream.seen) == 1


def test_who_still_asks_after_a_minute_without_an_upstream_is_known(tmp_path):
    """Some agents never give up. The story waits then, and its time is not used up."""
    with opened(tmp_path, "http://127.0.0.1:9", first_wait=0.01) as gateway:
        spending = Spending(gateway.door, ledger("s1"))

        def refused(text, known):
            asked = gateway.ask(text)
            assert (asked.status_code, asked.json()["rad"]["reason"]) == (503, "offline")
            while ("s1", 1) not in known:
                spending.hear()
            return spending.sleeps(0, 1)

        assert refused("first", spending.cut_off) is False
        spending.cut_off["s1", 1] -= OUTAGE + 1
        assert spending.sleeps(0, 1) is False  # it may be busy with something else
        assert refused("again", spending.stranded) is True
        spending.seen(0, 1, {"output": "still trying"})
        assert spending.sleeps(0, 1) is True
        found = spending.judged(0, 1, Outcome("interrupted"))
        assert (found.kind, found.reason) == ("later", "offline")
        assert spending.sleeps(0, 1) is False


def test_one_of_64_asks_an_upstream_that_has_failed(tmp_path):
    asked = []

    async def is_slow(wire):
        await asyncio.sleep(1.0)
        asked.append(upstream.calls["waits"])
        await faulty.answers()(wire)

    failing = {f"fails {number}": [faulty.says(500, "api_error")] for number in range(8)}
    with (
        faulty.serve({**failing, "waits": [is_slow, faulty.answers()]}) as upstream,
        opened(
            tmp_path, upstream.url, attempts=1, per_model=64, run_micro_usd=None, breaker_pause=1.0
        ) as gateway,
    ):
        for number in range(8):
            assert gateway.ask(f"fails {number}").status_code == 500
        statuses = []

        def one(number):
            system = f"client {number}"  # else they were identical, and coalesced
            statuses.append(
                gateway.ask("waits", story=f"s{number}", system=system, max_tokens=10).status_code
            )

        clients = [threading.Thread(target=one, args=(number,)) for number in range(64)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert asked == [1]  # for as long as the probe took
        assert statuses == [200] * 64
        assert upstream.calls["waits"] == 64
        assert [event["state"] for event in gateway.named("breaker")] == ["open", "half-open", "closed"]


def test_a_shorter_answer_leaves_room_for_more_than_thinking(tmp_path):
    with faulty.serve() as upstream, opened(tmp_path, upstream.url, run_micro_usd=60_000) as gateway:
        answer = gateway.ask(
            "think", max_tokens=64_000, thinking={"type": "enabled", "budget_tokens": 31_999}
        )
        sent = json.loads(upstream.seen[-1][2])
        assert answer.status_code == 200
        assert 4_096 <= sent["max_tokens"] < 6_000
        assert sent["thinking"] == {"type": "enabled", "budget_tokens": sent["max_tokens"] // 2}
        (clamped,) = gateway.named("clamped")
        assert (clamped["asked"], clamped["granted"]) == (64_000, sent["max_tokens"])


def test_what_has_no_price_is_refused_before_the_upstream(tmp_path):
    with faulty.serve() as upstream, opened(tmp_path, upstream.url) as gateway:
        for more, word in (({"model": "nobody-knows-me"}, "gateway.prices"), ({"speed": "warp"}, "speed")):
            refused = gateway.ask("how much", **more)
            assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")
            assert word in refused.json()["error"]["message"]
        assert upstream.seen == []
