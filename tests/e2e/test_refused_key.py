"""A key that the upstream refuses: nobody asks again and again, the run says what to do, and nothing is lost."""

import pytest

from tests import faulty_upstream, quickstart
from tests.aimock import serve, tap
from tests.e2e.test_recorded import pocketbook


@pytest.mark.parametrize(("jobs", "most"), [("1", 1), ("2", 2)])
def test_a_refused_key_ends_the_run_and_every_story_goes_on_with_a_good_one(tmp_path, jobs, most):
    project = pocketbook(tmp_path)
    refused = faulty_upstream.says(401, "authentication_error", "invalid x-api-key")
    with faulty_upstream.serve(otherwise=refused) as upstream:
        ran = project.rad("run", "prd.json", "--yes", "--upstream", upstream.url, "-j", jobs,
                          env={"ANTHROPIC_API_KEY": "sk-ant.refused"})  # fmt: skip
        asked = [line for line, _, _ in upstream.seen if "/messages" in line]
    assert ran.code == 69, ran.out + ran.err
    assert 1 <= len(asked) <= most
    assert "rad-engineer login" in ran.out + ran.err
    assert "invalid x-api-key" in ran.out + ran.err
    report = project.report()
    assert {(one["status"], one["reason"]) for one in report["stories"] if one["attempts"]} == {
        ("waiting", "login")
    }
    with serve(tmp_path / "mock", quickstart.fixtures()) as mock, tap(mock.url) as seen:
        resumed = project.rad("resume", "--upstream", seen.url, env={"ANTHROPIC_API_KEY": "sk-ant.good"})
        assert resumed.code == 0, resumed.err
        assert len(seen.exchanges) == 20
    assert [one["attempts"] for one in project.report()["stories"]] == [1] * 5
