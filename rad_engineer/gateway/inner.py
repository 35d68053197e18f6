"""The gateway's side of listeners in boxes: each is served to the attempt that its box was made for."""

import asyncio
import functools
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from rad_engineer.gateway.server import ATTEMPT
from rad_engineer.gateway.writing import Protocol

_MOST = 4096
_App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class InnerListeners:
    """Takes them from the coordinator as they come, and gives them up when it says so."""

    def __init__(self, way: socket.socket, config: uvicorn.Config, server: uvicorn.Server) -> None:
        self._way = way
        self._config = config
        self._server = server
        self._open: dict[int, asyncio.Server] = {}

    async def serve(self) -> None:
        """Until it is cancelled."""
        if not self._config.loaded:
            self._config.load()
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[bytes, list[int]]] = asyncio.Queue()
        self._way.setblocking(False)
        loop.add_reader(self._way, self._take, arrived)
        try:
            while True:
                data, descriptors = await arrived.get()
                message = json.loads(data)
                if "close" in message:
                    self._end(message["close"])
                    continue
                listener = socket.socket(fileno=descriptors[0])
                attempt = (message["story"], message["attempt"])
                self._open[message["number"]] = await loop.create_server(
                    functools.partial(self._protocol, attempt), sock=listener
                )
        finally:
            loop.remove_reader(self._way)
            self._way.close()
            for number in [*self._open]:
                self._end(number)

    def _take(self, arrived: "asyncio.Queue[tuple[bytes, list[int]]]") -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._way, _MOST, 1)
        except (BlockingIOError, ConnectionResetError):
            return
        if data:
            arrived.put_nowait((data, descriptors))
        else:  # the coordinator has gone, which is noticed elsewhere
            asyncio.get_running_loop().remove_reader(self._way)

    def _end(self, number: int) -> None:
        server = self._open.pop(number, None)
        if server is not None:
            server.close()

    def _protocol(self, attempt: tuple[str, int]) -> asyncio.Protocol:
        protocol = Protocol(config=self._config, server_state=self._server.server_state, app_state={})
        outer: _App = protocol.app

        async def bound(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            await outer({**scope, ATTEMPT: attempt}, receive, send)

        protocol.app = bound
        return protocol
