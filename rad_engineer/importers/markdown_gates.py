"""A plan's own gate sections: commands that must pass for every story, after every wave, and at the end."""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from rad_engineer.core.prd import Check
from rad_engineer.importers.markdown_blocks import Document, Fence, Heading, Item
from rad_engineer.importers.markdown_commands import SHELLS, commands

_GATES = re.compile(r"\bgates?\b|quality checks?\b", re.IGNORECASE)
_FINAL = re.compile(r"\bfinal\b|production readiness|\brelease\b", re.IGNORECASE)
_WAVE = re.compile(r"\bwaves?\b|\bphases?\b|\bsprints?\b", re.IGNORECASE)
_ITEM = re.compile(r"`(?P<command>[^`\n]+)`(?:\s*$|\s+[-–—:(]|\s*:)")  # noqa: RUF001 - as written by people


@dataclass(frozen=True, slots=True)
class Gates:
    """The commands of a plan's gate sections."""

    story: tuple[Check, ...]
    wave: tuple[Check, ...]
    final: tuple[Check, ...]


def read_gates(document: Document, stories: Iterable[tuple[int, int]]) -> Gates:
    """Reads the gate sections; what lies inside the spans of stories belongs to those."""
    spans = sorted(stories)
    found: dict[str, list[str]] = {"story": [], "wave": [], "final": []}
    path: list[Heading] = []
    for block in document.blocks:
        if isinstance(block, Heading):
            path = [heading for heading in path if heading.level < block.level] + [block]
        scope = _scope(path)
        if scope is None or _inside(spans, block.start):
            continue
        if isinstance(block, Fence) and block.language in SHELLS:
            found[scope].extend(commands(block.text)[0])
        elif isinstance(block, Item) and block.box is None and (quoted := _ITEM.match(block.text)):
            found[scope].append(quoted["command"].strip())
    return Gates(*(_named(found[scope], scope) for scope in ("story", "wave", "final")))


def _inside(spans: list[tuple[int, int]], offset: int) -> bool:
    """The spans lie one after another, or one in another that begins before it."""
    at = bisect_right(spans, (offset, len(spans) and spans[-1][1]))
    return any(start <= offset < end for start, end in spans[max(0, at - 2) : at])


def _scope(path: list[Heading]) -> str | None:
    """The innermost heading that says for what, inside a part of the file about gates."""
    if not any(_GATES.search(heading.text) for heading in path):
        return None
    for heading in reversed(path):
        if _FINAL.search(heading.text):
            return "final"
        if _WAVE.search(heading.text):
            return "wave"
        if _GATES.search(heading.text):
            return "story"
    return None


def _named(commands_found: list[str], scope: str) -> tuple[Check, ...]:
    """Names such as `bun-test`: the first two words of the command."""
    checks: dict[str, Check] = {}
    for command in dict.fromkeys(commands_found):
        words = re.findall(r"[\w.:-]+", command.split(" && ")[-1])
        name = "-".join(word for word in words[:3] if not word.startswith("-"))[:40] or scope
        while name in checks:
            name += "+"
        checks[name] = Check(name, command)
    return tuple(checks.values())
