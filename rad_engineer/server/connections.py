"""Connections: how many there may be, how long a request may take to arrive, and who makes room for whom.

uvicorn limits none of this. Whoever has not sent a whole request makes room for a new connection, the longest waiting
first: sockets that are only held open keep nobody out.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rad_engineer.server.answers import problem
from rad_engineer.server.configuration import Serving

MOST_OF_A_HEAD = 16_384
MOST_OF_A_BODY = 65_536
_RECEIVING = frozenset({h11.IDLE, h11.SEND_BODY})


class Census:
    """All connections, oldest first."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._of: dict[str, dict[Connection, None]] = {}
        self._all: dict[Connection, None] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: "Connection", peer: str) -> bool:
        """Lets a connection in, if need be in the place of one that waits; False where nobody can make room."""
        own = self._of.setdefault(peer, {})
        if len(own) >= self._serving.per_peer and not self._dismiss(own):
            self.refused += 1
            return False
        if len(self._all) >= self._serving.connections and not self._dismiss(self._all):
            self.refused += 1
            if not own:
                del self._of[peer]
            return False
        self._of.setdefault(peer, own)[connection] = self._all[connection] = None
        return True

    def leave(self, connection: "Connection", peer: str) -> None:
        """A connection is over."""
        self._all.pop(connection, None)
        own = self._of.get(peer)
        if own is not None:
            own.pop(connection, None)
            if not own:
                del self._of[peer]

    def _dismiss(self, among: "dict[Connection, None]") -> bool:
        waiting = next((each for each in among if each.waits), None)
        if waiting is None:
            return False
        waiting.dismiss()
        return True


class Connection(H11Protocol):
    """A client's connection, as the HTTP server knows it."""

    census: Census
    deadline: float
    patience: float
    tls: ssl.SSLContext | None

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any],
                 _loop: asyncio.AbstractEventLoop | None = None) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._peer = ""
        self._raw: asyncio.Transport | None = None
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._upgrade: asyncio.Task[None] | None = None
        self._received = 0
        self._known = False  # to the library
        self._early = b""  # what was in the same packet as the end of a handshake

    @property
    def waits(self) -> bool:
        """Whether nobody would miss an answer: no request has come, or none since the last answer."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is None or cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        self._raw = transport
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        if not self.census.enter(self, self._peer):
            transport.abort()
            return
        self._late = self.loop.call_later(self.deadline, self._too_late)
        if self.tls is None:
            self._known = True
            super().connection_made(transport)
        else:
            transport.pause_reading()
            self._upgrade = self.loop.create_task(self._encrypt(transport, self.tls))

    async def _encrypt(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """The same connection, encrypted from here on; one that does not come to it is closed by its deadline at the latest."""
        try:
            upgraded = await self.loop.start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=self.deadline
            )
        except (OSError, ssl.SSLError):
            self.dismiss()
            return
        if upgraded is None or upgraded.is_closing():
            self.dismiss()
            return
        self._known = True
        super().connection_made(upgraded)
        early, self._early = self._early, b""
        if early:
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._forget()
        if self._known:
            super().connection_lost(exc)

    def dismiss(self) -> None:
        """Ends it at once."""
        self._forget()
        if self._raw is not None:
            self._raw.abort()

    def _forget(self) -> None:
        self.census.leave(self, self._peer)
        for timer in (self._late, self._unread):
            if timer is not None:
                timer.cancel()
        self._late = self._unread = None
        if self._upgrade is not None:
            self._upgrade.cancel()

    def data_received(self, data: bytes) -> None:
        """Something has come: a request has one deadline from its first byte to its last."""
        if not self._known:
            self._early += data
            return
        self._received += len(data)
        super().data_received(data)
        if self.conn.their_state is h11.SEND_BODY and self._received > MOST_OF_A_HEAD + MOST_OF_A_BODY:
            self.dismiss()  # it was answered by its length, or has said none
        self._watch()

    def on_response_complete(self) -> None:
        """An answer has been written."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state not in _RECEIVING or (self.conn.their_state is h11.IDLE and self._idle()):
            self._received = 0
            if self._late is not None:
                self._late.cancel()
                self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(self.deadline, self._too_late)

    def _idle(self) -> bool:
        """Whether the last request is over and nothing of a next one has come: the server ends such connections soon."""
        cycle: Any = self.cycle
        return cycle is not None and not self.conn.trailing_data[0]

    def _too_late(self) -> None:
        self._late = None
        if self._known and self.waits and self.conn.our_state is h11.IDLE and self._received:
            self._refuse(408, "timeout", f"a request has to be here within {self.deadline:g} s")
        self.dismiss()

    def pause_writing(self) -> None:
        """The client takes less than it is given."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.patience, self.dismiss)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _unsupported_upgrade_warning(self) -> None:
        """Nobody has to be told to install something."""

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused as everything else is; within an answer there is nothing left to be said."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            if self._received > MOST_OF_A_HEAD and self.waits:
                self._refuse(431, "too-large", f"the head of a request has at most {MOST_OF_A_HEAD} bytes")
            else:
                self._refuse(400, "invalid", msg)
        self.transport.close()

    def _refuse(self, status: int, code: str, message: str) -> None:
        body, headers = problem(status, code, message)
        with suppress(h11.LocalProtocolError):
            for part in self._parts(status, body, headers):
                self.transport.write(self.conn.send(part) or b"")

    def _parts(self, status: int, body: bytes, headers: dict[str, str]) -> Iterator[h11.Event]:
        head = {**headers, "content-length": str(len(body)), "connection": "close"}
        yield h11.Response(status_code=status, headers=[*head.items()], reason=HTTPStatus(status).phrase)
        yield h11.Data(data=body)
        yield h11.EndOfMessage()
