"""Connections to the upstream on asyncio itself: what the library brings for any event loop costs a fifth of a request.

Limits of time are the business of whoever reads a whole answer; only making a connection has one here.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpx2

_BUFFER = 1 << 20


class Network:
    """Makes connections; the library calls this a network backend."""

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None,  # noqa: ASYNC109 -- as called
                          socket_options: Iterable[Any] | None = None, **_named: Any) -> "Connection":  # fmt: skip
        """A connection to the first address of a host that answers."""
        loop = asyncio.get_running_loop()
        failed: OSError = ConnectionRefusedError(f"no address of {host} answers")
        try:
            async with asyncio.timeout(timeout):
                for family, kind, protocol, _, address in await loop.getaddrinfo(
                    host, port, type=socket.SOCK_STREAM
                ):
                    made = socket.socket(family, kind, protocol)
                    try:
                        made.setblocking(False)
                        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        for option in socket_options or ():
                            made.setsockopt(*option)
                        await loop.sock_connect(made, address)
                    except OSError as error:
                        failed = error
                        made.close()
                    else:
                        return Connection(made)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"{host} did not answer in {timeout:g} s") from error
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error
        raise httpx2.ConnectError(str(failed)) from failed

    async def connect_unix_socket(self, path: str, *_how: Any, **_named: Any) -> "Connection":
        """An upstream is reached by TCP."""
        raise httpx2.UnsupportedProtocol(f"no upstream is reached by a socket in the file system: {path}")

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


class Connection:
    """One connection; its streams are made when it is first used, plain or encrypted."""

    def __init__(self, made: socket.socket) -> None:
        self._socket = made
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """What has come; nothing at the end."""
        reader, _ = await self._streams()
        try:
            return await reader.read(max_bytes)
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Sends; what cannot be sent is told by the answer that does not come."""
        _, writer = await self._streams()
        with suppress(OSError):
            writer.write(buffer)
            await writer.drain()

    async def aclose(self) -> None:
        """Closes it, whatever is left."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
        self._socket.close()

    async def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
                        timeout: float | None = None) -> "Connection":  # noqa: ASYNC109 -- as called  # fmt: skip
        """The same connection, encrypted from here on."""
        try:
            async with asyncio.timeout(timeout):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(
                        sock=self._socket, ssl=ssl_context, server_hostname=server_hostname, limit=_BUFFER
                    )
                else:
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            await self.aclose()
            raise httpx2.ConnectTimeout("no encrypted connection in time") from error
        except (OSError, ssl.SSLError) as error:
            await self.aclose()
            raise httpx2.ConnectError(f"no encrypted connection: {error}") from error
        return self

    def get_extra_info(self, info: str) -> Any:
        """What the library wants to know: above all whether an idle connection has been closed by the other end."""
        if info == "is_readable":
            return self._reader is not None and (
                self._reader.at_eof() or self._reader.exception() is not None
            )
        if info == "ssl_object" and self._writer is not None:
            return self._writer.get_extra_info("ssl_object")
        return self._socket if info == "socket" else None

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(sock=self._socket, limit=_BUFFER)
        return self._reader, self._writer
