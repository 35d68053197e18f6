"""What a gateway keeps in memory has its bounds: after a thousand sessions there is what there was after a few."""

import asyncio
import gc

import pytest

from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.exchange import Session, Whole
from rad_engineer.gateway.mock import Mock
from rad_engineer.gateway.passage import Passage
from rad_engineer.gateway.recording import Recorder
from rad_engineer.gateway.sessions import Kept, Sessions
from rad_engineer.gateway.stations import Stations
from tests.unit.gateway_calls import asked, call, message
from tests.unit.gateway_stories import Story, plain, streamed, use

LIMITS = {name: {"requests": 100_000, "tokens": 10**9} for name in ("global", "model", "user", "session")}


class House:
    """A gateway without its HTTP side: everything is on but the recording, and the cache holds little."""

    def __init__(self, folder):
        settings = GatewaySettings(
            run_micro_usd=10**12, limits=LIMITS, cache_folder=str(folder / "cache"), cache_memory=50_000
        )
        self.sessions = Sessions(idle_seconds=100.0)
        self.stations = Stations(settings, folder, "", self._hear)
        self.passage = Passage(settings, Mock(), self.stations, self.sessions, self._hear)
        self.heard = 0

    def _hear(self, _name, /, **_fields):
        self.heard += 1

    async def work(self, number, now):
        """A story: two turns, one of them asked for twice at once, and another that nobody waits for."""
        story = f"s{number}"
        first = asked("x" * 2000, story, stream=True)
        second = asked("x" * 2000, story, "and on")
        for data, times in ((first, 2), (second, 1)):
            await asyncio.gather(*(self._ask(data, story, now) for _ in range(times)))
        gone = asyncio.create_task(self._ask(asked("never read", story), story, now))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait((gone,))

    async def _ask(self, data, story, now):
        one = call(data, story=story)
        self.sessions.arrived(one.session, now)
        passed = await self.passage.answer(one)
        if not isinstance(passed.answer, Whole):
            assert [part async for part in passed.answer]

    def tables(self):
        """How much there is of everything that comes with a session or a call, and goes with it."""
        passage, stations = self.passage, self.stations
        return {
            "flights": len(passage._flights._flying),
            "pumps": len(passage._pumps),
            "sessions": len(self.sessions),
            "kept": self.sessions.kept_bytes,
            "in line": len(stations._limits._line),
            "waiting for money": len(stations.money._waiting),
            "under way": len(stations.money._under_way),
            "marks": len(stations.spend._marked),
            "lines at models": sum(lane.waiting + lane.running for lane in stations._lanes._lanes.values()),
        }

    async def close(self):
        await self.passage.end()
        self.stations.close()


def test_a_thousand_sessions_leave_nothing_behind_but_what_they_have_spent(tmp_path):
    async def scene():
        house, grown = House(tmp_path), []
        for number in range(1000):
            await house.work(number, now=float(number))
            if number % 2:
                house.sessions.close(f"s{number}", 1)
            house.sessions.expire(float(number))
            assert len(house.sessions) <= 100
            if number in (499, 999):
                gc.collect()
                grown.append(len(gc.get_objects()))
        assert house.sessions.expire(2000.0) == len(range(900, 1000, 2))
        await asyncio.sleep(0)
        assert house.tables() == dict.fromkeys(house.tables(), 0)
        assert len(house.stations._limits._buckets) <= 2 * 1000 + 6
        await house.close()
        return grown

    before, after = asyncio.run(scene())
    assert (after - before) / 500 <= 3, "objects for each session"


def test_nothing_of_a_call_waits_for_a_collection_of_garbage(tmp_path):
    """Such collections are rare in a gateway: they stop everything."""

    async def scene():
        house = House(tmp_path)
        await house.work(0, now=0.0)
        gc.collect()
        gc.disable()
        try:
            for number in range(1, 51):
                await house.work(number, now=float(number))
            found = gc.collect()
        finally:
            gc.enable()
        await house.close()
        return found

    assert asyncio.run(scene()) < 50, "one object for each story"


def test_what_is_kept_for_all_sessions_together_has_a_bound(monkeypatch):
    monkeypatch.setattr("rad_engineer.gateway.sessions._MOST_KEPT_OF_ALL", 10_000)
    sessions = Sessions(1800.0)
    for number in range(100):
        one = call(asked("x"), story=f"s{number}")
        sessions.arrived(one.session, float(number))
        sessions.keep(one, Kept("key", b"x" * 600, {}))
        assert sessions.kept_bytes <= 10_000
    kept = [n for n in range(100) if sessions.kept(call(asked("x"), story=f"s{n}"), "key") is not None]
    assert kept == [*range(84, 100)]
    sessions.keep(one, Kept("other", b"y" * 500, {}))
    assert sessions.kept_bytes == 15 * 600 + 500
    sessions.close("s99", 1)
    sessions.expire(10_000.0)
    assert sessions.kept_bytes == 0


def test_a_recorder_holds_so_many_bytes_of_conversations_and_goes_on_with_the_others_from_disk(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("rad_engineer.gateway.recording._MOST_REMEMBERED", 40_000)
    recorder, stories = Recorder(tmp_path / "r"), [Story("x" * 10_000, story=f"s{n}") for n in range(8)]
    for turn in (1, 2, 3):
        for story in stories:
            recorder.keep(story.ask(), streamed(use(turn)))
            story.heard(use(turn))
            assert sum(session.size for session in recorder._sessions.values()) <= 40_000
    sizes = sorted(path.stat().st_size for path in (tmp_path / "r" / "stories").rglob("*.json"))
    assert len(sizes) == 24
    assert sizes[15] < 2_000  # what a turn adds, and nothing of what was there before


@pytest.mark.parametrize("stream", [True, False])
def test_one_conversation_larger_than_all_that_is_to_be_held_is_recorded(tmp_path, monkeypatch, stream):
    monkeypatch.setattr("rad_engineer.gateway.recording._MOST_REMEMBERED", 1_000)
    recorder, story = Recorder(tmp_path / "r"), Story("x" * 10_000)
    answer = streamed(message("x")) if stream else plain(message("x"))
    assert recorder.keep(story.ask(), answer)
    assert list(recorder._sessions) == [Session("5f0c", 1, "run-1")]
