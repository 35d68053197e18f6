"""Calls as the gateway understands them, for tests of its parts."""

import json
from collections.abc import Mapping
from typing import Any

from rad_engineer.gateway.exchange import Call, Session

MODEL = "claude-sonnet-5-5"


def call(data: Mapping[str, Any] | None = None, *, body: bytes | None = None, story: str = "5f0c", attempt: int = 1,
         tenant: str = "run-1", number: int = 1, path: str = "/v1/messages", query: str = "",
         headers: Mapping[str, str] | None = None) -> Call:  # fmt: skip
    """A call with that body, asked in that session."""
    data = asked("hello") if data is None and body is None else data
    raw = json.dumps(data).encode() if body is None else body
    understood = json.loads(raw)
    return Call(
        Session(story, attempt, tenant),
        number,
        path,
        query,
        {"anthropic-version": "2026-10-21", **(headers or {})},
        raw,
        understood,
        understood.get("model", ""),
        bool(understood.get("stream")),
        understood.get("max_tokens", 0),
    )


def asked(*texts: str, **more: Any) -> dict[str, Any]:
    """A request: texts of the user and the assistant in turn."""
    roles = ("user", "assistant")
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "messages": [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)],
        **more,
    }


def message(*blocks: Mapping[str, Any] | str, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    """An answer of the model."""
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [
            {"type": "text", "text": block} if isinstance(block, str) else dict(block) for block in blocks
        ],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        **more,
    }
