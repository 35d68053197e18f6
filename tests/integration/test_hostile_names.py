"""Folders, people and keys whose names steer a terminal: shown, and without what steers."""

import os
import subprocess
import sys

import pytest

from rad_engineer import cli
from tests.e2e.hostile_project import STEERING

EVIL = "\x1b]0;owned\x07\x1b[2Jev\u202eil"
TOML = '[gates]\n"a\\u001b[2Jb" = "true \\u001b[31m"\n[agent]\nmodel = "\\u001b[2J"\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository in a folder with an evil name, of somebody with an evil name."""
    top = tmp_path / EVIL
    top.mkdir()
    for name in [name for name in os.environ if name.startswith(("RAD_", "GIT_"))]:
        monkeypatch.delenv(name)
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    subprocess.run(["git", "init", "-q", "-b", "ma\u202ein", top], check=True)
    for key, value in (("name", EVIL), ("email", "evil@example.org")):
        subprocess.run(["git", "-C", top, "config", f"user.{key}", value], check=True)
    (top / "pyproject.toml").write_text("[tool.ruff]\n")
    (top / "rad-engineer.toml").write_text(TOML)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
    monkeypatch.chdir(top)
    yield top
    sys.stdin.close()


def test_names_are_shown_without_what_steers_a_terminal(place, capsys):
    def shown(*arguments, code=0):
        assert cli.main(list(arguments)) == code, capsys.readouterr()
        out, err = capsys.readouterr()
        found = STEERING.search(out + err)
        assert found is None, (arguments, out, err)
        return out

    assert "by evil <evil@example.org>" in shown("init", "--name", "n", "--template", "blank")
    assert shown("import").startswith("Project /")
    assert "lint" in shown("projects", "list")
    assert "evil" in shown("doctor", code=78)
    assert shown("config", "set", f"gates.{EVIL}", "true") == "rad-engineer.toml: gates.evil is set\n"
    shown("quickstart", str(place / EVIL))
    assert shown("projects", "remove", str(place)).endswith("/evil; its files are as they were\n")
    (place / "rad-engineer.toml").write_text('["un\\u001b[2J"]\nx = 1\n')
    assert "unknown key `un`" in shown("config", "validate", code=78)
