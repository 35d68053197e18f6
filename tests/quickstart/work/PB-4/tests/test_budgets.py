from datetime import date

from pocketbook.budgets import Overrun, overruns
from pocketbook.expenses import Expense

SPENT = [
    Expense(date(2026, 1, 2), "food", 6000),
    Expense(date(2026, 1, 30), "food", 4001),
    Expense(date(2026, 2, 1), "food", 10000),
    Expense(date(2026, 1, 5), "rent", 90000),
]


def test_an_overrun_is_named_with_its_month_and_excess():
    assert overruns(SPENT, {"food": 10000}) == [Overrun("2026-01", "food", 1)]


def test_what_has_no_budget_cannot_overrun_it():
    assert overruns(SPENT, {"books": 0}) == []


def test_overruns_are_in_order_of_months_and_names():
    found = overruns(SPENT, {"food": 0, "rent": 1})
    assert [(overrun.month, overrun.category) for overrun in found] == [
        ("2026-01", "food"),
        ("2026-01", "rent"),
        ("2026-02", "food"),
    ]
