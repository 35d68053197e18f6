"""What is written to a client in one step of the event loop goes out at once: a head with its body, an end with the last event.

Each time that something goes out costs as much as understanding a small request.
"""

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rad_engineer.gateway.exchange import Refusal, new_id


class Protocol(H11Protocol):
    """A client's connection, as the HTTP server knows it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(_Together(transport))

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused as everything else is; within an answer there is nothing left to be said."""
        wrong = sys.exception()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = HTTPStatus(getattr(wrong, "error_status_hint", HTTPStatus.BAD_REQUEST))
            request_id = new_id()
            refusal = Refusal(
                status, "invalid_request_error", f"{msg.rstrip('.')}: {wrong}", reason="invalid"
            )
            body = refusal.body(request_id)
            head = {"content-type": "application/json", "content-length": str(len(body)), "request-id": request_id,
                    "x-should-retry": "false", "connection": "close"}  # fmt: skip
            answer = h11.Response(status_code=status, headers=[*head.items()], reason=status.phrase.encode())
            for part in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()


class _Together(asyncio.Transport):
    """A transport that waits until the step is over. Everything else is asked of the real one."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []

    def write(self, data: Any) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        self._waiting.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
