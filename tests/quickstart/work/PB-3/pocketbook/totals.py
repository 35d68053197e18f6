"""What each category has cost."""

from collections import Counter
from collections.abc import Iterable

from pocketbook.expenses import Expense


def by_category(expenses: Iterable[Expense]) -> list[tuple[str, int]]:
    """Adds up cents by category: the most expensive first, then by name."""
    totals: Counter[str] = Counter()
    for expense in expenses:
        totals[expense.category] += expense.cents
    return sorted(totals.items(), key=lambda total: (-total[1], total[0]))
