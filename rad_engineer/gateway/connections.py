"""Connections to the upstream on asyncio itself: what the library brings for any event loop costs a fifth of a request.

Its pool looks at every connection twice for each request, so a request costs the more, the more run beside it: here the
one that was used last is used next, and nobody looks at the others. Limits of time are the business of whoever reads a
whole answer; only making a connection has one here.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any

import httpcore2
import httpx2

_BUFFER = 1 << 20
_TOGETHER = 64 * 1024  # what is sent is put together up to this size
IDLE_SECONDS = 30.0


class Pool:
    """The connections to one upstream; the library's transport takes it for its own pool."""

    def __init__(self, ssl_context: ssl.SSLContext | None) -> None:
        self._ssl_context = ssl_context
        self._network: Any = Network()
        self._idle: deque[httpcore2.AsyncHTTPConnection] = deque()  # the one used last is the last

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """The answer as it begins; its connection is free again when it is closed."""
        connection = await self._connection(request.url.origin)
        answer = None
        try:
            answer = await connection.handle_async_request(request)
        finally:
            if answer is None:
                await self._free(connection)
        body = _Body(answer.stream, connection, self)
        return httpcore2.Response(
            answer.status, headers=answer.headers, content=body, extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Closes those that are free."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        if self._idle and self._idle[0].has_expired():
            await self._idle.popleft().aclose()
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            await connection.aclose()
        return httpcore2.AsyncHTTPConnection(
            origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._network,
        )

    async def _free(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        if connection.is_idle() and not connection.is_closed():
            self._idle.append(connection)
        else:
            await connection.aclose()


class _Body:
    """An answer as it comes. When it is closed, its connection is free."""

    def __init__(self, stream: Any, connection: httpcore2.AsyncHTTPConnection, pool: Pool) -> None:
        self._stream = stream
        self._connection = connection
        self._pool = pool
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        found: AsyncIterator[bytes] = aiter(self._stream)
        return found

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            try:
                await self._stream.aclose()
            finally:
                await self._pool._free(self._connection)  # noqa: SLF001 -- two halves of one thing


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
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """What has come; nothing at the end."""
        reader, _ = await self._streams()
        await self._send()
        try:
            return await reader.read(max_bytes)
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        """Sends, at the latest when the answer is read; what cannot be sent is told by the answer that does not come."""
        self._unsent.append(buffer)
        if len(buffer) > _TOGETHER:
            await self._send()

    async def _send(self) -> None:
        if not self._unsent:
            return
        _, writer = await self._streams()
        head, last = self._unsent[:-1], self._unsent[-1]
        self._unsent = []
        with suppress(OSError):
            if len(last) > _TOGETHER:
                writer.write(b"".join(head))
                writer.write(last)
            else:
                writer.write(b"".join([*head, last]))
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
