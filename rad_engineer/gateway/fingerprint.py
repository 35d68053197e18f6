"""When two requests are the same: the key under which answers are shared and kept."""

import hashlib
from typing import Any

from rad_engineer.gateway.exchange import Call
from rad_engineer.gateway.said import canonical


class CacheKeys:
    """Names requests by path, query, version, betas in any order, body and tenant, as 64 hex digits. For any thread.

    Two bodies are the same when they say the same: the order of members and white space do not count. With `sharing`
    the tenant does not count either, but then the bodies must be the same byte for byte.
    """

    def __init__(self, *, sharing: bool = False) -> None:
        self._sharing = sharing

    def of(self, call: Call) -> str:
        """What a request is called."""
        parts = [
            call.path.encode(),
            call.query.encode(),
            call.headers.get("anthropic-version", "").encode(),
            ",".join(betas(call)).encode(),
            b"shared" if self._sharing else b"tenant:" + call.session.tenant.encode(),
            *((call.body,) if self._sharing else _said(call)),
        ]
        found = hashlib.sha256()
        for part in parts:
            found.update(b"%d:" % len(part))
            found.update(part)
        return found.hexdigest()


def _said(call: Call) -> tuple[bytes, ...]:
    """A body in one form: by the names of what is large and was in the turn before as well, and the rest."""
    return (*map(call.said.name, ("system", "tools", "messages")), call.said.rest)


def betas(call: Call) -> list[str]:
    """The betas that a call asks for, each once, sorted."""
    return sorted({beta.strip() for beta in call.headers.get("anthropic-beta", "").split(",")} - {""})


def digest(value: Any) -> str:
    """Names a JSON value by what it says, as 16 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()[:16]
