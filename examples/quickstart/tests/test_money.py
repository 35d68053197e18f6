import pytest

from pocketbook.money import format_cents


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (123450, "1,234.50"), (-199, "-1.99")]
)
def test_format(cents, text):
    assert format_cents(cents) == text
