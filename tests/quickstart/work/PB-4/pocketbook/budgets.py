"""Which budgets were overrun, and by how much."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pocketbook.expenses import Expense


@dataclass(frozen=True, order=True)
class Overrun:
    """A month in which a category cost more than its budget."""

    month: str
    category: str
    excess: int


def overruns(expenses: Iterable[Expense], budgets: Mapping[str, int]) -> list[Overrun]:
    """Finds every overrun of a monthly budget, in order of months and names."""
    spent: Counter[tuple[str, str]] = Counter()
    for expense in expenses:
        spent[f"{expense.day:%Y-%m}", expense.category] += expense.cents
    return sorted(
        Overrun(month, category, cents - budgets[category])
        for (month, category), cents in spent.items()
        if category in budgets and cents > budgets[category]
    )
