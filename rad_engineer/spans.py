"""Spans inside a process: whoever does something says so with `span`, whoever started the process says where they go.

In a worker they go over its channel: only the coordinator and the gateway export. While nobody wants spans, one costs a
comparison. Not for threads: a worker does one thing at a time.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rad_engineer.core.spans import Place, Span


class _Spans:
    __slots__ = ("above", "sink")

    def __init__(self) -> None:
        self.above: Place | None = None
        self.sink: Callable[[Span], object] = lambda _span: None


_spans = _Spans()


@contextmanager
def collected(traceparent: str, sink: Callable[[Span], object]) -> Iterator[None]:
    """Spans of the block hang below that one and go to `sink`; an empty `traceparent` wants none."""
    before = _spans.above, _spans.sink
    _spans.above, _spans.sink = Place.read(traceparent), sink
    try:
        yield
    finally:
        _spans.above, _spans.sink = before


class Doing:
    """Something that goes on; what is begun meanwhile hangs below it."""

    def __init__(self, name: str, **attributes: Any) -> None:
        self._above = above = _spans.above
        self._name, self._start = name, time.time()
        self._attributes = {**attributes, "process.pid": os.getpid()}
        self._place = Place(above.trace, os.urandom(8).hex()) if above is not None else None
        _spans.above = self._place

    def end(self, *, ok: bool = True) -> None:
        """It is over; said twice, it was over before."""
        place, above = self._place, self._above
        if place is None or above is None:
            return
        self._place, _spans.above = None, above
        _spans.sink(Span(self._name, place, above.span, self._start, time.time(), self._attributes, ok))


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """What the block does."""
    doing = Doing(name, **attributes)
    ok = False
    try:
        yield
        ok = True
    finally:
        doing.end(ok=ok)


def traceparent() -> str:
    """What a request to another process says of where it belongs; empty while nobody wants to know."""
    return _spans.above.traceparent if _spans.above is not None else ""
