"""The stations that a call passes on its way, put together: each is there or is passed by."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

from rad_engineer.core.breaker import Breaker, BreakerSettings
from rad_engineer.gateway.cache import Cache, worth_keeping
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.exchange import Answer, Call, OnEvent, Refusal, Usage, Whole
from rad_engineer.gateway.fingerprint import cache_key
from rad_engineer.gateway.stored import Stored
from rad_engineer.gateway.upstream import Guard


class Stations:
    """What stands between a client and the upstream."""

    def __init__(self, settings: GatewaySettings, on_event: OnEvent) -> None:
        self._settings = settings
        self._on_event = on_event
        self._breakers: dict[str, _Circuit] = {}
        self._cache: Cache | None = None
        if settings.cache and settings.cache_folder:
            self._cache = Cache(
                Path(settings.cache_folder),
                memory_bytes=settings.cache_memory,
                disk_bytes=settings.cache_disk,
                ttl=settings.cache_ttl,
            )

    def close(self) -> None:
        """Sees that everything is on disk."""
        if self._cache is not None:
            self._cache.close()

    def key(self, call: Call) -> str:
        """Names a request by what it says."""
        return cache_key(call, sharing=self._settings.share)

    async def cached(self, key: str) -> Answer | None:
        """An answer given before."""
        found = None if self._cache is None else await self._cache.get(key)
        return None if found is None else found.answer()

    async def admit(self, _call: Call, _address: str) -> Mapping[str, str]:
        """Waits until a call may go on; what its client is told of limits."""
        return {}

    async def reserve(self, _call: Call) -> Any:
        """Holds what a call may cost."""
        return None

    async def settle(self, call: Call, _held: Any, usage: Usage, *, uncertain: bool) -> None:
        """Books what a call has cost."""
        session = call.session
        self._on_event("spend", story=session.story, attempt=session.attempt, micro_usd=0, tokens=usage.tokens,
                       uncertain=uncertain)  # fmt: skip

    def release(self, _held: Any) -> None:
        """Gives back what was held for a call that cost nothing."""

    def slot(self, _model: str) -> AbstractAsyncContextManager[None]:
        """A place among the calls to a model."""
        return nullcontext()

    def guard(self, model: str) -> Guard:
        """Who is asked before each try."""
        circuit = self._breakers.get(model)
        if circuit is None:
            circuit = self._breakers[model] = _Circuit(model, self._on_event)
        return _Fuse(circuit)

    def finished(self, call: Call, key: str, answer: Whole | bytes, headers: Mapping[str, str],
                 message: Mapping[str, Any]) -> None:  # fmt: skip
        """What is done with an answer that is over; `message` has at least its kinds of blocks and why it stopped."""
        recording = bool(self._settings.record)
        if self._cache is not None and worth_keeping(message, recording=recording):
            body, stream = (answer, True) if isinstance(answer, bytes) else (answer.body, False)
            link = f"{call.session.name}/{call.number}"
            self._cache.put(key, Stored(body, dict(headers), stream, link, self._cache.now()))


class _Circuit:
    """The breaker of one model, and who waits for it."""

    def __init__(self, model: str, on_event: OnEvent) -> None:
        self.model = model
        self.breaker = Breaker(BreakerSettings())
        self.changed = asyncio.Event()
        self._on_event = on_event
        self._told = "closed"

    def tell(self, now: float) -> None:
        """Says when the state has changed, and wakes who waits."""
        state = self.breaker.state(now)
        if state != self._told:
            self._told = state
            self._on_event("breaker", model=self.model, state=state)
        self.changed.set()
        self.changed.clear()


class _Fuse(Guard):
    """The breaker, as one request meets it."""

    def __init__(self, circuit: _Circuit) -> None:
        self._circuit = circuit
        self._probe = False

    async def before(self, until: float) -> None:
        """Waits for the breaker as long as the request may wait."""
        while True:
            now = time.monotonic()
            said = self._circuit.breaker.ask(now)
            if isinstance(said, str):
                self._probe = said == "probe"
                self._circuit.tell(now)
                return
            if now >= until:
                raise Refusal(529, "overloaded_error", f"{self._circuit.model} has failed too often and is left alone "
                              "for a while", reason="breaker", retry_after=said, retry_at=time.time() + said)  # fmt: skip
            try:
                async with asyncio.timeout(min(said, until - now)):
                    await self._circuit.changed.wait()
            except TimeoutError:
                continue

    def after(self, *, ok: bool | None) -> None:
        """Counts the try."""
        now = time.monotonic()
        self._circuit.breaker.ended(now, ok, probe=self._probe)
        self._circuit.tell(now)
