"""What a user has set, as a gateway is told it."""

import pytest

from rad_engineer import settings
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway.configuration import ANTHROPIC, configured


def told(**flags):
    return configured(settings.load(None, flags, {}))


def test_a_budget_is_a_cap_and_without_one_there_is_the_default():
    assert told().run_micro_usd == 10_000_000
    assert told(budget="none").run_micro_usd is None
    assert told(budget="0.5").run_micro_usd == 500_000
    assert told(budget="0.000001").run_micro_usd == 1


def test_answers_are_shared_with_other_runs_only_where_that_is_wanted():
    assert (told().cache, told().share) == (True, False)
    assert configured(settings.load(None, {}, {"RAD_SHARE": "yes"})).share


@pytest.mark.parametrize(
    "url",
    ["https://models.example", "http://127.0.0.1:4000/v1", "http://[::1]:80/", "replay:any where", "mock"],
)
def test_who_can_be_asked(url):
    assert told(upstream=url).upstream == url
    assert told().upstream == ANTHROPIC


@pytest.mark.parametrize(
    "url",
    ["models.example", "http://", "ftp://models.example", "http://user:word@127.0.0.1:4000", "http://word@models.example",
     "http://models.example/?key=1", "http://models.example/#x", "http://models.example:99999", "http://a b", "mocks"],
)  # fmt: skip
def test_who_cannot_be_asked_is_refused_before_anybody_tries(url):
    with pytest.raises(ConfigInvalid, match="--upstream") as refused:
        told(upstream=url)
    assert "word" not in str(refused.value)
