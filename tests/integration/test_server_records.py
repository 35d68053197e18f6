"""Runs over HTTP: lists, stories, events page by page, the report; the OpenAPI document says what there is."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from past_runs import STORIES, Past, repository

from rad_engineer import past_run
from rad_engineer.core import report as reports
from rad_engineer.errors import NoInput
from rad_engineer.launch import ground
from rad_engineer.server import models, runs
from rad_engineer.server.configuration import Serving
from rad_engineer.server.connections import Census
from rad_engineer.server.probes import Probes
from rad_engineer.server.program import operations
from rad_engineer.server.records import Records
from tests.serving import served

SERVING = Serving("127.0.0.1", 0, b"", frozenset(), 0, None, 8, 8)
ROOT = Path(__file__).parents[2]
FIRST, SECOND, THIRD = "20260101-000000-aaaa", "20260102-000000-bbbb", "20260103-000000-cccc"


@pytest.fixture(scope="module")
def pasts(tmp_path_factory):
    project = repository(tmp_path_factory.mktemp("records") / "project", STORIES)
    first = Past(project, FIRST)
    first.land("US-1")
    first.say("run_finished", exit_code=1)
    second = Past(project, SECOND)
    second.say("story_started", "US-1", slot=0)
    second.say("run_finished", exit_code=130)
    third = Past(project, THIRD, alive=True)
    third.land("US-1")
    third.say("note", text="a secret: " + "ghp_" + "a1B2" * 9)
    return project, first, second, third


@pytest.fixture(scope="module")
def client(pasts):
    project = pasts[0]
    with served(project, project.parent, "--requests-per-minute", 0) as found:
        yield found


def report(past, **more):
    """What the run's directory says, told by whoever tells it to `status`."""
    graph = past_run.kept_graph(past.rundir, past.rundir.read_run())
    return reports.build(graph, past.checkpoint, **more)


def walk(client, path, name, limit, **asked):
    """Every page of a list, to its end."""
    found, cursor, pages = [], None, 0
    while pages < 100:
        query = "&".join(f"{key}={value}" for key, value in {"limit": limit, **asked}.items())
        answer = client.get(f"{path}?{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert answer.status == 200, answer.body
        page = answer.json
        assert len(page[name]) <= limit
        found += page[name]
        pages += 1
        if page["next"] is None or (cursor == page["next"] and not page[name]):
            return found, pages
        cursor = page["next"]
    raise AssertionError("the list has no end")


def test_runs_are_listed_newest_first_in_pages(client):
    whole = [(THIRD, "running", True), (SECOND, "interrupted", False), (FIRST, "finished", False)]
    for limit, pages in ((1, 3), (2, 2), (3, 1), (500, 1)):
        found, seen = walk(client, "/api/runs", "runs", limit)
        assert [(each["run"], each["state"], each["alive"]) for each in found] == whole
        assert seen == pages


def test_a_new_run_moves_no_page(client, pasts):
    page = client.get("/api/runs?limit=2").json
    newer = Past(pasts[0], "20260104-000000-dddd")
    newer.say("run_finished", exit_code=0)
    try:
        following = client.get(f"/api/runs?limit=2&cursor={page['next']}").json
    finally:
        newer.rundir.run_json.unlink()
    assert [each["run"] for each in following["runs"]] == [FIRST]


def test_a_run_is_told_as_status_tells_it(client, pasts):
    third = pasts[3]
    expected = report(third).to_json(stories=False)
    expected.pop("stories")
    found = client.get(f"/api/runs/{THIRD}").json
    assert found.pop("notes") != expected.pop("notes")  # a secret was in it
    assert found == expected


def test_what_happens_while_it_is_looked_at_is_told(client, pasts):
    path = f"/api/runs/{THIRD}/stories/US-3"
    assert client.get(path).json["story"]["status"] == "pending"
    pasts[3].say("story_started", "US-3", slot=1)
    assert client.get(path).json["story"]["status"] == "running"
    pasts[3].say("story_failed", "US-3", reason="gates", detail="red")
    assert client.get(path).json["story"]["status"] == "failed"


def test_stories_come_in_pages_and_by_status(client, pasts):
    third = pasts[3]
    expected = [each.to_json() for each in report(third).stories]
    for limit in (1, 2, 3, 100):
        assert walk(client, f"/api/runs/{THIRD}/stories", "stories", limit)[0] == expected
    passed, _pages = walk(client, f"/api/runs/{THIRD}/stories", "stories", 1, status="passed")
    assert [each["key"] for each in passed] == ["US-1"]


def test_events_come_in_pages_without_gap_or_repeat(client, pasts):
    second, third = pasts[2], pasts[3]
    for limit in (1, 2, 7, 500):
        for past, run in ((second, SECOND), (third, THIRD)):
            found, _pages = walk(client, f"/api/runs/{run}/events", "events", limit)
            assert [each["seq"] for each in found] == list(range(1, past.journal.seq + 1))
    page = client.get(f"/api/runs/{THIRD}/events?limit=500").json
    assert page["next"] is not None  # the run goes on, and so do its events
    event = third.say("note", text="later")
    later = client.get(f"/api/runs/{THIRD}/events?cursor={page['next']}").json
    assert [each["seq"] for each in later["events"]] == [event.seq]
    only, _pages = walk(client, f"/api/runs/{THIRD}/events", "events", 1, story="US-1")
    assert {each["story"] for each in only} == {"US-1"}


def test_a_torn_line_is_no_event_until_it_has_an_end(client, pasts):
    path = pasts[2].rundir.journal
    whole = path.read_bytes()
    before = client.get(f"/api/runs/{SECOND}/events").json["events"]
    path.write_bytes(whole + whole.splitlines()[-1][:20])
    try:
        assert client.get(f"/api/runs/{SECOND}/events").json["events"] == before
    finally:
        path.write_bytes(whole)


def test_secrets_do_not_leave(client):
    for path in ("", "/events?limit=500", "/report"):
        assert b"ghp_a1B2" not in client.get(f"/api/runs/{THIRD}{path}").body


def test_the_report_is_what_was_written_or_what_would_be(client, pasts):
    first, third = pasts[1], pasts[3]
    made = report(first, alive=False)
    assert client.get(f"/api/runs/{FIRST}/report").json == made.to_json()
    past_run.write_report(first.rundir, made)
    assert client.get(f"/api/runs/{FIRST}/report").json == made.to_json()
    assert client.get(f"/api/runs/{THIRD}/report").json["state"] == "running"
    assert len(client.get(f"/api/runs/{THIRD}/report").json["stories"]) == len(third.graph.stories)


@pytest.mark.parametrize("run", ["nothing", "..", "%2e%2e", "..%2f..", "20260101", "a/b", "%00", "x" * 300])
def test_a_run_that_is_none_is_not_found(client, run):
    for rest in ("", "/stories", "/stories/US-1", "/events", "/report"):
        assert client.get(f"/api/runs/{run}{rest}").status == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=x",
        "limit=",
        "cursor=-1",
        "cursor=x",
        "other=1",
        "limit=1&limit=2",
        "status=none",
    ],
)
def test_what_cannot_be_meant_is_refused(client, query):
    answer = client.get(f"/api/runs/{THIRD}/stories?{query}")
    assert (answer.status, answer.code) == (422, "invalid")


def test_a_cursor_that_was_not_handed_out_is_refused(client):
    for cursor in (3, 10**9, 10**17):
        assert client.get(f"/api/runs/{FIRST}/events?cursor={cursor}").code == "cursor"


def test_a_damaged_run_is_told_as_such_and_others_are_told(client, pasts):
    path = pasts[2].rundir.run_json
    whole = path.read_bytes()
    assert client.get(f"/api/runs/{SECOND}").status == 200
    path.write_bytes(whole.replace(b'"real"', b'"fake"'))
    try:
        answer = client.get(f"/api/runs/{SECOND}")
        assert (answer.status, answer.code) == (503, "damaged")
        assert client.get(f"/api/runs/{THIRD}").status == 200
        assert len(client.get("/api/runs").json["runs"]) == 3
    finally:
        path.write_bytes(whole)
    assert client.get(f"/api/runs/{SECOND}").status == 200


def test_a_run_of_the_host_is_known_by_its_pulse(tmp_path, monkeypatch):
    project = repository(tmp_path / "project")
    past = Past(project)
    found = runs.of_folders([str(project)], ground.look({}))
    past.rundir.pulse.write_text(json.dumps({"at": time.time()}))
    for sees, state in ((True, "interrupted"), (False, "running")):
        monkeypatch.setattr(runs, "sees_all_processes", lambda sees=sees: sees)
        assert found.standing(past.rundir).state == state
    past.rundir.pulse.write_text(json.dumps({"at": time.time() - 60}))
    assert found.standing(past.rundir).state == "interrupted"


def test_probes_do_not_wait_for_a_run_that_is_read(pasts):
    found = runs.of_folders([str(pasts[0])], ground.look({}))
    probes = Probes(found, Census(SERVING), 8)
    with found, ThreadPoolExecutor(1) as another:  # somebody reads
        assert another.submit(probes.ready, {}, None).result(30).status == 200


def test_metrics_are_those_of_the_same_runs(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'rad_runs_started_total{kind="real"} 3.0' in answer.body.decode().splitlines()


def test_runs_of_other_places_are_told_too(pasts, tmp_path):
    other = repository(tmp_path / "other")
    Past(other, "20250101-000000-eeee").say("run_finished", exit_code=0)
    moved = tmp_path / "moved"
    (other / ".rad-engineer/runs").rename(moved)
    found = runs.of_folders([str(pasts[0]), str(moved)], ground.look({}))
    assert [each.run for each in found.all()] == [THIRD, SECOND, FIRST, "20250101-000000-eeee"]
    stories = Records(found).list_stories({"run": "20250101-000000-eeee"}, models.StoryPage(limit=1))
    assert json.loads(stories.body)["stories"][0]["title"] == "first"
    with pytest.raises(NoInput):
        runs.of_folders([str(tmp_path / "nowhere")], ground.look({}))


def test_the_document_has_exactly_the_routes_there_are(client, pasts):
    document = client.get("/openapi.json").json
    table = operations(SERVING, runs.of_folders([str(pasts[0])], None), Census(SERVING))
    assert set(document["paths"]) == {re.sub(r":\w+", "", each.path) for each in table}
    assert {each.name for each in table} == {
        each["get"]["operationId"] for each in document["paths"].values()
    }
    page = (ROOT / "docs/serving.md").read_text()
    rows = re.findall(r"^\| `(/\S*)` \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert set(rows) == {
        (re.sub(r":\w+", "", each.path), "no" if each.open else "yes", "yes" if each.limited else "no")
        for each in table
    }
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert named == set(document["components"]["schemas"])
    for path, each in document["paths"].items():
        parts = {found["name"] for found in each["get"]["parameters"] if found["in"] == "path"}
        assert parts == set(re.findall(r"{(\w+)}", path))
