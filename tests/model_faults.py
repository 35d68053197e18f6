"""Ways in which an upstream fails, and one that fails in them before it answers; it counts its calls and keeps its bill."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from tests import faulty_upstream as faulty

MODEL = "claude-sonnet-5-5"
GOOD = faulty.events({"model": MODEL})
TOOL = faulty.events({"model": MODEL}, tool=True)
OVERLOADED = faulty.event("error", error={"type": "overloaded_error", "message": "Overloaded"})
OVERLOAD = faulty.says(529, "overloaded_error", "Overloaded")
BEGUN = 11  # tokens that a stream of these has stated with its first event
ANSWER = 110  # and a whole answer


@dataclass(frozen=True)
class Kind:
    """Faults of the first calls, one after another, or of all; then a good upstream.

    `status` is what becomes of a story, `calls` what its first turn costs.
    """

    name: str
    faults: Sequence[faulty.Move]
    status: str
    calls: int
    for_ever: bool = False


def limited(after_seconds: str) -> faulty.Move:
    return faulty.says(429, "rate_limit_error", "slow down", retry_after=after_seconds)


def breaks(*parts: bytes, whole: faulty.Move) -> faulty.Move:
    """A stream of these, broken off; `whole` is what happens to who asks for the whole message."""

    async def move(wire: faulty.Wire) -> None:
        await (faulty.streams(*parts, end="reset") if wire.data.get("stream") else whole)(wire)

    return move


def once(name: str, *faults: faulty.Move) -> Kind:
    return Kind(name, faults, "passed", 1 + len(faults))


def always(name: str, fault: faulty.Move, status: str, calls: int) -> Kind:
    return Kind(name, [fault], status, calls, for_ever=True)


KINDS = [
    once("429, come back at once", limited("0")),
    once("429, come back in 2 s", limited("2")),
    once("429, come back in 49 days", limited("4294967")),
    once("500 once", faulty.says(500, "api_error", "Internal server error")),
    once("503 once", faulty.says(503, "api_error")),
    once("529 twice", *[OVERLOAD] * 2),
    once("reset once", faulty.resets),
    once("no HTTP once", faulty.babbles),
    once("error as the first event", faulty.streams(OVERLOADED)),
    once("stream cut before it begins", faulty.streams(end="reset")),
    once("stream cut after its first event", faulty.streams(GOOD[0], end="reset")),
    once("stream cut in a tool call", faulty.streams(*TOOL[:3], end="reset")),
    once("stream cut in an event", faulty.streams(*GOOD[:2], GOOD[2][:20], end="reset")),
    once("stream that ends too early", faulty.streams(*GOOD[:3])),
    once("garbage in a stream", faulty.streams(*GOOD[:3], b"data: {oh\n\n")),
    once("error in a stream", faulty.streams(*GOOD[:3], OVERLOADED)),
    once("529 twice, then a stream cut in a tool call", *[OVERLOAD] * 2,
         faulty.streams(*TOOL[:3], end="reset")),
    always("429, come back in an hour", limited("3600"), "waiting", 1),
    always("429 for ever, come back in 2 s", limited("2"), "waiting", 4),
    always("429 for ever", faulty.says(429, "rate_limit_error", "slow down"), "waiting", 4),
    always("500 for ever", faulty.says(500, "api_error", "Internal server error"), "waiting", 4),
    always("529 for ever", OVERLOAD, "waiting", 4),
    always("400", faulty.says(400, "invalid_request_error"), "failed", 1),
    always("401", faulty.says(401, "authentication_error", "invalid x-api-key"), "waiting", 1),
    always("402", faulty.says(402, "billing_error"), "waiting", 1),
    always("403", faulty.says(403, "permission_error"), "waiting", 1),
    always("404", faulty.says(404, "not_found_error"), "failed", 1),
    always("413", faulty.says(413, "request_too_large"), "failed", 1),
    always("a page", faulty.raw(200, b"<html>", "text/html"), "waiting", 1),
    always("reset for ever", faulty.resets, "waiting", 4),
    always("stream cut in a tool call for ever", breaks(*TOOL[:3], whole=faulty.breaks_off), "waiting", 4),
    always("error in a stream for ever", breaks(*GOOD[:3], OVERLOADED, whole=OVERLOAD), "waiting", 4),
]  # fmt: skip


@dataclass
class _Billed(faulty.Wire):
    """A wire on which a stream that begins is put on the bill."""

    plans: "Plans"

    async def send(self, data: bytes) -> None:
        self.plans.bill += BEGUN if b"event: message_start" in data else 0
        await super().send(data)


class Plans(dict[str, Sequence[faulty.Move]]):
    """The faults of a kind, whatever is asked, before what the server at `url` answers."""

    def __init__(self, kind: Kind, url: str) -> None:
        super().__init__()
        self.calls = 0  # until the first good answer
        self.bill = 0
        self._asked = itertools.count()
        self._kind = kind
        self._url = url

    def get(self, _name: str, _default: Any = None) -> Sequence[faulty.Move]:
        return [self._move]

    async def _move(self, wire: faulty.Wire) -> None:
        number = next(self._asked)
        faults = self._kind.faults
        if number <= len(faults) or self._kind.for_ever:
            self.calls += 1
        if self._kind.for_ever or number < len(faults):
            await faults[min(number, len(faults) - 1)](_Billed(wire.writer, wire.data, self))
        else:
            await self._answer(wire)

    async def _answer(self, wire: faulty.Wire) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self._url}/v1/messages", json=wire.data)
        self.bill += ANSWER if answer.status_code == 200 else 0
        await faulty.raw(answer.status_code, answer.content, answer.headers["content-type"])(wire)
