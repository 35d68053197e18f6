"""The gateway's own process: it is told everything through its standard input, and owns nothing else.

What comes there: its configuration and the listening sockets, which outlive it, then the key and the secret of the run.
What goes back there: events, as lines of JSON. When nobody is at the other end any more, it ends.
"""

import asyncio
import gc
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from rad_engineer import library_logs, logs
from rad_engineer.errors import RadError
from rad_engineer.gateway import credentials, framing
from rad_engineer.gateway.authorization import authorization
from rad_engineer.gateway.bodies import Bodies
from rad_engineer.gateway.call_spans import CallSpans
from rad_engineer.gateway.configuration import REPLAY, GatewaySettings
from rad_engineer.gateway.inner import InnerListeners
from rad_engineer.gateway.mock import Mock
from rad_engineer.gateway.passage import Passage
from rad_engineer.gateway.server import Server
from rad_engineer.gateway.sessions import Sessions
from rad_engineer.gateway.stations import Stations
from rad_engineer.gateway.upstream import Upstream
from rad_engineer.gateway.writing import Protocol

_EXPIRY_SECONDS = 15.0
_SWITCH_SECONDS = 0.0005  # threads write recordings and caches: calls do not wait for them
_COLLECTIONS = (10_000, 100, 1_000)
"""When garbage in cycles is looked for. With the usual numbers every request of some size has the kept parts of all others
looked through: 60 ms, in which nobody is answered."""
_MOST_UNREAD = 4 << 20
_NAMES = ("story", "attempt", "call")
_DISPENSABLE = frozenset({"beat", "joined", "request", "cached", "coalesced", "retried"})


def main() -> int:
    """Runs until the other end of standard input is closed."""
    credentials.harden()
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(*_COLLECTIONS)
    channel = socket.socket(fileno=os.dup(0))
    told, secret, (*files, file) = framing.receive(channel)
    *sockets, way = (socket.socket(fileno=each) for each in files)
    key = credentials.handed(file)
    with library_logs.heard("json", run=Path(told["folder"]).parent.name):  # stderr is gateway.log
        asyncio.run(_live(told, told["credentials"], key, secret, sockets, channel, way))
    return 0


async def _live(told: Mapping[str, Any], kind: str, key: bytes, secret: bytes, sockets: Sequence[socket.socket],
                channel: socket.socket, way: socket.socket) -> None:  # fmt: skip
    reader, writer = await asyncio.open_connection(sock=channel)

    def emit(name: str, /, **fields: Any) -> None:
        if name == "request":  # what is logged of it names it, too
            logs.bind(**{each: fields[each] for each in _NAMES if each in fields})
        unread = writer.transport.get_write_buffer_size()
        if not writer.is_closing() and not (unread > _MOST_UNREAD and name in _DISPENSABLE):
            writer.write(json.dumps({"event": name, **fields}).encode() + b"\n")

    if told["wait"]:
        await asyncio.sleep(told["wait"])
    settings = GatewaySettings.from_json(told["settings"])
    try:
        gateway = Gateway(settings, Path(told["folder"]), kind, key, secret, emit)
    except RadError as error:  # another gateway has the ledger still, or nobody can read or write it
        emit("failed", why=str(error), hint=error.hint, exit_code=int(error.exit_code))
        writer.close()
        return
    for story, attempt in told["closed"]:
        gateway.sessions.close(story, attempt)
    listener = asyncio.create_task(_listen(reader, gateway))
    await gateway.serve(sockets, way)
    listener.cancel()
    writer.close()


async def _listen(reader: asyncio.StreamReader, gateway: "Gateway") -> None:
    """Does what the parent says, and ends the gateway with it, however the parent's end is noticed."""
    try:
        while line := await reader.readline():
            message = json.loads(line)
            if "close" in message:
                gateway.sessions.close(*message["close"])
            if "open" in message:
                gateway.sessions.reopen(*message["open"])
    except ConnectionError:  # it went while we wrote, or with something of ours unread
        return
    finally:
        gateway.stop()


class Gateway:
    """All of it, put together: serves on sockets that somebody else has bound."""

    def __init__(self, settings: GatewaySettings, folder: Path, kind: str, key: bytes, secret: bytes,
                 on_event: Callable[..., None]) -> None:  # fmt: skip
        self.sessions = Sessions(settings.idle_seconds)
        self._spans = CallSpans(settings.traced) if settings.traced else None
        on_event = on_event if self._spans is None else _heard_by(self._spans, on_event)
        self._on_event = on_event
        self._beat_seconds = settings.beat_seconds
        text = key.decode()
        self._upstream = (
            Upstream(settings, authorization(kind, key), text, on_event) if _asks(settings) else Mock()
        )
        self._stations = Stations(settings, folder, text, on_event)
        self._passage = Passage(settings, self._upstream, self._stations, self.sessions, on_event)
        bodies = Bodies(settings)
        app = Server(secret, self._passage, self._upstream, self.sessions, bodies, on_event).app()
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            loop="asyncio",
            http=Protocol,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        self._config = config
        self._server = uvicorn.Server(config)
        self._ending: asyncio.Task[None] | None = None

    async def serve(self, sockets: Sequence[socket.socket], way: socket.socket) -> None:
        """Answers until it is stopped; then settles what was on its way."""
        inner = InnerListeners(way, self._config, self._server)
        each = (self._expire(), self._beat(), self._stations.keep_marks(), inner.serve())
        lasting = [asyncio.create_task(one) for one in each]
        gc.freeze()
        self._on_event("ledger", stories=self._stations.booked())
        self._on_event("ready")
        try:
            await self._server.serve(list(sockets))
        finally:
            await (self._ending or self._passage.end())
            for task in lasting:
                task.cancel()
            await asyncio.gather(*lasting, return_exceptions=True)
            self._on_event("state", **self._passage.state())
            if self._spans is not None:
                await asyncio.to_thread(self._spans.close)
            await self._upstream.aclose()
            self._stations.close()
            await asyncio.sleep(0)  # what its threads have said meanwhile is told
            await asyncio.sleep(0)  # what could not be recorded is told

    def stop(self) -> None:
        """Ends `serve`: nobody new is let in, and what is on its way gets a moment."""
        self._ending = self._ending or asyncio.create_task(self._passage.end())
        self._server.should_exit = True

    async def _beat(self) -> None:
        """Says that calls are served, for as long as that is so."""
        while True:
            self._on_event("beat")
            await asyncio.sleep(self._beat_seconds)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRY_SECONDS)
            self.sessions.expire(time.monotonic())
            self._on_event("state", **self._passage.state())


def _heard_by(spans: CallSpans, on_event: Callable[..., None]) -> Callable[..., None]:
    def both(name: str, /, **fields: Any) -> None:
        spans.hear(name, fields)
        on_event(name, **fields)

    return both


def _asks(settings: GatewaySettings) -> bool:
    """Whether there is an upstream to be asked at all."""
    return not (settings.offline or settings.upstream == "mock" or settings.upstream.startswith(REPLAY))


if __name__ == "__main__":
    sys.exit(main())
