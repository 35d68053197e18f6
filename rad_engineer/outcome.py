"""How an attempt at a story ended, as the worker tells it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

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
        """The form on the worker's channel."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Outcome":
        """Reads it back."""
        values = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("gates", "learnings", "changed"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)
