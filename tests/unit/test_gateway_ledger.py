"""What was spent, on disk: that it is synced, and what its figures come to."""

import os

import pytest

from rad_engineer.core.budget import Amount
from rad_engineer.errors import CannotWrite
from rad_engineer.gateway.exchange import Usage
from rad_engineer.gateway.spend import Spend, _Syncing, read


def test_a_disk_that_does_not_keep_what_is_written_stops_every_call(tmp_path):
    ends = os.pipe()  # what cannot be synced
    spend = Spend(tmp_path / "spend.jsonl")
    whole, spend._syncing = spend._syncing, _Syncing(ends[1])
    spend.released(1)
    spend._syncing._thread.join()  # ends by itself when it has failed
    for _ in range(2):
        with pytest.raises(CannotWrite, match=r"spend\.jsonl"):
            spend.released(2)
    spend._syncing = whole
    spend.close()
    for end in ends:
        os.close(end)


def test_every_kind_of_token_counts_once(tmp_path):
    path = tmp_path / "spend.jsonl"
    spend = Spend(path)
    spend.settled(1, "A", 7, Usage(1, 20, 300, 4_000, 50_000))
    spend.settled(2, "A", 8, Usage(600_000))
    assert spend.spent() == {"A": Amount(15, 654_321)}
    spend.close()
    found = read(path)["A"]
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens) == (600_001, 20, 300)
    assert (found.cache_write_tokens, found.calls, found.uncertain_calls) == (54_000, 2, 0)
    assert found.amount == Amount(15, 654_321)
