"""What passes through the gateway: who asks, the call, its answer, what was used, and why it was refused."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from rad_engineer.gateway.said import Said, read

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_UNREAD = Said({}, b"", frozenset())
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


@dataclass(frozen=True, slots=True)
class Session:
    """One attempt at a story, as its token says; `story` is empty for clients of a gateway that runs alone.

    Nothing of one tenant reaches another. A run is one tenant, unless sharing is on.
    """

    story: str
    attempt: int
    tenant: str

    @property
    def name(self) -> str:
        """One text for a session, as events and tables name it."""
        return f"{self.story}#{self.attempt}"


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a client, understood. `number` counts the calls of a session in order of arrival, from 1.

    `headers` are lower-case, and only those that are forwarded: never a key, never a token.
    """

    session: Session
    number: int
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    data: Mapping[str, Any]
    model: str
    stream: bool
    max_tokens: int
    trace: str = ""  # where it belongs, as its client says: traceparent
    said: Said = _UNREAD

    def __post_init__(self) -> None:
        """What has not been looked into is looked into now."""
        if self.said is _UNREAD:
            object.__setattr__(self, "said", read(self.data))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call has used. The five kinds of tokens exclude each other; their sum is all of them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    server_tools: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    model: str = ""  # the one that answered
    speed: str = ""
    stated: bool = True  # whether the answer says how long its input was; else that is for others to estimate

    @property
    def tokens(self) -> int:
        """All tokens, of whatever kind."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that is there at once."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Answer = Whole | AsyncIterator[bytes]
"""Whole, or a stream of whole server-sent events."""


class OnEvent(Protocol):
    """Is told what happens: request, cached, coalesced, limited, retried, repeated, breaker, spend, state and others."""

    def __call__(self, name: str, /, **fields: Any) -> None:
        """Takes an event with its fields, which JSON can hold."""


class Refusal(Exception):
    """A call ends with an error of ours, in the vendor's shape.

    `kind` is one of the vendor's error types, `reason` our own word for it: budget, limit, breaker, offline, drift,
    unknown-model, upstream, auth … `scope` says whose budget is used up: that of the run, or of a story. `retry_after` is
    in seconds, `retry_at` a time of day; both are None where another try would not help. `tries` is how often the upstream
    has been asked, and `final` that it will not be asked again.
    """

    def __init__(self, status: int, kind: str, message: str, *, reason: str, retry_after: float | None = None,
                 retry_at: float | None = None, headers: Mapping[str, str] | None = None) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.reason = reason
        self.scope = ""
        self.retry_after = retry_after
        self.retry_at = retry_at
        self.headers = dict(headers or {})
        self.tries = 0
        self.final = False

    def hide(self, secret: str) -> None:
        """Takes a secret out, should an upstream have sent it back."""
        if secret:
            self.message = self.message.replace(secret, "***")
            self.headers = {name: value.replace(secret, "***") for name, value in self.headers.items()}

    def forget(self) -> None:
        """Lets go of the call that it was raised in: future, error and frames keep each other, and the call's body with them.

        Where garbage is looked for by its number only, a few hundred of those are gigabytes.
        """
        left: list[BaseException] = [self]
        seen: set[int] = set()
        # each may be the reason of the other: a connection that was reset says so again when it is closed
        while left:
            error = left.pop()
            if id(error) in seen:
                continue
            seen.add(id(error))
            error.__traceback__ = None
            left += [each for each in (error.__cause__, error.__context__) if each is not None]

    def body(self, request_id: str) -> bytes:
        """The error as a body; `reason`, `retry_at` and `final` stand beside what the vendor has."""
        return json.dumps(
            {
                "type": "error",
                "error": {"type": self.kind, "message": self.message},
                "request_id": request_id,
                "rad": {"reason": self.reason, "retry_at": self.retry_at, "final": self.final},
            },
            separators=(",", ":"),
        ).encode()

    def event(self, request_id: str) -> bytes:
        """The error as the last event of a stream."""
        return b"event: error\ndata: %b\n\n" % self.body(request_id)


def new_id() -> str:
    """The id of an answer of ours. Letters only: some clients look for the digits of a status in all that an error says."""
    return f"req_{secrets.token_hex(12).translate(_LETTERS)}"
