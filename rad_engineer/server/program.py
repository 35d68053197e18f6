"""Serves until a signal comes: sockets, the loop, and what is logged of it."""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn

from rad_engineer.server import openapi
from rad_engineer.server.application import application
from rad_engineer.server.configuration import Serving
from rad_engineer.server.connections import Census, Connection
from rad_engineer.server.operations import Operation, Response
from rad_engineer.server.probes import Probes
from rad_engineer.server.records import Records
from rad_engineer.server.runs import Runs
from rad_engineer.server.sockets import BACKLOG

_AT_ONCE = 16  # connections taken in one step: fewer than the descriptors that are kept free
_THREADS = 4
_WINDOW = 10.0
_MOST_IN_A_WINDOW = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    serving: Serving, runs: Runs, listener: socket.socket, until: Callable[[Callable[[], None]], None]
) -> None:
    """Answers until a signal comes, or until what `until` is given is called."""
    asyncio.run(_serve(serving, runs, listener, until))


async def _serve(
    serving: Serving, runs: Runs, listener: socket.socket, until: Callable[[Callable[[], None]], None]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "runs"))
    _log_to_stderr()
    census = Census(serving)
    config = uvicorn.Config(
        application(operations(serving, runs, census), serving),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http=_connections(serving, census),
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=16_384,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
        backlog=_AT_ONCE,
    )
    server = _Server(config)
    for number in (
        each for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN
    ):  # as nohup asks
        loop.add_signal_handler(number, server.stop)
    until(server.stop)
    gc.freeze()
    await server.serve([listener])


def operations(serving: Serving, runs: Runs, census: Census) -> tuple[Operation, ...]:
    """The whole route table."""
    table = (*Probes(runs, census, serving.connections).operations(), *Records(runs).operations())
    described = Operation(
        "/openapi.json", "openapi", "This document.", lambda _path, _asked: Response(text), None, quick=True
    )
    text = openapi.document((*table, described))
    return (*table, described)


class _Server(uvicorn.Server):
    """uvicorn's, without its signals, and with all the room in front of the door that the system gives."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the loop's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connections are taken a few at a time, and the others wait in the system."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)

    def stop(self) -> None:
        """Ends `serve` after what is on its way."""
        self.should_exit = True


def _connections(serving: Serving, census: Census) -> type[Connection]:
    attributes: dict[str, Any] = {
        "census": census, "deadline": serving.deadline, "patience": serving.patience, "tls": serving.tls
    }  # fmt: skip
    return type("Connection", (Connection,), attributes)


class Sparing(logging.Filter):
    """Lets only so many records through: what strangers send must not fill a disk."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since = clock()
        self._passed = self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; the first one of a time says what was left out before."""
        now = self._clock()
        if now - self._since >= _WINDOW:
            if self._left_out:
                record.msg = f"{record.getMessage()} ({self._left_out} lines were left out before)"
                record.args = ()
            self._since, self._passed, self._left_out = now, 0, 0
        self._passed += 1
        if self._passed > _MOST_IN_A_WINDOW:
            self._left_out += 1
            return False
        return True


class _Line(logging.Formatter):
    """Tracebacks end where they say nothing new."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- as the library calls it
        return super().formatException(ei)[-4_000:]


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(Sparing())
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
