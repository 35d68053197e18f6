"""How answers look: the same headers on each, and one form for everything that is refused."""

import json
from collections.abc import Mapping
from typing import Any

SECURITY = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
JSON = "application/json"


class Problem(Exception):
    """A request that is refused, with what its client is told."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def answer(self) -> tuple[bytes, dict[str, str]]:
        """The body and the headers."""
        body, headers = problem(self.status, self.code, str(self))
        return body, {**headers, **self.headers}


def problem(status: int, code: str, message: str) -> tuple[bytes, dict[str, str]]:
    """The body of a refusal, and its headers."""
    body = {"schema_version": 1, "error": {"status": status, "code": code, "message": message}}
    return encoded(body), {**SECURITY, "content-type": JSON}


def encoded(value: Mapping[str, Any]) -> bytes:
    """JSON as it is sent."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()
