"""Holds money for calls before they are made, lets them wait for it in turn, and books what they have cost."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from rad_engineer.core.budget import PICO, SOFT_PERCENT, Amount, Answers, Budget, Granted, Refused
from rad_engineer.errors import CannotWrite
from rad_engineer.gateway.exchange import Call, OnEvent, Refusal, Usage
from rad_engineer.gateway.prices import Cost, Prices
from rad_engineer.gateway.spend import MARK_SECONDS, Open, Spend

UNSEEN_TOKENS = 256
"""So many tokens of an answer a call is taken to have cost in each second in which nothing of it can be seen."""
PATIENCE_SECONDS = 30.0
"""When somebody has waited so long for money that others hold, it is worth a word."""
_Answer: TypeAlias = Granted | Refused


@dataclass(frozen=True, slots=True)
class Held:
    """What is held for a call that may now be made, with this `max_tokens`."""

    id: int
    story: str
    attempt: int
    model: str
    max_tokens: int
    micro_usd: int
    tokens: int


@dataclass(slots=True)
class _UnderWay:
    held: Held
    cost: Cost
    stream: bool
    sent: float | None = None
    used: Usage | None = None


class Money:
    """The budget of a run, as calls meet it.

    First `reserve`, then `sent`, then `seen` as often as there is news, then one of `settle` and `release`.
    """

    def __init__(self, budget: Budget, prices: Prices, spend: Spend, on_event: OnEvent,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._budget = budget
        self._prices = prices
        self._spend = spend
        self._on_event = on_event
        self._clock = clock
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._under_way: dict[int, _UnderWay] = {}
        self._refused = 0
        self._told = False

    async def reserve(self, call: Call) -> Held:
        """Holds the most that a call may cost, as soon as there is room; raises Refusal where there will be none."""
        cost = self._prices.estimate(call)
        answer = await self._answer(call, cost)
        if isinstance(answer, Refused):
            self._refused += 1
            raise _refusal(answer, call.session.story)
        amount, session = answer.amount, call.session
        held = Held(answer.ticket, session.story, session.attempt, call.model, answer.max_tokens,
                    amount.micro_usd, amount.tokens)  # fmt: skip
        self._under_way[held.id] = _UnderWay(held, cost, call.stream)
        try:
            self._spend.reserved(held.id, Open(held.story, held.attempt, amount, cost.input, cost.pico_usd))
        except CannotWrite as error:
            self._end(held, Amount())
            raise Refusal(503, "api_error", self._unwritable(error), reason="ledger") from error
        if held.max_tokens < call.max_tokens:
            self._on_event("clamped", story=held.story, attempt=held.attempt, call=call.number, model=call.model,
                           asked=call.max_tokens, granted=held.max_tokens)  # fmt: skip
        return held

    def sent(self, held: Held) -> None:
        """The call goes to the upstream now; until then it costs nothing."""
        self._under_way[held.id].sent = self._clock()

    def seen(self, held: Held, usage: Usage) -> None:
        """What a stream has used so far; once its input is known, no more than that is held for it."""
        call = self._under_way.get(held.id)
        if call is None:
            return
        first, call.used = call.used is None, usage
        if first and usage.stated and call.cost.closed:
            known = Amount(self._prices.settle(held.model, usage), usage.tokens)
            rest = held.max_tokens - usage.output_tokens
            self._hear(
                self._budget.trim(held.id, known + Amount(-(-rest * call.cost.pico_usd // PICO), rest))
            )

    def settle(self, held: Held, usage: Usage, *, uncertain: bool = False) -> int:
        """Books what a call has used, in micro-dollars. `uncertain` where its end was not seen."""
        if held.id not in self._under_way:
            return 0
        micro_usd = self._prices.settle(held.model, usage)
        try:
            self._spend.settled(held.id, held.story, micro_usd, usage, uncertain=uncertain)
        except CannotWrite as error:
            self._unwritable(error)
            raise
        finally:
            self._end(held, Amount(micro_usd, usage.tokens))
        self._on_event("spend", story=held.story, attempt=held.attempt, model=usage.model or held.model, micro_usd=micro_usd,
                       tokens=usage.tokens, uncertain=uncertain)  # fmt: skip
        self._tell_crossings()
        return micro_usd

    def abandon(self, held: Held) -> Amount:
        """Books what a call may have cost by now that is not followed to its end, as if the gateway had ended with it."""
        under_way = self._under_way[held.id]
        sent = under_way.sent
        mark = None if sent is None else self._so_far(under_way, self._clock() - sent)
        amount, cost = Amount(held.micro_usd, held.tokens), under_way.cost
        used = Amount()
        try:
            used = self._spend.orphaned(
                held.id, Open(held.story, held.attempt, amount, cost.input, cost.pico_usd, mark)
            )
        except CannotWrite as error:
            self._unwritable(error)
            raise
        finally:
            self._end(held, used)
        self._tell_crossings()
        return used

    def release(self, held: Held) -> None:
        """Gives back what was held for a call that has cost nothing."""
        if held.id not in self._under_way:
            return
        try:
            self._spend.released(held.id)
        finally:
            self._end(held, Amount())

    def mark(self) -> None:
        """Writes down what the calls under way have cost so far, at most."""
        now = self._clock()
        self._spend.marks(
            {
                number: self._so_far(call, now - call.sent)
                for number, call in self._under_way.items()
                if call.sent is not None
            }
        )

    async def keep_marks(self) -> None:
        """Marks once a second, until it is cancelled."""
        with suppress(CannotWrite):  # no call is made any more: there is nothing to mark
            while True:
                await asyncio.sleep(MARK_SECONDS)
                self.mark()

    def state(self) -> dict[str, Any]:
        """Spent and held, in micro-dollars and tokens, for all and by story."""
        budget = self._budget
        return {
            **_shown(budget.spent(), budget.held()),
            "waiting": budget.waiting,
            "refused": self._refused,
            "under_way": len(self._under_way),
            "cap": {"run": budget.caps.run.micro_usd, "story": budget.caps.story.micro_usd},
            "stories": {name: _shown(budget.spent(name), budget.held(name)) for name in budget.stories()},
        }

    async def _answer(self, call: Call, cost: Cost) -> _Answer:
        ticket, answers = self._budget.ask(cost.want(call))
        loop = asyncio.get_running_loop()
        waits = self._waiting[ticket] = loop.create_future()
        self._hear(answers)
        patience = loop.call_later(PATIENCE_SECONDS, self._tell_waiting, call)
        try:
            answer: _Answer = await waits
        except asyncio.CancelledError:
            self._give_up(ticket, waits)
            raise
        finally:
            patience.cancel()
        return answer

    def _tell_waiting(self, call: Call) -> None:
        """Somebody waits for what others hold: for whom, and how long they may go on to do so."""
        sent = [under_way.sent for under_way in self._under_way.values() if under_way.sent is not None]
        longest = self._clock() - min(sent, default=self._clock())
        self._on_event("waiting", story=call.session.story, attempt=call.session.attempt, call=call.number, model=call.model,
                       held_micro_usd=self._budget.held().micro_usd, held_tokens=self._budget.held().tokens,
                       calls=len(self._under_way), longest=round(longest, 1))  # fmt: skip

    def _give_up(self, ticket: int, waits: "asyncio.Future[_Answer]") -> None:
        """Who waited has left: before the answer came, or just behind it."""
        self._waiting.pop(ticket, None)
        if waits.cancelled():
            self._hear(self._budget.leave(ticket))
        elif isinstance(waits.result(), Granted):
            self._hear(self._budget.settle(ticket, Amount()))

    def _end(self, held: Held, used: Amount) -> None:
        del self._under_way[held.id]
        self._hear(self._budget.settle(held.id, used))

    def _hear(self, answers: Answers) -> None:
        """Tells those who wait. Whose wait was broken off just now gives back what he got."""
        left = list(answers)
        while left:
            answer = left.pop(0)
            waits = self._waiting.pop(answer.ticket)
            if not waits.cancelled():
                waits.set_result(answer)
            elif isinstance(answer, Granted):
                left += self._budget.settle(answer.ticket, Amount())

    def _tell_crossings(self) -> None:
        for crossing in self._budget.crossings():
            self._on_event("soft-limit", scope=crossing.scope, story=crossing.story, unit=crossing.unit,
                           cap=crossing.cap, spent=crossing.spent, percent=SOFT_PERCENT)  # fmt: skip

    def _unwritable(self, error: CannotWrite) -> str:
        """Nothing is spent that cannot be written down; whoever runs the gateway is told once."""
        why = f"what is spent cannot be written down: {error}"
        if not self._told:
            self._told = True
            self._on_event("unwritable", why=why)
        return why

    def _so_far(self, call: _UnderWay, seconds: float) -> Amount:
        if call.used is not None:
            return Amount(self._prices.settle(call.held.model, call.used), call.used.tokens)
        if call.stream:
            return call.cost.input
        unseen = min(int(seconds * UNSEEN_TOKENS), call.held.max_tokens)
        return call.cost.after(unseen)


def _refusal(refused: Refused, story: str) -> Refusal:
    whose = "the run" if refused.scope == "run" else f"story {story}" if story else "the session"
    text = _usd if refused.unit == "money" else _tokens
    option = {"run": "--budget", "story": "--story-budget"} if refused.unit == "money" else {
        "run": "--token-budget", "story": "budget.story_tokens"}  # fmt: skip
    refusal = Refusal(
        402,
        "billing_error",
        f"the budget of {whose} is used up: {text(refused.spent)} of {text(refused.cap)} spent, this call needs"
        f" {text(refused.needed)} at least; raise {option[refused.scope]} and resume",
        reason="budget",
    )
    refusal.scope = refused.scope
    return refusal


def _usd(micro_usd: int) -> str:
    return f"{micro_usd / 1_000_000:.4f} USD"


def _tokens(tokens: int) -> str:
    return f"{tokens} tokens"


def _shown(spent: Amount, held: Amount) -> dict[str, int]:
    return {"spent_micro_usd": spent.micro_usd, "spent_tokens": spent.tokens,
            "held_micro_usd": held.micro_usd, "held_tokens": held.tokens}  # fmt: skip
