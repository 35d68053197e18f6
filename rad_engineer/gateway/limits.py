"""Limits on how fast calls may go: our own token buckets, and what the upstream says of its own.

A call over a limit waits in a bounded line before it is refused: first come, first served for whoever needs the same
bucket, while others pass. What the upstream said to one worker holds for all of them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pyrate_limiter import Rate, TokenBucket

from rad_engineer.gateway.exchange import Call, OnEvent, Refusal
from rad_engineer.gateway.upstream_limits import UpstreamLimits

_MINUTE_MS = 60_000
_MOST_BUCKETS = 2_000
_BYTES_PER_TOKEN = 4
_ALGORITHM = TokenBucket()


@dataclass(frozen=True, slots=True)
class Rule:
    """So many requests and tokens in a minute; None is no limit."""

    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Rules:
    """The limits of each tier, and of the line in front of them. `models` stands before `model` for those it names."""

    every: Rule = Rule()
    model: Rule = Rule()
    models: Mapping[str, Rule] = field(default_factory=dict)
    user: Rule = Rule()
    session: Rule = Rule()
    address: Rule = Rule()
    queue: int = 256
    longest_wait: float = 60.0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Rules":
        """The rules of plain values; "global" is the name of the tier that all share."""
        tier = {
            name: Rule(**data.get(name, {})) for name in ("global", "model", "user", "session", "address")
        }
        return cls(
            tier["global"],
            tier["model"],
            {name: Rule(**rule) for name, rule in data.get("models", {}).items()},
            tier["user"],
            tier["session"],
            tier["address"],
            data.get("queue", cls.queue),
            data.get("longest_wait", cls.longest_wait),
        )


class _Bucket:
    """One token bucket of pyrate-limiter, asked before it is spent."""

    __slots__ = ("_emission", "_rate", "_state", "queued", "tier")

    def __init__(self, tier: str, limit: int) -> None:
        self.tier = tier
        self.queued = 0  # what those in line will take
        self._rate = Rate(limit, _MINUTE_MS)
        self._emission = _MINUTE_MS / limit
        self._state = _ALGORITHM.initial([self._rate])

    def weight(self, weight: int) -> int:
        """What is taken: never more than a full bucket."""
        return min(weight, self._rate.limit)

    def wait(self, now: float, weight: int) -> float:
        """Seconds until so much is there; 0 when it is."""
        _state, decision = _ALGORITHM.step([self._rate], self._state, int(now * 1000), self.weight(weight))
        return 0.0 if decision.allowed else (decision.retry_after_ms or 1) / 1000

    def wait_behind(self, now: float, weight: int) -> float:
        """Seconds until so much is there for somebody who joins the line now."""
        if not self.queued:
            return self.wait(now, weight)
        return max(0.0, (self.queued + self.weight(weight) - self.left(now)) * self._emission / 1000)

    def take(self, now: float, weight: int) -> None:
        """Spends."""
        self._state, _ = _ALGORITHM.step([self._rate], self._state, int(now * 1000), self.weight(weight))

    def left(self, now: float) -> int:
        """What is there."""
        used: int = _ALGORITHM.consumed([self._rate], self._state, int(now * 1000))
        return self._rate.limit - used

    @property
    def limit(self) -> int:
        return self._rate.limit


_Needs = list[tuple[_Bucket, int]]


@dataclass(slots=True)
class _Waiting:
    model: str
    needs: _Needs
    passed: "asyncio.Future[None]"


class Limits:
    """All limits on the way of a call."""

    def __init__(self, rules: Rules, on_event: OnEvent, clock: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time) -> None:  # fmt: skip
        self._rules = rules
        self._on_event = on_event
        self._clock = clock
        self._upstream = UpstreamLimits(clock, wall)
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}
        self._line: dict[int, _Waiting] = {}
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._refused: dict[str, int] = {}

    def stranger(self, address: str) -> None:
        """Counts a request whose token opens nothing: all that is known is where it comes from. Raises Refusal over the limit."""
        limit = self._rules.address.requests
        if limit is None:
            return
        now, bucket = self._clock(), self._bucket("address", address, "requests", limit)
        wait = bucket.wait(now, 1)
        if wait:
            self._refused["address"] = self._refused.get("address", 0) + 1
            raise _over_limit("this address", "address", wait)
        bucket.take(now, 1)

    async def admit(self, call: Call) -> dict[str, str]:
        """Returns when a call may go on, with headers for its answer; raises Refusal where it would wait too long."""
        tier, needs = self._needs(call)
        now = self._clock()
        self._refuse_at_usage_limit(call)
        if self._must_wait(call.model, needs, now):
            await self._wait_in_line(call, tier, needs, now)
        elif needs or self._upstream.watches(call.model):
            self._take(call.model, needs, now)
        return self._headers(tier, needs)

    def heard(self, model: str, headers: Mapping[str, str], message: str = "") -> Refusal | None:
        """What an answer of the upstream says about its limits; the refusal where a usage limit is reached."""
        reached = self._upstream.heard(model, headers, message)
        if reached is not None:
            for number, waiting in list(self._line.items()):
                refusal = self._upstream.usage_limit(waiting.model)
                if refusal is not None and not waiting.passed.done():
                    self._leave(number)
                    waiting.passed.set_exception(refusal)
        if self._line:
            self._serve()
        return reached

    def state(self) -> dict[str, Any]:
        """Who waits, who was refused, and what the upstream has said."""
        return {
            "waiting": len(self._line),
            "refused": dict(self._refused),
            "upstream": self._upstream.state(),
        }

    def _needs(self, call: Call) -> tuple[str, _Needs]:
        """The tier of a call, and what it takes of which buckets."""
        session, rules = call.session, self._rules
        tiers = [("user", session.tenant, rules.user)]
        if session.story:
            tiers.append(("session", f"{session.tenant}/{session.name}", rules.session))
        tiers.append(("model", call.model, rules.models.get(call.model, rules.model)))
        tiers.append(("global", "", rules.every))
        needs: _Needs = []
        for tier, name, rule in tiers:
            if rule.requests is not None:
                needs.append((self._bucket(tier, name, "requests", rule.requests), 1))
            if rule.tokens is not None:
                size = max(1, len(call.body) // _BYTES_PER_TOKEN)
                needs.append((self._bucket(tier, name, "tokens", rule.tokens), size))
        return tiers[0][0], needs

    def _bucket(self, tier: str, name: str, kind: str, limit: int) -> _Bucket:
        found = self._buckets.get((tier, name, kind))
        if found is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._forget()
            found = self._buckets[tier, name, kind] = _Bucket(tier, limit)
        return found

    def _forget(self) -> None:
        """Full buckets are as good as none."""
        now = self._clock()
        full = [
            key for key, each in self._buckets.items() if not each.queued and each.left(now) == each.limit
        ]
        for key in full:
            del self._buckets[key]

    def _must_wait(self, model: str, needs: _Needs, now: float) -> bool:
        if self._upstream.wait(model):
            return True
        return any(bucket.wait_behind(now, weight) for bucket, weight in needs)

    async def _wait_in_line(self, call: Call, tier: str, needs: _Needs, now: float) -> None:
        waits = [(bucket.wait_behind(now, weight), bucket.tier) for bucket, weight in needs]
        wait, scarce = max([*waits, (self._upstream.wait(call.model), "upstream")])
        if wait > self._rules.longest_wait or len(self._line) >= self._rules.queue:
            raise self._refusal(call, scarce, max(wait, 0.001))
        self._number += 1
        number = self._number
        waiting = _Waiting(call.model, needs, asyncio.get_running_loop().create_future())
        self._line[number] = waiting
        for bucket, weight in needs:
            bucket.queued += bucket.weight(weight)
        self._on_event("limited", story=call.session.story, attempt=call.session.attempt, call=call.number, model=call.model, tier=scarce,
                       own_tier=tier, wait=round(wait, 3), queued=True)  # fmt: skip
        self._serve()
        try:
            await waiting.passed
        finally:
            self._leave(number)
            self._serve()

    def _leave(self, number: int) -> None:
        waiting = self._line.pop(number, None)
        if waiting is not None:
            for bucket, weight in waiting.needs:
                bucket.queued -= bucket.weight(weight)

    def _serve(self) -> None:
        """Lets through whoever can go; the next look is when the first of the others could."""
        now, again = self._clock(), float("inf")
        scarce: set[int] = set()
        shut: dict[str, float] = {}
        for number, waiting in list(self._line.items()):
            if waiting.passed.done():
                continue
            closed = shut.setdefault(waiting.model, self._upstream.wait(waiting.model))
            waits = {id(bucket): bucket.wait(now, weight) for bucket, weight in waiting.needs}
            wait = max([closed, *waits.values()])
            if wait or scarce.intersection(waits):
                scarce.update(key for key, each in waits.items() if each)
                again = min(again, wait or again)
                continue
            self._leave(number)
            self._take(waiting.model, waiting.needs, now)
            shut.pop(waiting.model)
            waiting.passed.set_result(None)
        self._look_again(again)

    def _look_again(self, wait: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wait < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(wait, self._serve)

    def _take(self, model: str, needs: _Needs, now: float) -> None:
        for bucket, weight in needs:
            bucket.take(now, weight)
        self._upstream.took(model)

    def _refuse_at_usage_limit(self, call: Call) -> None:
        refusal = self._upstream.usage_limit(call.model)
        if refusal is not None:
            self._refused["usage-limit"] = self._refused.get("usage-limit", 0) + 1
            raise refusal

    def _refusal(self, call: Call, tier: str, wait: float) -> Refusal:
        self._refused[tier] = self._refused.get(tier, 0) + 1
        self._on_event("limited", story=call.session.story, attempt=call.session.attempt, call=call.number, model=call.model, tier=tier,
                       wait=round(wait, 3), queued=False)  # fmt: skip
        whose = {"global": "all calls", "upstream": "the upstream", "model": f"the model {call.model}"}
        return _over_limit(whose.get(tier, f"this {tier}"), tier, wait)

    def _headers(self, tier: str, needs: _Needs) -> dict[str, str]:
        headers = {"x-ratelimit-tier": tier}
        for bucket, weight in needs:
            if bucket.tier == tier and weight == 1 and "x-ratelimit-limit" not in headers:
                headers["x-ratelimit-limit"] = str(bucket.limit)
                headers["x-ratelimit-remaining"] = str(max(0, bucket.left(self._clock())))
        return headers


def _over_limit(whose: str, tier: str, wait: float) -> Refusal:
    return Refusal(
        429,
        "rate_limit_error",
        f"the limit of {whose} is reached; try again in {wait:.1f} s",
        reason="limit",
        retry_after=wait,
        headers={"x-ratelimit-tier": tier},
    )
