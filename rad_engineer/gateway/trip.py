"""One call on its way: who reads it, what is held for it, and what is sent."""

from asyncio import Future, Task
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rad_engineer.gateway.coalescing import Leader
from rad_engineer.gateway.exchange import Call, Usage, Whole
from rad_engineer.gateway.messages import shortened
from rad_engineer.gateway.money import UNSEEN_TOKENS, Held
from rad_engineer.gateway.upstream import Request


@dataclass(frozen=True, slots=True)
class Passed:
    """What a client gets: whole, or the events of a stream; `flight` is named again when the client leaves early."""

    answer: Whole | AsyncIterator[bytes]
    headers: Mapping[str, str]
    flight: str = ""


@dataclass(slots=True)
class Pump:
    """A call on its way. `alone` when its own client has left; `sent` once the upstream may have begun to work.

    `tried` counts the tries of its request, `turn` names that where it had some before.
    """

    lead: Leader
    turn: str = ""
    tried: int = 0
    task: Task[None] | None = None
    alone: bool = False
    sent: bool = False
    begun: bool = False

    @property
    def deserted(self) -> bool:
        """Whether nobody reads its answer any more."""
        return (self.alone or self.begun) and self.lead.readers == 0


@dataclass(slots=True)
class Trip:
    """One call with what is held for it."""

    call: Call
    held: Held
    key: str
    pump: Pump
    began: Future[Passed]
    spared: int = 0  # tries for the fallback model
    instead: bool = False  # the fallback model is asked: what it says is not the answer to what was asked
    lost: list[float] = field(default_factory=list)  # seconds of each try that nobody has heard the end of
    used: Usage | None = None
    settled: bool = False

    def unseen_output(self) -> int:
        """How long the answers may have been that were lost; a stream would have shown what it says."""
        seen = [0 if self.call.stream else int(seconds * UNSEEN_TOKENS) for seconds in self.lost]
        return sum(min(self.held.max_tokens, each) for each in seen)

    def request(self) -> Request:
        """What is sent: the body as it came, unless less was granted than it asks for."""
        call = self.call
        body = (
            call.body
            if self.held.max_tokens == call.max_tokens
            else shortened(call.data, self.held.max_tokens)
        )
        path = f"{call.path}?{call.query}" if call.query else call.path
        return Request("POST", path, call.headers, body, stream=call.stream, tried=self.pump.tried,
                       spared=self.spared, model=call.model)  # fmt: skip


def named(call: Call) -> dict[str, Any]:
    """Which call an event is about."""
    session = call.session
    return {"story": session.story, "attempt": session.attempt, "call": call.number, "model": call.model}
