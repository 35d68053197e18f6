"""The stateful shell of the built-in agent, with a real bash."""

import os
import time
from pathlib import Path

import pytest

from rad_engineer import process
from rad_engineer.agents.anthropic.seam import Stopped, ToolFailed
from rad_engineer.agents.anthropic.shell import Shell
from rad_engineer.agents.anthropic.workbench import CAPS, Workbench
from tests.boxes import off

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "RAD_GATEWAY": "x", "ANTHROPIC_API_KEY": "x", "MY_TOKEN": "x",
       "GREETING": "hello", process.MARK: "run-1"}  # fmt: skip


@pytest.fixture
def shell(tmp_path, childless):
    found = Shell(off(), tmp_path, ENV, cancel=None, until=None)
    yield found
    found.close()


def test_folder_variables_and_functions_stay(shell, tmp_path):
    assert shell.run("mkdir d && cd d && X=1 && f() { echo f$X; }", 30).code == 0
    assert shell.run("pwd; f", 30).text == f"{tmp_path}/d\nf1\n"


@pytest.mark.parametrize(
    ("command", "text", "code"),
    [
        ("echo out; echo err >&2", "out\nerr\n", 0),
        ("printf partial", "partial", 0),
        ("false", "", 1),
        ("no-such-command-at-all", "bash: line 1: no-such-command-at-all: command not found\n", 127),
        ("cat; read x; echo $?", "1\n", 0),  # no input
        ("echo 'unclosed", None, 2),
        ("echo $((1+1)) | cat; (exit 4)", "2\n", 4),
        ("cat <<'E'\na\nb\nE", "a\nb\n", 0),
        ("printf '\\033[31mred\\033[0m'", "red", 0),
        ("exec >log; echo to the log; exec 2>&1; no-such-command", "", 127),
        ("exec >&- 2>&-; true", "", 0),
        ("", "", 0),
        ("# nothing", "", 0),
    ],
)
def test_commands(shell, command, text, code):
    ran = shell.run(command, 30)
    assert (ran.code, ran.ending) == (code, "done")
    assert text is None or ran.text == text
    assert shell.run("echo alive", 30).text == "alive\n"


def test_only_the_users_own_variables_are_there_and_no_credentials(shell, tmp_path):
    told = dict(line.split("=", 1) for line in shell.run("env", 30).text.splitlines())
    assert (told["GREETING"], told["PROJECT_ROOT"], told[process.MARK]) == ("hello", str(tmp_path), "run-1")
    assert not {"RAD_GATEWAY", "ANTHROPIC_API_KEY", "MY_TOKEN"} & told.keys()


@pytest.mark.parametrize(
    ("command", "ending", "code"),
    [
        ("exit 5", "exited", 5),
        ("kill -9 $$", "exited", 137),
        ("echo begun; sleep 60", "timeout", None),
        ("yes", "flooded", None),
    ],
)
def test_a_command_that_takes_the_shell_with_it(shell, tmp_path, command, ending, code):
    shell.run("cd /", 30)
    ran = shell.run(command, 0.5 if ending == "timeout" else 60)
    assert (ran.ending, ran.code) == (ending, code)
    assert "begun" in ran.text or ending != "timeout"
    assert shell.run("pwd", 30).text == f"{tmp_path}\n"


def test_what_was_put_into_the_background_ends_with_the_shell(tmp_path):
    mark = str(tmp_path)  # no other test has it
    shell = Shell(off(), tmp_path, {**ENV, process.MARK: mark}, cancel=None, until=None)
    ran = shell.run("setsid sleep 1000 & echo $!; (sleep 1000 &); (setsid sleep 1000 &)", 30)
    assert ran.ending == "done"
    assert len(process.marked(mark)) >= 4
    shell.close()
    assert process.marked(mark) == []


def test_whoever_cancels_is_heard_and_so_is_the_end_of_all_time(tmp_path):
    before = set(process.children(os.getpid()))
    reader, writer = os.pipe()
    os.write(writer, b"x")
    for shell in (
        Shell(off(), tmp_path, ENV, cancel=reader, until=None),
        Shell(off(), tmp_path, ENV, cancel=None, until=time.monotonic() + 0.2),
    ):
        with pytest.raises(Stopped) as stopped:
            shell.run("sleep 60", 60)
        assert stopped.value.reason in ("cancelled", "timeout")
        assert set(process.children(os.getpid())) <= before
    os.close(reader)
    os.close(writer)


def test_a_machine_without_bash(tmp_path):
    with pytest.raises(ToolFailed, match="bash cannot be started"):
        Shell(off(), tmp_path, {"PATH": str(tmp_path)}, cancel=None, until=None).run("true", 30)


@pytest.fixture
def bench(tmp_path):
    found = Workbench(
        tmp_path, ENV, tmp_path / "learnings.txt", box=off(), hidden={"run-1": "$RUN"}, seconds=30
    )
    yield found
    found.close()


def test_what_a_model_is_told(bench, tmp_path):
    bash = [
        ({"command": "pwd; echo $RAD_RUN_MARK; false"}, "$PROJECT_ROOT\n$RUN\n[exit code 1]", False, False),
        ({"command": "true"}, "(no output)", False, False),
        (
            {"command": "cd /; exit 2"},
            "[the shell ended with exit code 2; the next command gets a new shell",
            True,
            True,
        ),
        ({"restart": True}, "the shell was restarted", False, False),
        ({}, "`command` must be given", True, False),
    ]
    for given, text, error, gone in bash:
        told = bench.execute("bash", given)
        assert told.text.startswith(text)
        assert (told.error, told.shell_gone) == (error, gone)
    assert bench.execute("bash", {"command": "pwd"}).text == "$PROJECT_ROOT"
    assert bench.execute("dance", {}).error


def test_every_tool_has_its_cap(bench, tmp_path):
    long = "".join(f"line {number}\n" for number in range(20_000))
    (tmp_path / "long").write_text(long)
    for tool, given in (
        ("bash", {"command": "cat long"}), ("read", {"path": "long", "limit": 20_000}), ("grep", {"pattern": "."}),
        ("str_replace_based_edit_tool", {"command": "view", "path": "long"}),
    ):  # fmt: skip
        told = bench.execute(tool, given).text
        assert len(told) <= CAPS[tool] + 100
        assert "left out" in told


def test_a_folder_in_which_everything_fails_is_no_end_of_the_run(bench, tmp_path):
    """Deeper than a path may be long: what lies in there has a name, and nobody can look at it."""
    name = "n" * 200
    deep = 3900 - len(str(tmp_path))
    count = deep // 201
    bench.execute("bash", {"command": f"for i in $(seq {count + 3}); do mkdir {name}; cd {name}; done"})
    path = "/".join([name] * count)
    for tool, given in (
        ("str_replace_based_edit_tool", {"command": "view", "path": path}),
        ("str_replace_based_edit_tool", {"command": "create", "path": f"{path}/{name}/{name}", "file_text": "x"}),
        ("read", {"path": f"{path}/{name}"}),
        ("glob", {"path": path, "pattern": "*"}),
        ("grep", {"path": path, "pattern": "x\0"}),
    ):  # fmt: skip
        assert bench.execute(tool, given).text
    assert bench.execute(
        "str_replace_based_edit_tool", {"command": "view", "path": f"{path}/{name}/{name}"}
    ).error
    bench.execute("bash", {"restart": True})
    bench.execute("bash", {"command": f"rm -rf {name}"})


def test_learnings_are_kept_once(bench, tmp_path):
    for _ in range(2):
        assert not bench.execute("record_learning", {"learning": "tests  live\nin t/"}).error
    assert (tmp_path / "learnings.txt").read_text() == "tests live in t/\n"
    for number in range(19):
        bench.execute("record_learning", {"learning": f"{number}"})
    assert bench.execute("record_learning", {"learning": "one more"}).error
    assert bench.execute("record_learning", {"learning": " "}).error
    assert len(Path(tmp_path / "learnings.txt").read_text().splitlines()) == 20
