"""Connections to an upstream are used again as long as they are good, and what a client is sent in one step goes out at once."""

import asyncio
from contextlib import asynccontextmanager

import httpcore2
import httpx2
import pytest

from rad_engineer.gateway.connections import Pool
from rad_engineer.gateway.writing import _Together

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """Answers each request when it is let; knows its connections and what came on each, piece by piece."""

    def __init__(self):
        self.came = []
        self.writers = []
        self.answer = OK
        self.let = asyncio.Event()
        self.let.set()
        self.asked = asyncio.Condition()
        self.requests = 0

    async def serve(self, reader, writer):
        pieces = []
        self.came.append(pieces)
        self.writers.append(writer)
        while piece := await reader.read(1 << 20):
            pieces.append(piece)
            if not b"".join(pieces).endswith(b"end"):
                continue
            async with self.asked:
                self.requests += 1
                self.asked.notify_all()
            await self.let.wait()
            writer.write(self.answer)
            if b"chunked" in self.answer:
                return
        writer.close()

    async def reached(self, requests):
        async with self.asked:
            await self.asked.wait_for(lambda: self.requests >= requests)


@asynccontextmanager
async def running():
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    pool = Pool(None)
    try:
        yield server, pool, f"http://{host}:{port}/"
    finally:
        await pool.aclose()
        for writer in server.writers:
            writer.close()
        listening.close()


def request(url, body=b"x end"):
    return httpcore2.Request(
        "POST",
        url,
        headers={"host": "h", "content-length": str(len(body))},
        content=httpx2.Request("POST", url, content=body).stream,
    )


async def ask(pool, url, body=b"x end"):
    answer = await pool.handle_async_request(request(url, body))
    try:
        return b"".join([part async for part in answer.stream])
    finally:
        await answer.stream.aclose()


def test_one_after_the_other_needs_one_connection_and_side_by_side_as_many_as_there_are():
    async def scene():
        async with running() as (server, pool, url):
            assert [await ask(pool, url) for _ in range(5)] == [b"ok"] * 5
            assert len(server.came) == 1
            server.let.clear()
            asking = [asyncio.create_task(ask(pool, url)) for _ in range(4)]
            await server.reached(9)
            server.let.set()
            assert await asyncio.gather(*asking) == [b"ok"] * 4
            assert [await ask(pool, url) for _ in range(5)] == [b"ok"] * 5
            assert len(server.came) == 4

    asyncio.run(scene())


def test_a_small_request_is_one_piece_and_a_large_one_arrives_whole():
    async def scene():
        async with running() as (server, pool, url):
            await ask(pool, url)
            assert len(server.came[0]) == 1
            assert await ask(pool, url, b"y" * 3_000_000 + b"end") == b"ok"
            assert b"".join(server.came[0]).endswith(b"y" * 3_000_000 + b"end")

    asyncio.run(scene())


def test_a_connection_that_the_other_end_has_closed_is_not_used_again():
    async def scene():
        async with running() as (server, pool, url):
            server.let.clear()
            asking = [asyncio.create_task(ask(pool, url)) for _ in range(3)]
            await server.reached(3)
            server.let.set()
            await asyncio.gather(*asking)
            for writer in server.writers:
                writer.close()
                await writer.wait_closed()
            for connection in pool._idle:
                assert await connection._connection._network_stream._reader.read() == b""
            assert await ask(pool, url) == b"ok"
            assert len(server.came) == 4
            assert len(pool._idle) == 1

    asyncio.run(scene())


@pytest.mark.parametrize("how", ["cancelled before the answer", "left in the middle", "broken off"])
def test_a_connection_with_half_an_answer_is_not_used_again(how):
    async def scene():
        async with running() as (server, pool, url):
            if how == "cancelled before the answer":
                server.let.clear()
                asking = asyncio.create_task(ask(pool, url))
                await server.reached(1)
                asking.cancel()
                await asyncio.wait((asking,))
                assert asking.cancelled()
                server.let.set()
            else:
                server.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"
                answer = await pool.handle_async_request(request(url))
                parts = aiter(answer.stream)
                assert await anext(parts) == b"ok"
                if how == "broken off":
                    server.writers[0].close()
                    with pytest.raises(httpcore2.RemoteProtocolError):
                        await anext(parts)
                await answer.stream.aclose()
                await answer.stream.aclose()  # again: nothing is closed twice
            assert not pool._idle
            server.answer = OK
            assert await ask(pool, url) == b"ok"
            assert len(server.came) == 2

    asyncio.run(scene())


def test_who_cannot_be_reached_leaves_no_connection_behind():
    async def scene():
        async with running() as (_, pool, url):
            pass
        with pytest.raises(httpx2.ConnectError):
            await ask(pool, url)
        assert not pool._idle

    asyncio.run(scene())


class Wire(asyncio.Transport):
    """Knows what was sent on it."""

    def __init__(self):
        super().__init__()
        self.sent, self.closed = [], False

    def write(self, data):
        assert not self.closed
        self.sent.append(data)

    def close(self):
        self.closed = True

    abort = close

    def is_closing(self):
        return self.closed


def test_what_a_client_is_sent_in_one_step_goes_out_at_once_and_before_the_end():
    async def scene():
        wire = Wire()
        joined = _Together(wire)
        joined.write(b"head")
        joined.write(b"body")
        assert wire.sent == []
        await asyncio.sleep(0)
        assert wire.sent == [b"headbody"]
        joined.write(b"more")
        joined.close()
        assert (wire.sent, joined.is_closing()) == ([b"headbody", b"more"], True)
        await asyncio.sleep(0)
        other = Wire()
        joined = _Together(other)
        joined.write(b"lost")
        joined.abort()
        await asyncio.sleep(0)
        joined.write(b"too late")
        await asyncio.sleep(0)
        assert (other.sent, other.closed) == ([], True)

    asyncio.run(scene())
