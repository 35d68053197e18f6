"""A key that the upstream has refused: for a while nobody asks again to hear the same."""

import time
from collections.abc import Callable

from rad_engineer.gateway.exchange import Refusal

_KEY, _MODEL = 401, 403  # the key opens nothing; it does not open this model


class KeyRefusals:
    """What the upstream has said of our key, for everything or for a model. `seconds` is how long that counts."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[float, Refusal]] = {}

    def check(self, model: str) -> None:
        """Raises the Refusal that was heard, once more, for whoever would hear it too."""
        for about in ("", model):
            until, first = self._known.get(about, (0.0, None))
            if first is not None and self._clock() < until:
                raise _same(first)

    def heard(self, model: str, refusal: Refusal) -> None:
        """The upstream has refused a call to that model; one for the key itself is that of the whole run."""
        if refusal.reason != "auth":
            return
        if refusal.status == _KEY:
            refusal.scope = "run"
            self._known[""] = (self._clock() + self._seconds, refusal)
        elif refusal.status == _MODEL and model:
            self._known[model] = (self._clock() + self._seconds, refusal)


def _same(first: Refusal) -> Refusal:
    refusal = Refusal(first.status, first.kind, first.message, reason=first.reason)
    refusal.scope = first.scope
    return refusal
