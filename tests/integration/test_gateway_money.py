"""Money is held before a call, waited for in turn, cut to what is left, and booked to the last cent on disk."""

import asyncio
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.budget import LEAST_ANSWER, Amount, Budget, Cap, Caps
from rad_engineer.durable import StateDamaged
from rad_engineer.errors import CannotWrite, Locked
from rad_engineer.gateway.exchange import Refusal, Usage
from rad_engineer.gateway.money import Money
from rad_engineer.gateway.prices import Prices
from rad_engineer.gateway.spend import SLACK_TOKENS, Open, Spend, Spent, read, settle_orphans
from tests.integration import virtual_time
from tests.integration.metered_calls import SONNET, Events, call

PRICES = Prices({})
OTHER = "claude-haiku-5-5"
ONE = PRICES.estimate(call()).micro_usd  # a reservation: 64 000 tokens of answer and a short input


class Run:
    """The money of one run, from its file on."""

    def __init__(self, folder, caps, prices=PRICES):
        self.path = folder / "spend.jsonl"
        self.events = Events()
        self.spend = Spend(self.path)
        self.budget = Budget(caps, self.spend.spent(), self.spend.last)
        self.money = Money(self.budget, prices, self.spend, self.events, clock=virtual_time.now)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.spend.close()


def run_cap(micro_usd):
    return Caps(run=Cap(micro_usd=micro_usd))


async def client(run, name, used, waits, *, turn=1.0, calls=1):
    """Makes calls one after the other; each takes a turn, and uses so many tokens of answer."""
    for number in range(1, calls + 1):
        asked = virtual_time.now()
        held = await run.money.reserve(call(name, number=number))
        waits.append(virtual_time.now() - asked)
        await asyncio.sleep(turn)
        run.money.settle(held, Usage(10, min(used, held.max_tokens), model=SONNET))


def crowd(run, used, *, clients=200, calls=1):
    waits = []

    async def main():
        found = await asyncio.gather(
            *(client(run, f"S{number % 40}", used, waits, calls=calls) for number in range(clients)),
            return_exceptions=True,
        )
        return [each for each in found if each is not None]

    return virtual_time.run(main), waits


@pytest.mark.parametrize("calls", [1, 2])
def test_200_clients_that_use_1_percent_all_finish_and_nobody_waits_twice_as_long_as_the_others(
    tmp_path, calls
):
    with Run(tmp_path, run_cap(10 * ONE)) as run:
        refused, waits = crowd(run, 640, calls=calls)
        assert refused == []
        assert len(waits) == 200 * calls
        assert max(waits) <= 2 * statistics.median(waits)
        assert (
            max(waits) <= 200 / 5
        )  # never fewer than 5 at once, although up to 4 of 10 reservations are spent
        assert run.budget.held() == Amount()
        assert run.events.named("clamped") == []
    total = sum(story.micro_usd for story in read(run.path).values())
    assert total == run.budget.spent().micro_usd == 200 * calls * PRICES.settle(SONNET, Usage(10, 640))


def test_a_model_that_hangs_leaves_money_to_others(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(10 * ONE)) as run:
            hung = [asyncio.create_task(run.money.reserve(call(f"H{number}"))) for number in range(64)]
            await asyncio.sleep(0)
            assert run.budget.held().micro_usd == 7 * ONE
            waits = []
            for number in range(20):
                asked = virtual_time.now()
                held = await run.money.reserve(call(f"H{number}", model=OTHER))
                waits.append(virtual_time.now() - asked)
                await asyncio.sleep(1)
                run.money.settle(held, Usage(10, 1_000, model=OTHER))
            assert waits == [0.0] * 20
            for task in hung:
                task.cancel()
            await asyncio.gather(*hung, return_exceptions=True)

    virtual_time.run(main)


@pytest.mark.parametrize("used", [64_000, 20_000, 4_000])
def test_a_run_that_uses_more_than_its_cap_ends_below_it_and_near_it(tmp_path, used):
    cap = 10 * ONE
    with Run(tmp_path, run_cap(cap)) as run:
        refused, _waits = crowd(run, used, calls=20)
        assert refused
        assert {(each.status, each.kind, each.reason) for each in refused} == {
            (402, "billing_error", "budget")
        }
        assert "--budget" in refused[0].message
        assert cap * 0.9 <= run.budget.spent().micro_usd <= cap
        assert run.budget.held() == Amount()
        assert [each["scope"] for each in run.events.named("soft-limit")] == ["run"]
        assert all(LEAST_ANSWER <= each["granted"] < each["asked"] for each in run.events.named("clamped"))
        assert bool(run.events.named("clamped")) == (used < 64_000)


def test_a_client_that_leaves_the_line_or_leaves_with_the_money_in_hand_holds_nothing(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(ONE)) as run:
            first = await run.money.reserve(call())
            waiting = [asyncio.create_task(run.money.reserve(call(f"S{number}"))) for number in range(4)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
            assert run.budget.waiting == 3
            run.money.settle(first, Usage(1, 1))  # too little is left for the whole of another: it is cut
            waiting[1].cancel()  # has been granted, but has not seen it yet
            held = await waiting[2]
            waiting[3].cancel()
            run.money.release(held)
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(each).__name__ for each in found] == [
                "CancelledError",
                "CancelledError",
                "Held",
                "CancelledError",
            ]
            assert (run.budget.held(), run.budget.waiting) == (Amount(), 0)

    virtual_time.run(main)


@settings(max_examples=8, deadline=None)
@given(chance=st.randoms(use_true_random=False), cap=st.integers(1, 12))
def test_whoever_leaves_whenever_nothing_stays_held_and_the_file_says_what_was_spent(
    tmp_path_factory, chance, cap
):
    async def one(run, number):
        await asyncio.sleep(chance.random() * 5)
        held = await run.money.reserve(call(f"S{number % 7}", model=chance.choice([SONNET, OTHER])))
        try:
            await asyncio.sleep(chance.random() * 3)
            run.money.sent(held)
            run.money.seen(held, Usage(10, 1))
            await asyncio.sleep(chance.random() * 3)
            used = Usage(10, chance.randrange(held.max_tokens))
        except asyncio.CancelledError:
            run.money.settle(held, Usage(10, 1), uncertain=True)
            raise
        run.money.settle(held, used)

    async def main():
        with Run(tmp_path_factory.mktemp("run"), Caps(Cap(cap * ONE // 2), Cap(3 * ONE))) as run:
            tasks = [asyncio.create_task(one(run, number)) for number in range(40)]
            for _ in tasks:
                await asyncio.sleep(chance.random() / 4)
                if chance.random() < 0.3:
                    chance.choice(tasks).cancel()
                assert (run.budget.spent() + run.budget.held()).within(run.budget.caps.run)
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.done() for task in tasks)
            assert (run.budget.held(), run.budget.waiting) == (Amount(), 0)
            state = run.money.state()
            assert (state["under_way"], state["held_micro_usd"]) == (0, 0)
            booked = sum((story.amount for story in read(run.path).values()), Amount())
            assert booked == run.budget.spent()

    virtual_time.run(main)


def test_a_wait_that_is_broken_off_in_the_moment_it_ends_gives_the_money_back(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(ONE)) as run:
            first = await run.money.reserve(call())
            waiting = asyncio.create_task(run.money.reserve(call("B")))
            await asyncio.sleep(0)
            waiting.cancel()  # its wait is over, but it does not know yet
            run.money.release(first)
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert run.budget.held() == Amount()

    virtual_time.run(main)


def test_what_is_known_of_the_input_frees_the_rest_of_its_reservation(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(ONE * 9 // 5)) as run:
            large = {"type": "text", "text": "x" * 400_000, "cache_control": {"type": "ephemeral"}}
            held = await run.money.reserve(call(max_tokens=10_000, system=[large]))
            waiting = asyncio.create_task(run.money.reserve(call("B")))
            await asyncio.sleep(0)
            assert not waiting.done()
            run.money.seen(held, Usage(20, 1, cache_read_tokens=100_000, model=SONNET))
            await waiting
            known = PRICES.settle(SONNET, Usage(20, 10_000, cache_read_tokens=100_000))
            assert run.budget.held("A").micro_usd == known

    virtual_time.run(main)


def test_a_call_whose_input_may_grow_keeps_its_reservation(tmp_path):
    async def main():
        with Run(tmp_path, Caps()) as run:
            held = await run.money.reserve(call(context_management={"edits": [{"type": "compact_20260112"}]}))
            run.money.seen(held, Usage(1, 1))
            assert run.budget.held().micro_usd == held.micro_usd

    virtual_time.run(main)


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        (
            Caps(run=Cap(micro_usd=1_500)),
            "of the run is used up: 0.0000 USD of 0.0015 USD spent, .* --budget ",
        ),
        (Caps(story=Cap(micro_usd=1_500)), "of story A is used up: .* --story-budget "),
        (Caps(run=Cap(tokens=500)), "0 tokens of 500 tokens spent, .* --token-budget "),
        (Caps(story=Cap(tokens=500)), r"needs \d+ tokens at least; raise budget.story_tokens "),
    ],
)
def test_a_refusal_says_whose_budget_is_used_up_and_what_would_help(tmp_path, caps, said):
    async def main():
        with Run(tmp_path, caps) as run:
            for number in (1, 2):
                with pytest.raises(Refusal, match=said):
                    await run.money.reserve(call())
                assert run.money.state()["refused"] == number

    virtual_time.run(main)


def test_settled_twice_is_settled_once_and_news_of_an_ended_call_are_none(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(ONE)) as run:
            held = await run.money.reserve(call())
            assert run.money.settle(held, Usage(10, 10)) == 120
            assert run.money.settle(held, Usage(10, 10)) == 0
            run.money.release(held)
            run.money.seen(held, Usage(1, 1))
            state = run.money.state()
            assert (state["spent_micro_usd"], state["held_micro_usd"], state["under_way"]) == (120, 0, 0)

    virtual_time.run(main)


def test_a_resumed_run_knows_what_was_spent(tmp_path):
    async def main():
        with Run(tmp_path, Caps(story=Cap(micro_usd=ONE))) as run:
            held = await run.money.reserve(call())
            run.money.settle(held, Usage(0, 60_000, model=SONNET))
        with Run(tmp_path, Caps(story=Cap(micro_usd=ONE))) as run:
            assert run.budget.spent("A") == Amount(600_000, 60_000)
            with pytest.raises(Refusal, match="story A") as refused:
                await run.money.reserve(call())
            assert refused.value.status == 402
            await run.money.reserve(call("B"))

    virtual_time.run(main)


def opened(**more):
    return Open("A", 2, Amount(640_000, 64_000), Amount(2_000, 1_000), 10_000_000, **more)


def test_a_call_that_ended_with_the_gateway_is_settled_at_its_last_mark_and_the_slack(tmp_path):
    path = tmp_path / "spend.jsonl"
    spend = Spend(path)
    for number in (1, 2, 3):
        spend.reserved(number, opened())
    spend.marks({1: Amount(50_000, 5_000)})
    spend.marks({1: Amount(90_000, 9_000), 2: Amount(639_999, 63_999)})
    spend.settled(9, "B", 5, Usage(1, 2, 3, 4, 5, {"web_search_requests": 1}, SONNET), uncertain=True)
    before = read(path)
    spend.close()
    slack = SLACK_TOKENS * 10
    expected = (90_000 + slack) + 640_000 + (2_000 + slack)  # the second is not taken for more than was held
    assert (before["A"].calls, before["A"].open.micro_usd) == (0, expected)
    again = Spend(path)
    assert again.last == 3
    again.close()
    found = read(path)
    assert found["A"].micro_usd == found["A"].uncertain_micro_usd == expected
    assert found["A"].tokens == found["A"].orphan_tokens == 9_000 + 64_000 + 1_000 + 2 * SLACK_TOKENS
    assert (found["A"].open, found["A"].uncertain_calls) == (Amount(), 3)
    assert found["B"] == Spent(5, 1, 1, 2, 3, 9, 0, 5, 1)
    Spend(path).close()
    assert read(path) == found  # once is enough


def test_marks_say_what_was_seen_and_how_long_nothing_could_be_seen(tmp_path):
    async def main():
        with Run(tmp_path, Caps()) as run:
            silent, seen, whole, waiting = [
                await run.money.reserve(call(stream=stream)) for stream in (True, True, False, False)
            ]
            await asyncio.sleep(100)  # in line for a place: that costs nothing
            for held in (silent, seen, whole):
                run.money.sent(held)
            run.money.seen(seen, Usage(10, 100, model=SONNET))
            marks = asyncio.create_task(run.money.keep_marks())
            await asyncio.sleep(2.5)
            lines = run.path.read_bytes().count(b'"marks"')
            marks.cancel()
            assert lines == 2
            assert waiting.micro_usd == ONE
        spend = Spend(run.path)
        first, slack = PRICES.estimate(call()).input.micro_usd, SLACK_TOKENS * 10
        known = PRICES.settle(SONNET, Usage(10, 100))
        assert spend.stories["A"].micro_usd == 4 * slack + first + known + (first + 2 * 256 * 10) + first
        spend.close()

    virtual_time.run(main)


def test_what_a_gateway_has_left_is_settled_unless_one_is_at_work(tmp_path):
    path = tmp_path / "spend.jsonl"
    settle_orphans(path)
    assert not path.exists()
    spend = Spend(path)
    spend.reserved(1, opened())
    settle_orphans(path)
    assert read(path)["A"].calls == 0
    spend.close()
    settle_orphans(path)
    assert (read(path)["A"].calls, read(path)["A"].open) == (1, Amount())


def test_only_one_gateway_writes(tmp_path):
    spend = Spend(tmp_path / "spend.jsonl")
    with pytest.raises(Locked, match="another gateway"):
        Spend(tmp_path / "spend.jsonl")
    spend.close()
    Spend(tmp_path / "spend.jsonl").close()


def test_a_torn_line_never_happened_and_a_broken_one_is_not_passed_over(tmp_path):
    path = tmp_path / "spend.jsonl"
    assert read(path) == {}
    spend = Spend(path)
    spend.reserved(1, opened())
    spend.settled(1, "A", 7, Usage(3, 4))
    spend.close()
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind":"settl')
    assert read(path)["A"].micro_usd == 7
    spend = Spend(path)
    assert path.read_bytes() == whole
    spend.released(2)
    spend.close()
    path.write_bytes(path.read_bytes().replace(b'"micro_usd":7', b'"micro_usd":1'))
    with pytest.raises(StateDamaged, match="byte"):
        read(path)
    with pytest.raises(StateDamaged):
        Spend(path)
    path.unlink()
    Spend(path).close()  # nothing of the failed one is left open


def test_a_file_that_cannot_be_written_stops_every_call_and_holds_nothing(tmp_path):
    async def main():
        with Run(tmp_path, run_cap(3 * ONE)) as run:
            held = await run.money.reserve(call())
            run.money.sent(held)
            whole, run.spend._handle = run.spend._handle, -1
            await run.money.keep_marks()  # ends: there is nothing to mark any more
            for _ in range(2):
                with pytest.raises(Refusal, match="cannot be written") as refused:
                    await run.money.reserve(call())
                assert refused.value.reason == "ledger"
            with pytest.raises(CannotWrite):
                run.money.settle(held, Usage(1, 1))
            assert run.budget.held() == Amount()
            run.spend._handle = whole

    virtual_time.run(main)
