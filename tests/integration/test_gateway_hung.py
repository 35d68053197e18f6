"""An upstream that never comes to an end holds money, but not for ever; and who waits for it is known, and gets its turn."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from rad_engineer.core.budget import Budget, Cap, Caps
from rad_engineer.gateway.exchange import Usage
from rad_engineer.gateway.money import PATIENCE_SECONDS, Money
from rad_engineer.gateway.prices import Prices
from rad_engineer.gateway.spend import SLACK_TOKENS, Spend, read
from rad_engineer.spending import Spending
from tests import faulty_upstream as faulty
from tests.gateways import MODEL, opened
from tests.integration import virtual_time
from tests.integration.metered_calls import Events, call

PRICES = Prices({})
ONE = PRICES.estimate(call()).micro_usd


async def pings(wire):
    """A stream that has begun and is alive for ever."""
    await wire.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    part = faulty.events(wire.data)[0]
    while True:
        await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
        part = faulty.event("ping")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_gives_its_money_back_in_the_end_and_who_waited_goes_on(tmp_path, stream):
    plans = {"hangs": [pings if stream else faulty.is_silent]}
    settings = {"run_micro_usd": ONE + ONE // 2, "longest_seconds": 1.0}
    with faulty.serve(plans) as upstream, opened(tmp_path, upstream.url, **settings) as gateway:
        found = []

        def ask(text):
            found.append((text, gateway.ask(text, story=text, max_tokens=64_000, stream=stream)))

        first = threading.Thread(target=ask, args=("hangs",))
        first.start()
        while not upstream.calls["hangs"]:
            gateway.hear()
        ask("waits")  # its reservation does not fit beside the other one
        first.join()
        answers = dict(found)
        assert answers["waits"].status_code == 200
        assert answers["waits"].text.count("well") == 1
        assert "had not come to its end after 1 s" in answers["hangs"].text
        assert answers["hangs"].status_code == (200 if stream else 504)
    money = gateway.door.state["money"]
    assert (money["held_micro_usd"], money["waiting"], money["under_way"]) == (0, 0, 0)
    spent = read(tmp_path / "spend.jsonl")["hangs"]
    assert spent.uncertain_calls == 1
    assert 0 < spent.micro_usd <= ONE // 10
    assert spent.open.tokens == 0
    assert spent.tokens <= 2_000 + SLACK_TOKENS


def test_who_waits_for_money_is_told_of_once_it_takes_long(tmp_path):
    events = Events()
    spend = Spend(tmp_path / "spend.jsonl")
    money = Money(Budget(Caps(Cap(ONE + ONE // 2))), PRICES, spend, events, clock=virtual_time.now)

    async def main():
        held = await money.reserve(call("A"))
        money.sent(held)
        waits = asyncio.create_task(money.reserve(call("B", number=7)))
        await asyncio.sleep(PATIENCE_SECONDS - 1)
        assert events.named("waiting") == []
        await asyncio.sleep(2)
        [told] = events.named("waiting")
        assert (told["story"], told["call"], told["calls"], told["longest"]) == ("B", 7, 1, PATIENCE_SECONDS)
        assert told["held_micro_usd"] == held.micro_usd
        money.settle(held, Usage(10, 10, model=MODEL))
        money.release(await waits)

    virtual_time.run(main)
    spend.close()
    assert len(events.named("waiting")) == 1


def test_it_stands_once_in_the_notes_of_the_run():
    event = {"event": "waiting", "story": "id-b", "held_micro_usd": 640_000, "held_tokens": 64_000, "calls": 1, "longest": 95.2}  # fmt: skip
    notes = []
    graph = SimpleNamespace(identities=["id-a", "id-b"], keys=["A", "B"], by_identity={"id-a": 0, "id-b": 1})
    run = SimpleNamespace(graph=graph, record=lambda kind, **data: notes.append((kind, data["text"])))
    spending = Spending(
        SimpleNamespace(poll=lambda: [event, event, {**event, "story": "of another run"}]), run
    )
    spending.hear()
    assert notes == [("note", ("B waits for its turn to spend: 0.64 USD and 64,000 tokens are held for 1 call under way, "
                              "the longest for 95 s; it goes on by itself"))]  # fmt: skip
