"""A key that the upstream refuses: nobody asks again and again, the run says what to do, and nothing is lost."""

import sys

import pytest

from tests import faulty_upstream, quickstart
from tests.aimock import serve, tap
from tests.conftest import prd, story
from tests.e2e.test_recorded import pocketbook

ASKS = """
import os, urllib.error, urllib.request
body = b"{\\"model\\": \\"claude-sonnet-5-5\\", \\"max_tokens\\": 9, \\"messages\\": [{\\"role\\": \\"user\\", \\"content\\": \\"a\\"}]}"
headers = {"x-api-key": os.environ["ANTHROPIC_AUTH_TOKEN"], "content-type": "application/json"}
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body, headers))
except urllib.error.HTTPError as error:
    print(error.code)
open("made.txt", "w").write(os.environ.get("RAD_STORY_ID", "made"))
"""


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


def test_a_refused_key_does_not_stop_who_works_without_it(project):
    project.init({"prd.json": prd(story("A"), story("B"))})
    refused = faulty_upstream.says(401, "authentication_error", "invalid x-api-key")
    with faulty_upstream.serve(otherwise=refused) as upstream:
        ran = project.rad("run", "prd.json", "--yes", "--agent-command", f"{sys.executable} -c '{ASKS}'", "-j", "1",
                          "--upstream", upstream.url, "--allow-unverified", env={"ANTHROPIC_API_KEY": "sk-ant.refused"})  # fmt: skip
        assert len(upstream.seen) == 1
    assert ran.code == 0, ran.out + ran.err
    assert sorted(one["status"] for one in project.report()["stories"]) == ["done-unverified"] * 2
