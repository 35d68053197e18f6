"""Where whoever does something tells the audit log of it: one call, whichever process it is made in.

In the coordinator records go to the log, or wait until it is open; in a worker they go over its channel. Who works for
nobody's log (a command that only looks) tells nobody.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]
_MOST_WAITING = 1000


class _Trail:
    __slots__ = ("sink", "waiting")

    def __init__(self) -> None:
        self.sink: Callable[[Record], object] | None = None
        self.waiting: deque[Record] = deque(maxlen=_MOST_WAITING)


_trail = _Trail()


def tell(kind: str, **fields: Any) -> None:
    """Tells the audit log; `core/audit.py` has the list of records and their fields."""
    record = {"kind": kind, **fields}
    if _trail.sink is None:
        _trail.waiting.append(record)
    else:
        _trail.sink(record)


def lead_to(sink: Callable[[Record], object]) -> None:
    """Where records go from now on; those that have waited go first."""
    _trail.sink = sink
    while _trail.waiting:
        sink(_trail.waiting.popleft())


def end() -> None:
    """Records wait again."""
    _trail.sink = None


def forget() -> None:
    """Drops what waits: it was told in the process that this one was forked from."""
    _trail.waiting.clear()
