"""A slow model delays no other, stories take turns, and one probe goes to an upstream that has failed."""

import asyncio
import statistics

from rad_engineer.core.breaker import BreakerSettings
from rad_engineer.gateway.circuits import Circuits
from rad_engineer.gateway.exchange import Refusal
from rad_engineer.gateway.lanes import Lanes
from tests.integration import virtual_time
from tests.integration.metered_calls import SONNET, Events

OTHER = "claude-haiku-5-5"


def test_a_hung_model_delays_no_other():
    async def main():
        lanes = Lanes(4, virtual_time.now)
        never = asyncio.Event()
        waits = []

        async def hung(story):
            async with lanes.slot(SONNET, story):
                await never.wait()

        async def quick(story):
            for _ in range(5):
                asked = virtual_time.now()
                async with lanes.slot(OTHER, story):
                    waits.append(virtual_time.now() - asked)
                    await asyncio.sleep(0.2)

        stuck = [asyncio.create_task(hung(f"H{number}")) for number in range(64)]
        await asyncio.gather(*(quick(f"Q{number}") for number in range(16)))
        assert statistics.quantiles(waits, n=20)[-1] < 1
        assert lanes.state()[SONNET] == {"running": 4, "waiting": 60, "waits": 60, "longest_wait": 0.0}
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        assert lanes.state()[SONNET]["running"] == lanes.state()[SONNET]["waiting"] == 0

    virtual_time.run(main)


def test_in_a_lane_the_stories_take_turns():
    async def main():
        lanes, order = Lanes(1, virtual_time.now), []

        async def one(story, number):
            async with lanes.slot(SONNET, story):
                order.append(f"{story}{number}")
                await asyncio.sleep(1)

        await asyncio.sleep(100)
        tasks = [asyncio.create_task(one(*each)) for each in ["A0", "A1", "A2", "A3", "B1", "B2", "C1"]]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["A0", "A1", "B1", "C1", "A3", "B2"]
        assert lanes.state()[SONNET]["longest_wait"] == 5.0

    virtual_time.run(main)


def test_a_place_that_comes_just_before_its_caller_leaves_goes_to_the_next():
    async def main():
        lanes = Lanes(1, virtual_time.now)

        async def one():
            async with lanes.slot(SONNET):
                pass

        async with lanes.slot(SONNET):
            gone, stays = (asyncio.create_task(one()) for _ in range(2))
            await asyncio.sleep(0)
        gone.cancel()  # has the place, but does not know yet
        await stays
        assert (gone.cancelled() or gone.cancelling(), lanes.state()[SONNET]["running"]) == (True, 0)

    virtual_time.run(main)


def test_idle_lanes_are_forgotten():
    async def main():
        lanes = Lanes(1, virtual_time.now)
        async with lanes.slot("kept"):
            for number in range(1_000):
                async with lanes.slot(f"m{number}"):
                    pass
            assert len(lanes.state()) <= 100
            assert "kept" in lanes.state()

    virtual_time.run(main)


BREAKER = BreakerSettings(window=30, least_calls=4, percent=50, pause=5, longest_pause=60, probe_time=120)


def tripped():
    circuits = Circuits(BREAKER, Events(), virtual_time.now)
    for _ in range(4):
        circuits.after(SONNET, ok=False)
    return circuits


def test_one_of_64_waiters_is_the_probe_and_all_go_when_it_succeeds():
    async def main():
        circuits, tries = tripped(), []

        async def one():
            probe = await circuits.before(SONNET, 60.0)
            tries.append((virtual_time.now(), probe))
            await asyncio.sleep(2)
            circuits.after(SONNET, ok=True, probe=probe)

        waiting = [asyncio.create_task(one()) for _ in range(64)]
        await asyncio.sleep(6)
        assert tries == [(5.0, True)]
        assert circuits.state()[SONNET] == {"state": "half-open", "waiting": 63}
        await asyncio.gather(*waiting)
        assert sorted(tries[1:]) == [(7.0, False)] * 63
        states = [each["state"] for each in circuits._on_event.named("breaker")]
        assert states == ["open", "half-open", "closed"]
        assert await circuits.before(OTHER, 0.0) is False

    virtual_time.run(main)


def test_a_probe_that_fails_shuts_it_for_longer_and_who_cannot_wait_that_long_is_refused():
    async def main():
        circuits, probes = tripped(), []

        async def one(until):
            try:
                probe = await circuits.before(SONNET, until)
            except Refusal as refusal:
                return refusal.reason, refusal.status, virtual_time.now()
            probes.append(virtual_time.now())
            circuits.after(SONNET, ok=False, probe=probe)
            return None

        found = await asyncio.gather(*(one(until) for until in (4.0, 14.0, 12.0, 50.0, 50.0)))
        assert found == [("breaker", 529, 0.0), None, ("breaker", 529, 5.0), None, None]
        assert probes == [5.0, 15.0, 35.0]

    virtual_time.run(main)


def test_a_probe_whose_client_leaves_makes_room_for_the_next():
    async def main():
        circuits = tripped()
        await asyncio.sleep(5)
        assert await circuits.before(SONNET, 60.0) is True
        next_one = asyncio.create_task(circuits.before(SONNET, 60.0))
        await asyncio.sleep(1)
        assert not next_one.done()
        circuits.after(SONNET, ok=None, probe=True)
        assert await next_one is True

    virtual_time.run(main)
