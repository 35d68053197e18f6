"""A circuit breaker for each model of the upstream: who asks while one is open waits, and one of them tries."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rad_engineer.core.breaker import Breaker, BreakerSettings
from rad_engineer.gateway.exchange import OnEvent, Refusal


@dataclass(slots=True)
class _Circuit:
    breaker: Breaker
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    state: str = "closed"


class Circuits:
    """The breakers, as calls meet them: `before` a try, and `after` it."""

    def __init__(self, settings: BreakerSettings, on_event: OnEvent,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._settings = settings
        self._on_event = on_event
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}

    async def before(self, model: str, until: float) -> bool:
        """Returns when a try may begin, and whether it is the probe; raises Refusal where none may before `until`."""
        circuit = self._circuit(model)
        while True:
            now = self._clock()
            answer = circuit.breaker.ask(now)
            self._look_at(model, circuit)
            if not isinstance(answer, float | int):
                return answer == "probe"
            left = until - now
            if left <= 0 or (circuit.state == "open" and answer > left):
                raise _refusal(model, answer)
            await self._wait(circuit, min(answer, left))

    def after(self, model: str, *, ok: bool | None, probe: bool = False) -> None:
        """A try has ended; None says nothing about the upstream."""
        circuit = self._circuit(model)
        circuit.breaker.ended(self._clock(), ok, probe=probe)
        self._look_at(model, circuit)
        if probe:
            circuit.changed.set()
            circuit.changed = asyncio.Event()

    def state(self) -> dict[str, dict[str, Any]]:
        """For each model: closed, open or half-open, and how many wait."""
        now = self._clock()
        return {
            model: {"state": circuit.breaker.state(now), "waiting": circuit.waiting}
            for model, circuit in self._circuits.items()
        }

    def _circuit(self, model: str) -> _Circuit:
        found = self._circuits.get(model)
        if found is None:
            found = self._circuits[model] = _Circuit(Breaker(self._settings))
        return found

    async def _wait(self, circuit: _Circuit, seconds: float) -> None:
        circuit.waiting += 1
        changed = circuit.changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            pass
        finally:
            circuit.waiting -= 1

    def _look_at(self, model: str, circuit: _Circuit) -> None:
        state = circuit.breaker.state(self._clock())
        if state != circuit.state:
            circuit.state = state
            self._on_event("breaker", model=model, state=state, waiting=circuit.waiting)


def _refusal(model: str, wait: float) -> Refusal:
    return Refusal(
        529,
        "overloaded_error",
        f"the upstream fails for {model}; the next try is in {wait:.0f} s",
        reason="breaker",
        retry_after=wait,
    )
