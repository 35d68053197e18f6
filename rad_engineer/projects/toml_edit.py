"""One value put into the text of a TOML file: no other character changes, or it is refused and said why."""

import copy
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rad_engineer.projects.toml_text import BOM, Statement, members, statements
from rad_engineer.settings_values import toml_key

Path = Sequence[str]


class Unsafe(ValueError):
    """It cannot be put there without a change to what stands there; the message says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the characters from `start` to `end`; they are the same where something is only added."""

    start: int
    end: int
    text: str

    def applied(self, text: str) -> str:
        """The text after it."""
        return text[: self.start] + self.text + text[self.end :]


def parse(text: str) -> dict[str, Any]:
    """What a text says, with or without a byte order mark; raises tomllib.TOMLDecodeError."""
    return tomllib.loads(text.removeprefix(BOM))


def present(data: Any, path: Path) -> bool:
    """Whether there is a value at this place."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def put(text: str, path: Path, literal: str) -> Edit:
    """Replaces the value at this place, or adds it."""
    return replacement(text, path, literal) if present(parse(text), path) else addition(text, path, literal)


def addition(text: str, path: Path, literal: str) -> Edit:
    """A line, or a table with one line, that is added; raises Unsafe where that would change something else."""
    data = parse(text)
    if present(data, path):
        raise Unsafe(f"{_shown(path)} is there already")
    edit = _addition(text, tuple(path), literal)
    return _checked(text, data, path, literal, edit)


def replacement(text: str, path: Path, literal: str) -> Edit:
    """Another value in place of the one that is there."""
    span = _span(text, tuple(path))
    if span is None:
        raise Unsafe(f"{_shown(path)} is not written as one value")
    return _checked(text, parse(text), path, literal, Edit(*span, literal))


def _addition(text: str, path: tuple[str, ...], literal: str) -> Edit:
    table, leaf = path[:-1], path[-1]
    found = list(statements(text))
    for place in found:
        if not place.header and place.path == path[: len(place.path)]:
            raise Unsafe(
                f"{_shown(place.path)} is written as one value on line {text.count(chr(10), 0, place.start) + 1}"
            )
    line = f"{toml_key(leaf)} = {literal}"
    section = [place for place in found if place.table == table]
    if section and (not table or any(place.header and not place.array for place in section)):
        return _behind(text, section[-1].end, line)
    dotted = [
        place
        for place in found
        if not place.header and len(place.table) < len(table) and place.path[: len(table)] == table
    ]
    if table and dotted:
        last = dotted[-1]
        prefix = ".".join(map(toml_key, table[len(last.table) :]))
        return _behind(text, last.end, f"{prefix}.{line}")
    if not table:
        return _first(text, found, line)
    header = f"[{'.'.join(map(toml_key, table))}]"
    return _last(text, header, line)


def _behind(text: str, at: int, line: str) -> Edit:
    """A line behind the one that ends here; a last line that has no end gets one, and the new one has none then."""
    end = _line_end(text, at)
    return Edit(at, at, f"{line}{end}" if text[:at].endswith("\n") else f"{end}{line}")


def _first(text: str, found: Sequence[Statement], line: str) -> Edit:
    """The first statement of a file: behind what is written above it all, before the first table."""
    at = len(BOM) if text.startswith(BOM) else 0
    if not found:
        return _behind(text, len(text), line) if len(text) > at else Edit(at, at, f"{line}\n")
    ends = [
        place
        for place in (text.find(blank, at, found[0].start) for blank in ("\n\n", "\n\r\n"))
        if place >= 0
    ]
    if ends:
        at = text.index("\n", min(ends) + 1) + 1
    end = _line_end(text, at)
    return Edit(at, at, f"{line}{end}{end}")


def _last(text: str, header: str, line: str) -> Edit:
    end, at = _line_end(text, len(text)), len(text)
    if not text.removeprefix(BOM):
        return Edit(at, at, f"{header}\n{line}\n")
    whole = text.endswith("\n")
    space = "" if text.endswith(("\n\n", "\n\r\n")) else end
    return Edit(at, at, f"{space}{header}{end}{line}{end}" if whole else f"{end}{end}{header}{end}{line}")


def _line_end(text: str, at: int) -> str:
    """How the line before this place ends; where it does not, as the first line of the file does."""
    before = text[:at]
    if not before.endswith("\n"):
        last = before.rfind("\n")
        before = before[: last + 1] if last >= 0 else text[: text.find("\n") + 1]
    return "\r\n" if before.endswith("\r\n") else "\n"


def _span(text: str, path: tuple[str, ...]) -> tuple[int, int] | None:
    for place in statements(text):
        if not place.header and place.path == path[: len(place.path)]:
            return _within(text, place.value, path[len(place.path) :])
    return None


def _within(text: str, span: tuple[int, int], rest: tuple[str, ...]) -> tuple[int, int] | None:
    if not rest:
        return span
    for key, inner in members(text, span):
        keys = tuple(key.split("\0"))
        if keys == rest[: len(keys)]:
            return _within(text, inner, rest[len(keys) :])
    return None


def _checked(text: str, data: dict[str, Any], path: Path, literal: str, edit: Edit) -> Edit:
    """The edit, if the file says the same afterwards but for this one value."""
    wanted = copy.deepcopy(data)
    inner = wanted
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise Unsafe(f"{_shown(path)} cannot be put there: `{key}` is no table")
    inner[path[-1]] = tomllib.loads(f"x = {literal}")["x"]
    try:
        after = parse(edit.applied(text))
    except tomllib.TOMLDecodeError as error:
        raise Unsafe(f"{_shown(path)} cannot be put there: {error}") from None
    if not _same(after, wanted):
        raise Unsafe(f"{_shown(path)} cannot be put there without changing something else")
    return edit


def _same(one: Any, other: Any) -> bool:
    """Equality for which 1 is not 1.0 or true, and not-a-number is itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def _shown(path: Path) -> str:
    return f"`{'.'.join(map(toml_key, path))}`"
