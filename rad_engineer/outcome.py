"""How an attempt at a story ended, as the worker tells it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from rad_engineer.core.secret_rules import redacted

FEEDBACK_TAIL = 4_000
DRIFT = "drift"
OutcomeKind = Literal["verified", "unverified", "unchanged", "failed", "later", "interrupted"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt.

    verified: `candidate` (parent `tip`) may be swapped in; unverified: nothing could judge `commit`;
    unchanged: nothing to land, and the story's own check is green; failed: `reason` of core.reasons, with what
    the next attempt should know in `feedback`; later: park until `until`; interrupted: stopped, resumable.
    """

    kind: OutcomeKind
    reason: str = ""
    detail: str = ""
    feedback: str = ""
    fingerprint: str | None = None
    commit: str | None = None
    tip: str | None = None
    candidate: str | None = None
    base: str | None = None  # what the commit stands on
    unverified: bool = False
    final: bool = False  # another attempt would be pointless
    gates: tuple[Mapping[str, Any], ...] = ()
    learnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    until: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The form on the worker's channel: what differs from its default, and no secret in what is to be read."""
        values = ((name, getattr(self, name)) for name in _DEFAULTS)
        told = {name: value for name, value in values if value != _DEFAULTS[name]}
        for name in _READ & told.keys():
            told[name] = redacted(told[name])
        if "learnings" in told:
            told["learnings"] = tuple(map(redacted, told["learnings"]))
        if "gates" in told:
            told["gates"] = tuple(map(_without_secrets, told["gates"]))
        return {"kind": self.kind, **told}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Outcome":
        """Reads it back."""
        values = {name: data[name] for name in ("kind", *_DEFAULTS) if name in data}
        for name in ("gates", "learnings", "changed"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def _without_secrets(gate: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: redacted(value) if name in _READ and isinstance(value, str) else value
        for name, value in gate.items()
    }


_READ = frozenset({"detail", "feedback", "output"})
"""What people and agents read, and what comes from anywhere."""
_DEFAULTS = {field.name: field.default for field in fields(Outcome) if field.name != "kind"}


def difference(told: str) -> str:
    """In what a request differs from the recorded one, without the word for it."""
    return told.strip().removeprefix(f"{DRIFT}: ")[:2_000]


_VARYING = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?|/tmp/\S+")


def text_fingerprint(reason: str, text: str) -> str:
    """Names a failure so that the same one twice is seen: numbers, times and temporary paths do not count."""
    plain = _VARYING.sub("#", text[-FEEDBACK_TAIL:])
    return f"{reason}:{hashlib.sha256(plain.encode('utf-8', 'replace')).hexdigest()[:16]}"
