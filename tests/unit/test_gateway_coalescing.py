"""Identical requests: one leads, the others get its answer; whoever goes away or is slow harms nobody."""

import asyncio

import pytest

from rad_engineer.gateway.coalescing import Flights, Follower, Leader, Reader
from rad_engineer.gateway.exchange import Refusal, Whole

ANSWER = Whole(200, {"content-type": "application/json"}, b'{"ok":true}')
OVERLOADED = Refusal(529, "overloaded_error", "no room", reason="upstream")


async def crowd(flights: Flights, size: int, key: str = "k") -> list[asyncio.Task[Leader | Follower]]:
    """So many who ask the same, each as far as it gets without an answer."""
    tasks = [asyncio.create_task(flights.join(key, f"call-{number}")) for number in range(1, size + 1)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def read(reader: Reader) -> bytes:
    return b"".join([piece async for piece in reader])


def leads(task: "asyncio.Task[Leader | Follower]") -> Leader:
    found = task.result()
    assert isinstance(found, Leader)
    return found


async def follows(task: "asyncio.Task[Leader | Follower]") -> Follower:
    found = await task
    assert isinstance(found, Follower)
    return found


def test_ten_who_ask_the_same_get_one_answer_and_a_link_to_who_pays():
    async def scene() -> None:
        flights = Flights()
        first, *others = await crowd(flights, 10)
        assert not any(task.done() for task in others)
        leads(first).whole(ANSWER)
        for task in others:
            follower = await follows(task)
            assert (follower.link, follower.answer) == ("call-1", ANSWER)
        assert flights.stats() == {"flying": 0, "led": 1, "joined": 9, "handed_over": 0}

    asyncio.run(scene())


def test_a_stream_reaches_everybody_from_its_first_event_whenever_they_come():
    async def scene() -> None:
        flights = Flights()
        first, second = await crowd(flights, 2)
        leader = leads(first)
        own = leader.reader()
        leader.begin({"content-type": "text/event-stream"})
        leader.publish(b"one ")
        late = await flights.join("k", "late")
        leader.publish(b"two ")
        leader.publish(b"three")
        leader.end()
        early = await follows(second)
        assert isinstance(early.answer, Reader)
        assert isinstance(late, Follower)
        assert isinstance(late.answer, Reader)
        assert late.answer.headers == {"content-type": "text/event-stream"}
        assert [await read(reader) for reader in (own, early.answer, late.answer)] == [b"one two three"] * 3

    asyncio.run(scene())


def test_other_keys_fly_on_their_own_and_after_the_end_the_next_leads():
    async def scene() -> None:
        flights = Flights()
        (one,), (other,) = await crowd(flights, 1, "a"), await crowd(flights, 1, "b")
        leads(other)
        leads(one).whole(ANSWER)
        assert isinstance(await flights.join("a", "again"), Leader)

    asyncio.run(scene())


def test_a_leader_that_is_refused_by_its_own_limits_hands_over():
    async def scene() -> None:
        flights = Flights()
        first, second, third = await crowd(flights, 3)
        leads(first).hand_over()
        await asyncio.sleep(0)
        leads(second).whole(ANSWER)
        assert (await follows(third)).link == "call-2"
        assert flights.stats()["handed_over"] == 1

    asyncio.run(scene())


def test_a_leader_that_breaks_down_before_the_answer_hands_over_and_nobody_hangs():
    async def scene() -> None:
        flights = Flights()
        tasks = await crowd(flights, 3)
        for task in tasks:
            await asyncio.sleep(0)
            with pytest.raises(ZeroDivisionError), leads(task):
                raise ZeroDivisionError
        assert flights.stats()["flying"] == 0

    asyncio.run(scene())


def test_a_follower_that_leaves_is_passed_over():
    async def scene() -> None:
        flights = Flights()
        first, second, third = await crowd(flights, 3)
        second.cancel()
        await asyncio.sleep(0)
        leader = leads(first)
        assert leader.readers == 1
        leader.hand_over()
        await asyncio.sleep(0)
        leads(third)

    asyncio.run(scene())


@pytest.mark.parametrize("given", ["lead", "answer", "stream", "failure"])
def test_who_leaves_in_the_very_moment_of_being_served_gives_back(given):
    async def scene() -> None:
        flights = Flights()
        first, second, third = await crowd(flights, 3)
        leader = leads(first)
        if given == "lead":
            leader.hand_over()
        elif given == "answer":
            leader.whole(ANSWER)
        elif given == "stream":
            leader.begin({})
        else:
            leader.fail(OVERLOADED)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        if given == "lead":
            await asyncio.sleep(0)
            leads(third)
        elif given == "stream":
            assert leader.readers == 1
            leader.end()
        elif given == "failure":
            with pytest.raises(Refusal):
                await third

    asyncio.run(scene())


def test_a_failure_reaches_everybody_once_and_is_not_kept():
    async def scene() -> None:
        flights = Flights()
        first, *others = await crowd(flights, 10)
        leads(first).fail(OVERLOADED)
        for task in others:
            with pytest.raises(Refusal) as refused:
                await task
            assert refused.value is OVERLOADED
        assert isinstance(await flights.join("k", "again"), Leader)

    asyncio.run(scene())


def test_a_stream_that_breaks_off_ends_in_the_refusal_for_everybody():
    async def scene() -> None:
        flights = Flights()
        first, second = await crowd(flights, 2)

        def breaks_off() -> None:
            with leads(first) as leader:
                leader.begin({})
                leader.publish(b"half")
                raise OVERLOADED

        with pytest.raises(Refusal):
            breaks_off()
        follower = await follows(second)
        assert isinstance(follower.answer, Reader)
        assert await anext(follower.answer) == b"half"
        with pytest.raises(Refusal, match="no room"):
            await anext(follower.answer)

    asyncio.run(scene())


def test_a_leader_that_forgets_its_stream_does_not_look_like_a_clean_end():
    async def scene() -> None:
        flights = Flights()
        (first,) = await crowd(flights, 1)
        with leads(first) as leader:
            reader = leader.reader()
            leader.begin({})
            leader.publish(b"half")
        assert await anext(reader) == b"half"
        with pytest.raises(Refusal, match="broke off"):
            await anext(reader)

    asyncio.run(scene())


def test_a_slow_reader_blocks_nobody_and_gets_an_error_when_the_window_has_passed_it():
    async def scene() -> None:
        flights = Flights(window=100)
        first, second = await crowd(flights, 2)
        leader = leads(first)
        own = leader.reader()
        leader.begin({})
        slow = (await follows(second)).answer
        assert isinstance(slow, Reader)
        got = b""
        for _ in range(50):
            leader.publish(b"x" * 30)
            got += await anext(own)
        leader.end()
        assert got + await read(own) == b"x" * 1500
        with pytest.raises(Refusal, match="too slowly"):
            await anext(slow)

    asyncio.run(scene())


def test_memory_of_a_flight_is_its_window_however_many_read():
    async def scene() -> None:
        flights = Flights(window=1000)
        first, *others = await crowd(flights, 50)
        leader = leads(first)
        leader.begin({})
        for task in others:
            await follows(task)
        for _ in range(10_000):
            leader.publish(b"0123456789")
        kept = leader._flight._pieces
        assert sum(map(len, kept)) <= 1000
        leader.end()

    asyncio.run(scene())


def test_who_comes_when_the_beginning_is_gone_flies_anew():
    async def scene() -> None:
        flights = Flights(window=10)
        (first,) = await crowd(flights, 1)
        leader = leads(first)
        leader.begin({})
        for _ in range(3):
            leader.publish(b"12345678")
        second = await flights.join("k", "late")
        assert isinstance(second, Leader)
        leader.end()
        assert isinstance(await flights.join("other", "x"), Leader)
        third = asyncio.create_task(flights.join("k", "third"))
        await asyncio.sleep(0)
        second.whole(ANSWER)
        assert (await follows(third)).link == "late"

    asyncio.run(scene())


def test_a_reader_that_lags_gets_pieces_together_but_never_a_torn_one():
    async def scene() -> None:
        flights = Flights()
        (first,) = await crowd(flights, 1)
        leader = leads(first)
        reader = leader.reader()
        leader.begin({})
        for number in range(100):
            leader.publish(b"%03d" % number * 1000)
        leader.end()
        pieces = [piece async for piece in reader]
        assert len(pieces) < 10
        assert max(map(len, pieces)) <= 64 * 1024
        assert all(len(piece) % 3000 == 0 for piece in pieces)
        assert b"".join(pieces) == b"".join(b"%03d" % number * 1000 for number in range(100))

    asyncio.run(scene())


def test_it_is_known_when_nobody_reads_any_more():
    async def scene() -> None:
        flights = Flights()
        first, second = await crowd(flights, 2)
        leader = leads(first)
        own = leader.reader()
        leader.begin({})
        alone = asyncio.create_task(leader.deserted())
        follower = (await follows(second)).answer
        assert isinstance(follower, Reader)
        await own.aclose()
        await asyncio.sleep(0)
        assert not alone.done()
        await follower.aclose()
        await alone
        newcomer = await flights.join("k", "back again")  # while it is drained
        assert isinstance(newcomer, Follower)
        assert leader.readers == 1
        again = asyncio.create_task(leader.deserted())
        await asyncio.sleep(0)
        assert not again.done()
        leader.end()
        again.cancel()

    asyncio.run(scene())


def test_what_is_said_after_the_end_is_ignored():
    async def scene() -> None:
        flights = Flights()
        first, second = await crowd(flights, 2)
        leader = leads(first)
        leader.whole(ANSWER)
        leader.whole(Whole(500, {}, b""))
        leader.begin({})
        leader.publish(b"more")
        leader.end()
        leader.fail(OVERLOADED)
        leader.hand_over()
        assert (await follows(second)).answer is ANSWER

    asyncio.run(scene())
