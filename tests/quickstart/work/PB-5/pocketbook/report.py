"""The report: totals, then overruns."""

from collections.abc import Mapping, Sequence

from pocketbook.budgets import overruns
from pocketbook.expenses import Expense
from pocketbook.money import format_cents
from pocketbook.totals import by_category


def lines(expenses: Sequence[Expense], budgets: Mapping[str, int]) -> list[str]:
    """Returns the report as lines of text."""
    totals = [*by_category(expenses), ("total", sum(expense.cents for expense in expenses))]
    width = max(len(name) for name, _ in totals)
    amounts = [format_cents(cents) for _, cents in totals]
    across = max(map(len, amounts))
    found = [f"{name:{width}}  {amount:>{across}}" for (name, _), amount in zip(totals, amounts, strict=True)]
    found += [
        f"{overrun.category} was {format_cents(overrun.excess)} over in {overrun.month}"
        for overrun in overruns(expenses, budgets)
    ]
    return found
