"""Serves until a signal comes: sockets, the loop, and what is logged of it."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import uvicorn

from rad_engineer import library_logs, logs
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
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    serving: Serving, runs: Runs, listener: socket.socket, until: Callable[[Callable[[], None]], None]
) -> None:
    """Answers until a signal comes, or until what `until` is given is called; its log is stderr."""
    logs.start(None, level=serving.log_level, form=serving.log_format)
    with library_logs.heard(serving.log_format, serving.log_level):
        asyncio.run(_serve(serving, runs, listener, until))


async def _serve(
    serving: Serving, runs: Runs, listener: socket.socket, until: Callable[[Callable[[], None]], None]
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, "runs"))
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
