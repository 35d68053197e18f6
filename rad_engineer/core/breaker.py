"""Keeps calls away from an upstream that fails: a rolling failure rate, and one probe to see whether it has recovered."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens, and for how long; times in seconds."""

    window: float = 30.0
    least_calls: int = 8
    percent: int = 50  # of the calls in the window that must have failed
    pause: float = 5.0  # doubled by every probe that fails
    longest_pause: float = 60.0
    probe_time: float = 120.0  # a probe of which nothing was heard for so long is given up


class Breaker:
    """One upstream and model. Ask before a call, say how it ended.

    closed: calls go. open: calls wait until the pause is over. half-open: one probe goes, the others wait for it.
    A probe that succeeds closes it, with a clean record; one that fails opens it again, for twice the pause.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._ends: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self._pause = settings.pause
        self._opens_at: float | None = None  # None: it is closed
        self._probe_until: float | None = None

    def ask(self, now: float) -> Literal["go", "probe"] | float:
        """Whether a call may go, goes as the probe, or how many seconds it waits before it asks again."""
        if self._opens_at is None:
            return "go"
        if now < self._opens_at:
            return self._opens_at - now
        if self._probe_until is not None and now < self._probe_until:
            return self._probe_until - now
        self._probe_until = now + self._settings.probe_time
        return "probe"

    def ended(self, now: float, ok: bool | None, *, probe: bool = False) -> None:
        """A call has ended; None is one that says nothing of the upstream, because its client went away.

        Calls that began before the breaker opened do not close it, whatever they bring.
        """
        if probe:
            self._probed(now, ok)
        elif self._opens_at is None and ok is not None:
            self._count(now, ok)

    def state(self, now: float) -> State:
        """As others may see it."""
        if self._opens_at is None:
            return "closed"
        return "open" if now < self._opens_at else "half-open"

    def _probed(self, now: float, ok: bool | None) -> None:
        if self._probe_until is None:
            return  # given up, and another has judged since
        self._probe_until = None
        if ok is None:
            return
        if ok:
            self._opens_at = None
            self._pause = self._settings.pause
            return
        self._pause = min(self._pause * 2, self._settings.longest_pause)
        self._opens_at = now + self._pause

    def _count(self, now: float, ok: bool) -> None:
        settings = self._settings
        self._ends.append((now, ok))
        self._failed += not ok
        while self._ends[0][0] <= now - settings.window:
            self._failed -= not self._ends.popleft()[1]
        if (
            len(self._ends) >= settings.least_calls
            and self._failed * 100 >= len(self._ends) * settings.percent
        ):
            self._opens_at = now + self._pause
            self._ends.clear()
            self._failed = 0
