"""Expenses, read from CSV."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from pocketbook.money import parse_cents

COLUMNS = ("date", "category", "amount")


@dataclass(frozen=True)
class Expense:
    """Money spent on something, on a day."""

    day: date
    category: str
    cents: int
    note: str = ""


def read(lines: Iterable[str]) -> Iterator[Expense]:
    """Yields an expense for each row; raises ValueError with the number of a line that cannot be read."""
    rows = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"line 1: no column {', '.join(missing)}")
    for row in rows:
        try:
            yield Expense(
                date.fromisoformat(row["date"] or ""),
                (row["category"] or "").strip(),
                parse_cents(row["amount"] or ""),
                (row.get("note") or "").strip(),
            )
        except ValueError as error:
            raise ValueError(f"line {rows.line_num}: {error}") from None
