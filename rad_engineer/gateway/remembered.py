"""What was made of a JSON value, kept for when the same value comes again: a next turn has nearly all of the last one."""

import hashlib
import marshal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

_ENTRY = 600  # bytes that one takes beside what was made
_PARSED = 2  # a value takes about twice its length
_EXACT = 2  # the form of `marshal` that depends on nothing but the value; `1`, `1.0` and `true` differ in it
_T = TypeVar("_T")


class Remembered(Generic[_T]):
    """Makes something of values, each of them once. The least recently used are forgotten. For any thread.

    `most` is in bytes; `whole` says that what is made of a value is as large as that.
    """

    def __init__(self, make: Callable[[Any], _T], most: int, *, whole: bool = False) -> None:
        self._make = make
        self._most = most
        self._whole = whole
        self._known: OrderedDict[bytes, tuple[_T, int]] = OrderedDict()
        self._lock = Lock()
        self.size = 0

    def of(self, value: Any) -> _T:
        """What is made of a value that JSON can hold."""
        return self.each([exact(value)], [value])[0]

    def each(self, names: Sequence[bytes], values: Sequence[Any]) -> list[_T]:
        """What is made of each of several values, which have these names: the same name for the same value only."""
        known = self._known
        found: list[tuple[_T, int] | None] = []
        with self._lock:
            for name in names:
                one = known.get(name)
                if one is not None:
                    known.move_to_end(name)
                found.append(one)
        return [
            self._made(name, value) if one is None else one[0]
            for one, name, value in zip(found, names, values, strict=True)
        ]

    def _made(self, name: bytes, value: Any) -> _T:
        made = self._make(value)
        size = _ENTRY + (_PARSED * len(marshal.dumps(value, _EXACT)) if self._whole else 0)
        with self._lock:
            if name not in self._known:
                self.size += size
            self._known[name] = made, size
            while self.size > self._most:
                _, (_, freed) = self._known.popitem(last=False)
                self.size -= freed
        return made


def exact(value: Any) -> bytes:
    """Names a value that JSON can hold by nothing but itself: how it was spelt counts as far as it can be seen in it."""
    return hashlib.sha256(marshal.dumps(value, _EXACT)).digest()
