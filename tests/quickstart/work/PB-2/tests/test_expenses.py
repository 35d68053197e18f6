from datetime import date

import pytest

from pocketbook.expenses import Expense, read

HEAD = "date,category,amount,note"


def test_each_row_is_an_expense():
    rows = [HEAD, "2026-01-02,food,12.50,market", '2026-01-03,rent,"1,200",']
    assert list(read(rows)) == [
        Expense(date(2026, 1, 2), "food", 1250, "market"),
        Expense(date(2026, 1, 3), "rent", 120000),
    ]


def test_a_file_without_rows_has_no_expenses():
    assert list(read([HEAD])) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([HEAD, "2026-01-02,food,1,", "2026-01-03,food,much,"], "line 3: not an amount"),
        ([HEAD, "yesterday,food,1,"], "line 2: "),
        (["date,amount"], "line 1: no column category"),
        ([], "line 1: no column date, category, amount"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line(rows, words):
    with pytest.raises(ValueError, match=words):
        list(read(rows))
