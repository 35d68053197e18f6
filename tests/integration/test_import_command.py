"""import: shows, proposes, writes only what is missing, registers, and runs nothing that is not trusted."""

import io
import json
import os
import subprocess
import sys

import pytest

from rad_engineer import cli
from rad_engineer.errors import Refused

FILE = "rad-engineer.toml"
PYPROJECT = '[project]\nname = "shop"\n[tool.pytest.ini_options]\n[tool.ruff]\n'
TEST = 'test = "python3 -m pytest -q"'
LINT = 'lint = "python3 -m ruff check ."'


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("RAD_")]:
        monkeypatch.delenv(name)
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # nobody answers
    return tmp_path


@pytest.fixture
def project(home, monkeypatch):
    """A repository with tests that ran somewhere and a linter."""
    top = home / "shop"
    (top / "tests").mkdir(parents=True)
    (top / "pyproject.toml").write_text(PYPROJECT)
    (top / "tests" / "test_one.py").write_text("def test_one():\n    assert True\n")
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "start")
    monkeypatch.chdir(top)
    return top


def git(top, *arguments):
    subprocess.run(["git", "-C", top, *arguments], check=True)


def run(capsys, *argv):
    code = cli.main(list(argv))
    out, err = capsys.readouterr()
    return code, out, err


def document(capsys, *argv):
    code, out, _ = run(capsys, *argv, "--json")
    assert code == 0
    return json.loads(out)


def test_what_is_found_is_shown_with_its_place_and_nothing_is_written(project, capsys):
    (project / "CLAUDE.md").write_text("")
    code, out, _ = run(capsys, "import")
    assert code == 0
    for told in (
        "test   python3 -m pytest -q                      pyproject.toml:3",
        "lint   python3 -m ruff check .                   pyproject.toml:4",
        "for agents    CLAUDE.md", f"\n{FILE} (proposed)\n[gates]\n{TEST}\n{LINT}\n",
        "not trusted: `rad-engineer import --yes`", "Nothing was written: `rad-engineer import --write`",
    ):  # fmt: skip
        assert told in out
    assert sorted(path.name for path in project.iterdir()) == [".git", "CLAUDE.md", "pyproject.toml", "tests"]


def test_write_makes_the_file_and_a_second_time_changes_nothing(project, capsys):
    assert "rad-engineer.toml is written: 2 settings added" in run(capsys, "import", "--write")[1]
    assert (project / FILE).read_text() == f"[gates]\n{TEST}\n{LINT}\n"
    before = (project / FILE).stat()
    assert f"{FILE} has all of it" in run(capsys, "import", "--write")[1]
    assert (project / FILE).stat() == before


EXISTING = {
    "a byte order mark, CRLF, comments and no last line end": (
        b"\xef\xbb\xbf# ours\r\n[limits] # few\r\njobs = 2\r\n\r\n[gates] # strict\r\ntest = 'make test' # mine",
        ("", f"\r\n{LINT}"), ["gates.lint"]),
    "mixed line ends": (
        b"[gates]\r\na = 'x'\n[limits]\r\njobs = 2\n", (f"{TEST}\n{LINT}\n",), ["gates.test", "gates.lint"]),
    "an inline table": (b"gates = { test = 'x' }  # mine\n", (), []),
    "the same gate by another name": (b"[gates]\nunit = 'python3 -m pytest -q'\n", (f"{LINT}\n",), ["gates.lint"]),
    "dotted keys": (b"gates.test = 'x'\n\n[limits]\njobs = 2\n", (f"gates.{LINT}\n",), ["gates.lint"]),
    "an array over many lines": (
        b"protect = [\n  'a', # ]\n]\n# end", (f"\n\n[gates]\n{TEST}\n{LINT}",), ["gates.test", "gates.lint"]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "lines", "added"), EXISTING.values(), ids=EXISTING)
def test_a_file_that_is_there_gets_lines_and_loses_no_byte(project, capsys, before, lines, added):
    (project / FILE).write_bytes(before)
    found = document(capsys, "import", "--write")["configuration"]
    after = (project / FILE).read_bytes()
    assert found["added"] == added
    assert found["written"] is bool(added)
    for line in lines:
        assert line.encode() in after
        after = after.replace(line.encode(), b"", 1)
    assert after == before


def test_what_cannot_be_added_is_said(project, capsys):
    (project / FILE).write_text("gates = { unit = 'x' }\n")
    out = run(capsys, "import", "--write")[1]
    assert "note: gates.lint is left as it is: `gates` is written as one value on line 1" in out
    assert (project / FILE).read_text() == "gates = { unit = 'x' }\n"


def test_a_table_in_pyproject_is_extended_there_and_shown_as_a_diff(project, capsys):
    (project / "pyproject.toml").write_text(f"{PYPROJECT}[tool.rad-engineer.limits]\njobs = 2\n")
    out = run(capsys, "import", "--write")[1]
    assert "--- pyproject.toml (as it is)\n+++ pyproject.toml (proposed)\n" in out
    assert f"\n+[tool.rad-engineer.gates]\n+{TEST}\n+{LINT}\n" in out
    assert (
        (project / "pyproject.toml")
        .read_text()
        .startswith(f"{PYPROJECT}[tool.rad-engineer.limits]\njobs = 2\n")
    )
    assert not (project / FILE).exists()


def test_a_file_that_is_wrong_is_told_and_left_alone(project, capsys):
    (project / FILE).write_text("[limts]\njobs = 2\n")
    code, _, err = run(capsys, "import", "--write", "--yes")
    assert (code, "unknown key `limts`" in err) == (78, True)
    assert (project / FILE).read_text() == "[limts]\njobs = 2\n"
    assert document(capsys, "projects", "list")["projects"] == []


def test_dry_run_writes_and_registers_and_runs_nothing(project, home, capsys):
    found = document(capsys, "import", "--write", "--yes", "--dry-run")
    assert (found["configuration"]["written"], found["today"], found["not_run"]) == (False, [], "dry run")
    assert not (project / FILE).exists()
    assert not (home / "state").exists()


def test_gates_are_run_once_in_a_copy_when_they_are_trusted(project, capsys):
    (project / "tests" / "test_two.py").write_text(
        "import pathlib\ndef test_two():\n    pathlib.Path('left').write_text('')\n    assert pathlib.Path('tests').is_dir()\n"
    )
    (project / FILE).write_text("[gates]\nlint = 'python3 -m no_such_linter .'\n[sandbox]\nlevel = 'off'\n")
    git(project, "add", "-A")
    found = document(capsys, "import", "--yes")
    today = {row["gate"]: row for row in found["today"]}
    assert (today["test"]["green"], today["test"]["tests"]) == (True, 2)
    assert today["lint"]["green"] is False
    assert "No module named no_such_linter" in today["lint"]["why"]
    assert not (project / "left").exists(), "the user's folder is not where they run"
    assert "gate test" in run(capsys, "trust", "--list")[1]
    assert document(capsys, "import")["not_run"] is None, "what is trusted runs without asking again"


def test_nothing_of_a_project_runs_before_it_is_trusted(project, capsys):
    marker = project.parent / "ran"
    script = {"scripts": {"test": f"touch {marker}", "lint": f"touch {marker} && eslint ."}}
    (project / "package.json").write_text(json.dumps(script))
    (project / "conftest.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (project / "noxfile.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (project / "setup.py").write_text(f"open({str(marker)!r}, 'w')\n")
    found = document(capsys, "import", "--write")
    assert found["not_run"].startswith("the commands are not trusted")
    assert not marker.exists()


def test_several_projects_are_known_listed_and_forgotten(project, home, capsys):
    other = home / "other" / "shop"
    other.mkdir(parents=True)
    (other / "go.mod").write_text("module x\n")
    assert run(capsys, "import")[0] == 0
    assert run(capsys, "import", "../other/shop")[0] == 0
    rows = document(capsys, "projects", "list")["projects"]
    assert {row["path"]: (row["languages"], sorted(row["gates"])) for row in rows} == {
        str(project): (["python"], ["lint", "test"]), str(other): (["go"], ["build", "test"]),
    }  # fmt: skip
    code, _, err = run(capsys, "projects", "remove", "shop")
    assert (code, "several projects are called `shop`" in err) == (66, True)
    (other / "go.mod").unlink()
    other.rmdir()
    assert "its folder is gone" in run(capsys, "projects", "list")[1]
    assert run(capsys, "projects", "remove", str(other))[0] == 0
    assert run(capsys, "projects", "remove", "shop")[1] == f"forgot {project}; its files are as they were\n"
    assert run(capsys, "projects", "list")[1] == "no projects; `rad-engineer import` adds one\n"
    assert run(capsys, "projects", "remove", "shop")[0] == 66
    assert (project / "pyproject.toml").exists()


def test_a_subfolder_means_its_repository(project, capsys, monkeypatch):
    monkeypatch.chdir(project / "tests")
    assert document(capsys, "import", "--dry-run")["project"] == str(project)
    assert run(capsys, "import", "no-such-folder")[0] == 66


def test_refusal_is_an_answer_and_no_error(project, capsys, monkeypatch):
    def refuse(*_arguments, **_options):
        raise Refused("no")

    monkeypatch.setattr("rad_engineer.trust.require", refuse)
    assert document(capsys, "import", "--yes")["today"] == []


@pytest.mark.timeout(60)
def test_each_gate_is_told_of_when_it_begins_and_pipes_are_not_copied(home, monkeypatch):
    top = home / "no repository"
    top.mkdir()
    monkeypatch.chdir(top)
    os.mkfifo(top / "go.mod")
    os.mkfifo(home / "go")
    (top / FILE).write_text(f"[sandbox]\nlevel = 'off'\n[gates]\nwaits = 'cat ../go \"{home}/go\"'\n")
    command = [sys.executable, "-m", "rad_engineer", "import", "--yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            if line.startswith("rad-engineer: gate "):
                (home / "go").write_text("now\n")
                break
        out, _ = running.communicate()
    assert line == f'rad-engineer: gate waits: cat ../go "{home}/go"\n'
    assert "\nGates today\n  red    waits" in out, "the other pipe is not there"
