"""What an agent says of its own work. It proves nothing: it is kept and shown apart from what gates have proved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rad_engineer.core.printable import plain

_LONGEST_TEXT = 4_000
_LONGEST_LINE = 500
_MOST_LINES = 50
_MOST_PLACES = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """What it says of one acceptance criterion; `evidence` are places, as path:line."""

    criterion: str
    met: bool
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentWord:
    """The last word of whoever worked on an attempt, as it was said, without control characters and not too long."""

    agent: str
    model: str
    turns: int
    summary: str
    criteria: tuple[Claim, ...]
    files: tuple[str, ...]
    tests: tuple[str, ...]
    errors: tuple[str, ...]
    next_steps: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {
            "agent": self.agent,
            "model": self.model,
            "turns": self.turns,
            "summary": self.summary,
            "criteria": [
                {"criterion": claim.criterion, "met": claim.met, "evidence": list(claim.evidence)}
                for claim in self.criteria
            ],
            "files": list(self.files),
            "tests": list(self.tests),
            "errors": list(self.errors),
            "next_steps": list(self.next_steps),
        }


def heard(said: Mapping[str, Any]) -> AgentWord:
    """What was said, whatever it was: what is not understood is left out."""
    criteria = said.get("criteria")
    return AgentWord(
        agent=_line(said.get("agent")),
        model=_line(said.get("model")),
        turns=_number(said.get("turns")),
        summary=plain(_text(said.get("summary")))[:_LONGEST_TEXT].strip(),
        criteria=tuple(_claim(one) for one in _list(criteria) if isinstance(one, Mapping))[:_MOST_LINES],
        files=_lines(said.get("files")),
        tests=_lines(said.get("tests")),
        errors=_lines(said.get("errors")),
        next_steps=_lines(said.get("next_steps")),
    )


def _claim(said: Mapping[str, Any]) -> Claim:
    places = _lines(said.get("evidence"))[:_MOST_PLACES]
    return Claim(_line(said.get("criterion")), said.get("met") is True, places)


def _lines(said: object) -> tuple[str, ...]:
    return tuple(filter(None, (_line(one) for one in _list(said))))[:_MOST_LINES]


def _line(said: object) -> str:
    return plain(_text(said))[:_LONGEST_LINE].strip()


def _list(said: object) -> Iterable[object]:
    return said if isinstance(said, list | tuple) else ()


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _number(said: object) -> int:
    return said if isinstance(said, int) else 0
