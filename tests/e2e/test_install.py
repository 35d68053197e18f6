"""install.sh and uninstall.sh, with real environments; packages come from a wheel that needs no other."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.required import needs

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "install.sh"
UNINSTALL = ROOT / "uninstall.sh"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """rad-engineer as a wheel without dependencies, so that installing it needs no network."""
    top = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "rad_engineer", top / "rad_engineer", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, top / name)
    text = (ROOT / "pyproject.toml").read_text()
    alone, count = re.subn(r"(?ms)^dependencies = \[\n.*?^\]\n", "dependencies = []\n", text)
    assert count == 1
    (top / "pyproject.toml").write_text(alone)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"],
        cwd=top,
        check=True,
        capture_output=True,
    )
    [path] = (top / "out").glob("*.whl")
    return path


class Home:
    """A user's home, and the scripts run in it."""

    def __init__(self, folder):
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {
            "HOME": str(folder),
            "PATH": path,
            "PIP_NO_INDEX": "1",
            "LANG": "C.UTF-8",
            "UV_OFFLINE": "1",
        }

    def run(self, *argv, **more):
        return subprocess.run(
            [str(word) for word in argv],
            env=self.env,
            check=False,
            cwd=self.folder,
            capture_output=True,
            text=True,
            **more,
        )

    def install(self, *options):
        return self.run(INSTALL, *options, stdin=subprocess.DEVNULL)

    @property
    def command(self):
        return self.folder / ".local" / "bin" / "rad-engineer"

    @property
    def environments(self):
        return sorted((self.folder / ".local" / "share" / "rad-engineer").glob("*"))

    def keep_state(self):
        for name in (".local/state", ".cache", ".config"):
            (self.folder / name / "rad-engineer").mkdir(parents=True)
            (self.folder / name / "rad-engineer" / "kept").touch()

    def state(self):
        return list(self.folder.rglob("kept"))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_an_environment_of_its_own_is_installed_upgraded_and_removed(home, wheel):
    first = home.install("--using", "venv", "--from", wheel)
    assert first.returncode == 0, first.stderr
    [environment] = home.environments
    assert home.command.resolve() == (environment / "bin" / "rad-engineer").resolve()
    assert home.run(home.command, "--version").stdout.startswith("rad-engineer ")
    assert f"hint: {home.command.parent} is not on your PATH" in first.stderr
    [package] = environment.glob("lib/python3*/site-packages/rad_engineer")
    compiled = {path.name.split(".")[0] for path in package.glob("__pycache__/*.pyc")}
    assert {path.stem for path in package.glob("*.py")} <= compiled

    second = home.install("--using", "venv", "--from", wheel)
    assert second.returncode == 0, second.stderr
    [newer] = home.environments
    assert newer != environment
    assert home.run(home.command, "--version").returncode == 0

    broken = home.folder / "rad_engineer-9-py3-none-any.whl"
    with zipfile.ZipFile(broken, "w"):
        pass
    assert home.install("--using", "venv", "--from", broken).returncode != 0
    assert home.environments == [newer]
    assert home.run(home.command, "--version").returncode == 0

    home.keep_state()
    gone = home.run(UNINSTALL)
    assert gone.returncode == 0, gone.stderr
    assert not home.command.is_symlink()
    assert home.environments == []
    assert len(home.state()) == 3
    assert gone.stdout.count("kept:") == 3
    assert home.run(UNINSTALL, "--purge").returncode == 0
    assert home.state() == []
    assert home.run(UNINSTALL).stdout == "nothing to remove\n"


def test_a_command_of_the_same_name_is_not_replaced(home, wheel):
    home.command.parent.mkdir(parents=True)
    home.command.write_text("mine")
    ended = home.install("--using", "venv", "--from", wheel)
    assert ended.returncode == 1
    assert ended.stderr.endswith("was not made by this script; remove it first\n")
    assert home.command.read_text() == "mine"
    assert home.environments == []
    home.run(UNINSTALL, "--purge")
    assert home.command.read_text() == "mine"


def test_uv_installs_and_removes_it(home, wheel):
    needs("uv", shutil.which("uv"))
    ended = home.install("--using", "uv", "--from", wheel)
    assert ended.returncode == 0, ended.stderr
    assert home.run(home.command, "--version").stdout.startswith("rad-engineer ")
    gone = home.run(UNINSTALL)
    assert gone.stdout == "removed: the tool rad-engineer of uv\n"
    assert not home.command.is_symlink()


def test_half_a_script_does_nothing(home):
    script = INSTALL.read_text()
    ended = home.run("bash", input=script[: len(script) * 9 // 10])
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert not (home.folder / ".local").exists()


def test_without_a_checkout_it_wants_to_be_told_what_to_install(home):
    ended = home.run("bash", input=INSTALL.read_text())
    assert ended.returncode == 1
    assert ended.stderr == "install.sh: nothing to install from: name a checkout or a wheel with --from\n"


def test_a_copy_beside_another_project_installs_nothing(home):
    shutil.copy(INSTALL, home.folder)
    (home.folder / "pyproject.toml").write_text('[project]\nname = "other"\n')
    ended = home.run(home.folder / "install.sh")
    assert ended.returncode == 1
    assert "is no checkout of rad-engineer" in ended.stderr
    assert not (home.folder / ".local").exists()


@pytest.mark.parametrize(
    ("present", "words"),
    [
        ((), "missing: Python 3.11 or newer, git 2.38 or newer; this installs it: {sudo}apt-get install -y python3-venv git"),
        (("git",), "missing: Python 3.11 or newer; this installs it: {sudo}apt-get install -y python3-venv"),
        (("python3",), "missing: git 2.38 or newer; this installs it: {sudo}apt-get install -y git"),
    ],
)  # fmt: skip
def test_all_that_is_missing_is_named_with_one_command(home, present, words):
    tools = home.folder / "tools"
    tools.mkdir()
    for name in ("bash", "id", "dirname", "basename"):
        (tools / name).symlink_to(str(shutil.which(name)))
    if "git" in present:
        (tools / "git").symlink_to(str(shutil.which("git")))
    if "python3" in present:
        (tools / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python3").chmod(0o755)
    (tools / "apt-get").write_text("#!/bin/sh\nexit 9\n")
    (tools / "apt-get").chmod(0o755)
    home.env["PATH"] = str(tools)
    ended = home.run(shutil.which("bash"), INSTALL)
    assert ended.returncode == 1
    assert ended.stderr == f"install.sh: {words.format(sudo='' if os.getuid() == 0 else 'sudo ')}\n"


@pytest.mark.parametrize("options", [("--form", "x"), ("--from",), ("--using", "snap")])
def test_a_wrong_option_is_named(home, options):
    ended = home.install(*options)
    assert ended.returncode == 1
    assert options[0] in ended.stderr
    assert ended.stderr.count("\n") == 1
