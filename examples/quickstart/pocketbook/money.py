"""Amounts of money in whole cents."""


def format_cents(cents: int) -> str:
    """Shows cents as people write them: 123450 is 1,234.50."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
