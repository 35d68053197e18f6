from datetime import date

from pocketbook.expenses import Expense
from pocketbook.totals import by_category

DAY = date(2026, 1, 2)


def test_cents_are_added_up_and_the_most_expensive_comes_first():
    spent = [Expense(DAY, "food", 1000), Expense(DAY, "rent", 90000), Expense(DAY, "food", 550)]
    assert by_category(spent) == [("rent", 90000), ("food", 1550)]


def test_equal_totals_are_in_order_of_names():
    assert by_category([Expense(DAY, "tea", 5), Expense(DAY, "ink", 5)]) == [("ink", 5), ("tea", 5)]


def test_nothing_spent_has_no_totals():
    assert by_category([]) == []
