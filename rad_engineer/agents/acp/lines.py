"""The wire: a JSON message a line. What is none is told, and does no harm."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

LONGEST = 16 * 1024 * 1024
"""Bytes of one message; a longer one is left out."""

_SHOWN = 2_000


class Lines:
    """The standard streams of an agent as the transport that a connection of the library wants."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, noise: Callable[[str], None]
    ) -> None:
        self._reader, self._writer, self._noise = reader, writer, noise
        self._sending = asyncio.Lock()

    async def send(self, message: dict[str, Any]) -> None:
        """Raises ConnectionError when the agent does not listen any more."""
        async with self._sending:
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            await self._writer.drain()

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when there will be none."""
        while (line := await next_line(self._reader)) is not None:
            message = _message(line)
            if message is not None:
                return message
            if line.strip():
                self._noise(line)
        return None

    async def close(self) -> None:
        """Tells the agent that nothing more will come."""
        self._writer.close()


async def next_line(reader: asyncio.StreamReader) -> str | None:
    """The next line, too long ones cut; None at the end."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as ended:
        line = ended.partial
        if not line:
            return None
    except asyncio.LimitOverrunError as too_long:
        return (await reader.readexactly(too_long.consumed))[:_SHOWN].decode("utf-8", "replace")
    return line.decode("utf-8", "replace")


def _message(line: str) -> dict[str, Any] | None:
    """A message that a connection can take: a request, or an answer to what it can look up."""
    try:
        found = json.loads(line) if line.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):
        return None
    asks = isinstance(found.get("method"), str)
    answers = isinstance(found.get("id"), int) and ("result" in found or isinstance(found.get("error"), dict))
    return found if asks or answers else None
