"""Somebody sets the clock by hours while a run goes on, or between two: limits, durations and order do not notice."""

import json
from pathlib import Path

import pytest

from rad_engineer import store
from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
HOURS = 5 * 3600
CLOCK = """
import os, time
def now(real=time.time):
    try:
        return real() + float(open(os.environ["CLOCK"]).read())
    except (OSError, ValueError):
        return real()
def told(convert):
    return lambda *given: convert(*(given or (now(),)))
time.time, time.gmtime, time.localtime = now, told(time.gmtime), told(time.localtime)
"""


@pytest.fixture
def clock(project: Project, tmp_path: Path) -> Path:
    """A file that says by how many seconds the clock of every process of rad-engineer is wrong."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    found = tmp_path / "clock"
    project.env.update(PYTHONPATH=str(tmp_path), CLOCK=str(found))
    project.init(
        {
            "prd.json": prd(story("A"), story("B", "A"), story("C", "B")),
            "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
        }
    )
    return found


def test_the_clock_jumps_during_a_run(project: Project, clock: Path) -> None:
    set_it = f"case $RAD_STORY_ID in A) echo {HOURS};; B) echo -{HOURS};; C) echo 0;; esac > {clock}\n"
    limits = ("--story-timeout", "10m", "--idle-timeout", "10m", "--deadline", "1h")
    ran = project.rad("run", "prd.json", *agent(project, set_it + WRITE), "--yes", "--json", *limits)
    assert (ran.code, project.landed("rad/demo")) == (0, ["A", "B", "C"]), ran.err
    moments = [event["at"] for event in ran.events]
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] < 600
    report = project.report()
    assert 0 <= report["ended_at"] - report["started_at"] < 600
    assert all(0 < found["seconds"] < 600 for found in report["stories"])


@pytest.mark.parametrize("by", [HOURS, -HOURS])
def test_limits_hold_although_the_clock_jumps(project: Project, clock: Path, by: int) -> None:
    script = f"echo {by} > {clock}; sleep 90\n"
    options = (*agent(project, script), "--yes", "--attempts", "1", "--grace", "0s")
    ran = project.rad("run", "prd.json", *options, "--story-timeout", "0.5s", "--fail-fast")
    assert (ran.code, "A FAILED: the story took longer than --story-timeout allows" in ran.err) == (1, True)
    ran = project.rad("run", "prd.json", *options, "--idle-timeout", "0.5s", "--fail-fast")
    assert (ran.code, "printed nothing for longer than --idle-timeout allows" in ran.err) == (1, True)


def test_runs_keep_their_order_although_the_clock_is_set_back(project: Project, clock: Path) -> None:
    options = (*agent(project, WRITE), "--yes", "--fresh", "--once")
    for by in (HOURS, 0, -HOURS):
        clock.write_text(str(by))
        assert project.rad("run", "prd.json", *options).code == (0 if by < 0 else 3)
    newest_first = [rundir.run for rundir in store.runs(project.folder)]
    assert len(newest_first) == 3
    last = json.loads((store.runs_folder(project.folder) / newest_first[0] / "run.json").read_text())
    assert last["created_at"] == min(created(project, run) for run in newest_first), (
        "the last has the least time"
    )
    assert f"run {newest_first[0]}: " in project.rad("status").out


def created(project: Project, run: str) -> float:
    found: float = json.loads((store.runs_folder(project.folder) / run / "run.json").read_text())[
        "created_at"
    ]
    return found


def test_a_run_that_goes_on_before_it_began(project: Project, clock: Path) -> None:
    """Stopped, the clock set back by hours, resumed: time never runs backwards in what is told."""
    clock.write_text(str(HOURS))
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--max-stories", "1").code == 3
    clock.write_text("0")
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert ran.code == 0, ran.err
    (rundir,) = store.runs(project.folder)
    moments = [event.at for event, _end in store.scan_journal(rundir.journal)]
    assert moments == sorted(moments)
    assert "took -" not in ran.out
