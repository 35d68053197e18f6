"""The command line: python3 -m pocketbook FILE [--budget CATEGORY=AMOUNT]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pocketbook import report
from pocketbook.expenses import read
from pocketbook.money import parse_cents


def main(argv: Sequence[str]) -> int:
    """Prints the report and returns the exit code."""
    parser = argparse.ArgumentParser(prog="pocketbook", description="Tells where the money went.")
    parser.add_argument("file", help="a CSV file with date, category, amount and note; - is standard input")
    parser.add_argument("--budget", action="append", default=[], type=_budget, metavar="CATEGORY=AMOUNT")
    chosen = parser.parse_args(argv)
    try:
        text = sys.stdin.read() if chosen.file == "-" else Path(chosen.file).read_text(encoding="utf-8")
        expenses = list(read(text.splitlines()))
    except (OSError, ValueError) as error:
        print(f"pocketbook: {chosen.file}: {error}", file=sys.stderr)
        return 1
    print("\n".join(report.lines(expenses, dict(chosen.budget))))
    return 0


def _budget(text: str) -> tuple[str, int]:
    category, _, amount = text.partition("=")
    return category, parse_cents(amount)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
