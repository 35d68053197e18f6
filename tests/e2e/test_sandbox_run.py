"""`sandbox run`: a command meets what those of agents meet, on a copy; nothing of the user's changes."""

import re
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.sandboxes import let_through, needs

LEVELS = ("bubblewrap", "landlock", "off")


@pytest.mark.parametrize("level", LEVELS)
def test_it_writes_into_a_copy_and_says_where_that_is(project: Project, tmp_path: Path, level: str):
    if level != "off":
        needs(level)
    let_through(tmp_path / "cache")
    project.init({"a.txt": "a\n", ".gitignore": "ignored\n"})
    (project.folder / "ignored").write_text("private")
    (project.folder / "new.txt").write_text("not committed\n")
    (tmp_path / "home" / "secret").write_text("a secret")
    script = (
        f"cat a.txt new.txt; cat ignored {tmp_path / 'home' / 'secret'} 2>/dev/null; echo b >>a.txt; exit 7"
    )
    ran = project.rad("sandbox", "run", "--level", level, "--", "sh", "-c", script)
    assert ran.code == 7, ran.err
    assert ran.out == "a\nnot committed\n" + ("a secret" if level == "off" else "")
    assert f"sandbox: {level}" in ran.err
    [copy] = re.findall(r"^in (\S+); your files are as they were$", ran.err, re.MULTILINE)
    assert (Path(copy) / "a.txt").read_text() == "a\nb\n"
    assert (project.folder / "a.txt").read_text() == "a\n"
    assert "written: a.txt\n" in ran.err


def test_a_copy_that_is_as_it_was_goes(project: Project):
    needs("bubblewrap")
    project.init({"a.txt": "a\n"})
    ran = project.rad("sandbox", "run", "--as", "gate", "--", "ls", "--all")
    assert (ran.code, ran.out.split()) == (0, [".", "..", ".gitignore", "a.txt"])
    assert "written nothing" in ran.err


def test_what_the_project_would_open_has_to_be_trusted(project: Project):
    project.init({"rad-engineer.toml": '[grants]\nnetwork = ["host"]\n'})
    refused = project.rad("sandbox", "run", "--", "true")
    assert refused.code == 77
    assert "grant grants.network host" in " ".join(refused.err.split())
