"""The Messages API as bytes: requests understood, streams cut into whole events, usage read off as they pass."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jiter

from rad_engineer.gateway.exchange import Call, Refusal, Usage

LARGE = 64 * 1024
"""From this size on a body is parsed and hashed beside the event loop."""

MOST_OF_A_BODY = 32 * 1024 * 1024
_FRAME = 120  # what a delta is wrapped in
_BYTES_PER_TOKEN = 4
_MOST_COUNTED = 1_000_000_000
"""No call uses more of anything: what says so says nothing."""
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_COUNTED = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
    "iterations", "server_tool_use", "speed",
)  # fmt: skip


def understand(body: bytes) -> dict[str, Any]:
    """The request in a body; raises Refusal for what is no request, said as the vendor says it."""
    data = _value(body)
    if not isinstance(data, dict):
        raise invalid("the body is not a JSON object")
    if not isinstance(data.get("model"), str) or not data["model"]:
        raise invalid("model: Field required")
    if not isinstance(data.get("messages"), list):
        raise invalid("messages: Field required")
    most = data.get("max_tokens", 0)
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise invalid("max_tokens: Input should be a whole number, not below 0")
    return data


def _value(body: bytes) -> Any:
    """What a body says; the standard library is asked where the fast reader sees an error, and has the last word."""
    try:
        return jiter.from_json(body, cache_mode="none")
    except ValueError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from error


def invalid(message: str) -> Refusal:
    """What a client gets for a request that makes no sense."""
    return Refusal(400, "invalid_request_error", message, reason="invalid")


def changed(data: Mapping[str, Any], **fields: Any) -> bytes:
    """A request with some of its fields replaced, as a body."""
    return json.dumps({**data, **fields}, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8",
        "backslashreplace",  # half a character is written as it came
    )


def shortened(data: Mapping[str, Any], max_tokens: int) -> bytes:
    """A request for a shorter answer; one that may think as long as it may answer would be refused, so less of that."""
    thinking = data.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(thinking, dict) and isinstance(budget, int) and budget >= max_tokens:
        return changed(data, max_tokens=max_tokens, thinking={**thinking, "budget_tokens": max_tokens // 2})
    return changed(data, max_tokens=max_tokens)


def estimate_tokens(data: Mapping[str, Any]) -> int:
    """How many tokens a request may have, where nobody can be asked: its text, by length."""
    parts = {name: data[name] for name in ("system", "messages", "tools") if name in data}
    return max(1, len(json.dumps(parts, ensure_ascii=False).encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


def estimate_input(call: Call) -> int:
    """The same of a call that passes. What is large is not written out anew for it: others would wait for that."""
    return len(call.body) // _BYTES_PER_TOKEN if len(call.body) > LARGE else estimate_tokens(call.data)


def usage_of(message: Mapping[str, Any]) -> Usage:
    """The usage that a whole message states; an output that it does not state is estimated by its length."""
    found = message.get("usage")
    said = found if isinstance(found, dict) else {}
    if not _states(said, "output_tokens"):
        size = len(json.dumps(message.get("content")))
        said = {**said, "output_tokens": -(-size // _BYTES_PER_TOKEN)}
    return _usage(said, str(message.get("model") or ""))


def _usage(said: Mapping[str, Any], model: str) -> Usage:
    """What is said at the top does not include what the vendor used to shorten the conversation."""
    iterations = said.get("iterations")
    parts = (
        [said, *(each for each in iterations if _shortens(each))] if isinstance(iterations, list) else [said]
    )
    hour, written = sum(map(_hour, parts)), _sum(parts, "cache_creation_input_tokens")
    tools = said.get("server_tool_use")
    return Usage(
        input_tokens=_sum(parts, "input_tokens"),
        output_tokens=_sum(parts, "output_tokens"),
        cache_read_tokens=_sum(parts, "cache_read_input_tokens"),
        cache_write_5m_tokens=max(0, written - hour),
        cache_write_1h_tokens=hour,
        server_tools={name: _count(tools, name) for name in tools} if isinstance(tools, dict) else {},
        model=model,
        speed=str(said.get("speed") or ""),
        stated=any(_states(part, name) for part in parts for name in _INPUT),
    )


def _states(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_COUNTED


def _shortens(iteration: Any) -> bool:
    return isinstance(iteration, dict) and iteration.get("type") == "compaction"


def _hour(said: Mapping[str, Any]) -> int:
    split = said.get("cache_creation")
    return _count(split, "ephemeral_1h_input_tokens") if isinstance(split, dict) else 0


def _sum(parts: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(_count(part, name) for part in parts)


def _count(said: Mapping[str, Any], name: str) -> int:
    return int(said[name]) if _states(said, name) else 0


class Splitter:
    """Cuts what arrives into whole server-sent events."""

    __slots__ = ("_rest", "_returned")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._returned = False

    @property
    def left(self) -> int:
        """How many bytes have come of an event that is not whole yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> bytes:
        """All events that are whole now, their lines ended by a line feed; empty where none is."""
        if self._returned and data.startswith(b"\n"):  # the other half of a line's end
            data = data[1:]
            self._returned = False
        if b"\r" in data:
            self._returned = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif data:
            self._returned = False
        known = max(0, len(self._rest) - 1)  # there is no end of an event before
        self._rest += data
        end = self._rest.rfind(b"\n\n", known) + 2
        if end == 1:
            return b""
        found = bytes(self._rest[:end])
        del self._rest[:end]
        return found


class Meter:
    """Reads off a stream what it uses and whether it ended as it should. Garbage in it raises ValueError."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._model = ""
        self._seen = 0
        self._final = False
        self.began = False
        self.complete = False
        self._kinds: list[Any] = []
        self._stop: Any = None
        self.error: dict[str, Any] | None = None

    def see(self, events: bytes) -> None:
        """Takes whole events."""
        for event in events.split(b"\n\n"):
            if event:
                self._see(event)

    def _see(self, event: bytes) -> None:
        if b"content_block_delta" in event[:64]:
            self._seen += max(_BYTES_PER_TOKEN, len(event) - _FRAME)
            return
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if not data:
            return
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("an event is no object")  # noqa: TRY004 -- one kind of error for what is no stream
        match found.get("type"):
            case "message_start":
                self._start(found.get("message"))
            case "content_block_start":
                block = found.get("content_block")
                self._kinds.append(block.get("type") if isinstance(block, dict) else None)
            case "message_delta":
                usage = found.get("usage")
                self._take(usage)
                delta = found.get("delta")
                self._stop = delta.get("stop_reason") if isinstance(delta, dict) else None
                self._final = self._final or (isinstance(usage, dict) and _states(usage, "output_tokens"))
            case "message_stop":
                self.complete = True
            case "error":
                said = found.get("error")
                self.error = said if isinstance(said, dict) else {}
            case "content_block_delta":
                self._seen += max(_BYTES_PER_TOKEN, len(event) - _FRAME)

    def _start(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise ValueError("message_start without a message")  # noqa: TRY004 -- the same
        self.began = True
        self._model = str(message.get("model") or "")
        self._take(message.get("usage"))

    def _take(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._said |= {name: usage[name] for name in _COUNTED if usage.get(name) is not None}

    @property
    def shape(self) -> dict[str, Any]:
        """The message without what it says: the kinds of its blocks, and why it stopped."""
        return {
            "type": "message",
            "stop_reason": self._stop,
            "content": [{"type": kind} for kind in self._kinds],
        }

    @property
    def usage(self) -> Usage:
        """What has been used so far; until its end is stated, output is what has been seen of it."""
        said = self._said
        if not self._final:
            seen = -(-self._seen // _BYTES_PER_TOKEN)
            said = {**said, "output_tokens": max(seen, _count(said, "output_tokens"))}
        return _usage(said, self._model)
