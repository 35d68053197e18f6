import pytest

from pocketbook.money import format_cents, parse_cents


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (123450, "1,234.50"), (-199, "-1.99")]
)
def test_format(cents, text):
    assert format_cents(cents) == text


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("12", 1200),
        ("12.5", 1250),
        ("12.50", 1250),
        ("1,234.50", 123450),
        (" -1.99 ", -199),
        ("1,000,000", 10**8),
    ],
)
def test_parse(text, cents):
    assert parse_cents(text) == cents


@pytest.mark.parametrize("text", ["", "twelve", "1.234", "1,23", "1.", ".5", "12 EUR", "--1"])
def test_parse_refuses_what_is_no_amount(text):
    with pytest.raises(ValueError, match="not an amount"):
        parse_cents(text)
