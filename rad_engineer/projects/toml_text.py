"""Where everything stands in the text of a TOML file that is known to be valid."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

BOM = "\ufeff"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PLAIN = re.compile(r"[^#\n]*")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_DOT = re.compile(r"[ \t]*\.[ \t]*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A table's header, or one `key = value`; `path` is the whole way to it, with the tables around it."""

    start: int
    end: int  # behind the last character of its line, line end included
    path: tuple[str, ...]
    table: tuple[str, ...]  # the header above it
    value: tuple[int, int] = (0, 0)  # where the value stands; nowhere for a header
    array: bool = False

    @property
    def header(self) -> bool:
        """Whether it is `[table]` or `[[table]]`."""
        return self.value == (0, 0)


def statements(text: str) -> Iterator[Statement]:
    """All statements of a valid file, in order."""
    table: tuple[str, ...] = ()
    at = _after_blank(text, len(BOM) if text.startswith(BOM) else 0)
    while at < len(text):
        start = at
        if text[at] == "[":
            array = text.startswith("[[", at)
            table, at = _keys(text, at + (2 if array else 1))
            end = _line_end(text, at)
            yield Statement(start, end, table, table, array=array)
        else:
            keys, at = _keys(text, at)
            first, last = _value(text, at + 1)
            end = _line_end(text, last)
            yield Statement(start, end, (*table, *keys), table, (first, last))
        at = _after_blank(text, end)


def members(text: str, span: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Dotted keys in braces, joined by NUL, and where their values stand; none where there are no braces."""
    at = span[0]
    if text[at] != "{":
        return
    at = _after_blank(text, at + 1)
    while at < span[1] - 1:
        keys, at = _keys(text, at)
        first = _after_blank(text, at + 1)
        last = _nested_end(text, first)
        yield "\0".join(keys), (first, last)
        at = _after_blank(text, last)
        if text[at] == ",":
            at = _after_blank(text, at + 1)


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _keys(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """A dotted key and where the `=` or `]` behind it stands."""
    import tomllib  # noqa: PLC0415 - 15 ms that whoever only wants the names in this file need not pay

    found: list[str] = []
    while True:
        at = _after_blank(text, at)
        bare = _BARE.match(text, at) or _STRING.match(text, at)
        if bare is None:
            raise ValueError(at)
        word = bare[0]
        found.append(next(iter(tomllib.loads(f"{word} = 0"))))
        at = bare.end()
        dot = _DOT.match(text, at)
        if dot is None:
            return tuple(found), _after_blank(text, at)
        at = dot.end()


def _value(text: str, at: int) -> tuple[int, int]:
    """Where the value behind a `=` stands."""
    while text[at] in " \t":
        at += 1
    if text[at] in "\"'[{":
        return at, _nested_end(text, at)
    plain = _PLAIN.match(text, at)
    return at, at + len((plain[0] if plain else "").rstrip())


def _nested_end(text: str, at: int) -> int:
    """Behind a value that stands in brackets or among others."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character in "\"'":
            string = _STRING.match(text, at)
            if string is None:
                raise ValueError(at)
            at = string.end()
            if not depth:
                return at
            continue
        if character == "#":
            at = text.find("\n", at)
            continue
        if not depth and character in ",]}":
            while text[at - 1] in " \t\r\n":
                at -= 1
            return at
        depth += (character in "[{") - (character in "]}")
        at += 1
        if not depth and character in "]}":
            return at
    return at


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
