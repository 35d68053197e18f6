"""What a request says, part by part: read once, for everybody who wants to know what it is called or what is in it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rad_engineer.gateway.remembered import Remembered, exact

WORDS = (b'"image"', b'"document"', b'"cache_control"', b'"1h"')
"""What makes a difference to the price of a request, as it stands in its canonical form."""
_IN_PARTS = ("system", "tools", "messages")
_MOST_REMEMBERED = 16_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A message, a tool, a block of a system prompt: its bytes, what it says, and which of `WORDS` are in it."""

    exact: bytes
    name: bytes
    words: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Said:
    """A request in parts; `rest` is the canonical form of what is in none of them."""

    parts: Mapping[str, Sequence[Part]]
    rest: bytes
    words: frozenset[bytes]

    def name(self, member: str) -> bytes:
        """What a member is called that is in parts; empty where it is not."""
        return b"".join([part.name for part in self.parts.get(member, ())])


class Parts:
    """Reads requests, each part of them once: a next turn has nearly all of them again. For any thread."""

    def __init__(self) -> None:
        self._known = Remembered(_part, _MOST_REMEMBERED)

    def of(self, data: Mapping[str, Any]) -> Said:
        """What a request says."""
        return _said(data, self._known)


def read(data: Mapping[str, Any]) -> Said:
    """The same of a request that is the only one."""
    return _said(data, Remembered(_part, _MOST_REMEMBERED))


def canonical(value: Any) -> bytes:
    """A JSON value in the one form that all its spellings share."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def _said(data: Mapping[str, Any], known: Remembered[Part]) -> Said:
    parts = {}
    for member in _IN_PARTS:
        value = data.get(member)
        if isinstance(value, str | list):
            listed = value if isinstance(value, list) else [value]
            parts[member] = known.each([exact(part) for part in listed], listed)
    kinds = {member: isinstance(data[member], list) for member in parts}
    rest = canonical([kinds, {name: value for name, value in data.items() if name not in parts}])
    every = {part.words for listed in parts.values() for part in listed}
    return Said(parts, rest, _words(rest).union(*every))


def _part(value: Any) -> Part:
    written = canonical(value)
    return Part(exact(value), hashlib.sha256(written).digest(), _words(written))


def _words(written: bytes) -> frozenset[bytes]:
    return frozenset(word for word in WORDS if word in written)
