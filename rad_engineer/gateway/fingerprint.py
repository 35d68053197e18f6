"""When two requests are the same: the key under which answers are shared and kept."""

import hashlib
import json
from typing import Any

from rad_engineer.gateway.exchange import Call


def cache_key(call: Call, *, sharing: bool = False) -> str:
    """Names a request by path, query, version, betas in any order, body and tenant, as 64 hex digits.

    Two bodies are the same when they say the same: the order of members and white space do not count. With `sharing`
    the tenant does not count either, but then the bodies must be the same byte for byte.
    """
    parts = [
        call.path.encode(),
        call.query.encode(),
        call.headers.get("anthropic-version", "").encode(),
        ",".join(betas(call)).encode(),
        b"shared" if sharing else b"tenant:" + call.session.tenant.encode(),
        call.body if sharing else canonical(call.data),
    ]
    found = hashlib.sha256()
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.hexdigest()


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
    return hashlib.sha256(canonical(value)).hexdigest()[:16]
