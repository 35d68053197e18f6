"""When two requests are the same: the key under which answers are shared and kept."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rad_engineer.gateway.exchange import Call
from rad_engineer.gateway.remembered import Remembered

_LASTING = ("system", "tools")
_MOST_REMEMBERED = 8_000_000


class CacheKeys:
    """Names requests by path, query, version, betas in any order, body and tenant, as 64 hex digits. For any thread.

    Two bodies are the same when they say the same: the order of members and white space do not count. With `sharing`
    the tenant does not count either, but then the bodies must be the same byte for byte.
    """

    def __init__(self, *, sharing: bool = False) -> None:
        self._sharing = sharing
        self._parts = Remembered(_name, _MOST_REMEMBERED)

    def of(self, call: Call) -> str:
        """What a request is called."""
        parts = [
            call.path.encode(),
            call.query.encode(),
            call.headers.get("anthropic-version", "").encode(),
            ",".join(betas(call)).encode(),
            b"shared" if self._sharing else b"tenant:" + call.session.tenant.encode(),
            *((call.body,) if self._sharing else self._said(call.data)),
        ]
        found = hashlib.sha256()
        for part in parts:
            found.update(b"%d:" % len(part))
            found.update(part)
        return found.hexdigest()

    def _said(self, data: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """A body in one form: by the names of what is large and was in the turn before as well, and the rest."""
        named: dict[str, Any] = {name: self._parts.of(data[name]) for name in _LASTING if name in data}
        messages = data.get("messages")
        if isinstance(messages, list):
            named["messages"] = [self._parts.of(message) for message in messages]
        return canonical(named), canonical({name: value for name, value in data.items() if name not in named})


def betas(call: Call) -> list[str]:
    """The betas that a call asks for, each once, sorted."""
    return sorted({beta.strip() for beta in call.headers.get("anthropic-beta", "").split(",")} - {""})


def canonical(value: Any) -> bytes:
    """A JSON value in the one form that all its spellings share."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def digest(value: Any) -> str:
    """Names a JSON value by what it says, as 16 hex digits."""
    return _name(value)[:16]


def _name(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()
