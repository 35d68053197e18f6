"""Places among the calls to a model: each model has its own, so a slow or stuck one never delays another."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_MOST_IDLE = 100


@dataclass(slots=True)
class _Lane:
    """The calls to one model that run and wait. The stories take turns; within one, who came first."""

    running: int = 0
    lines: dict[str, dict[asyncio.Future[None], float]] = field(default_factory=dict)
    longest_wait: float = 0.0
    waits: int = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self.lines.values()))


class Lanes:
    """A lane for each model, with so many places."""

    def __init__(self, per_model: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = per_model
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}

    @asynccontextmanager
    async def slot(self, model: str, story: str = "") -> AsyncIterator[None]:
        """A place among the calls to the model, as soon as there is one."""
        lane = self._lane(model)
        if lane.running >= self._places or lane.lines:
            await self._wait(lane, story)
        else:
            lane.running += 1
        try:
            yield
        finally:
            lane.running -= 1
            self._serve(lane)

    def state(self) -> dict[str, dict[str, Any]]:
        """For each model: calls that run, calls that wait, how many have waited, and the longest wait in seconds."""
        return {
            model: {"running": lane.running, "waiting": lane.waiting, "waits": lane.waits,
                    "longest_wait": round(lane.longest_wait, 3)}
            for model, lane in self._lanes.items()
        }  # fmt: skip

    def _lane(self, model: str) -> _Lane:
        found = self._lanes.get(model)
        if found is None:
            if len(self._lanes) >= _MOST_IDLE:
                self._lanes = {name: lane for name, lane in self._lanes.items() if lane.running or lane.lines}
            found = self._lanes[model] = _Lane()
        return found

    async def _wait(self, lane: _Lane, story: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        began = self._clock()
        lane.lines.setdefault(story, {})[turn] = began
        lane.waits += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                _leave(lane, story, turn)
            else:  # the place came just before
                lane.running -= 1
            self._serve(lane)
            raise
        lane.longest_wait = max(lane.longest_wait, self._clock() - began)

    def _serve(self, lane: _Lane) -> None:
        while lane.running < self._places and lane.lines:
            story, line = next(iter(lane.lines.items()))
            turn = next(iter(line))
            _leave(lane, story, turn)
            if turn.cancelled():
                continue
            if line:
                lane.lines[story] = lane.lines.pop(story)  # behind the others
            lane.running += 1
            turn.set_result(None)


def _leave(lane: _Lane, story: str, turn: "asyncio.Future[None]") -> None:
    line = lane.lines.get(story, {})
    line.pop(turn, None)
    if not line:
        lane.lines.pop(story, None)
