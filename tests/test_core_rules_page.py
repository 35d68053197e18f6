"""The page that leads from a rule to its test is held to account: all that it names exists."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/core-rules.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| rule |"))
]
_NAMED = re.compile(r"`([^`]+)`")


@cache
def content(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def missing(text: str, folder: str, separator: str, definition: str) -> list[str]:
    """What of these places is not there: a file, or something defined in it."""
    found = []
    for place in _NAMED.findall(text):
        name, _, inside = place.partition(separator)
        path = ROOT / folder / name
        if not path.is_file() or (inside and not re.search(definition % inside, content(path), re.MULTILINE)):
            found.append(place)
    return found


def test_every_rule_has_a_place_and_a_test() -> None:
    assert len(ROWS) > 100
    assert [row for row in ROWS if len(row) != 3 or not all(_NAMED.search(cell) for cell in row[1:])] == []


def test_no_rule_is_told_twice() -> None:
    rules = [row[0] for row in ROWS]
    assert len(rules) == len(set(rules))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_a_row_names_exists(row: list[str]) -> None:
    _rule, where, tests = row
    assert missing(where, "rad_engineer", ":", r"^\s*(?:def |class )?%s\b") == []
    assert missing(tests, "tests", "::", r"^ *def %s\(") == []
