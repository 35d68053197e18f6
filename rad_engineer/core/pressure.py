"""How many stories may run at once while a machine gets short of something: less at once, more only bit by bit.

Two readings in a row above a bound stop new starts; three in a row below a lower one allow one story more, and so on
until all may run again. What runs is never stopped, and one story may always run: a run goes on, however slowly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Cause = Literal["memory", "io"]

_SHORT_AFTER = 2
_CALM_AFTER = 3
_HIGH: Mapping[Cause, float] = {"memory": 0.10, "io": 0.80}
_LOW: Mapping[Cause, float] = {"memory": 0.02, "io": 0.40}
"""Shares of ten seconds in which something waited. Busy processors are none: work is only slower then, and never lost."""
_LEAST_LEFT = 256 << 20
_LEAST_SHARE = 0.05
_COMFORT = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """What is left; None where nobody says."""

    memory_left: int | None
    memory_limit: int | None
    pressure: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Change:
    """What is different now: starts are paused because of something, or so many stories may run."""

    cause: Cause | None
    jobs: int


class Throttle:
    """The number of stories that may run at once, `most` of them at best."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.jobs = most
        self.cause: Cause | None = None
        self._short = 0
        self._calm = 0

    def look(self, reading: Reading, running: int) -> Change | None:
        """Takes a reading in while so many stories run; says what changes."""
        cause = _short_of(reading)
        self._short = self._short + 1 if cause is not None else 0
        self._calm = self._calm + 1 if _is_calm(reading) else 0
        if cause is not None and self._short >= _SHORT_AFTER:
            news = self.cause is None
            self.cause, self.jobs = self.cause or cause, max(1, min(self.jobs, running))
            return Change(cause, self.jobs) if news else None
        if self._calm >= _CALM_AFTER and (self.cause is not None or self.jobs < self.most):
            news = self.cause is not None
            self.cause, self.jobs = None, min(self.most, self.jobs + 1)
            return Change(None, self.jobs) if news else None
        return None

    def room(self, running: int) -> int:
        """How many stories may be started while so many run."""
        return max(0, self.jobs - running)


def careful(processors: int, memory_left: int | None, memory_per_job: int) -> int:
    """How many stories a machine can run at once; where nobody says what memory it has, two at most."""
    if memory_left is None:
        return max(1, min(processors, 2))
    return max(1, min(processors, memory_left // memory_per_job))


def _short_of(reading: Reading) -> Cause | None:
    left = reading.memory_left
    if left is not None and left < _floor(reading):
        return "memory"
    return next((cause for cause, bound in _HIGH.items() if reading.pressure.get(cause, 0.0) > bound), None)


def _is_calm(reading: Reading) -> bool:
    left = reading.memory_left
    if left is not None and left < _COMFORT * _floor(reading):
        return False
    return all(reading.pressure.get(cause, 0.0) < bound for cause, bound in _LOW.items())


def _floor(reading: Reading) -> float:
    return max(_LEAST_LEFT, _LEAST_SHARE * (reading.memory_limit or 0))
