"""Messages of a model, from the events of a stream and back into events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

UNFINISHED = "unfinished_input"  # input of a tool that broke off: no JSON yet
_DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


def decoded(body: bytes) -> dict[str, Any] | None:
    """The message that a stream of events amounts to; None where it ended early or in an error.

    Raises ValueError, KeyError, IndexError or TypeError for what is no such stream.
    """
    message: dict[str, Any] | None = None
    inputs: dict[int, str] = {}
    for event in _events(body):
        match event.get("type"):
            case "message_start":
                message = {**event["message"], "content": []}
            case "content_block_start" if message is not None:
                message["content"].append(dict(event["content_block"]))
            case "content_block_delta" if message is not None:
                _add(message["content"][event["index"]], event["delta"], inputs, event["index"])
            case "content_block_stop" if message is not None:
                _finish(message["content"][event["index"]], inputs.pop(event["index"], None))
            case "message_delta" if message is not None:
                _conclude(message, event)
            case "message_stop":
                return message
            case "error":
                return None
    return None


def encoded(message: Mapping[str, Any]) -> Iterator[bytes]:
    """The events in which a message would have arrived."""
    ending = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    ending |= {name: message[name] for name in ("stop_details", "container") if message.get(name) is not None}
    usage = message.get("usage") or {}
    start = {**message, "content": [], "usage": {**usage, "output_tokens": 0}}
    start |= dict.fromkeys(ending)
    management = start.pop("context_management", None)
    yield _event({"type": "message_start", "message": start})
    for index, block in enumerate(message.get("content", ())):
        first, deltas = _taken_apart(block)
        yield _event({"type": "content_block_start", "index": index, "content_block": first})
        for delta in deltas:
            yield _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield _event({"type": "content_block_stop", "index": index})
    last: dict[str, Any] = {"type": "message_delta", "delta": ending, "usage": usage or {"output_tokens": 0}}
    yield _event(last if management is None else {**last, "context_management": management})
    yield _event({"type": "message_stop"})


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    for event in body.split(b"\n\n"):
        data = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
        if data:
            found = json.loads(data)
            if not isinstance(found, dict):
                raise TypeError("an event is no object")
            yield found


def _add(block: dict[str, Any], delta: Mapping[str, Any], inputs: dict[int, str], index: int) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind in _DELTAS:
        name = _DELTAS[kind]
        block[name] = (block.get(name) or "") + delta[name]
    else:  # the others give fields as they shall be, such as those of a compaction
        block.update({name: value for name, value in delta.items() if name != "type"})


def _finish(block: dict[str, Any], written: str | None) -> None:
    if not written:
        return
    try:
        block["input"] = json.loads(written)
    except ValueError:
        block[UNFINISHED] = written


def _conclude(message: dict[str, Any], event: Mapping[str, Any]) -> None:
    message.update(event["delta"])
    given = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
    message["usage"] = {**(message.get("usage") or {}), **given}
    if event.get("context_management") is not None:
        message["context_management"] = event["context_management"]


def _taken_apart(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas that make it what it is. What has none starts as it is."""
    first = dict(block)
    match block.get("type"):
        case "text":
            cited = first.pop("citations") if first.get("citations") else ()
            first["text"] = ""
            deltas = [{"type": "text_delta", "text": block.get("text", "")}]
            return first, [*({"type": "citations_delta", "citation": one} for one in cited), *deltas]
        case "thinking":
            parts = [name for name in ("thinking", "signature") if isinstance(block.get(name), str)]
            first |= dict.fromkeys(parts, "")
            return first, [{"type": f"{name}_delta", name: block[name]} for name in parts]
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            written = first.pop(UNFINISHED, None)
            first["input"] = {}
            if written is None:
                written = json.dumps(block.get("input", {}), ensure_ascii=False, separators=(",", ":"))
            return first, [{"type": "input_json_delta", "partial_json": written}]
    return first, []


def _event(data: Mapping[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode("ascii")
