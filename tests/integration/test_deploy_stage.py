"""What is deployed after a run: only what is green, only when asked for, and once, also after a kill."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from rad_engineer.delivery import deploy_stage
from tests.conftest import Project, agent, prd, story

TOML = """[gates]
check = "test ! -e broken"
[deploy]
command = "sh deploy.sh"
health = "sh health.sh"
rollback = "sh rollback.sh"
"""
# Beside the project, so that nobody takes them for its files.
DEPLOY = 'echo "$RAD_DEPLOY_COMMIT $RAD_DEPLOY_BRANCH" >> ../deployed; env > ../env; ! test -e ../fails\n'
HEALTH = "! test -e ../ill\n"
ROLLBACK = "echo back >> ../back\n"
WORK = 'echo x > "$RAD_STORY_ID.txt"\n'


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A project whose stories have landed, by a run that only said what it would deploy."""
    project = Project(tmp_path_factory.mktemp("once"))
    files = {"prd.json": prd(story("A")), "rad-engineer.toml": TOML, "deploy.sh": DEPLOY, "health.sh": HEALTH,
             "rollback.sh": ROLLBACK}  # fmt: skip
    project.init(files)
    ran = project.rad("run", "prd.json", *agent(project, WORK), "--yes")
    assert ran.code == 0, ran.err
    assert "would be deployed by `sh deploy.sh`" in ran.err
    assert not outside(project, "deployed").exists()
    return project


@pytest.fixture
def ready(once, project):
    """A copy of it, where nothing has been trusted yet."""
    shutil.copytree(once.folder, project.folder, dirs_exist_ok=True)
    return project


def outside(project, name):
    return project.folder.parent / name


def deployed(project):
    path = outside(project, "deployed")
    return path.read_text().splitlines() if path.exists() else []


def head(project):
    return project.git("rev-parse", "rad/demo").strip()


def told(project):
    newest = max((project.folder / ".rad-engineer" / "runs").iterdir())
    return [(line["event"], line.get("outcome", line.get("ok"))) for line in deploy_stage.events(newest)]


def test_what_is_green_is_deployed_once(ready):
    first = ready.rad("deploy", "run", "--yes", "--execute", env={"ANTHROPIC_API_KEY": "not.a.key"})
    assert (first.code, deployed(ready)) == (0, [f"{head(ready)} rad/demo"]), first.err
    assert told(ready) == [("deploy_started", None), ("deploy_ended", True), ("health_ended", True),
                           ("deploy_finished", "deployed")]  # fmt: skip
    assert "ANTHROPIC" not in outside(ready, "env").read_text()
    again = ready.rad("run", "prd.json", "--deploy", *agent(ready, WORK), "--yes")
    assert (again.code, len(deployed(ready))) == (0, 1), again.err
    assert "is deployed already" in again.err
    assert ready.rad("deploy", "run", "--yes", "--execute", "--again").code == 0
    assert len(deployed(ready)) == 2


def test_a_run_that_is_told_to_deploys_at_its_end(ready):
    ready.write({"prd.json": prd(story("A", passes=True), story("B"))})
    env = {"ANTHROPIC_API_KEY": "not.a.key"}
    ran = ready.rad("run", "prd.json", "--deploy", *agent(ready, WORK), "--yes", env=env)
    assert ran.code == 0, ran.err
    assert deployed(ready) == [f"{head(ready)} rad/demo"]
    seen = outside(ready, "env").read_text()
    assert "ANTHROPIC" not in seen
    assert f"RAD_DEPLOY_COMMIT={head(ready)}" in seen


def test_what_is_not_well_goes_back(ready):
    outside(ready, "ill").touch()
    ran = ready.rad("deploy", "run", "--yes", "--execute")
    assert (ran.code, outside(ready, "back").read_text()) == (1, "back\n")
    assert told(ready)[-1] == ("deploy_finished", "rolled-back")
    outside(ready, "ill").unlink()
    assert ready.rad("deploy", "run", "--yes", "--execute").code == 0  # what failed may be tried again
    assert told(ready)[-1] == ("deploy_finished", "deployed")


def test_a_command_that_fails_is_not_asked_how_it_is(ready):
    outside(ready, "fails").touch()
    assert ready.rad("deploy", "run", "--yes", "--execute").code == 1
    assert [event for event, _ in told(ready)] == [
        "deploy_started",
        "deploy_ended",
        "rollback_ended",
        "deploy_finished",
    ]


def killed_while_it_deploys(project):
    """The deployment is killed once its command is at work; the command says so through a FIFO."""
    os.mkfifo(outside(project, "begun"))
    (project.folder / "deploy.sh").write_text(DEPLOY + "echo x > ../begun; exec sleep 600\n")
    child = subprocess.Popen(
        project.command("deploy", "run", "--yes", "--execute"), cwd=project.folder, env=project.env
    )
    assert outside(project, "begun").read_text() == "x\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert told(project) == [("deploy_started", None)]


@pytest.mark.parametrize(("ill", "code", "outcome"), [(False, 0, "deployed"), (True, 1, "rolled-back")])
def test_what_was_cut_off_is_not_deployed_twice_its_health_decides(ready, ill, code, outcome):
    killed_while_it_deploys(ready)
    if ill:
        outside(ready, "ill").touch()
    ran = ready.rad("run", "prd.json", "--deploy", *agent(ready, WORK), "--yes")
    assert ran.code == code, ran.err
    assert "was cut off" in ran.err
    assert len(deployed(ready)) == 1
    assert told(ready)[-1] == ("deploy_finished", outcome)
    assert [line for line in ready.processes() if "sleep 600" in line] == []  # what it had left running


def test_what_was_cut_off_and_has_no_health_waits_for_a_person(ready):
    killed_while_it_deploys(ready)
    (ready.folder / "rad-engineer.toml").write_text(TOML.replace("health", "#").replace("rollback", "#"))
    for _ in range(2):
        ran = ready.rad("deploy", "run", "--yes", "--execute")
        assert (ran.code, len(deployed(ready))) == (4, 1), ran.err
    (ready.folder / "deploy.sh").write_text(DEPLOY)
    assert ready.rad("deploy", "run", "--yes", "--execute", "--again").code == 0
    assert len(deployed(ready)) == 2


def test_its_commands_are_trusted_like_gates(ready):
    assert ready.rad("deploy", "run", "--execute").code == 77
    assert ready.rad("deploy", "run", "--execute", "--yes").code == 0
    assert ready.rad("deploy", "run", "--execute", "--again").code == 0
    text = TOML.replace("sh deploy.sh", "sh other.sh")
    (ready.folder / "rad-engineer.toml").write_text(text)
    ran = ready.rad("deploy", "run", "--execute", "--again")
    assert (ran.code, len(deployed(ready))) == (77, 2)
    assert "sh other.sh" in ran.err


def test_only_what_a_run_has_judged_is_deployed(ready):
    commit = ready.git("commit-tree", "rad/demo^{tree}", "-p", "rad/demo", "-m", "by hand").strip()
    ready.git("update-ref", "refs/heads/rad/demo", commit)
    ran = ready.rad("deploy", "run", "--yes", "--execute")
    assert (ran.code, deployed(ready)) == (77, [])
    assert "has moved" in ran.err


def test_a_run_with_a_failure_is_not_deployed(project):
    project.init({"prd.json": prd(story("A"), story("B")), "rad-engineer.toml": TOML, "deploy.sh": DEPLOY})
    work = 'echo x > "$RAD_STORY_ID.txt"; test $RAD_STORY_ID = A\n'
    ran = project.rad("run", "prd.json", "--deploy", *agent(project, work), "--yes", "--attempts", "1")
    assert ran.code == 1
    assert project.rad("deploy", "run", "--yes", "--execute").code == 77
    assert deployed(project) == []


def test_a_line_that_a_crash_cut_off_never_happened(ready):
    newest = max((ready.folder / ".rad-engineer" / "runs").iterdir())
    Path(newest, "deploy.jsonl").write_text('{"event":"deploy_started","commit":"' + head(ready))
    assert ready.rad("deploy", "run", "--yes", "--execute").code == 0
    assert len(told(ready)) == 4
    assert json.dumps(told(ready))


def test_without_a_configured_deployment_there_is_none(project):
    project.init({"prd.json": prd(story("A"))})
    assert project.rad("deploy", "run").code == 66
