"""A run that is killed at its very end, or after an earlier end, tells what is so."""

import time

from tests.conftest import Project, agent, prd, story

DONE = 'echo "$RAD_STORY_ID" > "$RAD_STORY_ID.txt"\n'


def prepared(project: Project) -> Project:
    settings = '[gates]\ncheck = "test -e prd.json"\n'
    return project.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": settings})


def test_a_report_that_was_not_written_any_more_is_written_when_it_is_asked_for(project: Project) -> None:
    prepared(project)
    assert project.rad("run", "prd.json", *agent(project, DONE), "--yes").code == 0
    (run,) = (project.folder / ".rad-engineer" / "runs").iterdir()
    before = project.report()
    for command in (("report", "--json"), ("resume", run.name, "--json")):
        (run / "report.json").unlink()
        (run / "report.md").unlink()
        ran = project.rad(*command)
        assert ran.code == 0
        assert project.report() == before
        assert f'"run":"{run.name}"' in ran.out


def test_a_kill_between_the_two_forms_of_the_report_leaves_nothing_behind(project: Project) -> None:
    prepared(project)
    assert project.rad("run", "prd.json", *agent(project, DONE), "--yes").code == 0
    (run,) = (project.folder / ".rad-engineer" / "runs").iterdir()
    whole = (run / "report.md").read_bytes()
    (run / "report.md").rename(run / "report.md.new")
    assert project.rad("resume", run.name, "--json").code == 0
    assert (run / "report.md").read_bytes() == whole
    assert not (run / "report.md.new").exists()
    (run / "report.md").rename(run / "report.md.new")
    assert project.rad("resume").code == 66  # nothing is unfinished
    assert (run / "report.md").read_bytes() == whole
    (run / "report.md").rename(run / "report.md.new")
    assert project.rad("run", "prd.json", *agent(project, DONE), "--yes").code == 0  # nothing to do
    assert (run / "report.md").read_bytes() == whole
    assert not (run / "report.md.new").exists()


def test_the_report_of_an_earlier_end_is_gone_when_the_run_goes_on(project: Project) -> None:
    prepared(project)
    wait = f"test $RAD_STORY_ID = A || sleep 60\n{DONE}"
    assert project.rad("run", "prd.json", *agent(project, wait), "--yes", "--once").code == 3
    assert project.report()["state"] == "stopped"
    resumed = project.start("resume")
    journal = next((project.folder / ".rad-engineer" / "runs").glob("*/journal.jsonl"))
    until = time.monotonic() + 60
    while journal.read_bytes().count(b'"event":"story_started"') < 2:
        assert time.monotonic() < until
        time.sleep(0.005)
    resumed.kill()
    resumed.communicate()
    assert project.rad("report").code == 66
