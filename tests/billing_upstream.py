"""An upstream that streams at its own pace, keeps a bill of every token it has sent, and says who asked when."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK_TOKENS = 16
_WORD = "abcd"  # what a token is, by its length
INPUT_TOKENS = 20


@dataclass
class Bill:
    """What one upstream has been asked and has sent."""

    url: str = ""
    output: int = 640  # tokens of each answer
    pace: float = 0.0  # seconds between two chunks of it
    hung: frozenset[str] = frozenset()  # models that never answer
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    under_way: int = 0
    most: int = 0
    started: list[str] = field(default_factory=list)  # what they asked for, in order
    tasks: set[object] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = int(head.split("content-length:")[1].split("\r\n")[0])
                await self._answer(json.loads(await reader.readexactly(size)), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()

    async def _answer(self, data, writer) -> None:
        self.calls += 1
        self.input_tokens += INPUT_TOKENS
        self.started.append(data["messages"][-1]["content"])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if data["model"] in self.hung:
                await asyncio.Event().wait()
            await self._stream(data, writer)
        finally:
            self.under_way -= 1

    async def _stream(self, data, writer) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        usage = {"input_tokens": INPUT_TOKENS, "output_tokens": 1}
        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": data["model"],
            "content": [],
            "usage": usage,
        }
        await _send(writer, "message_start", message=message)
        await _send(writer, "content_block_start", index=0, content_block={"type": "text", "text": ""})
        left = output = min(self.output, data["max_tokens"])
        while left > 0:
            sent = min(CHUNK_TOKENS, left)
            left -= sent
            await asyncio.sleep(self.pace)
            await _send(
                writer, "content_block_delta", index=0, delta={"type": "text_delta", "text": _WORD * sent}
            )
            self.output_tokens += sent
        await _send(writer, "content_block_stop", index=0)
        await _send(
            writer, "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": output}
        )
        await _send(writer, "message_stop")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _send(writer, name, **fields) -> None:
    if writer.is_closing():
        raise ConnectionResetError
    data = f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
    await writer.drain()


@contextmanager
def serve(**how) -> Iterator[Bill]:
    """Starts one on 127.0.0.1."""
    bill = Bill(**how)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(bill.serve, "127.0.0.1", 0, backlog=512))
    bill.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield bill
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, bill), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server, bill) -> None:
    server.close()
    tasks = [*bill.tasks]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
