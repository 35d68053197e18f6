"""An upstream that fails on purpose: what a request asks for in its last message is what happens to it."""

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Move = Callable[["Wire"], Awaitable[None]]


@dataclass
class Wire:
    """One request and the way back to its client."""

    writer: asyncio.StreamWriter
    data: Mapping[str, Any]

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class Faulty:
    """A running one. `calls` counts requests by what they asked for; `seen` has them whole."""

    url: str
    plans: Mapping[str, Sequence[Move]]
    otherwise: Move | None = None
    calls: Counter[str] = field(default_factory=Counter)
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    tasks: set[Any] = field(default_factory=set)  # a task that waits for nothing is kept by nobody else

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append((head[0], headers, body))
        data = json.loads(body) if body else {}
        name = wanted(data)
        moves = self.plans.get(name) or [self.otherwise or answers()]
        move = moves[min(self.calls[name], len(moves) - 1)]
        self.calls[name] += 1
        await move(Wire(writer, data))
        return not writer.is_closing()


def wanted(data: Mapping[str, Any]) -> str:
    """What a request asks for."""
    return str(data["messages"][-1]["content"]) if data.get("messages") else ""


@contextmanager
def serve(
    plans: Mapping[str, Sequence[Move]] | None = None,
    tls: ssl.SSLContext | None = None,
    otherwise: Move | None = None,
) -> Iterator[Faulty]:
    """Starts one on 127.0.0.1. What is in no plan is answered, or gets what others get."""
    found = Faulty("", {} if plans is None else plans, otherwise)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=tls))
    found.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def raw(status: int, body: bytes, kind: str = "application/json", **headers: str) -> Move:
    """An answer of these bytes."""
    named = {"content-type": kind, "content-length": str(len(body)), **headers}

    async def move(wire: Wire) -> None:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
        await wire.send(f"HTTP/1.1 {status} What\r\n{lines}\r\n".encode() + body)

    return move


def says(status: int, kind: str, message: str = "as you wish", **headers: str) -> Move:
    """An error in the vendor's shape."""
    return raw(
        status, json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode(), **headers
    )


def message(data: Mapping[str, Any], tokens: int = 3) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": data.get("model", ""), "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "well"}], "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": tokens},
    }  # fmt: skip


def answers(delay: float = 0.0, tokens: int = 3) -> Move:
    """A good answer, as a stream where one was asked for."""

    async def move(wire: Wire) -> None:
        await asyncio.sleep(delay)
        if wire.data.get("stream"):
            await streams(*events(wire.data, tokens))(wire)
        else:
            await raw(200, json.dumps(message(wire.data, tokens)).encode())(wire)

    return move


def event(name: str, **fields: Any) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def events(data: Mapping[str, Any], tokens: int = 3, *, tool: bool = False) -> list[bytes]:
    """A good stream, event by event."""
    start = {
        **message(data),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }
    block = (
        {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}
        if tool
        else {"type": "text", "text": ""}
    )
    delta = (
        {"type": "input_json_delta", "partial_json": '{"command": "ls'}
        if tool
        else {"type": "text_delta", "text": "well"}
    )
    stop = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block=block),
        event("content_block_delta", index=0, delta=delta),
        event("content_block_stop", index=0),
        event("message_delta", delta=stop, usage={"output_tokens": tokens}),
        event("message_stop"),
    ]


def said(stream: bytes) -> str:
    """The text of a stream."""
    data = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    return "".join(
        each["delta"]["text"] for each in data if each.get("delta", {}).get("type") == "text_delta"
    )


def streams(*parts: bytes, end: str = "clean", pause: float = 0.0, kind: str = "text/event-stream") -> Move:
    """A stream of these bytes; `end` is clean, reset, or silence."""

    async def move(wire: Wire) -> None:
        await wire.send(
            f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        for part in parts:
            await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
            await asyncio.sleep(pause)
        if end == "clean":
            await wire.send(b"0\r\n\r\n")
        elif end == "silence":
            await asyncio.Event().wait()
        else:
            wire.reset()

    return move


async def resets(wire: Wire) -> None:
    """The connection breaks before an answer."""
    wire.reset()


def hangs_up(after: float) -> Move:
    """The connection breaks after some time in which there may have been work."""

    async def move(wire: Wire) -> None:
        await asyncio.sleep(after)
        wire.reset()

    return move


async def is_silent(_wire: Wire) -> None:
    """Nothing ever comes."""
    await asyncio.Event().wait()


async def trickles(wire: Wire) -> None:
    """A head that never comes to its end, byte by byte."""
    await wire.send(b"HTTP/1.1 200 OK\r\nx-long: ")
    while True:
        await wire.send(b"x")
        await asyncio.sleep(0.02)


async def babbles(wire: Wire) -> None:
    """What is no HTTP at all."""
    await wire.send(b"\x16\x03\x01 good day\r\n\r\n")
    wire.writer.close()


async def breaks_off(wire: Wire) -> None:
    """Half of a whole answer."""
    body = json.dumps(message(wire.data)).encode()
    await wire.send(
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    )
    await wire.send(body[: len(body) // 2])
    wire.reset()
