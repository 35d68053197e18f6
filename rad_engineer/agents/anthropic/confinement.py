"""Which files tools may touch: those below the slot, named relatively; and what stands for the slot in what a model reads."""

import os
from collections.abc import Mapping
from pathlib import Path

from rad_engineer.agents.anthropic.seam import ToolFailed

ROOT = "$PROJECT_ROOT"
"""What a model sees in place of the slot; a variable of that name holds its true path in the shell."""


def inside(slot: Path, name: str) -> Path:
    """The true path of a name below the slot; raises ToolFailed where it is absolute or leads out of it."""
    plain = name.removeprefix(ROOT).lstrip("/") or "." if name.startswith(ROOT) else name
    if plain.startswith(("/", "~")) or "\0" in plain or not plain:
        raise ToolFailed(f"{name!r}: give a path relative to the project's root, such as src/app.py")
    top = os.path.realpath(slot)
    found = os.path.realpath(os.path.join(top, plain))  # noqa: PTH118 - realpath wants a string
    if found != top and not found.startswith(top + os.sep):
        raise ToolFailed(f"{name!r} leads out of the project")
    return Path(found)


def shown(slot: Path, path: Path) -> str:
    """A true path as the model knows it."""
    return os.path.relpath(path, os.path.realpath(slot))


def placeholders(slot: Path, hidden: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What is replaced by what in everything that a model reads, longest first."""
    every = {**hidden, str(slot): ROOT, os.path.realpath(slot): ROOT}
    return tuple(sorted(every.items(), key=lambda pair: (-len(pair[0]), pair[0])))


def masked(text: str, replaced: tuple[tuple[str, str], ...]) -> str:
    """The text with nothing in it that is different on another machine or in another run, as far as we know it."""
    for real, stand_in in replaced:
        if real:
            text = text.replace(real, stand_in)
    return text
