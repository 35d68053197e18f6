"""Answers that were given before: a hot tier in memory, a warm one on disk, each with the least recently used going first.

Only finished answers are kept: no failures, nothing that broke off, and no turn in which a model asks for a tool, unless
the exchange is being recorded.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.gateway.disk_cache import DiskCache
from rad_engineer.gateway.stored import Stored

MEMORY_BYTES = 100_000_000
DISK_BYTES = 500_000_000
TTL_SECONDS = 24 * 3600.0
_LARGEST_SHARE = 10  # an answer that would fill more than a tenth of a tier is not for it
_TOGETHER_SECONDS = 0.05
_MOST_WAITING = 4_000_000
_FINAL = frozenset({"end_turn", "stop_sequence"})


def worth_keeping(message: Mapping[str, Any], *, recording: bool = False) -> bool:
    """Whether an answer may be given again: a final one, and none that asks for a tool unless it is recorded."""
    stop = message.get("stop_reason")
    if message.get("type") != "message" or (stop not in _FINAL and not (recording and stop == "tool_use")):
        return False
    kinds = {block.get("type") for block in message.get("content", ())}
    return recording or not any(kind.endswith("tool_use") for kind in kinds if isinstance(kind, str))


@dataclass(slots=True)
class _Tally:
    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    stored: int = 0


class Cache:
    """Both tiers. Looking into memory takes no thread; the disk is read and written in one thread of its own."""

    def __init__(self, folder: Path, *, memory_bytes: int = MEMORY_BYTES, disk_bytes: int = DISK_BYTES,
                 ttl: float = TTL_SECONDS, clock: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._disk = DiskCache(folder, disk_bytes, ttl, clock)
        self._memory = _Memory(memory_bytes)
        self._disk_largest = disk_bytes // _LARGEST_SHARE
        self._ttl = ttl
        self._clock = clock
        self._tally = _Tally()
        self._waiting: dict[str, Stored] = {}
        self._unwritten = 0
        self._writing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")

    async def get(self, key: str) -> Stored | None:
        """The answer kept under that key, unless it is too old."""
        now = self._clock()
        found = self._memory.get(key, now - self._ttl)
        if found is not None:
            self._tally.memory_hits += 1
            return found
        found = self._waiting.get(key)
        if found is not None:
            self._tally.memory_hits += 1
            return found
        if (self._writing is None or self._writing.done()) and not self._disk.may_have(key):
            self._tally.misses += 1
            return None
        found = await asyncio.get_running_loop().run_in_executor(self._thread, self._disk.get, key)
        if found is None:
            self._tally.misses += 1
            return None
        self._tally.disk_hits += 1
        self._memory.put(key, found)
        return found

    def put(self, key: str, stored: Stored) -> None:
        """Keeps an answer; it is on disk some time later, with others that have come meanwhile."""
        self._tally.stored += 1
        self._memory.put(key, stored)
        if stored.size > self._disk_largest:
            return
        first, self._waiting[key] = not self._waiting, stored
        self._unwritten += stored.size
        if self._unwritten > _MOST_WAITING:
            self._write()
        elif first:
            self._write_soon()

    def _write_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(_TOGETHER_SECONDS, self._write)
        except RuntimeError:  # no loop runs: nobody is held up
            self._write()

    def _write(self) -> None:
        waiting, self._waiting, self._unwritten = self._waiting, {}, 0
        if waiting:
            self._writing = self._thread.submit(self._disk.put_all, waiting)

    def now(self) -> float:
        """The time that a new answer is kept from."""
        return self._clock()

    def stats(self) -> Mapping[str, float]:
        """How often answers were found, and where."""
        tally = self._tally
        hits = tally.memory_hits + tally.disk_hits
        asked = hits + tally.misses
        return {
            "memory_hits": tally.memory_hits,
            "disk_hits": tally.disk_hits,
            "misses": tally.misses,
            "hit_rate": hits / asked if asked else 0.0,
            "stored": tally.stored,
            "memory_bytes": self._memory.size,
            "memory_answers": len(self._memory),
        }

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._write()
        self._thread.submit(self._disk.close)
        self._thread.shutdown()


class _Memory:
    """The hot tier."""

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._kept: OrderedDict[str, Stored] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, oldest: float) -> Stored | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found.made < oldest:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def put(self, key: str, stored: Stored) -> None:
        if key in self._kept:
            self._drop(key)
        if stored.size > self._most // _LARGEST_SHARE:
            return
        self._kept[key] = stored
        self.size += stored.size
        while self.size > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        self.size -= self._kept.pop(key).size
