"""The bodies of requests: read where there is room for them, in time, and given up when nobody needs them any more."""

import asyncio
from collections.abc import Mapping
from contextlib import ExitStack

from starlette.types import Receive

from rad_engineer.gateway.configuration import GatewaySettings
from rad_engineer.gateway.exchange import Refusal, Session
from rad_engineer.gateway.messages import LARGE, MOST_OF_A_BODY
from rad_engineer.gateway.room import Room

_HUGE = 1024 * 1024
"""What is longer has a room of its own, so that the usual conversation never waits for it."""
_BODY_SECONDS = 60.0


class Bodies:
    """What is here of them, read, takes about two and a half times the room that it has."""

    def __init__(self, settings: GatewaySettings) -> None:
        most, patience = settings.body_bytes, settings.body_wait_seconds
        self._usual = Room(most // 4, most // 8, patience)
        self._huge = Room(most * 3 // 4, most * 3 // 8, patience)
        self._seconds = settings.body_seconds

    async def read(
        self, session: Session, headers: Mapping[str, str], receive: Receive, room: ExitStack
    ) -> bytes:
        """The body of a request; `room` is closed when it is needed no more.

        Raises Refusal: 413 for one that is too long, 408 for one that comes too slowly, 429 where there is no room.
        """
        size = _length(headers)
        if size <= LARGE:
            return await _within(_BODY_SECONDS, size, receive)
        place = await (self._huge if size > _HUGE else self._usual).take(session, size)
        room.callback(place.close)
        body = await _within(self._seconds, size, receive)
        place.shrink(len(body))  # one in chunks did not say how long it is
        return body


def _length(headers: Mapping[str, str]) -> int:
    """How long a body will be; what does not say it may be as long as any."""
    said = headers.get("content-length", "")
    if not said.isdigit():
        return MOST_OF_A_BODY if "transfer-encoding" in headers else 0
    if int(said) > MOST_OF_A_BODY:
        raise _too_large()
    return int(said)


async def _within(seconds: float, most: int, receive: Receive) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await _whole(most, receive)
    except TimeoutError as error:
        raise Refusal(
            408, "invalid_request_error", f"the body did not come within {seconds:g} s", reason="limit"
        ) from error


async def _whole(most: int, receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(499, "api_error", "the client left", reason="gone")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> Refusal:
    return Refusal(
        413, "request_too_large", f"a request may have {MOST_OF_A_BODY >> 20} MB", reason="invalid"
    )
