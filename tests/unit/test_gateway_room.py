"""Room for bodies: what is here is bounded, what waits comes in turn, and nobody takes the part of the others."""

import asyncio
from contextlib import closing

import pytest

from rad_engineer.gateway.exchange import Refusal, Session
from rad_engineer.gateway.room import Room

A, B, C = (Session(name, 1, "run") for name in "ABC")


class Crowd:
    """Who has room now, by name, in the order in which they got it."""

    def __init__(self, room):
        self.room = room
        self.inside = []
        self.tasks = {}

    async def comes(self, name, session, size):
        leave = asyncio.Event()
        task = asyncio.create_task(self._stay(name, session, size, leave))
        self.tasks[name] = task, leave
        await settled()

    async def leaves(self, name):
        task, leave = self.tasks.pop(name)
        leave.set()
        await task
        await settled()

    async def gives_up(self, name):
        task, _ = self.tasks.pop(name)
        task.cancel()
        await asyncio.wait((task,))
        await settled()

    async def _stay(self, name, session, size, leave):
        with closing(await self.room.take(session, size)):
            self.inside.append(name)
            try:
                await leave.wait()
            finally:
                self.inside.remove(name)


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


def scene(play):
    async def played():
        crowd = Crowd(Room(most=100, share=60, patience=1000.0))
        await play(crowd)
        for name in [*crowd.tasks]:
            await crowd.leaves(name)
        assert (crowd.room._free, crowd.room._taken, [*crowd.room._waiting]) == (100, {}, [])

    asyncio.run(played())


def test_what_does_not_fit_waits_and_what_is_large_is_not_passed_by_what_is_small():
    async def play(crowd):
        await crowd.comes("a", A, 60)
        await crowd.comes("b", B, 50)
        await crowd.comes("c", C, 10)
        assert crowd.inside == ["a"]
        await crowd.leaves("a")
        assert crowd.inside == ["b", "c"]

    scene(play)


def test_who_has_used_up_a_share_does_not_stop_others():
    async def play(crowd):
        await crowd.comes("a1", A, 40)
        await crowd.comes("a2", A, 40)
        await crowd.comes("b", B, 40)
        assert crowd.inside == ["a1", "b"]
        await crowd.leaves("b")
        assert crowd.inside == ["a1"]
        await crowd.leaves("a1")
        assert crowd.inside == ["a2"]

    scene(play)


def test_who_gives_up_leaves_the_place_to_the_next():
    async def play(crowd):
        await crowd.comes("a", A, 60)
        await crowd.comes("b", B, 60)
        await crowd.comes("c", C, 40)
        await crowd.gives_up("b")
        assert crowd.inside == ["a", "c"]
        await crowd.gives_up("c")
        assert crowd.inside == ["a"]

    scene(play)


def test_who_is_let_in_and_has_just_left_gives_it_back():
    async def play(crowd):
        crowd.room._take(A, 60)
        await crowd.comes("b", B, 60)
        crowd.room._give_back(A, 60)
        assert (crowd.room._free, crowd.inside) == (40, [])
        await crowd.gives_up("b")
        assert (crowd.room._free, crowd.inside) == (100, [])

    scene(play)


def test_who_has_waited_too_long_is_refused():
    async def played():
        room = Room(most=10, share=10, patience=0.0)
        with closing(await room.take(A, 8)), pytest.raises(Refusal) as refused:
            await room.take(B, 8)
        assert (refused.value.status, refused.value.reason, refused.value.retry_after) == (429, "limit", 1.0)
        place = await room.take(B, 10)
        assert room._free == 0
        place.shrink(4)
        assert (room._free, room._taken[B]) == (6, 4)
        place.close()
        place.close()
        assert (room._free, room._taken) == (10, {})

    asyncio.run(played())


def test_who_has_least_comes_first():
    async def play(crowd):
        await crowd.comes("a1", A, 30)
        await crowd.comes("a2", A, 30)
        await crowd.comes("b1", B, 30)
        await crowd.comes("a3", A, 20)
        await crowd.comes("b2", B, 20)
        await crowd.comes("c", C, 20)
        assert crowd.inside == ["a1", "a2", "b1"]
        await crowd.leaves("a1")
        assert crowd.inside == ["a2", "b1", "c", "a3"]
        await crowd.leaves("a2")
        assert crowd.inside == ["b1", "c", "a3", "b2"]

    scene(play)
