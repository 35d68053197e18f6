"""What a gateway says without a network, and how answers are recorded on their way to clients."""

import asyncio
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from rad_engineer.gateway.answers import encoded
from rad_engineer.gateway.cache import Cache
from rad_engineer.gateway.exchange import Call, Refusal, Whole
from rad_engineer.gateway.offline import answer_offline
from rad_engineer.gateway.recording import Listener, Recorder
from rad_engineer.gateway.replay import Replay
from rad_engineer.gateway.stored import Stored
from tests.unit.gateway_calls import asked, call, message
from tests.unit.gateway_stories import JSON, Story, files, heard, plain, record


def ask_offline(one: Call, cache: Cache | None, replay: Replay | None, why: str = "") -> Any:
    return asyncio.run(answer_offline(one, "key", cache, replay, why))


def test_offline_asks_the_cache_then_the_recording_then_refuses(tmp_path):
    record(tmp_path / "r", answers=1)
    cache, replay = Cache(tmp_path / "cache"), Replay(tmp_path / "r")
    assert heard(ask_offline(Story().ask(), cache, replay)) == message("finished")
    kept = Stored(b"{}", JSON, stream=False, link="x", made=cache.now())
    cache.put("key", kept)
    assert ask_offline(Story().ask(), cache, replay) == kept
    for one, said in (
        (None, "neither the cache nor a recording"),
        (replay, "nothing was recorded for story 5f0d"),
    ):
        with pytest.raises(
            Refusal, match=rf"offline \(no route\): .*{said}.* rad-engineer resume"
        ) as refused:
            ask_offline(Story(story="5f0d").ask(), None, one, "no route")
        assert (refused.value.status, refused.value.reason) == (503, "offline")
    with pytest.raises(Refusal, match="offline: neither"):
        ask_offline(Story().ask(), None, None)
    with pytest.raises(Refusal) as refused:
        ask_offline(call(path="/v1/messages/count_tokens"), None, replay)
    assert refused.value.reason == "unrecorded"
    cache.close()


class Flow:
    """A stream that knows whether it was closed."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self.parts, self.error, self.closed = [*parts], error, False

    def __aiter__(self) -> "Flow":
        return self

    async def __anext__(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        raise self.error or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


def listen(folder: Path, answer: Any, take: int = 99) -> tuple[list[bytes], list[dict[str, Any]]]:
    """What a client gets of an answer that is being recorded, and the events of that."""
    events: list[dict[str, Any]] = []

    async def scene() -> list[bytes]:
        listener = Listener(
            Recorder(folder), lambda name, /, **fields: events.append({"event": name, **fields})
        )
        found = listener.heard(call(), answer)
        got: list[bytes] = []
        if not isinstance(found, Whole):
            try:
                async for part in found:
                    got.append(part)
                    if len(got) == take:
                        break
            finally:
                await found.aclose()
        listener.close()
        return got

    return asyncio.run(scene()), events


def test_a_stream_passes_on_its_way_to_the_client_and_is_recorded_at_its_end(tmp_path):
    parts = [*encoded(message("hi"))]
    flow = Flow(*parts)
    assert listen(tmp_path / "r", flow) == (parts, [])
    assert flow.closed
    assert heard(Replay(tmp_path / "r").answer(call())) == message("hi")


def test_a_whole_answer_is_recorded(tmp_path):
    listen(tmp_path / "r", plain(message("hi")))
    assert heard(Replay(tmp_path / "r").answer(call())) == message("hi")


def test_what_a_client_did_not_take_to_its_end_is_not_recorded(tmp_path):
    flow = Flow(*encoded(message("hi")))
    listen(tmp_path / "r", flow, take=2)
    assert flow.closed
    with pytest.raises(ZeroDivisionError):
        listen(tmp_path / "r", Flow(b"x", error=ZeroDivisionError()))
    assert files(tmp_path / "r") == ["recording.json"]


def test_a_disk_that_refuses_is_told_and_harms_no_answer(tmp_path):
    Recorder(tmp_path / "r")
    (tmp_path / "r" / "stories").write_text("in the way")
    _, (event,) = listen(tmp_path / "r", plain(message("hi")))
    assert (event["event"], event["story"], event["call"]) == ("unrecorded", "5f0c", 1)
    assert "cannot write" in event["why"]


def test_a_request_that_cannot_be_recorded_is_told_and_those_beside_it_are_kept(tmp_path):
    deep: Any = "x"
    for _ in range(700):
        deep = [deep]
    odd = asked("one", tools=[{"name": "t", "input_schema": deep}])
    events: list[dict[str, Any]] = []

    async def scene() -> None:
        listener = Listener(Recorder(tmp_path / "r"), lambda name, /, **fields: events.append(fields))
        for number, data in enumerate((asked("zero"), odd, asked("two"), asked("three", system=5)), 1):
            listener.heard(call(data, number=number), plain(message(f"{number}")))
        listener.close()

    asyncio.run(scene())
    assert [event["call"] for event in events] == [2]
    replay = Replay(tmp_path / "r")
    for text, said in (("zero", "1"), ("two", "3")):
        assert heard(replay.answer(call(asked(text)))) == message(said)
    assert heard(replay.answer(call(asked("three", system=5)))) == message("4")


def test_who_asks_waits_when_too_much_waits_for_the_disk_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr("rad_engineer.gateway.recording._MOST_WAITING", 1000)
    slow, most = Event(), 0

    class Slow(Recorder):
        def keep_all(self, exchanges):
            assert slow.wait(60)
            return super().keep_all(exchanges)

    async def scene() -> None:
        nonlocal most
        listener = Listener(Slow(tmp_path / "r"), lambda *_args, **_fields: None)

        async def ask(number: int) -> None:
            nonlocal most
            await listener.caught_up()
            listener.heard(call(asked(f"part {number}"), number=number), plain(message("x")))
            most = max(most, listener._heard - listener._done)

        asking = [asyncio.create_task(ask(number)) for number in range(1, 21)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in asking) < 20
        slow.set()
        await asyncio.gather(*asking)
        listener.close()

    asyncio.run(scene())
    assert most < 1000 + 600
    assert len([name for name in files(tmp_path / "r") if name.startswith("stories")]) == 20
