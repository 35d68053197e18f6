"""A gate that could be proposed, and how it is found: what language finders give to those who choose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rad_engineer.projects.mentions import Mention
from rad_engineer.projects.tree import Source

Kind = Literal["test", "lint", "types", "build"]
KINDS: tuple[Kind, ...] = ("test", "lint", "types", "build")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A command for one kind of gate in one language, and the places that speak for it, the strongest first."""

    kind: Kind
    language: str
    command: str
    sources: tuple[Source, ...]
    folder: str = ""

    @property
    def line(self) -> str:
        """The command as it is run at the top of the project."""
        return f"cd {self.folder} && {self.command}" if self.folder else self.command


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that somebody may expect as a gate, and why it is none."""

    kind: Kind
    command: str
    source: Source
    why: str


def naming(found: Sequence[Mention], *starts: tuple[str, ...]) -> list[Mention]:
    """The mentions of these commands, the weightiest first."""
    return [mention for mention in found if any(mention.starts(*words) for words in starts)]


def places(first: Sequence[Source], also: Sequence[Mention]) -> tuple[Source, ...]:
    """Sources in order, each once, and not more than a person wants to read."""
    return tuple(dict.fromkeys((*first, *(mention.source for mention in also))))[:4]
