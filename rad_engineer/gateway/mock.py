"""An upstream without a model: it answers every request with a sentence, so that clients can be tried without a key."""

import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from rad_engineer.gateway.exchange import Refusal, Whole
from rad_engineer.gateway.messages import Meter, estimate_tokens
from rad_engineer.gateway.upstream import Guard, Opened, Request

_TEXT = "This is the mock upstream: no model was asked."
_TOKENS = 11


class Mock:
    """The same as an `Upstream` for whoever sends."""

    async def aclose(self) -> None:
        """Has nothing to close."""

    async def send(self, request: Request, guard: Guard, **_named: Any) -> Whole | Opened:
        """The sentence, whole or as a stream."""
        if (
            request.method != "POST"
            or not request.path.startswith("/v1/messages")
            or "count_tokens" in request.path
        ):
            raise Refusal(404, "not_found_error", "the mock upstream only has messages", reason="path")
        guard.after(ok=True)
        data = json.loads(request.body)
        usage = {"input_tokens": estimate_tokens(data), "output_tokens": _TOKENS}
        message = {
            "id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant", "model": data["model"],
            "content": [{"type": "text", "text": _TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": usage,
        }  # fmt: skip
        if not request.stream:
            return Whole(200, {"content-type": "application/json"}, json.dumps(message).encode())
        events = b"".join(_events(message))
        meter = Meter()
        meter.see(events)
        return Opened({}, _once(events), meter)


async def _once(events: bytes) -> AsyncGenerator[bytes, None]:
    yield events


def _events(message: Mapping[str, Any]) -> list[bytes]:
    usage = message["usage"]
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _event("message_start", message=start),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": _TEXT}),
        _event("content_block_stop", index=0),
        _event("message_delta", delta=delta, usage={"output_tokens": usage["output_tokens"]}),
        _event("message_stop"),
    ]


def _event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
