"""Who goes at once, who waits in which line, who is refused, and what the upstream's own limits do to all."""

import asyncio
from datetime import UTC, datetime

import pytest

from rad_engineer.gateway.exchange import Refusal
from rad_engineer.gateway.limits import Limits, Rules
from tests.integration import virtual_time
from tests.integration.metered_calls import SONNET, Events, call

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
OTHER = "claude-haiku-5-5"


def wall():
    return NOON + virtual_time.now()


def limits(**rules):
    return Limits(Rules.of(rules), Events(), virtual_time.now, wall)


async def burst(limits, calls):
    """When each of these calls was admitted, or its refusal."""

    async def one(each):
        try:
            await limits.admit(each)
        except Refusal as refusal:
            return refusal
        return round(virtual_time.now(), 3)

    return await asyncio.gather(*map(one, calls))


def refusal_of(limits, each):
    async def main():
        with pytest.raises(Refusal) as refused:
            await limits.admit(each)
        return refused.value

    return main()


def test_without_rules_everybody_passes():
    async def main():
        assert await limits().admit(call()) == {"x-ratelimit-tier": "user"}

    virtual_time.run(main)


def test_over_a_limit_calls_wait_in_line_before_they_are_refused():
    async def main():
        found = limits(**{"global": {"requests": 60}, "queue": 3})
        went = await burst(found, [call(number=number) for number in range(64)])
        assert went[:60] == [0.0] * 60
        assert went[60:63] == [1.0, 2.0, 3.0]
        refused = went[63]
        assert (refused.status, refused.kind, refused.reason) == (429, "rate_limit_error", "limit")
        assert refused.headers == {"x-ratelimit-tier": "global"}
        assert refused.retry_after == pytest.approx(4.0)
        waited = found._on_event.named("limited")
        assert [each["queued"] for each in waited] == [True, True, True, False]
        assert found.state() == {
            "waiting": 0,
            "refused": {"global": 1},
            "upstream": {"waits": {}, "usage_limits": {}},
        }

    virtual_time.run(main)


def test_a_line_that_is_empty_again_is_no_line():
    async def main():
        found = limits(**{"global": {"requests": 60}, "queue": 100})
        assert max(await burst(found, [call()] * 110)) == 50.0
        await asyncio.sleep(100)
        waited = len(found._on_event.named("limited"))
        assert await burst(found, [call()] * 60) == [150.0] * 60
        assert len(found._on_event.named("limited")) == waited == 50

    virtual_time.run(main)


def test_who_would_wait_too_long_is_refused_at_once():
    async def main():
        found = limits(**{"global": {"requests": 6}, "longest_wait": 15})
        went = await burst(found, [call()] * 8)
        assert went[6] == 10.0
        assert went[7].retry_after == pytest.approx(20.0)

    virtual_time.run(main)


@pytest.mark.parametrize(
    ("rules", "who", "tier"),
    [
        ({"user": {"requests": 1}, "session": {"requests": 1}}, call(), "user"),
        ({"session": {"requests": 1}, "address": {"requests": 1}}, call(), "session"),
        ({"model": {"requests": 1}}, call(), "model"),
        ({"model": {"requests": 9}, "models": {SONNET: {"requests": 1}}}, call(), "model"),
        ({"global": {"requests": 1}}, call(), "global"),
    ],
)
def test_the_tier_that_refuses_is_named(rules, who, tier):
    async def main():
        found = limits(**rules, queue=0)
        await found.admit(who)
        refused = await refusal_of(found, who)
        assert refused.headers == {"x-ratelimit-tier": tier}

    virtual_time.run(main)


def test_a_user_stands_before_a_session_and_who_has_no_token_is_counted_by_address():
    async def main():
        found = limits(user={"requests": 5}, session={"requests": 3}, address={"requests": 2})
        assert await found.admit(call()) == {
            "x-ratelimit-tier": "user",
            "x-ratelimit-limit": "5",
            "x-ratelimit-remaining": "4",
        }
        for _ in range(2):
            found.stranger("10.0.0.1")
        with pytest.raises(Refusal) as refused:
            found.stranger("10.0.0.1")
        assert (refused.value.status, refused.value.retry_after) == (429, 30.0)
        assert refused.value.headers == {"x-ratelimit-tier": "address"}
        found.stranger("10.0.0.2")
        assert (await found.admit(call(number=2)))[
            "x-ratelimit-remaining"
        ] == "3"  # theirs is no limit of others
        assert found.state()["refused"] == {"address": 1}

    virtual_time.run(main)


def test_one_session_at_its_limit_holds_up_no_other_and_one_model_no_other():
    async def main():
        found = limits(
            session={"requests": 1}, models={OTHER: {"requests": 1}}, **{"global": {"requests": 600}}
        )
        went = await burst(found, [call("A"), call("A"), call("B"), call("C", model=OTHER), call("D", model=OTHER),
                                   call("E")])  # fmt: skip
        assert went == [0.0, 60.0, 0.0, 0.0, 60.0, 0.0]

    virtual_time.run(main)


def test_tokens_have_buckets_too_and_what_is_larger_than_one_takes_it_whole():
    async def main():
        found = limits(model={"tokens": 1_000})
        large = call(system="x" * 40_000)
        assert await burst(found, [large, call()]) == [0.0, pytest.approx(1.6, abs=0.5)]

    virtual_time.run(main)


def test_who_leaves_the_line_takes_nothing_from_those_behind():
    async def main():
        found = limits(**{"global": {"requests": 60}})
        await burst(found, [call()] * 60)
        gone, stays = (asyncio.create_task(burst(found, [call()])) for _ in range(2))
        await asyncio.sleep(0.5)
        gone.cancel()
        assert await stays == [1.0]

    virtual_time.run(main)


def test_buckets_that_are_full_again_are_forgotten():
    async def main():
        found = limits(session={"requests": 60})
        for number in range(5_000):
            await found.admit(call(f"S{number}"))
            await asyncio.sleep(0.01)
        assert len(found._buckets) <= 2_000

    virtual_time.run(main)


def ratelimit(kind, left, seconds):
    at = datetime.fromtimestamp(wall() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {f"anthropic-ratelimit-{kind}-remaining": str(left), f"anthropic-ratelimit-{kind}-reset": at}


def test_what_the_upstream_says_is_left_holds_for_all_workers():
    async def main():
        found = limits()
        found.heard(SONNET, ratelimit("requests", 2, 30))
        went = await burst(found, [call("A"), call("B"), call("C"), call("D"), call("E", model=OTHER)])
        assert went == [0.0, 0.0, 30.0, 30.0, 0.0]
        found.heard(SONNET, ratelimit("input-tokens", 0, 20))
        assert found.state()["upstream"]["waits"] == {SONNET: 20.0}
        waiting = asyncio.create_task(burst(found, [call()]))
        await asyncio.sleep(5)
        found.heard(SONNET, ratelimit("input-tokens", 9, 20))
        assert await waiting == [35.0]

    virtual_time.run(main)


def test_a_retry_after_pauses_the_model_for_all():
    async def main():
        found = limits()
        assert found.heard(SONNET, {"retry-after": "7"}) is None
        assert await burst(found, [call("A"), call("B"), call("C", model=OTHER)]) == [7.0, 7.0, 0.0]
        found.heard(SONNET, {"retry-after": "100"})
        refused = await refusal_of(found, call())
        assert (refused.reason, refused.retry_after) == ("limit", 100.0)
        assert refused.headers == {"x-ratelimit-tier": "upstream"}

    virtual_time.run(main)


@pytest.mark.parametrize(
    ("headers", "message", "seconds", "all_models"),
    [
        ({"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(int(NOON) + 9_000),
          "anthropic-ratelimit-unified-representative-claim": "five_hour"}, "", 9_000, True),
        ({"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": str(int(NOON) + 9_000),
          "anthropic-ratelimit-unified-representative-claim": "seven_day_opus"}, "", 9_000, False),
        ({"anthropic-ratelimit-unified-status": "rejected", "retry-after": "3000"}, "", 3_000, True),
        ({"retry-after": "600"}, "", 600, False),
        ({"retry-after-ms": "600000"}, "", 600, False),
        ({}, "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
         9.5 * 86400, True),
        ({}, "You will regain access on 2026-11-22.", 43_200, True),
    ],
)  # fmt: skip
def test_a_usage_limit_refuses_until_it_ends_and_says_when(headers, message, seconds, all_models):
    async def main():
        found = limits(**{"global": {"requests": 1}})
        await found.admit(call())
        waiting = asyncio.create_task(burst(found, [call()]))
        await asyncio.sleep(1)
        assert found.state()["waiting"] == 1
        refused = found.heard(SONNET, headers, message)
        assert found.state()["waiting"] == 0
        assert (refused.status, refused.kind, refused.reason) == (429, "rate_limit_error", "usage-limit")
        assert refused.retry_after == pytest.approx(seconds, abs=1)
        assert refused.retry_at == pytest.approx(NOON + seconds, abs=1)
        (waited,) = await waiting
        assert waited.reason == "usage-limit"
        await asyncio.sleep(59)
        assert (await refusal_of(found, call())).retry_after == pytest.approx(seconds - 60, abs=1)
        assert found.state()["refused"] == {"usage-limit": 1}
        if all_models:
            await refusal_of(found, call(model=OTHER))
        else:
            await found.admit(call(model=OTHER))
        await asyncio.sleep(seconds)
        await found.admit(call())

    virtual_time.run(main)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "soon"},
        {"retry-after": "-1"},
        {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "tomorrow"},
        {
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2020-01-01T00:00:00Z",
        },
        {
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-reset": str(int(NOON) + 9),
        },
        {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "1"},
    ],
)
def test_what_makes_no_sense_limits_nothing(headers):
    async def main():
        found = limits()
        assert found.heard(SONNET, headers, "regain access on 2026-13-45") is None
        assert await burst(found, [call()]) == [0.0]

    virtual_time.run(main)


def test_a_retry_after_of_a_century_is_a_mistake():
    async def main():
        found = limits()
        assert found.heard(SONNET, {"retry-after": "4294967295"}) is None
        assert await burst(found, [call()]) == [60.0]

    virtual_time.run(main)
