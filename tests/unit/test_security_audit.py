"""The security audit speaks of tests that exist, and of every risk."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security-audit.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if "::" in line and line.startswith("|")]


def test_every_test_that_is_named_exists() -> None:
    """In the file that is named, as a function."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file()
        or not re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_all_ten_risks_are_there() -> None:
    """Each with a defence, a proof, and what is not covered."""
    first = [row.split("|")[1].strip() for row in ROWS]
    assert [name[:5] for name in first if name.startswith("LLM")] == [
        f"LLM{number:02}" for number in range(1, 11)
    ]
    for row in ROWS:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells), row
        assert "::" in cells[2], row
