"""Acceptance criteria, however they are written: lists, text with bullets, objects with commands, issue bodies."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rad_engineer.core.prd import Check, Criterion
from rad_engineer.importers.command_text import proving, told
from rad_engineer.importers.keys import pick, plain
from rad_engineer.importers.references import line

_BULLET = re.compile(r"\s*(?:(?:[-*+•‣◦]|\d{1,3}[.)])\s+)?(?:\[[ xX✓✔-]?\]\s*)?")
_MARKS = frozenset("-*+•‣◦[ \t0123456789")
_HEADING = re.compile(
    r"^(?:#{1,6}\s*|\*\*)?\s*(?:acceptance(?: criteria)?|definition of done|done when|akzeptanzkriterien)\b[^\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)]|- \[)\s*")
_END = ("#", "---", "**")
_TEXTS = (
    "description",
    "criterion",
    "text",
    "title",
    "criteria",
    "requirement",
    "name",
    "condition",
    "check",
    "desc",
    "action",
    "step",
    "what",
)
_COMMANDS = (
    "verify",
    "command",
    "testcommand",
    "verification",
    "verificationcommand",
    "cmd",
    "run",
    "test",
    "verifycommand",
)
_GHERKIN = ("scenario", "given", "when", "then", "and")


class CriteriaReader:
    """Turns values into criteria; remembers each text, for "Typecheck passes" stands in every story."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Criterion] = {}

    def read(self, value: Any) -> tuple[Criterion, ...]:
        """All criteria of a field, in order; none for what cannot be criteria."""
        if type(value) is list:
            known = self._known
            found: list[Criterion] = []
            for item in value:
                if type(item) is str and "\n" not in item:
                    criterion = known.get(item) or self._new(item)
                    if criterion is not None:
                        found.append(criterion)
                else:
                    found += self._items(item)
            return tuple(found)
        return tuple(self._items(value, split=True))

    def _new(self, text: str) -> Criterion | None:
        criterion = self.text(text)
        if criterion is not None and len(text) < 100:  # long ones do not come twice
            self._known[text] = criterion
        return criterion

    def text(self, text: str, command: str | None = None) -> Criterion | None:
        """One criterion without bullet and tick box; None for nothing."""
        cleaned = line(text)
        if cleaned and cleaned[0] in _MARKS:
            cleaned = cleaned[_bullet(cleaned) :].strip() or cleaned
        if not cleaned:
            return None
        if command is not None:
            return Criterion(cleaned, command, own=True)
        return Criterion(cleaned, proving(cleaned))

    def _items(self, value: Any, *, split: bool = False) -> Iterator[Criterion]:
        if isinstance(value, str):
            lines = value.splitlines() if split or "\n" in value.strip() else [value]
            yield from (found for line in lines if (found := self.text(line)))
        elif isinstance(value, list):
            for item in value:
                yield from self._items(item)
        elif isinstance(value, dict):
            yield from self._object(value, nested=not split)
        elif isinstance(value, int) and not isinstance(value, bool):
            yield Criterion(str(value))

    def _object(self, value: Mapping[str, Any], *, nested: bool) -> Iterator[Criterion]:
        """One criterion of an object that says what it is; else one for each of its members."""
        gherkin = [
            f"{key}: {value[found]}"
            for key in _GHERKIN
            if (found := pick(value, key)) and isinstance(value[found], str)
        ]
        said = pick(value, *_TEXTS)
        if (
            said is not None
            and isinstance(value[said], str)
            and (nested or pick(value, *_COMMANDS, "id", "done"))
        ):
            command = next(
                (
                    found
                    for key in value
                    if plain(key) in _COMMANDS and isinstance(value[key], str) and (found := told(value[key]))
                ),
                None,
            )
            whole = self.text(value[said], command)
            if whole is not None:
                yield whole
        elif len(gherkin) > 1:
            yield Criterion(line(", ".join(gherkin)))
        else:
            for key, item in value.items():
                if plain(key) in {"status", "id", "done", "passes"}:
                    continue
                for part in self._items(item):
                    yield (
                        part
                        if isinstance(item, dict)
                        else Criterion(line(f"{key}: {part.text}"), part.command, part.own)
                    )


def _bullet(text: str) -> int:
    """How long the bullet and tick box at the beginning are; `3 retries` has none."""
    found = _BULLET.match(text)
    return found.end() if found else 0


def from_body(body: str) -> list[str]:
    """The list under an "Acceptance Criteria" heading of an issue's body."""
    heading = _HEADING.search(body)
    if heading is None:
        return []
    lines = []
    for row in body[heading.end() :].splitlines():
        if _ITEM.match(row):
            lines.append(row)
        elif row.lstrip().startswith(_END) or (lines and row[:1].strip()):
            break
    return lines


def checks(value: Any, name: str) -> tuple[list[Check], list[str]]:
    """The commands among verify fields, under their names, and the prose, which belongs to the criteria."""
    commands: list[Check] = []
    prose: list[str] = []
    _gather(value, name, commands, prose, depth=0)
    if len(commands) > 1 and len({check.name for check in commands}) < len(commands):
        commands = [Check(f"{check.name}-{index + 1}", check.command) for index, check in enumerate(commands)]
    return commands, prose


def _gather(value: Any, name: str, commands: list[Check], prose: list[str], *, depth: int) -> None:
    if isinstance(value, str):
        if command := told(value):
            commands.append(Check(name, command))
        elif value.strip():
            label = (
                ""
                if depth == 0 or name.startswith(("verif", "check", "gate", "quality", "test"))
                else f"{name}: "
            )
            prose.append(label + value.strip())
    elif isinstance(value, list):
        for item in value:
            _gather(item, name, commands, prose, depth=depth)
    elif isinstance(value, dict) and depth < 3:
        key = pick(value, "command", "cmd", "run", "script")
        if key is not None and isinstance(value[key], str):
            named = pick(value, "name", "id", "title")
            label = str(value[named]) if named else name
            _gather(value[key], label, commands, prose, depth=depth + 1)
            return
        for member, item in value.items():
            if plain(member) not in {"status", "id", "required", "priority"}:
                _gather(item, member, commands, prose, depth=depth + 1)
