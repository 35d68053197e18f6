"""setup: asked at a real terminal, given as options, refused where nobody can be asked."""

import os
import pty
import select
import stat
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Project

DEADLINE = 60.0
KEY = "made.up.for.this.test"


@pytest.fixture
def home(project: Project) -> Path:
    folder = project.folder.parent / "home of mine"
    folder.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ANTHROPIC_API_KEY"):
        project.env.pop(name, None)
    project.env |= {"HOME": str(folder), "SHELL": "/bin/bash"}
    return folder


def answered(project: Project, answers: list[tuple[bytes, bytes]]) -> tuple[int, str]:
    """What was shown at a terminal where each question is waited for and answered."""
    master, slave = pty.openpty()
    argv = ["setsid", "--ctty", *project.command("setup")]
    process = subprocess.Popen(
        argv, cwd=project.folder, env=project.env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    seen, until = b"", time.monotonic() + DEADLINE
    while True:
        if answers and answers[0][0] in seen[-200:].rpartition(b"\n")[2]:
            os.write(master, answers.pop(0)[1])
        if select.select([master], [], [], 0.05)[0]:
            try:
                seen += os.read(master, 1 << 16)
            except OSError:  # the other side has gone
                break
        assert time.monotonic() < until, seen
    os.close(master)
    return process.wait(DEADLINE), seen.decode()


def configured(home: Path) -> dict[str, object]:
    return tomllib.loads((home / ".config/rad-engineer/rad-engineer.toml").read_text())


def test_at_a_terminal_it_asks_and_the_key_is_not_shown(project: Project, home: Path) -> None:
    questions = [
        (b"[auto]: ", b"nobody\n"),
        (b"[auto]: ", b"claude,anthropic\n"),
        (b"none): ", KEY.encode() + b"\n"),
        (b"[10]: ", b"2.5\n"),
        (b"[y]: ", b"\n"),
    ]
    code, seen = answered(project, questions)
    assert (code, questions) == (0, []), seen
    assert configured(home) == {"agent": {"name": "claude,anthropic"}, "budget": {"run": 2.5}}
    kept = home / ".config/rad-engineer/credentials"
    assert kept.read_text() == f"{KEY}\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert KEY not in seen
    assert "`nobody` is none of auto, " in seen
    script = home / ".local/share/bash-completion/completions/rad-engineer"
    loaded = subprocess.run(
        ["bash", "-c", f'. "{script}"; complete -p rad-engineer'], capture_output=True, text=True, check=True
    )
    assert "_rad_engineer_completion rad-engineer" in loaded.stdout


def test_whoever_leaves_keeps_what_was_answered(project: Project, home: Path) -> None:
    code, seen = answered(project, [(b"[auto]: ", b"\n"), (b"none): ", b"\x04")])
    assert code == 0
    assert "what was answered is kept" in seen
    assert configured(home) == {"agent": {"name": "auto"}}


def test_without_a_terminal_it_says_what_to_type_instead_and_that_works(project: Project, home: Path) -> None:
    refused = project.rad("setup")
    assert refused.code == 2
    assert list(home.iterdir()) == []
    command = refused.err.splitlines()[-1].split()
    assert command[:2] == ["rad-engineer", "setup"]
    assert project.rad(*command[1:]).code == 0
    assert configured(home) == {"agent": {"name": "auto"}, "budget": {"run": 10}}
    assert (home / ".local/share/bash-completion/completions/rad-engineer").exists()
    shown = project.rad("config", "show", "--origin").out
    assert [
        line.split("#")[0].split() for line in shown.splitlines() if "your own configuration" in line
    ] == [
        ["agent.name", "=", '"auto"'],
        ["budget.run", "=", "10.0"],
    ]


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--agent", "nobody", "is none of"), ("--default-budget", "x", "budget.run: "), ("--completion", "csh", "bash, zsh, fish")],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_written(
    project: Project, home: Path, option: str, value: str, told: str
) -> None:
    refused = project.rad("setup", option, value)
    assert refused.code == 2
    assert told in refused.err
    assert list(home.rglob("*.toml")) == []


@pytest.mark.parametrize("told", ["", "here"])
def test_a_home_that_is_none_is_refused(project: Project, home: Path, told: str) -> None:
    refused = project.rad("setup", "--completion", "bash", env={"HOME": told})
    assert refused.code == 2
    assert "HOME does not name a folder of yours" in refused.err
    assert list(home.iterdir()) == []
    assert not (project.folder / "here").exists()


def test_a_variable_that_is_no_path_means_nothing(project: Project, home: Path) -> None:
    assert project.rad("setup", "--completion", "bash", env={"XDG_DATA_HOME": "here"}).code == 0
    assert (home / ".local/share/bash-completion/completions/rad-engineer").exists()
    assert not (project.folder / "here").exists()


def test_what_the_user_has_written_stays(project: Project, home: Path) -> None:
    own = home / ".config/rad-engineer/rad-engineer.toml"
    own.parent.mkdir(parents=True)
    own.write_text("# mine\n[agent]\nname = 'claude' # for now\nmodel = 'm'\n")
    assert project.rad("setup", "--agent", "anthropic").code == 0
    assert own.read_text() == "# mine\n[agent]\nname = \"anthropic\" # for now\nmodel = 'm'\n"
