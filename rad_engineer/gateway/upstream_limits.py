"""What an upstream says about its own limits: how many requests are left, when to come back, when the account may again."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rad_engineer.gateway.exchange import Refusal

_PREFIX = "anthropic-ratelimit-"
_KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
_LONG_WAIT = 120.0
"""Who is told to wait longer than this does not wait here: the story is put aside until then."""
_LONGEST = 32 * 86400.0
"""No limit lasts longer than a month; what says so is taken for a mistake."""
_MISTAKEN = 60.0
_REGAIN = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")
_NUMBER = re.compile(r"[0-9]{1,18}")
_ALL = "*"


@dataclass(slots=True)
class _Window:
    """How much is left until it is filled again, at `until` of our clock."""

    left: int
    until: float


class UpstreamLimits:
    """What has been heard, for all workers. Times given out are those of `clock`; `wall` is the time of day."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._windows: dict[tuple[str, str], _Window] = {}
        self._paused: dict[str, float] = {}
        self._usage: dict[str, float] = {}  # model or all -> time of day

    def heard(self, model: str, headers: Mapping[str, str], message: str = "") -> Refusal | None:
        """Takes note of an answer's headers and error message; the refusal where a usage limit is reached."""
        for kind in _KINDS:
            self._window(model, kind, headers)
        reset = self._reset(headers, message)
        if reset is not None:
            self._usage[reset[0] or model] = reset[1]
            return self.usage_limit(model)
        wait = seconds_of(headers)
        if wait is not None:
            if wait > _LONGEST:
                wait = _MISTAKEN
            if wait > _LONG_WAIT:
                self._usage[model] = self._wall() + wait
                return self.usage_limit(model)
            self._paused[model] = max(self._paused.get(model, 0.0), self._clock() + wait)
        return None

    def wait(self, model: str) -> float:
        """Seconds until the upstream takes a call to this model again; 0 when it does."""
        now = self._clock()
        until = self._paused.get(model, 0.0)
        for kind in _KINDS:
            window = self._windows.get((model, kind))
            if window is not None and window.left <= 0:
                until = max(until, window.until)
        return max(0.0, until - now)

    def watches(self, model: str) -> bool:
        """Whether the upstream has said how many calls are left."""
        return (model, "requests") in self._windows

    def took(self, model: str) -> None:
        """A call goes out."""
        window = self._windows.get((model, "requests"))
        if window is not None:
            if window.until <= self._clock():
                del self._windows[model, "requests"]
            else:
                window.left -= 1

    def usage_limit(self, model: str) -> Refusal | None:
        """The refusal of every call until a usage limit ends; None when there is none."""
        now = self._wall()
        ends = max(self._usage.get(model, 0.0), self._usage.get(_ALL, 0.0))
        if ends <= now:
            self._usage.pop(model, None)
            return None
        at = datetime.fromtimestamp(ends, UTC)
        return Refusal(
            429,
            "rate_limit_error",
            f"the usage limit of the account is reached; it ends at {at:%Y-%m-%d %H:%M:%S} UTC",
            reason="usage-limit",
            retry_after=ends - now,
            retry_at=ends,
            headers={"x-ratelimit-tier": "upstream"},
        )

    def state(self) -> dict[str, Any]:
        """Waits by model, and usage limits with the time of day of their end."""
        models = {*self._paused, *(model for model, _kind in self._windows)}
        waits = {model: round(self.wait(model), 3) for model in sorted(models)}
        return {
            "waits": {model: wait for model, wait in waits.items() if wait},
            "usage_limits": dict(self._usage),
        }

    def _window(self, model: str, kind: str, headers: Mapping[str, str]) -> None:
        left, reset = headers.get(f"{_PREFIX}{kind}-remaining"), headers.get(f"{_PREFIX}{kind}-reset")
        if left is None or reset is None or not _NUMBER.fullmatch(left):
            return
        try:
            at = datetime.fromisoformat(reset)
        except ValueError:
            return
        seconds = at.replace(tzinfo=at.tzinfo or UTC).timestamp() - self._wall()
        if 0 < seconds <= _LONGEST:
            self._windows[model, kind] = _Window(int(left), self._clock() + seconds)
        else:
            self._windows.pop((model, kind), None)

    def _reset(self, headers: Mapping[str, str], message: str) -> tuple[str, float] | None:
        """For whom ("" is the model that was asked) and until when the account may not go on."""
        now = self._wall()
        if headers.get(f"{_PREFIX}unified-status") == "rejected":
            claim = headers.get(f"{_PREFIX}unified-representative-claim", "")
            whole = claim in ("", "five_hour", "seven_day", "overage")
            reset = headers.get(f"{_PREFIX}unified-reset", "")
            ends = float(reset) if _NUMBER.fullmatch(reset) else now + (seconds_of(headers) or _MISTAKEN)
            if now < ends <= now + _LONGEST:
                return (_ALL if whole else "", ends)
        said = _REGAIN.search(message)
        if said is not None:
            try:
                ends = datetime.fromisoformat(f"{said[1]}T{said[2] or '00:00'}+00:00").timestamp()
            except ValueError:
                return None
            if now < ends <= now + _LONGEST:
                return (_ALL, ends)
        return None


def seconds_of(headers: Mapping[str, str]) -> float | None:
    """The seconds that `retry-after` asks to wait; None where it does not, or not in a way that makes sense.

    It is a number, or a date as HTTP has them: one that is over says nothing.
    """
    try:
        if "retry-after-ms" in headers:
            wait = float(headers["retry-after-ms"]) / 1000
        else:
            wait = _seconds(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return wait if 0 <= wait < float("inf") else None


def _seconds(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        at = parsedate_to_datetime(said)
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp() - time.time()
