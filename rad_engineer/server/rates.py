"""How often each address may ask: a token bucket for each, of which only so many are kept."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pyrate_limiter import Rate, TokenBucket

_MINUTE_MS = 60_000
_MOST_ADDRESSES = 10_000
_ALGORITHM = TokenBucket()


class Rates:
    """The limit of all addresses; 0 is none."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = [Rate(per_minute, _MINUTE_MS)] if per_minute else []
        self._clock = clock
        self._states: OrderedDict[str, Any] = OrderedDict()

    def wait(self, address: str) -> float:
        """Takes one request of an address; the seconds it has to wait where there is none left, else 0."""
        if not self._rates:
            return 0.0
        whose = network(address)
        state = self._states.get(whose)
        if state is None:
            state = _ALGORITHM.initial(self._rates)
            if len(self._states) >= _MOST_ADDRESSES:
                self._states.popitem(last=False)  # whoever has been silent for longest
        state, decision = _ALGORITHM.step(self._rates, state, int(self._clock() * 1000), 1)
        self._states[whose] = state
        self._states.move_to_end(whose)
        return 0.0 if decision.allowed else (decision.retry_after_ms or 1) / 1000


def network(address: str) -> str:
    """Who counts as one: an address, or with version 6 the network of one customer."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
