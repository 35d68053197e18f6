"""What a story costs: parts within parts, shares, and the rows that are shown. The clock is a list of numbers."""

import pytest

from rad_engineer import timings


@pytest.fixture
def account(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(timings.time, "perf_counter", lambda: float(next(ticks)))
    yield timings.open_account(wanted=True)
    timings.open_account(wanted=False)


def test_a_part_within_another_counts_for_itself_alone(account):
    with timings.part("outer"):  # 0 to 5
        with timings.part("inner"):  # 1 to 2
            pass
        with timings.part("inner"):  # 3 to 4
            pass
    assert account.empty() == {"inner": 2.0, "outer": 3.0}
    assert account.empty() == {}


def test_a_part_counts_although_it_failed(account):
    with pytest.raises(ValueError, match="x"), timings.part("outer"), timings.part("inner"):
        raise ValueError("x")
    with timings.part("later"):
        pass
    assert account.empty() == {"inner": 1.0, "outer": 2.0, "later": 1.0}


def test_nothing_is_added_up_when_nobody_asked():
    assert timings.open_account(wanted=False) is None
    assert timings.part("a") is timings.part("b")
    with timings.part("a"):
        pass


def test_a_batch_is_shared_out_and_the_coordinators_work_waits_for_a_story(account):
    found = timings.Timings(account)
    found.add(["a", "b"], {"landing": 4.0})
    found.add([], {"landing": 100.0})
    with timings.part("schedule"):
        pass
    found.share([None])
    found.share(["a", "a", None])
    told = found.to_json()
    rows = {row["part"]: row for row in told["parts"]}
    assert (told["stories"], list(rows)) == (2, ["schedule", "landing"])
    assert rows["landing"]["total_ms"] == 4000
    assert (rows["schedule"]["median_ms"], rows["schedule"]["p95_ms"]) == (0, 1000)
    assert told["all_of_ours"]["total_ms"] == 5000


def test_what_a_project_answers_for_is_not_ours(account):
    found = timings.Timings(account)
    for number in range(1, 101):
        found.add([str(number)], {"walk": number / 1000, "agent": 60.0})
    told = found.to_json()
    walk, agent = told["parts"]
    assert walk == {"part": "walk", "ours": True, "median_ms": 50.0, "p95_ms": 95.0, "total_ms": 5050.0}
    assert (agent["part"], agent["ours"], agent["median_ms"]) == ("agent", False, 60_000)
    assert told["all_of_ours"]["total_ms"] == 5050


def test_a_run_without_stories_has_no_rows(account):
    told = timings.Timings(account).to_json()
    assert (told["stories"], told["parts"], told["all_of_ours"]["total_ms"]) == (0, [], 0)
