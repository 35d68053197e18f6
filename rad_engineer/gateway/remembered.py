"""What was made of a JSON value, kept for when the same value comes again: a next turn has nearly all of the last one."""

import hashlib
import marshal
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

_ENTRY = 300  # bytes that one takes beside what was made
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
        written = marshal.dumps(value, _EXACT)
        name = hashlib.sha256(written).digest()
        with self._lock:
            known = self._known.get(name)
            if known is not None:
                self._known.move_to_end(name)
                return known[0]
        made = self._make(value)
        self._keep(name, made, _ENTRY + _PARSED * len(written) * self._whole)
        return made

    def _keep(self, name: bytes, made: _T, size: int) -> None:
        with self._lock:
            if name not in self._known:
                self.size += size
            self._known[name] = made, size
            while self.size > self._most:
                _, (_, freed) = self._known.popitem(last=False)
                self.size -= freed
