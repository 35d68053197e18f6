"""The stations that a call passes on its way, put together as a gateway is configured."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from rad_engineer.core.breaker import BreakerSettings
from rad_engineer.core.budget import Amount, Budget, Cap, Caps
from rad_engineer.errors import RadError
from rad_engineer.gateway.cache import Cache, worth_keeping
from rad_engineer.gateway.circuits import Circuits
from rad_engineer.gateway.configuration import REPLAY, GatewaySettings
from rad_engineer.gateway.exchange import Answer, Call, OnEvent, Refusal, Usage, Whole
from rad_engineer.gateway.fingerprint import CacheKeys
from rad_engineer.gateway.lanes import Lanes
from rad_engineer.gateway.limits import Limits, Rules
from rad_engineer.gateway.money import Held, Money
from rad_engineer.gateway.offline import answer_offline
from rad_engineer.gateway.prices import Prices
from rad_engineer.gateway.recording import Listener, Recorder
from rad_engineer.gateway.replay import Replay
from rad_engineer.gateway.spend import Spend
from rad_engineer.gateway.stored import Stored
from rad_engineer.gateway.upstream import Guard


class Stations:
    """What stands between a client and the upstream. `folder` is where the ledger of the run lies."""

    def __init__(self, settings: GatewaySettings, folder: Path, secret: str, on_event: OnEvent) -> None:
        self._settings = settings
        self._on_event = on_event
        self.spend = Spend(folder / "spend.jsonl")
        budget = Budget(_caps(settings), self.spend.spent(), self.spend.last)
        self.money = Money(budget, Prices(settings.prices), self.spend, self._of_money)
        self._limits = Limits(Rules.of(settings.limits), on_event)
        self._lanes = Lanes(settings.per_model)
        self._circuits = Circuits(BreakerSettings(pause=settings.breaker_pause), on_event)
        self._cache = _cache(settings)
        self._keys = CacheKeys(sharing=settings.share)
        secrets = [secret] if secret else []
        self._listener = (
            Listener(Recorder(Path(settings.record), secrets), on_event) if settings.record else None
        )
        folder_of_replay = settings.upstream.removeprefix(REPLAY)
        replays = settings.upstream.startswith(REPLAY)
        self._replay = Replay(Path(folder_of_replay), secrets) if replays else None
        self._recorded = (Path(settings.record), secrets) if settings.record else None

    async def keep_marks(self) -> None:
        """Writes down what goes on, until it is cancelled."""
        await self.money.keep_marks()

    def close(self) -> None:
        """Sees that everything is on disk."""
        self.spend.close()
        if self._cache is not None:
            self._cache.close()
        if self._listener is not None:
            self._listener.close()

    def booked(self) -> dict[str, list[int]]:
        """The micro-dollars and tokens of each story, as the ledger has them."""
        return {name: [spent.micro_usd, spent.tokens] for name, spent in self.spend.stories.items()}

    def state(self) -> dict[str, Any]:
        """What each station has to say of itself."""
        return {
            "money": self.money.state(),
            "limits": self._limits.state(),
            "lanes": self._lanes.state(),
            "breakers": self._circuits.state(),
            "cache": {} if self._cache is None else self._cache.stats(),
            "replay": {} if self._replay is None else self._replay.stats(),
        }

    def key(self, call: Call) -> str:
        """Names a request by what it says."""
        return self._keys.of(call)

    @property
    def asks_nobody(self) -> bool:
        """Whether every answer comes from here: replayed, or offline."""
        return self._replay is not None or self._settings.offline

    async def alone(self, call: Call, key: str) -> Answer:
        """The answer of a gateway that asks nobody; raises Refusal where there is none."""
        if self._replay is not None and not self._settings.offline:
            return await asyncio.to_thread(self._replay.answer, call)
        return await self.offline(call, key)

    async def offline(self, call: Call, key: str, why: str = "") -> Answer:
        """What can be said without a network; raises Refusal where that is nothing."""
        replay = self._replay
        if replay is None and self._recorded is not None:
            with suppress(RadError):  # somebody has removed it
                replay = await asyncio.to_thread(Replay, *self._recorded)  # anew: it grows
        found = await answer_offline(call, key, self._cache, replay, why)
        return found.answer() if isinstance(found, Stored) else found

    async def counted(self, call: Call) -> Answer | None:
        """A count of tokens that was recorded, where recordings answer; raises Refusal 404 where it was not."""
        return None if self._replay is None else await asyncio.to_thread(self._replay.answer, call)

    async def cached(self, key: str) -> Stored | None:
        """An answer given before."""
        return None if self._cache is None else await self._cache.get(key)

    async def caught_up(self) -> None:
        """Returns when the recording is not too far behind."""
        if self._listener is not None:
            await self._listener.caught_up()

    def heard(self, call: Call, answer: Whole | AsyncIterator[bytes]) -> Whole | AsyncIterator[bytes]:
        """The same answer, on its way to a client: recorded where that is wanted."""
        return answer if self._listener is None else self._listener.heard(call, answer)

    def stranger(self, address: str) -> None:
        """Counts who may not come in; raises Refusal where that comes too often."""
        self._limits.stranger(address)

    async def admit(self, call: Call) -> Mapping[str, str]:
        """Waits until a call may go on; what its client is told of limits."""
        return await self._limits.admit(call)

    async def reserve(self, call: Call) -> Held:
        """Holds what a call may cost."""
        return await self.money.reserve(call)

    def settle(self, call: Call, held: Held, usage: Usage, *, uncertain: bool) -> None:
        """Books what a call has cost."""
        micro_usd = self.money.settle(held, usage, uncertain=uncertain)
        self._tell_spent(
            call, Amount(micro_usd, usage.tokens), model=usage.model or call.model, uncertain=uncertain
        )

    def abandon(self, call: Call, held: Held) -> None:
        """Books what a call may have cost that was broken off by us."""
        self._tell_spent(call, self.money.abandon(held), model=call.model, uncertain=True)

    def _tell_spent(self, call: Call, cost: Amount, *, model: str, uncertain: bool) -> None:
        session = call.session
        self._on_event("spend", story=session.story, attempt=session.attempt, call=call.number, micro_usd=cost.micro_usd,
                       model=model, tokens=cost.tokens, uncertain=uncertain)  # fmt: skip

    def slot(self, call: Call) -> AbstractAsyncContextManager[None]:
        """A place among the calls to a model."""
        return self._lanes.slot(call.model, call.session.story)

    def guard(self, model: str) -> Guard:
        """Who is asked before each try."""
        return _Fuse(model, self._circuits, self._limits)

    def finished(self, call: Call, key: str, answer: Whole | bytes, headers: Mapping[str, str],
                 message: Mapping[str, Any]) -> None:  # fmt: skip
        """What is done with an answer that is over; `message` has at least its kinds of blocks and why it stopped."""
        if self._cache is not None and worth_keeping(message, recording=self._listener is not None):
            body, stream = (answer, True) if isinstance(answer, bytes) else (answer.body, False)
            link = f"{call.session.name}/{call.number}"
            self._cache.put(key, Stored(body, dict(headers), stream, link, self._cache.now()))

    def _of_money(self, name: str, /, **fields: Any) -> None:
        if name != "spend":  # told by `settle`, with the attempt that spent it
            self._on_event(name, **fields)


class _Fuse(Guard):
    """The breaker and the upstream's limits, as one request meets them."""

    def __init__(self, model: str, circuits: Circuits, limits: Limits) -> None:
        self._model = model
        self._circuits = circuits
        self._limits = limits
        self._probe = False

    async def before(self, until: float) -> None:
        """Waits for the breaker as long as the request may wait."""
        self._probe = await self._circuits.before(self._model, until)

    def after(self, *, ok: bool | None) -> None:
        """Counts the try."""
        self._circuits.after(self._model, ok=ok, probe=self._probe)

    def heard(self, headers: Mapping[str, str], message: str = "") -> Refusal | None:
        """What the upstream says of its limits holds for everybody."""
        return self._limits.heard(self._model, headers, message)


def _caps(settings: GatewaySettings) -> Caps:
    return Caps(
        Cap(settings.run_micro_usd, settings.run_tokens), Cap(settings.story_micro_usd, settings.story_tokens)
    )


def _cache(settings: GatewaySettings) -> Cache | None:
    if not settings.cache or not settings.cache_folder:
        return None
    return Cache(
        Path(settings.cache_folder),
        memory_bytes=settings.cache_memory,
        disk_bytes=settings.cache_disk,
        ttl=settings.cache_ttl,
    )
