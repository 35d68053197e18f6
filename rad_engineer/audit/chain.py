"""The chain: each line is authenticated together with the line before it, by a key that no agent can see.

    {"seq":7,"at":1700000000.123,"kind":"landing",…,"mac":"<64 digits>"}

The code of a line is HMAC-SHA256 of the code before it and of all bytes of the line in front of `,"mac"`. What stands
before the first line is made of the run's name: a line of another run fits nowhere.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rad_engineer.durable import dump

_MAC = b',"mac":"'
_TAIL = len(_MAC) + 64 + 2


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: the number of its last record, and that record's code."""

    seq: int
    mac: str


def beginning(key: bytes, run: str) -> Head:
    """What stands before the first record of a run."""
    return Head(0, _code(key, b"rad-engineer audit 1\0" + run.encode("utf-8", "surrogatepass")))


def key_id(key: bytes) -> str:
    """By which a key is known again, and which tells nothing about it."""
    return _code(key, b"rad-engineer audit key")[:16]


def line(key: bytes, before: Head, record: Mapping[str, Any]) -> tuple[bytes, Head]:
    """The line of the next record, without its end, and the head that it makes."""
    seq = before.seq + 1
    body = dump({"seq": seq, **record})[:-1]
    mac = _code(key, bytes.fromhex(before.mac) + body)
    return body + _MAC + mac.encode("ascii") + b'"}', Head(seq, mac)


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was found."""

    body: bytes
    record: Mapping[str, Any]
    mac: str

    @property
    def seq(self) -> int:
        """The number that it gives itself."""
        found = self.record.get("seq")
        return found if type(found) is int else -1

    def follows(self, key: bytes, before: str) -> bool:
        """Whether it stands behind the line with that code, as it was written."""
        return hmac.compare_digest(_code(key, bytes.fromhex(before) + self.body), self.mac)


def read(data: bytes) -> Line | None:
    """A line taken apart; None where it has not the form of one."""
    body, mark, end = data[:-_TAIL], data[-_TAIL : -_TAIL + len(_MAC)], data[-66:]
    digits = end[:64]
    if mark != _MAC or end[64:] != b'"}' or digits.strip(b"0123456789abcdef"):
        return None
    try:
        record = json.loads(body + b"}")
    except (ValueError, RecursionError):
        return None
    return Line(body, record, digits.decode("ascii")) if isinstance(record, dict) else None


def _code(key: bytes, data: bytes) -> str:
    return hmac.digest(key, data, hashlib.sha256).hex()
