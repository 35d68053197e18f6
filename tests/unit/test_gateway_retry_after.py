"""How long an upstream asks to wait: a number or a date, and what is neither asks for nothing."""

import pytest

from rad_engineer.gateway.upstream_limits import seconds_of

LONG_AGO, LONG_HENCE = "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


@pytest.mark.parametrize(("said", "seconds"), [("0", 0.0), ("2.5", 2.5), ("4294967", 4294967.0)])
def test_a_number(said, seconds):
    assert seconds_of({"retry-after": said}) == seconds
    assert seconds_of({"retry-after-ms": said}) == seconds / 1000


@pytest.mark.parametrize(
    "said", ["", "-1", "nan", "inf", "1e999", "soon", LONG_AGO, "Wed, 41 Oct 2015 07:28:00"]
)
def test_what_asks_for_nothing(said):
    assert seconds_of({"retry-after": said}) is None


@pytest.mark.parametrize("said", [LONG_HENCE, LONG_HENCE.removesuffix("GMT") + "-0000"])
def test_a_date_that_is_not_over(said):
    found = seconds_of({"retry-after": said})
    assert found is not None
    assert found > 0
