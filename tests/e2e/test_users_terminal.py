"""How users stop, suspend and lose a run: ^C again and again, ^Z, a closed terminal, a closed pipe, nohup."""

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
FILES = {
    "prd.json": prd(story("A"), story("B", "A")),
    "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
}
DEADLINE = 60.0
HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A command as the session leader of a terminal of its own."""

    def __init__(self, project: Project, command: Sequence[str], columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)
        env = {**project.env, "TERM": "xterm"}
        del env["COLUMNS"]
        subprocess.run(["stty", "cols", str(columns), "rows", "24"], stdin=slave, check=True)
        self.seen = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            cwd=project.folder,
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

    def wait_for(self, wanted: bytes, start: int = 0) -> int:
        until = time.monotonic() + DEADLINE
        while wanted not in self.seen[start:]:
            assert time.monotonic() < until, self.seen[start:]
            self._read()
        return self.seen.index(wanted, start)

    def _read(self) -> bool:
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the other side has gone
                return False
            self.seen += data
        return True

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        until = time.monotonic() + DEADLINE
        while self.process.poll() is None and time.monotonic() < until:
            self._read()
        while self._read() and select.select([self.master], [], [], 0)[0]:
            pass
        os.close(self.master)
        return self.process.wait(1)


def waiting(project: Project) -> tuple[str, Path]:
    """An agent that waits for a file before it writes."""
    go = project.folder.parent / "go"
    return f"touch {go}-asked; while ! test -e {go}; do sleep 0.02; done\n" + WRITE, go


def command(project: Project, script: str, *options: str) -> list[str]:
    return project.command("run", "prd.json", *agent(project, script), "--yes", *options)


def asked(go: Path) -> None:
    until = time.monotonic() + DEADLINE
    while not Path(f"{go}-asked").exists():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_terminal_is_closed(project: Project) -> None:
    """SSH drops: SIGHUP, and nobody is left to be told; what happened is found later."""
    project.init(FILES)
    script, go = waiting(project)
    terminal = Terminal(project, command(project, script, "--grace", "0s"))
    asked(go)
    os.close(terminal.master)
    assert terminal.process.wait(DEADLINE) == 129
    assert project.processes() == []
    said = project.rad("status").out
    assert "interrupted" in said
    assert "exit code 129: stopped by SIGHUP, because the terminal was closed; everything is kept" in said
    go.touch()
    assert project.rad("resume").code == 0
    assert project.landed("rad/demo") == ["A", "B"]


def test_under_nohup_a_run_outlives_its_terminal(project: Project) -> None:
    project.init(FILES)
    script, go = waiting(project)
    run = subprocess.Popen(
        ["nohup", *command(project, script)], cwd=project.folder, env=project.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    asked(go)
    run.send_signal(signal.SIGHUP)
    go.touch()
    out, _err = run.communicate(timeout=DEADLINE)
    assert (run.returncode, project.landed("rad/demo")) == (0, ["A", "B"]), out


def test_the_first_signal_is_answered(project: Project) -> None:
    """Nobody has to guess whether ^C was heard; what runs goes on to its end."""
    project.init(FILES)
    script, go = waiting(project)
    run = project.start(*command(project, script, "--grace", "90s")[3:])
    asked(go)
    run.send_signal(signal.SIGINT)
    assert run.stderr is not None
    assert any("SIGINT: stopping within 1m30s, a second one stops at once" in line for line in run.stderr)
    go.touch()
    run.communicate(timeout=DEADLINE)
    assert (run.returncode, project.landed("rad/demo")) == (130, ["A"])


def test_somebody_keeps_pressing_ctrl_c(project: Project) -> None:
    """The second one stops at once; the others cut off neither the report nor the summary."""
    project.init(FILES)
    script, go = waiting(project)
    terminal = Terminal(project, command(project, script))
    asked(go)
    for _ in range(200):
        try:
            terminal.press(b"\x03")
        except OSError:
            break
        if terminal.process.poll() is not None:
            break
        terminal._read()
    assert terminal.end() == 130, terminal.seen
    assert b"exit code 130: stopped by SIGINT; everything is kept" in terminal.seen
    assert b"Traceback" not in terminal.seen
    assert project.statuses() == {"A": "interrupted", "B": "pending"}
    assert project.processes() == []


def test_suspended_and_brought_back(project: Project) -> None:
    """^Z gives the shell its cursor; fg goes on as if nothing had been."""
    project.init(FILES)
    script, go = waiting(project)
    run = " ".join(f"'{word}'" for word in command(project, script))
    shell = ["bash", "-mc", f"{run}; echo suspended $?; read -r; fg; echo ended $?"]
    terminal = Terminal(project, shell)
    asked(go)
    terminal.wait_for(HIDE)
    terminal.press(b"\x1a")
    terminal.wait_for(b"suspended 148")
    assert terminal.seen.rindex(SHOW) > terminal.seen.rindex(HIDE)
    go.touch()
    terminal.press(b"\n")
    terminal.wait_for(b"ended 0")
    assert terminal.end() == 0
    assert terminal.seen.rindex(SHOW) > terminal.seen.rindex(HIDE)
    assert project.landed("rad/demo") == ["A", "B"]


@pytest.mark.parametrize("told", ["2>/dev/null", "2>&1", "--json 2>/dev/null"])
def test_a_reader_that_leaves_does_not_stop_a_run(project: Project, told: str) -> None:
    project.init(FILES)
    run = " ".join(f"'{word}'" for word in command(project, WRITE))
    done = subprocess.run(
        ["bash", "-c", f"{run} {told} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"],
        cwd=project.folder, env=project.env, stdin=subprocess.DEVNULL, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert (done.returncode, project.landed("rad/demo")) == (0, ["A", "B"])
    assert project.passes() == ["A", "B"]


def test_a_terminal_of_forty_columns(project: Project) -> None:
    project.init(FILES)
    terminal = Terminal(project, command(project, WRITE), columns=40)
    assert terminal.end() == 0, terminal.seen
    summary = terminal.seen[terminal.seen.index(b"2 of 2 stories landed on rad/demo") :].decode()
    assert max(len(line.rstrip()) for line in summary.splitlines()) <= 40, summary


def test_a_terminal_that_speaks_only_ascii(project: Project) -> None:
    project.init({**FILES, "prd.json": prd(story("A", title="Ünï \u2713"))})
    project.env.update(LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    terminal = Terminal(project, command(project, WRITE))
    assert terminal.end() == 0, terminal.seen
    assert terminal.seen.isascii()
    assert b"1 of 1 story landed on rad/demo" in terminal.seen


def test_no_terminal_and_nothing_to_ask(project: Project) -> None:
    """A run from cron: no question is waited for."""
    project.init(FILES)
    ran = project.rad("run", "prd.json", *agent(project, WRITE))
    assert ran.code == 77
    assert "these commands are not trusted yet:" in ran.err
    assert "or add --yes" in ran.err
