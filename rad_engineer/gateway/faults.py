"""What went wrong with a try, each fault in its class: what a client is told of it, and whether another try may help."""

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from rad_engineer.errors import RadError
from rad_engineer.gateway.exchange import Refusal
from rad_engineer.gateway.upstream_limits import seconds_of

_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_NONSENSE = 32 * 86400.0  # nobody asks to wait so long: such a `retry-after` counts as none
_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 408: "timeout_error", 409: "conflict_error", 413: "request_too_large",
    429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_STATUS = {kind: status for status, kind in _KINDS.items() if status not in (408, 409)}
_REASONS = {401: "auth", 403: "auth", 402: "billing", 429: "limit", 529: "overloaded", 503: "overloaded"}


class Fault(Exception):
    """A try went wrong; `again` says whether another may go better, `wait` what the upstream asked for.

    `lost` is what it may cost all the same: "begun" where its answer had begun, "unheard" where nothing was heard.
    """

    def __init__(self, refusal: Refusal, *, again: bool, wait: float | None = None, sick: bool = True,
                 lost: str = "", headers: Mapping[str, str] | None = None) -> None:  # fmt: skip
        super().__init__(refusal.message)
        self.refusal = refusal
        self.again = again
        self.wait = wait
        self.headers = headers or {}
        self.sick = sick  # what a circuit breaker counts
        self.lost = lost


def answered(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """What an answer that is no message means."""
    if not 400 <= status < 600:
        what = f"status {status}" if status != 200 else "status 200 with a body that is no message"
        return Fault(garbage(f"{what}: {body[:80].decode(errors='replace')!r}"), again=False)
    try:
        found = json.loads(body)
        said = found["error"] if isinstance(found, dict) else {}
    except (ValueError, RecursionError, KeyError):
        said = {}
    kind = said.get("type") if isinstance(said, dict) else None
    message = said.get("message") if isinstance(said, dict) else said
    return _fault(status, headers, kind, message)


def said(headers: Mapping[str, str], error: Mapping[str, Any]) -> Fault:
    """An error as an event of a stream: the same as one instead of a stream."""
    kind = error.get("type")
    return _fault(_STATUS.get(str(kind), 500), headers, kind, error.get("message"))


def _fault(status: int, headers: Mapping[str, str], kind: Any, message: Any) -> Fault:
    asked = seconds_of(headers)
    if asked is not None and asked > _NONSENSE:
        asked = None
    wanted = headers.get("x-should-retry")
    again = wanted == "true" or (wanted != "false" and status in _RETRIED)
    refusal = Refusal(
        status,
        kind if isinstance(kind, str) and kind else _KINDS.get(status, "api_error"),
        message if isinstance(message, str) and message else f"the upstream answered {status}",
        reason="billing" if "credit balance is too low" in str(message) else _REASONS.get(status, "upstream"),
        retry_after=asked,
        retry_at=None if asked is None else time.time() + asked,
        headers={
            name: value for name, value in headers.items() if name not in ("retry-after", "retry-after-ms")
        },
    )
    return Fault(refusal, again=again, wait=asked, sick=status >= 500, headers=headers)


def lost(error: httpx2.HTTPError) -> Fault:
    """No answer came: the class of why."""
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        refusal = Refusal(
            504, "timeout_error", f"the upstream did not answer: {why(error)}", reason="timeout"
        )
        return Fault(refusal, again=True, lost="unheard")
    text = why(error)
    if "CERTIFICATE" in text.upper() or "SSL" in text.upper():
        return Fault(
            Refusal(502, "api_error", f"no trusted connection to the upstream: {text}", reason="tls"),
            again=False,
        )
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return Fault(
            Refusal(502, "api_error", f"cannot reach the upstream: {text}", reason="unreachable"), again=True
        )
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return Fault(
            Refusal(502, "api_error", f"cannot ask the upstream: {text}", reason="upstream"), again=False
        )
    refusal = Refusal(502, "api_error", f"the upstream hung up: {text}", reason="reset")
    return Fault(refusal, again=True, lost="unheard")


def late(seconds: float) -> Fault:
    """Nothing came for so long."""
    refusal = Refusal(504, "timeout_error", f"the upstream was silent for {seconds:g} s", reason="timeout")
    return Fault(refusal, again=False, lost="unheard")


def cut(how: str) -> Refusal:
    """An answer broke off."""
    return Refusal(
        502, "api_error", f"connection lost: the upstream's answer was cut off ({how})", reason="cut"
    )


def garbage(what: str) -> Refusal:
    """What came is no answer."""
    return Refusal(502, "api_error", f"the upstream sent no message: {what}", reason="garbage")


def why(error: httpx2.HTTPError) -> str:
    """What the library says of it, or at least its name."""
    return str(error) or type(error).__name__


def as_refusal(error: Refusal | RadError) -> Refusal:
    """What cannot be written down is not spent."""
    if isinstance(error, Refusal):
        return error
    return Refusal(500, "api_error", f"the gateway cannot go on: {error}", reason="ledger")


def endless(seconds: float) -> Refusal:
    """An answer that goes on and on."""
    return Refusal(
        504, "timeout_error", f"the answer had not come to its end after {seconds:g} s", reason="timeout"
    )


def broken_off() -> Refusal:
    """Whoever led the call has given it up."""
    return Refusal(502, "api_error", "the call was broken off", reason="cut", retry_at=time.time())
