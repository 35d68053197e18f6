"""The way of one call: from cache and queues over one flight for identical requests to the upstream, and back.

A call that is on its way does not end with its client: as long as somebody reads its answer it goes on, and when nobody
does, it is read a while longer, so that what it costs is known.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from rad_engineer.errors import RadError
from rad_engineer.gateway import faults
from rad_engineer.gateway.coalescing import Flights, Follower
from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.exchange import Answer, Call, OnEvent, Refusal, Usage, Whole
from rad_engineer.gateway.messages import LARGE, changed, estimate_input, usage_of
from rad_engineer.gateway.mock import Mock
from rad_engineer.gateway.normal_form import same_turn
from rad_engineer.gateway.sessions import Kept, Sessions
from rad_engineer.gateway.stations import Stations
from rad_engineer.gateway.trip import Passed, Pump, Trip, named
from rad_engineer.gateway.upstream import FALLS_BACK, Opened, Upstream


class Passage:
    """All calls that are on their way, and the stations they pass."""

    def __init__(self, settings: GatewaySettings, upstream: Upstream | Mock, stations: Stations, sessions: Sessions,
                 on_event: OnEvent) -> None:  # fmt: skip
        self._settings = settings
        self._upstream = upstream
        self._stations = stations
        self._sessions = sessions
        self._on_event = on_event
        self._flights = Flights()
        self._pumps: dict[str, Pump] = {}
        self._tasks: dict[asyncio.Task[None], Call] = {}
        self._repeated = 0

    async def answer(self, call: Call) -> Passed:
        """The answer to a call, as soon as it begins; raises Refusal. When cancelled, its client has left."""
        await self._stations.caught_up()
        key = await self._key(call)
        try:
            passed = await self._found(call, key)
        except Refusal as refusal:
            if refusal.reason != "unreachable":
                raise
            passed = Passed(
                await self._stations.offline(call, key, refusal.message), {"x-rad-cache": "offline"}
            )
        return replace(passed, answer=self.heard(call, passed.answer))

    def stranger(self, address: str) -> None:
        """Counts who may not come in; raises Refusal where that comes too often."""
        self._stations.stranger(address)

    def heard(self, call: Call, answer: Answer) -> Answer:
        """The same answer, recorded where that is wanted."""
        return self._stations.heard(call, answer)

    async def counted(self, call: Call) -> Answer | None:
        """A count of tokens that nobody has to be asked for; raises Refusal 404 where nobody may be asked."""
        return await self._stations.counted(call)

    async def _found(self, call: Call, key: str) -> Passed:
        stations = self._stations
        found = await self._known(call, key)
        if found is not None:
            return found
        turn, tried = await self._tried(call)
        admitted = await stations.admit(call)
        link = f"{call.session.name}/{call.number}"
        try:
            flown = await self._flights.join(key, link, lambda: self._on_event("joined", **named(call)))
        except asyncio.CancelledError:
            self.left(key)
            raise
        if isinstance(flown, Follower):
            self._on_event("coalesced", **named(call), link=flown.link, micro_usd=0)
            return Passed(flown.answer, {**admitted, "x-rad-coalesced": flown.link}, key)
        return await self._lead(call, key, Pump(flown, turn, tried), admitted)

    def left(self, flight: str, *, leader: bool = False) -> None:
        """A client has gone before its answer was over."""
        pump = self._pumps.get(flight)
        if pump is None:
            return
        pump.alone = pump.alone or leader
        if pump.deserted:
            seconds = self._settings.drain_seconds if pump.sent else 0.0
            asyncio.get_running_loop().call_later(seconds, _end_deserted, pump)

    def when_over(self, call: Call, done: Callable[[], None]) -> None:
        """Tells when a call is needed no more: one whose client has left may be on its way for a while."""
        task = next((task for task, its in self._tasks.items() if its is call), None)
        if task is None:
            done()
        else:
            task.add_done_callback(lambda _: done())

    async def end(self) -> None:
        """Lets what the upstream works on come to its end for a moment, so that its cost is known; breaks off the rest."""
        for pump in [*self._pumps.values()]:
            if not pump.sent and pump.task is not None:
                pump.task.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=self._settings.linger_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def state(self) -> dict[str, Any]:
        """What is on its way and was shared, and what each station has to say of itself."""
        return {
            "flights": dict(self._flights.stats()),
            "repeated": self._repeated,
            "sessions": len(self._sessions),
            **self._stations.state(),
        }

    async def _key(self, call: Call) -> str:
        if len(call.body) > LARGE and self._settings.share:  # then the whole body is hashed
            return await asyncio.to_thread(self._stations.key, call)
        return self._stations.key(call)

    async def _known(self, call: Call, key: str) -> Passed | None:
        """The answer, where nobody has to be asked for it."""
        stations = self._stations
        if stations.asks_nobody:
            answer = await stations.alone(call, key)
            self._on_event("cached", **named(call), tier="alone")
            return Passed(answer, {})
        kept = self._sessions.kept(call, key)
        if kept is not None:
            self._on_event("cached", **named(call), tier="session")
            return Passed(_again(kept), {"x-rad-cache": "session"})
        stored = await stations.cached(key)
        if stored is None:
            return None
        self._on_event("cached", **named(call), tier="cache", link=stored.link, micro_usd=0)
        return Passed(stored.answer(), {"x-rad-cache": stored.link})

    async def _tried(self, call: Call) -> tuple[str, int]:
        """The name of a request and how often it was sent in vain; raises Refusal where it is not sent any more."""
        tries = self._sessions.tries(call.session)
        if not tries:
            return "", 0
        turn = await self._turn(call)
        try:
            return turn, tries.of(turn, time.monotonic())
        except Refusal as refusal:
            self._repeated += 1
            self._on_event("repeated", **named(call), status=refusal.status)
            raise

    async def _in_vain(self, call: Call, pump: Pump, refusal: Refusal) -> None:
        """Counts the tries that a request has had, where the upstream was asked at all."""
        tried = max(pump.tried, refusal.tries)
        if tried and refusal.reason != "unreachable":
            turn = pump.turn or await self._turn(call)
            final = refusal.final or tried >= self._settings.attempts
            self._sessions.tries(call.session).failed(turn, refusal, tried, time.monotonic(), final=final)

    async def _turn(self, call: Call) -> str:
        return await asyncio.to_thread(same_turn, call) if len(call.body) > LARGE else same_turn(call)

    async def _lead(self, call: Call, key: str, pump: Pump, admitted: Mapping[str, str]) -> Passed:
        self._pumps[key] = pump
        began: asyncio.Future[Passed] = asyncio.get_running_loop().create_future()
        began.add_done_callback(_looked_at)
        task = pump.task = asyncio.create_task(self._fly(call, key, pump, began))
        self._tasks[task] = call
        task.add_done_callback(self._tasks.pop)
        try:
            passed = await asyncio.shield(began)
        except asyncio.CancelledError:
            self.left(key, leader=True)
            raise
        return replace(passed, headers={**admitted, **passed.headers}, flight=key)

    async def _fly(self, call: Call, key: str, pump: Pump, began: "asyncio.Future[Passed]") -> None:
        try:
            with pump.lead:
                await self._go(call, key, pump, began)
        finally:
            if self._pumps.get(key) is pump:
                del self._pumps[key]
            if not began.done():
                began.set_exception(faults.broken_off())

    async def _go(self, call: Call, key: str, pump: Pump, began: "asyncio.Future[Passed]") -> None:
        try:
            held = await self._stations.reserve(call)
            spared = int(self._settings.fallback_model not in ("", call.model))
            trip = Trip(call, held, key, pump, began, spared=spared)
        except (Refusal, RadError) as error:
            began.set_exception(faults.as_refusal(error).with_traceback(None))  # a future keeps its frames
            pump.lead.hand_over()
            return
        try:
            await self._fetch(trip)
        except (Refusal, RadError) as error:
            refusal = faults.as_refusal(error)
            await self._in_vain(call, pump, refusal)
            refusal.forget()
            pump.lead.fail(refusal)
            if not began.done():
                began.set_exception(refusal.with_traceback(None))

    async def _fetch(self, trip: Trip) -> None:
        """Asks the upstream, and the fallback model where the wanted one does not answer, with the tries that are left."""
        try:
            await self._ask(trip)
        except Refusal as refusal:
            falls_back = (
                trip.spared and refusal.reason in FALLS_BACK and refusal.tries < self._settings.attempts
            )
            if not falls_back or trip.pump.begun:
                raise
            other = self._settings.fallback_model
            trip.pump.tried = max(trip.pump.tried, refusal.tries)
            data = {**trip.call.data, "model": other}
            second = replace(trip.call, model=other, data=data, body=changed(data))
            held = await self._stations.reserve(second)
            await self._ask(Trip(second, held, trip.key, trip.pump, trip.began, instead=True))

    async def _ask(self, trip: Trip) -> None:
        stations = self._stations
        try:
            async with stations.slot(trip.call), asyncio.timeout(self._settings.longest_seconds):
                guard = stations.guard(trip.call.model)
                trip.pump.sent = True
                stations.money.sent(trip.held)
                request, lost = trip.request(), trip.lost.append
                answer = await self._upstream.send(request, guard, lost=lost, **named(trip.call))
                if isinstance(answer, Whole):
                    await self._whole(trip, answer)
                else:
                    await self._stream(trip, answer)
        except (asyncio.CancelledError, TimeoutError) as error:
            if trip.lost or trip.used is not None:  # we end it: the upstream is ahead of what was seen
                trip.settled = True
                stations.abandon(trip.call, trip.held)
            if isinstance(error, TimeoutError):
                raise faults.endless(self._settings.longest_seconds) from error
            raise
        finally:
            if not trip.settled:
                self._settle(trip, trip.used, whole=False)

    async def _whole(self, trip: Trip, answer: Whole) -> None:
        trip.used = Usage(model=trip.call.model, stated=False)  # it is to be paid, whatever happens to us now
        message = await _parsed(answer.body)
        self._settle(trip, usage_of(message), whole=True)
        self._finish(trip, answer, answer.headers, message)
        trip.pump.lead.whole(answer)
        if not trip.began.done():
            trip.began.set_result(Passed(answer, {}))

    async def _stream(self, trip: Trip, opened: Opened) -> None:
        parts: list[bytes] = []
        pump, began = trip.pump, trip.began
        trip.used = opened.meter.usage
        pump.tried = max(pump.tried, opened.tries)
        pump.lead.begin(opened.headers)
        pump.begun = True
        if not began.done():
            began.set_result(Passed(pump.lead.reader(), opened.headers))
        async with aclosing(opened.events) as stream:
            async for events in stream:
                trip.used = opened.meter.usage
                self._stations.money.seen(trip.held, trip.used)
                if opened.meter.error is not None:
                    await self._in_vain(
                        trip.call, pump, faults.said(opened.headers, opened.meter.error).refusal
                    )
                parts.append(events)
                if not opened.meter.complete:
                    pump.lead.publish(events)
                elif not trip.settled:
                    self._settle(trip, trip.used, whole=True)
                    self._finish(trip, b"".join(parts), opened.headers, opened.meter.shape)
                    pump.lead.publish(events)
                    pump.lead.end()
        pump.lead.end()

    def _settle(self, trip: Trip, usage: Usage | None, *, whole: bool) -> None:
        """Books what the answer says, and what tries may have cost of which nothing was seen."""
        trip.settled = True
        if usage is None and not trip.lost:
            self._stations.money.release(trip.held)
            return
        found = Usage(model=trip.call.model) if usage is None else usage
        guessed = len(trip.lost) + (not found.stated)
        if guessed:
            inputs = guessed * estimate_input(trip.call)
            found = replace(
                found,
                input_tokens=found.input_tokens + inputs,
                output_tokens=found.output_tokens + trip.unseen_output(),
            )
        self._stations.settle(trip.call, trip.held, found, uncertain=bool(guessed) or not whole)

    def _finish(self, trip: Trip, answer: Whole | bytes, headers: Mapping[str, str],
                message: Mapping[str, Any]) -> None:  # fmt: skip
        """What is done with an answer that is over: it is kept, stored and recorded."""
        if trip.pump.turn:
            self._sessions.tries(trip.call.session).answered(trip.pump.turn)
        if message.get("stop_reason") and message.get("content"):  # else who asks again wants another
            self._sessions.keep(trip.call, Kept(trip.key, answer, headers))
        if not trip.instead:
            self._stations.finished(trip.call, trip.key, answer, headers, message)


def _again(kept: Kept) -> Whole | AsyncIterator[bytes]:
    return kept.answer if isinstance(kept.answer, Whole) else _once(kept.answer)


async def _once(events: bytes) -> AsyncIterator[bytes]:
    yield events


async def _parsed(body: bytes) -> dict[str, Any]:
    found = await asyncio.to_thread(json.loads, body) if len(body) > LARGE else json.loads(body)
    return found if isinstance(found, dict) else {}


def _end_deserted(pump: Pump) -> None:
    if pump.deserted and pump.task is not None:
        pump.task.cancel()


def _looked_at(began: "asyncio.Future[Passed]") -> None:
    """Nobody may be left to read why a call failed: that is no error."""
    if not began.cancelled():
        began.exception()
