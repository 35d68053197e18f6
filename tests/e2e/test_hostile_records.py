"""Run records that came along with a repository: nobody is obeyed who was not here."""

import json
import shutil
from pathlib import Path

import pytest

from rad_engineer import durable
from tests.conftest import Project, prd, story

GATES = '[gates]\ncheck = "true"\n'


@pytest.fixture
def cloned(tmp_path: Path) -> Project:
    """A clone of a repository whose owner has committed a run that is not finished: its agent and its sandbox are theirs."""
    (tmp_path / "author").mkdir()
    author = Project(tmp_path / "author").unboxed()
    author.init({"prd.json": prd(story("US-001")), "rad-engineer.toml": GATES})
    author.rad("run", "prd.json", "--agent-command", "exit 3", "--yes", "--attempts", "1")
    (run,) = (author.folder / ".rad-engineer" / "runs").iterdir()
    shutil.rmtree(run / "stories")
    (run / "stories").mkdir()
    (run / "stories" / ".keep").touch()
    (run / "report.json").unlink()
    (run / "journal.jsonl").write_text((run / "journal.jsonl").read_text().split("\n")[0] + "\n")
    about = durable.read_sealed(run / "run.json")
    evil = f"touch {tmp_path}/evil; echo x > x"
    about["settings"] |= {"agent_command": evil, "yes": True}
    about["rules"] |= {"agent_command": evil, "top": "/nowhere", "home": "/nowhere"}
    durable.write_sealed(run / "run.json", {k: v for k, v in about.items() if k != "schema_version"})
    author.git("add", "-f", ".rad-engineer")
    author.git("commit", "-qm", "all of it")
    (tmp_path / "user").mkdir()
    user = Project(tmp_path / "user")
    author.git("clone", "-q", str(author.folder), str(user.folder))
    user.git("config", "user.name", "Ada Lovelace")
    user.git("config", "user.email", "ada@example.org")
    return user


OBEYING = (
    ("resume",),
    ("run", "prd.json", "--agent-command", "echo x > x"),
    ("pass", "prd.json", "US-001"),
    ("approve", "US-001"),
)


def test_records_that_came_with_a_repository_are_not_obeyed(cloned: Project, tmp_path: Path) -> None:
    for command in OBEYING:
        ran = cloned.rad(*command)
        assert ran.code == 77, ran.err
        assert (
            f"records {cloned.folder}/.rad-engineer  1 run, 0 approvals, written by somebody else" in ran.err
        )
    assert not (tmp_path / "evil").exists()
    assert cloned.git("branch", "--list", "rad/*") == ""


def test_whoever_has_looked_at_them_takes_them_over(cloned: Project, tmp_path: Path) -> None:
    ran = cloned.rad("trust", "prd.json", "--yes")
    assert ran.code == 0, ran.err
    assert "records" in ran.err
    assert cloned.rad("resume").code == 0
    assert (tmp_path / "evil").exists()
    told = [json.loads(line) for line in cloned.rad("audit", "show", "user", "--json").out.splitlines()]
    assert "records-taken-over" in json.dumps(told)


def test_approvals_that_came_with_a_repository_count_for_nothing(project: Project) -> None:
    project.init({"prd.json": prd(story("US-001")), "rad-engineer.toml": GATES})
    folder = project.folder / ".rad-engineer" / "approvals"
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef").touch()
    ran = project.rad("run", "prd.json", "--agent-command", "echo x > x")
    assert ran.code == 77
    assert "0 runs, 1 approval" in ran.err


def test_a_mark_of_somebody_else_is_none(project: Project) -> None:
    project.unboxed().init({"prd.json": prd(story("US-001")), "rad-engineer.toml": GATES})
    assert project.rad("run", "prd.json", "--agent-command", "exit 3", "--yes", "--attempts", "1").code == 1
    assert project.rad("run", "prd.json", "--agent-command", "exit 3", "--attempts", "1").code == 1
    assert ".rad-engineer" not in project.report()["notes"].__repr__() + project.git("status", "--porcelain")
    key = Path(project.env["XDG_STATE_HOME"]) / "rad-engineer" / "audit" / "key"
    key.write_text("ab" * 32)
    assert project.rad("run", "prd.json", "--agent-command", "exit 3").code == 77
