"""Answers given before: what is kept, for how long, in how much room, for whom."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from rad_engineer.gateway.cache import Cache, worth_keeping
from rad_engineer.gateway.exchange import Whole
from rad_engineer.gateway.stored import Stored
from tests.unit.gateway_calls import message

USE = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def stored(body: bytes = b"{}", made: float = 1000.0, *, stream: bool = False) -> Stored:
    return Stored(body, {"content-type": "application/json"}, stream, "5f0c#1/1", made)


def fresh(folder: Path, clock: Clock | None = None, **limits: int) -> Cache:
    return Cache(folder / "cache", ttl=60, clock=clock or Clock(), **limits)


def ask(cache: Cache, key: str) -> Stored | None:
    return asyncio.run(cache.get(key))


def test_what_was_put_is_found_in_memory_and_after_a_restart_on_disk(tmp_path):
    cache = fresh(tmp_path)
    cache.put("k", stored(b'{"x":1}'))
    assert ask(cache, "k") == stored(b'{"x":1}')
    assert ask(cache, "other") is None
    cache.close()
    again = fresh(tmp_path)
    assert ask(again, "k") == ask(again, "k") == stored(b'{"x":1}')
    assert {name: again.stats()[name] for name in ("memory_hits", "disk_hits", "misses", "hit_rate")} == {
        "memory_hits": 1, "disk_hits": 1, "misses": 0, "hit_rate": 1.0,
    }  # fmt: skip
    again.close()


def test_it_is_told_how_often_answers_were_found(tmp_path):
    cache = fresh(tmp_path)
    assert cache.stats()["hit_rate"] == 0
    cache.put("k", stored())
    for key in ("k", "a", "b", "k"):
        ask(cache, key)
    assert cache.stats()["hit_rate"] == 0.5
    cache.close()


def test_too_old_is_not_there_in_memory_nor_on_disk(tmp_path):
    clock = Clock()
    cache = fresh(tmp_path, clock)
    cache.put("k", stored())
    clock.now += 61
    assert ask(cache, "k") is None
    cache.close()
    again = fresh(tmp_path, clock)
    assert ask(again, "k") is None
    again.close()


def test_nobody_else_can_read_it(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        cache = fresh(tmp_path)
        cache.put("k", stored())
        cache.close()
    finally:
        os.umask(before)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "cache").iterdir()] == [0]


def test_memory_is_bounded_and_the_least_recently_used_goes_first(tmp_path):
    cache = fresh(tmp_path, memory_bytes=50_000, disk_bytes=0)
    for number in range(13):
        cache.put(f"k{number}", stored(b"x" * 3_000))
        ask(cache, "k0")
    assert cache.stats()["memory_bytes"] <= 50_000
    assert [number for number in range(13) if ask(cache, f"k{number}")] == [0, *range(2, 13)]
    cache.put("large", stored(b"x" * 6_000))  # more than a tenth
    assert ask(cache, "large") is None
    cache.put("k0", stored(b"y"))
    assert ask(cache, "k0") == stored(b"y")
    cache.close()


def test_the_disk_is_bounded_and_the_least_recently_used_goes_first(tmp_path):
    most = 1_000_000
    cache = fresh(tmp_path, memory_bytes=0, disk_bytes=most)
    for number in range(300):
        cache.put(f"k{number}", stored(b"x" * 20_000))
        assert ask(cache, "k0")
    cache.close()
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= most
    again = fresh(tmp_path, memory_bytes=0, disk_bytes=most)
    kept = [number for number in range(300) if ask(again, f"k{number}")]
    assert kept[0] == 0
    assert kept[1:] == list(range(kept[1], 300))
    assert len(kept) >= 30
    again.close()


def test_an_answer_put_again_takes_its_room_once(tmp_path):
    cache = fresh(tmp_path, memory_bytes=0, disk_bytes=400_000)
    cache.put("other", stored())
    for _ in range(50):
        cache.put("k", stored(b"x" * 30_000))
    assert ask(cache, "other")
    assert ask(cache, "k")
    cache.close()


def test_the_too_old_make_room_first(tmp_path):
    clock = Clock()
    cache = fresh(tmp_path, clock, memory_bytes=0, disk_bytes=400_000)
    for number in range(5):
        cache.put(f"old{number}", stored(b"x" * 30_000))
    cache.put("young", stored(b"x" * 30_000, made=1050))
    for number in range(5):
        ask(cache, f"old{number}")
    clock.now += 61
    for number in range(7):
        cache.put(f"new{number}", stored(b"x" * 30_000, made=1061))
    assert ask(cache, "young")
    cache.close()


@pytest.mark.parametrize("damage", [b"", b"nothing of the sort" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_an_empty_cache(tmp_path, damage):
    cache = fresh(tmp_path, memory_bytes=0)
    cache.put("k", stored())
    cache.close()
    (tmp_path / "cache" / "answers.sqlite").write_bytes(damage)
    again = fresh(tmp_path, memory_bytes=0)
    assert ask(again, "k") is None
    again.put("k", stored())
    assert ask(again, "k") == stored()
    again.close()


def test_a_file_of_another_version_is_replaced(tmp_path):
    cache = fresh(tmp_path, memory_bytes=0)
    cache.put("k", stored())
    cache.close()
    with sqlite3.connect(tmp_path / "cache" / "answers.sqlite") as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    again = fresh(tmp_path, memory_bytes=0)
    assert ask(again, "k") is None
    again.put("k", stored())
    assert ask(again, "k")
    again.close()


def test_a_folder_that_cannot_be_made_is_an_empty_cache(tmp_path):
    (tmp_path / "cache").write_text("a file is in the way")
    cache = fresh(tmp_path)
    cache.put("k", stored())
    assert ask(cache, "k")
    assert ask(cache, "other") is None
    cache.close()


def test_two_gateways_use_one_folder(tmp_path):
    one, other = fresh(tmp_path, memory_bytes=0), fresh(tmp_path, memory_bytes=0)
    for number in range(20):
        (one, other)[number % 2].put(f"k{number}", stored())
    one.close()
    assert all(ask(other, f"k{number}") for number in range(20))
    other.close()


def test_answers_that_come_together_are_written_together_and_found_at_once(tmp_path, monkeypatch):
    async def scene():
        for number in range(20):
            cache.put(f"k{number}", stored(b"%d" % number))
        assert written == []
        assert [(await cache.get(f"k{number}")).body for number in range(20)] == [
            b"%d" % n for n in range(20)
        ]
        for number in range(3):
            cache.put(f"large{number}", stored(b"x" * 1_500_000))
        assert len(cache._waiting) == 0, "what waits has a bound"

    cache, written = fresh(tmp_path, memory_bytes=0), []
    put_all = cache._disk.put_all
    monkeypatch.setattr(
        cache._disk, "put_all", lambda answers: written.append(len(answers)) or put_all(answers)
    )
    asyncio.run(scene())
    cache.close()
    assert written == [23]
    again = fresh(tmp_path)
    assert [ask(again, f"k{number}").body for number in range(20)] == [b"%d" % n for n in range(20)]
    again.close()


def test_for_what_is_not_there_no_thread_is_asked(tmp_path, monkeypatch):
    cache, other = fresh(tmp_path, memory_bytes=0), fresh(tmp_path, memory_bytes=0)
    asked, get = [], cache._disk.get
    monkeypatch.setattr(cache._disk, "get", lambda key: asked.append(key) or get(key))
    for number in range(5):
        assert ask(cache, f"a{number}") is None  # the first one opens the file
    other.put("k", stored())
    other.close()
    assert ask(cache, "k") == stored(), "another gateway has put it there"
    assert asked == ["a0", "k"]
    cache.close()
    assert cache._disk.may_have("k"), "who does not know looks"


@pytest.mark.parametrize(
    ("answer", "kept", "recorded"),
    [
        (message("done"), True, True),
        (message("done", stop="stop_sequence"), True, True),
        (message(USE, stop="tool_use"), False, True),
        (message({**USE, "type": "server_tool_use"}), False, True),
        (message("cut", stop="max_tokens"), False, False),
        (message("…", stop="pause_turn"), False, False),
        (message("no", stop="refusal"), False, False),
        (message("half", stop_reason=None), False, False),
        ({"type": "error", "error": {"type": "overloaded_error"}}, False, False),
        ({"input_tokens": 3}, False, False),
    ],
)
def test_only_finished_answers_are_kept(answer, kept, recorded):
    assert worth_keeping(answer) is kept
    assert worth_keeping(answer, recording=True) is recorded


def test_a_stream_is_given_again_in_whole_events():
    events = [b"event: ping\ndata: %06d\n\n" % number for number in range(9_000)]
    large = b"data: " + b"x" * 100_000 + b"\n\n"

    async def read() -> list[bytes]:
        answer = stored(b"".join([*events, large, *events]), stream=True).answer()
        assert not isinstance(answer, Whole)
        return [piece async for piece in answer]

    pieces = asyncio.run(read())
    assert b"".join(pieces) == b"".join([*events, large, *events])
    assert all(piece.endswith(b"\n\n") for piece in pieces)
    assert max(len(piece) for piece in pieces if large not in piece) <= 64 * 1024 + 2
    assert max(map(len, pieces)) <= len(large) + 64 * 1024
    assert len(pieces) < 20


def test_a_whole_answer_is_given_again_as_it_was():
    assert stored(b"{}").answer() == Whole(200, {"content-type": "application/json"}, b"{}")
