"""Makes a process ready to be forked into workers of our own agent: the SDK is loaded, and has been used once.

What the SDK builds when it is first used (types, parsers, clients) is then there for all of them. Nothing of it
leaves this machine, and no second thread is begun: a fork would copy its locks.
"""

import asyncio
import gc
from contextlib import suppress

import anthropic

from rad_engineer.agents.anthropic import loop as _loop  # noqa: F401 - loaded for those who are forked
from rad_engineer.agents.anthropic.calls import client, once
from rad_engineer.agents.anthropic.report import validated

_SECONDS = 5.0
_TOOL = b'{"type":"tool_use","id":"t","name":"bash","input":{}}'
_MESSAGE = (
    b'{"id":"m","type":"message","role":"assistant","model":"m","content":[],'
    b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
)
_EVENTS: tuple[tuple[bytes, bytes], ...] = (
    (b"message_start", b'"message":' + _MESSAGE),
    (b"content_block_start", b'"index":0,"content_block":{"type":"text","text":""}'),
    (b"content_block_delta", b'"index":0,"delta":{"type":"text_delta","text":"ready"}'),
    (b"content_block_stop", b'"index":0'),
    (b"content_block_start", b'"index":1,"content_block":' + _TOOL),
    (b"content_block_delta", b'"index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}'),
    (b"content_block_stop", b'"index":1'),
    (b"message_delta", b'"delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":1}'),
    (b"message_stop", b'"index":0'),
)  # fmt: skip
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + b"".join(
    b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, fields) for name, fields in _EVENTS
)
_ASK = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "ready?"}]}


def prepare() -> None:
    """Makes one call to ourselves; where that cannot be done, the first worker does what is left."""
    with suppress(OSError, TimeoutError, anthropic.AnthropicError):
        asyncio.run(_call_ourselves())
    validated({"token": ""}, 0, "")
    gc.collect()


async def _call_ourselves() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(_SECONDS), client(f"http://127.0.0.1:{port}", "t") as asked:
            await once(asked, _ASK, _SECONDS)
