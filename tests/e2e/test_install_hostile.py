"""install.sh and uninstall.sh where they are stopped, killed, started twice, told nonsense, and out of room."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.installing import INSTALL, UNINSTALL, Home, make_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return make_wheel(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "a home"
    folder.mkdir()
    return Home(folder)


def program(environment, code):
    """What stands for a version that was there before."""
    path = environment / "bin" / "rad-engineer"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho rad-engineer 0.0.1\nexit {code}\n")
    path.chmod(0o755)


def slow_python(home):
    """A Python that says when pip begins, and then waits."""
    path = home.folder / "slow python"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *" install "*) : >"$HOME/begun"; exec sleep 600 ;; esac\nexec "{sys.executable}" "$@"\n'
    )
    path.chmod(0o755)
    return path


def begun(home, wheel):
    """An installation that has begun, in a session of its own."""
    argv = [INSTALL, "--using", "venv", "--from", wheel, "--python", slow_python(home)]
    child = subprocess.Popen([str(word) for word in argv], env=home.env, cwd=home.folder, stdin=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
    while not (home.folder / "begun").exists():
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    (home.folder / "begun").unlink()
    return child


def test_what_is_stopped_or_killed_in_the_middle_leaves_the_old_version(home, wheel):
    old = home.folder / ".local" / "share" / "rad-engineer" / "venv-of-old"
    program(old, 0)
    home.command.parent.mkdir(parents=True)
    home.command.symlink_to(old / "bin" / "rad-engineer")
    for number, left in ((signal.SIGINT, 0), (signal.SIGKILL, 2)):
        with begun(home, wheel) as child:
            other = home.install("--using", "venv", "--from", wheel)
            assert other.returncode == 1
            assert "another installation is going on" in other.stderr
            os.killpg(child.pid, number)
            assert child.wait() != 0
        assert home.run(home.command, "--version").returncode == 0
        assert len(home.environments) == 1 + left
        assert old in home.environments
    # What a kill has left keeps nobody from the next one, which removes it.
    (home.folder / "bin").mkdir()
    (home.folder / "bin" / "uv").write_text("#!/bin/sh\nexit 9\n")
    (home.folder / "bin" / "uv").chmod(0o755)
    home.env["PATH"] = f"{home.folder / 'bin'}:{home.env['PATH']}"
    again = home.install("--from", wheel)
    assert again.returncode == 0, again.stderr  # by what made the old one, though there is a uv now
    assert len(home.environments) == 1
    assert old not in home.environments


FAKE_UV = """#!/bin/sh
case "$*" in
  "tool dir") echo "$HOME/uv/tools" ;;
  "tool dir --bin") echo "$HOME/.local/bin" ;;
  *) rm -rf "$HOME/uv/tools/rad-engineer"; exit 1 ;;
esac
"""


def test_an_upgrade_that_was_killed_is_made_good_by_the_next(home, wheel):
    """The copy that it has left is the old version; what it was replacing does not start."""
    for name, code in (("rad-engineer", 1), ("rad-engineer.before", 0)):
        program(home.folder / "uv" / "tools" / name, code)
    (home.folder / "uv" / "tools" / "rad-engineer.before" / "half").touch()
    (home.folder / "bin").mkdir()
    (home.folder / "bin" / "uv").write_text(FAKE_UV)
    (home.folder / "bin" / "uv").chmod(0o755)
    home.env["PATH"] = f"{home.folder / 'bin'}:{home.env['PATH']}"
    home.command.parent.mkdir(parents=True)
    home.command.symlink_to(home.folder / "uv" / "tools" / "rad-engineer" / "bin" / "rad-engineer")
    failed = home.install("--from", wheel)
    assert failed.returncode == 1
    assert "it was not installed" in failed.stderr
    assert home.run(home.command, "--version").stdout == "rad-engineer 0.0.1\n"
    [folder] = (home.folder / "uv" / "tools").iterdir()
    assert {path.name for path in folder.iterdir()} == {"bin", "half"}


@pytest.mark.parametrize("told", [None, "", "here"])
def test_a_home_that_is_none_is_refused(home, wheel, told):
    home.env = {name: value for name, value in home.env.items() if name != "HOME"} | (
        {} if told is None else {"HOME": told}
    )
    for argv in ((INSTALL, "--using", "venv", "--from", wheel), (UNINSTALL, "--purge")):
        ended = home.run(*argv, stdin=subprocess.DEVNULL)
        assert ended.returncode == 1
        assert ended.stderr == f"{argv[0].name}: HOME does not name a folder of yours: set it\n"
    assert list(home.folder.iterdir()) == []


def test_a_variable_that_is_no_path_means_nothing(home, wheel):
    """`XDG_DATA_HOME=.` would have removed a checkout that somebody stands beside."""
    home.env |= {f"XDG_{name}_HOME": "." for name in ("DATA", "BIN", "CONFIG", "STATE", "CACHE")}
    mine = home.folder / "rad-engineer" / "mine"
    mine.parent.mkdir()
    mine.touch()
    assert home.install("--using", "venv", "--from", wheel).returncode == 0
    assert home.run(home.command, "--version").returncode == 0
    (home.environments[0].parent / "mine").touch()
    (home.folder / "dotfiles").write_text("a\nsource '/x/.bash_completions/rad-engineer.sh'\nb\n")
    (home.folder / ".bashrc").symlink_to("dotfiles")
    gone = home.run(UNINSTALL, "--purge")
    assert gone.returncode == 0, gone.stderr
    assert mine.exists()
    assert [path.name for path in home.environments] == ["mine"], "nothing that is not ours is removed"
    assert (home.folder / ".bashrc").is_symlink()
    assert (home.folder / ".bashrc").read_text() == "a\nb\n"
    assert not home.command.is_symlink()


def test_a_full_disk_costs_nobody_a_startup_file(home):
    text = "a\nsource '/x/.bash_completions/rad-engineer.sh'\n" + "b\n" * 4000
    (home.folder / ".bashrc").write_text(text)
    ended = home.run("bash", "-c", f"trap '' XFSZ; ulimit -f 1; exec '{UNINSTALL}'")
    assert (home.folder / ".bashrc").read_text() == text
    assert "which cannot be changed" in ended.stdout
    assert [path.name for path in home.folder.glob(".bash*")] == [".bashrc"]
