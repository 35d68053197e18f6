"""Runs that are damaged, or told of by another version, beside good ones: each is named, and nobody else suffers."""

import json
import re
import shutil
import time

import pytest
from past_runs import Past, repository

from rad_engineer import store
from rad_engineer.durable import seal, write_sealed
from rad_engineer.launch import ground
from rad_engineer.server import runs
from rad_engineer.server.answers import Problem
from rad_engineer.server.configuration import Serving
from rad_engineer.server.connections import Census
from rad_engineer.server.probes import Probes
from rad_engineer.server.records import Records
from rad_engineer.watch.kept import totals_file

SERVING = Serving("127.0.0.1", 0, b"", frozenset(), 0, None, 8, 8)
FIRST, SECOND = "20260101-000000-aaaa", "20260102-000000-bbbb"
DAMAGES = {
    "a run of another shape": lambda run: write_sealed(run.run_json, {"inputs": 7, "settings": []}),
    "a run that is a folder": lambda run: (run.run_json.unlink(), run.run_json.mkdir()),
    "an event of another shape": lambda run: run.journal.write_bytes(seal(b'{"event":"note"}') + b"\n"),
    "a journal that is a folder": lambda run: (run.journal.unlink(), run.journal.mkdir()),
}
ELSEWISE = {
    "a pulse": lambda run: run.pulse.write_text('{"at": "now"}'),
    "resources": lambda run: run.pulse.write_text(
        json.dumps({"at": time.time(), "resources": {"cpu": "busy", "pressure": 3}})
    ),
    "a gateway": lambda run: (
        run.pulse.write_text(json.dumps({"at": time.time()})),
        (run.path / "gateway").mkdir(),
        (run.path / "gateway" / "state.json").write_text('{"breakers": 7}'),
    ),
}
ONE = f"/api/runs/{SECOND}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    project = repository(tmp_path_factory.mktemp("damage") / "project")
    good, other = Past(project, FIRST), Past(project, SECOND, alive=True)
    good.land("US-1")
    good.say("run_finished", exit_code=1)
    other.land("US-1")
    return project


@pytest.fixture
def beside(kept, tmp_path):
    """Operations over a good run, and a newer one that goes on."""
    project = tmp_path / "project"
    shutil.copytree(kept, project)
    found = runs.of_folders([str(project)], ground.look({}))

    every = (*Probes(found, Census(SERVING), 8).operations(), *Records(found).operations())
    table = {each.path: each for each in every}

    def get(path):
        run = re.sub(r"/runs/[^/]+", "/runs/{run}", path)
        asked = table[run].asked()
        try:
            return table[run].answer({"run": path.split("/")[-1 if run.endswith("}") else -2]}, asked).status
        except Problem as problem:
            return problem.status

    return found.find(SECOND), get


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_keeps_nobody_from_the_good_ones(beside, damage):
    run, get = beside
    assert {get(path) for path in ("/api/runs", "/ready", "/status", "/metrics", ONE)} == {200}
    DAMAGES[damage](run)
    assert {get(path) for path in ("/api/runs", "/status", "/metrics", f"/api/runs/{FIRST}")} == {200}
    assert (get(ONE), get(f"{ONE}/report")) == (503, 503)


@pytest.mark.parametrize("said", ELSEWISE)
def test_what_another_version_says_of_a_run_that_goes_on_stops_no_scrape(beside, said):
    run, get = beside
    ELSEWISE[said](run)
    assert (get("/metrics"), get(ONE)) == (200, 200)


def test_totals_that_are_damaged_are_not_taken_for_none(beside):
    run, get = beside
    totals_file(run.path.parent).write_text('{"runs": []}')
    assert (get("/metrics"), get("/api/runs")) == (503, 200)


def test_a_run_that_is_removed_while_it_is_looked_for_is_not_found(beside, monkeypatch):
    run, get = beside
    assert get(ONE) == 200
    monkeypatch.setattr(store, "runs_in", lambda _folder: [run])
    shutil.rmtree(run.path)
    assert get(ONE) == 404


def test_a_folder_that_nobody_may_list_is_told_as_such(beside, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    _run, get = beside
    monkeypatch.setattr(store, "runs_in", refused)
    assert {get(path) for path in ("/api/runs", "/ready", "/metrics", ONE)} == {503}
