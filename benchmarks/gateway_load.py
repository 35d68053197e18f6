"""Clients of a gateway: in a closed loop, at a fixed rate, and as many slow streams. They know no more of HTTP than they need."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

MODEL = "claude-sonnet-5-5"
_SOURCES = sorted((Path(__file__).parents[1] / "rad_engineer").glob("*.py"))
_TOOLS = ("bash", "read", "grep", "edit", "record_learning")
_RESULT = 2_000  # of a tool, in characters
_MARK = "|the-number-of-the-request|"  # no source text has it
_NUMBER = _MARK.encode()
_SAMPLE_SECONDS = 5.0


class Asking:
    """The body of a request, all of it but a number: each request is another one, as the next turns of a story are.

    With `size` it is a conversation of an agent of so many bytes: a system prompt, tools, and calls of tools with their
    results, which are pieces of source text; the last result is a new one each time. Without it is one short message.
    """

    def __init__(self, words, size=0, *, stream=False, most=100):
        data = {"model": MODEL, "max_tokens": most, "stream": stream, "messages": _turns(words, size)}
        if size:
            system = {"type": "text", "text": _text(0, 3_000), "cache_control": {"type": "ephemeral"}}
            data |= {"system": [system], "tools": [_tool(name) for name in _TOOLS]}
        self._parts = json.dumps(data).encode().split(_NUMBER)

    def body(self, number):
        """The body of one request."""
        return str(number).encode().join(self._parts)


def _turns(words, size):
    """Turns of a conversation, somewhat less than `size` bytes with the rest of a request around them."""
    last = {"type": "text", "text": f"{words} {_MARK}"}
    turns, at, number = [], 0, 0
    left = size - 6_500 - _RESULT
    while left > _RESULT:
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number:020}", "content": _text(at, _RESULT)}
        number += 1
        use = {
            "type": "tool_use",
            "id": f"toolu_{number:020}",
            "name": "bash",
            "input": {"command": f"sed -n {at},+60p"},
        }
        turns += [
            {"role": "user", "content": [result] if turns else "Begin."},
            {"role": "assistant", "content": [{"type": "text", "text": "I look at the next part."}, use]},
        ]
        left -= len(json.dumps(turns[-2:]))
        at += _RESULT
    if not turns:
        return [{"role": "user", "content": f"{words} {'x' * 200} {_MARK}"}]
    result = {
        "type": "tool_result",
        "tool_use_id": f"toolu_{number:020}",
        "content": f"{_MARK}: {_text(at, _RESULT)}",
    }
    return [*turns, {"role": "user", "content": [result, last]}]


def _text(at, size, _all=[]):  # noqa: B006 -- read once
    if not _all:
        _all.append("".join(path.read_text() for path in _SOURCES))
    at %= len(_all[0]) - size
    return _all[0][at : at + size]


def _tool(name):
    text = {
        "type": "string",
        "description": "What is wanted, as text; paths are relative to the folder you work in.",
    }
    schema = {"type": "object", "properties": {"path": text, "text": text}, "required": ["path"]}
    return {"name": name, "description": _text(5_000, 300), "input_schema": schema}


class Failed(Exception):
    """An answer that is none; `status` is its HTTP status."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


class Client:
    """One connection, kept alive."""

    def __init__(self, target, asking):
        host, _, port = target.url.removeprefix("http://").partition(":")
        self.place = (host, int(port.strip("/")))
        self.target = target
        self.asking = asking
        self.writer = None

    async def ask(self, number, gaps=None):
        """One request, read to its end; `gaps` gets the times between the chunks of a stream."""
        if self.writer is None or self.reader.at_eof():  # it was idle for longer than the other end likes
            self.reader, self.writer = await asyncio.open_connection(*self.place, limit=1 << 22)
        body = self.asking.body(number)
        head = (
            f"POST /v1/messages HTTP/1.1\r\nhost: {self.place[0]}\r\nauthorization: Bearer {self.target.token}\r\n"
            f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith(b"http/1.1 200"):
            raise Failed(
                f"{self.target.name}: {answer!r} {await self.reader.read(2000)!r}", answer[9:12].decode()
            )
        if b"content-length:" in answer:
            await self.reader.readexactly(int(answer.split(b"content-length:")[1].split(b"\r\n")[0]))
        else:
            await self._read_chunks(gaps)

    async def _read_chunks(self, gaps):
        last, size = None, 1
        while size:
            size = int(await self.reader.readline(), 16)
            if gaps is not None:
                now = time.perf_counter()
                if last is not None:
                    gaps.append(now - last)
                last = now
            await self.reader.readexactly(size + 2)

    def close(self):
        """Ends the connection."""
        if self.writer is not None:
            self.writer.close()


async def closed_loop(target, clients, count, asking):
    """So many clients, each asking again when it is answered: requests a second, and a second of processor time."""
    numbers = iter(range(count))
    stamp = time.time_ns()

    async def one():
        client = Client(target, asking)
        for number in numbers:
            await client.ask(f"{stamp} {number}")
        client.close()

    before, began = target.seconds(), time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    elapsed = time.perf_counter() - began
    spent = target.seconds() - before
    return count / elapsed, count / spent if spent else 0.0


async def open_loop(target, rate, asking, seconds):
    """Requests at a fixed rate, whatever becomes of them: how long each took, and the processor time of one, in ms."""
    free, took, stamp = [], [], time.time_ns()

    async def one(number):
        client = free.pop() if free else Client(target, asking)
        began = time.perf_counter()
        await client.ask(f"{stamp} {number}")
        took.append((time.perf_counter() - began) * 1000)
        free.append(client)

    before = target.seconds()
    await _at_rate(rate, int(rate * seconds), one)
    spent = target.seconds() - before
    for client in free:
        client.close()
    return took, spent * 1000 / len(took)


@dataclass
class Streams:
    """What many slow streams have shown."""

    asked: int = 0
    most_open: int = 0
    answers: Counter = field(default_factory=Counter)
    gaps: list = field(default_factory=list)
    memory: list = field(default_factory=list)  # MB, every few seconds

    @property
    def open(self):
        """How many are open now."""
        return self.asked - sum(self.answers.values())

    def gap(self, part):
        """The gap between chunks that so large a part of all does not exceed, in ms."""
        return sorted(self.gaps)[int(len(self.gaps) * part)] * 1000


async def many_streams(target, a_minute, minutes, asking):
    """Slow streams at a fixed rate."""
    seen, stamp = Streams(), time.time_ns()

    async def one(number):
        client = Client(target, asking)
        seen.asked += 1
        seen.most_open = max(seen.most_open, seen.open)
        status = "broken off"
        try:
            await client.ask(f"{stamp} {number}", seen.gaps)
            status = "200"
        except Failed as error:
            status = error.status
        finally:
            seen.answers[status] += 1
            client.close()

    async def watch():
        while True:
            await asyncio.sleep(_SAMPLE_SECONDS)
            seen.memory.append(target.memory())

    watching = asyncio.create_task(watch())
    await _at_rate(a_minute / 60, int(a_minute * minutes), one)
    watching.cancel()
    return seen


async def _at_rate(rate, count, one):
    loop = asyncio.get_running_loop()
    start, tasks = loop.time(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
