"""A pipe, a device or a folder in the place of what a run has written: it is named, nothing hangs, other runs are told of."""

import os

import pytest
from past_runs import STORIES, Past, repository

from rad_engineer.commands.metrics import metrics
from rad_engineer.commands.status import status
from rad_engineer.durable import StateDamaged
from tests.serving import served

FIRST, SECOND = "20260101-000000-aaaa", "20260102-000000-bbbb"
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A project with two runs that have ended, the newer one last."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = repository(tmp_path / "project", STORIES)
    found = [Past(project, run) for run in (FIRST, SECOND)]
    for past in found:
        past.land("US-1")
        past.finish(1)
    monkeypatch.chdir(project)
    return [past.rundir for past in found]


def put(kind, path):
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_status_names_it_and_the_way_to_the_run_before(runs, capsys, kind, name):
    put(kind, runs[1].path / name)
    for arguments in ([], ["prd.json"]):
        with pytest.raises(StateDamaged, match=f"{SECOND}/{name} is damaged: it is no regular file") as error:
            status(*arguments)
        assert error.value.exit_code == 73
        assert error.value.hint.endswith(f"\nthe run before it: rad-engineer status --run {FIRST}")
    assert status(run=FIRST) == 0
    assert capsys.readouterr().out.startswith(f"run {FIRST}: finished\n")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_metrics_leave_it_out_and_say_so(runs, capsys, kind):
    put(kind, runs[1].journal)
    assert metrics(json=False, output=None) == 0
    out, err = capsys.readouterr()
    assert "\nrad_damaged_runs 1.0\n" in out
    assert '\nrad_landings_total{verdict="verified"} 1.0\n' in out
    assert err == f"rad-engineer: warning: the run {SECOND} is damaged, so not all of it is counted\n"


def test_the_server_tells_of_it_and_of_the_others(runs, tmp_path):
    project = runs[0].path.parents[2]
    with served(project, tmp_path) as client:
        for name in ("run.json", "journal.jsonl"):
            (runs[1].path / name).rename(tmp_path / name)
            os.mkfifo(runs[1].path / name)
            assert client.get(f"/api/runs/{SECOND}").code == "damaged"
            if name == "journal.jsonl":
                assert client.get(f"/api/runs/{SECOND}/events").code == "damaged"
                assert client.get("/api/runs").json["runs"][0] == {
                    "run": SECOND,
                    "state": "damaged",
                    "alive": False,
                }
            assert client.get("/status").json["state"] == "damaged"
            assert client.get(f"/api/runs/{FIRST}").status == 200
            assert client.get("/metrics").status == 200
            (tmp_path / name).rename(runs[1].path / name)
        assert client.get(f"/api/runs/{SECOND}").status == 200
