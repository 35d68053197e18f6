"""How often a request has been sent in vain, however often its client asks for it.

Clients ask again by rules of their own, some of them whatever they are told. Here a request of a session has one budget of
tries: who asks for the same again goes on with what is left of it, and is told so at once when nothing is left. After a
while, or once it has been answered, it is a request like any other. Nothing of this holds for another request, or session.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rad_engineer.gateway.exchange import Refusal

HELD_SECONDS = 60.0
_MOST = 16
_ASKED_AGAIN = frozenset({408, 409, 429})
"""Beside those from 500 on: what clients take for a reason to ask again."""


@dataclass(slots=True)
class _Tried:
    tries: int
    refusal: Refusal
    final: bool
    until: float


class Tries:
    """Those of one session, by what its requests say."""

    def __init__(self) -> None:
        self._tried: OrderedDict[str, _Tried] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tried)

    def of(self, request: str, now: float) -> int:
        """How many tries a request has had; raises Refusal where it gets no other."""
        found = self._tried.get(request)
        if found is None:
            return 0
        if found.until <= now:
            del self._tried[request]
            return 0
        if found.final:
            raise _repeated(found.refusal, found.until - now)
        return found.tries

    def failed(self, request: str, refusal: Refusal, tries: int, now: float, *, final: bool) -> None:
        """A request has had so many tries, all in vain; `final` says that it gets no other for a while."""
        until = now + max(HELD_SECONDS, refusal.retry_after or 0.0)
        self._tried[request] = _Tried(tries, refusal, final, until)
        self._tried.move_to_end(request)
        while len(self._tried) > _MOST:
            self._tried.popitem(last=False)

    def answered(self, request: str) -> None:
        """A request has got its answer."""
        self._tried.pop(request, None)


def _repeated(first: Refusal, seconds: float) -> Refusal:
    """The same refusal again, but never one that clients answer by asking once more.

    Some decide by the words and digits of what they get: so there is nothing in it of what the upstream has said.
    """
    if first.status < 500 and first.status not in _ASKED_AGAIN:
        return Refusal(first.status, first.kind, first.message, reason=first.reason)
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return Refusal(
        400,
        "invalid_request_error",
        f"this request has been refused for good, and so is the same one until {until:%H:%M:%S} UTC; why, the first refusal"
        " has said",
        reason="repeated",
    )
