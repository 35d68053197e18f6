"""install.sh and uninstall.sh, with real environments; packages come from a wheel that needs no other."""

import os
import shutil
import sys
import zipfile

import pytest

from tests.installing import INSTALL, UNINSTALL, Home, make_wheel
from tests.required import needs


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return make_wheel(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "a home"
    folder.mkdir()
    return Home(folder)


@pytest.fixture(scope="module")
def crashing(wheel, tmp_path_factory):
    """A newer version, which answers --version and then crashes."""
    path = tmp_path_factory.mktemp("crashing") / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, b"raise SystemExit(9)\n" + data if name == "rad_engineer/cli.py" else data)
    return path


@pytest.fixture
def index(home, wheel):
    """An index that has the wheel, and another one that the user has configured: nobody is there."""
    folder = home.folder.parent / "an index"
    (folder / "rad-engineer").mkdir(parents=True)
    shutil.copy(wheel, folder / "rad-engineer")
    link = f'<a href="{wheel.name}">{wheel.name}</a>'
    (folder / "rad-engineer" / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
    del home.env["PIP_NO_INDEX"], home.env["UV_OFFLINE"]
    home.env |= {
        "PIP_EXTRA_INDEX_URL": "http://127.0.0.1:9",
        "UV_EXTRA_INDEX_URL": "http://127.0.0.1:9",
        "PIP_RETRIES": "0",
    }
    return folder


def test_an_environment_of_its_own_is_installed_upgraded_and_removed(home, wheel, crashing, index):
    first = home.install("--using", "venv", "--from", wheel)
    assert first.returncode == 0, first.stderr
    [environment] = home.environments
    assert home.command.resolve() == (environment / "bin" / "rad-engineer").resolve()
    assert home.run(home.command, "--version").stdout.startswith("rad-engineer ")
    assert f"hint: {home.command.parent} is not on your PATH" in first.stderr
    [package] = environment.glob("lib/python3*/site-packages/rad_engineer")
    compiled = {path.name.split(".")[0] for path in package.glob("__pycache__/*.pyc")}
    assert {path.stem for path in package.glob("*.py")} <= compiled
    examples = package / "data" / "examples"
    assert list(examples.rglob("*.py"))
    assert not list(examples.rglob("*.pyc"))
    assert first.stderr.endswith("next: rad-engineer setup\n")

    version = wheel.name.split("-")[1]
    second = home.install("--using", "venv", "--index", index.as_uri(), "--version", version)
    assert second.returncode == 0, second.stderr
    [newer] = home.environments
    assert newer != environment
    assert home.run(home.command, "--version").returncode == 0

    assert "setup" not in second.stderr

    home.keep_state()
    broken = home.folder / "rad_engineer-9-py3-none-any.whl"
    with zipfile.ZipFile(broken, "w"):
        pass
    for unfit in (broken, crashing):
        assert home.install("--using", "venv", "--from", unfit).returncode == 1
        assert home.environments == [newer]
        assert home.run(home.command, "--help").returncode == 0
    assert len(home.state()) == 3

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


TOLD = {"uv": "the tool rad-engineer of uv", "pipx": "the application rad-engineer of pipx"}


@pytest.mark.parametrize("tool", TOLD)
def test_others_install_and_remove_it_and_get_the_old_version_back(home, wheel, crashing, index, tool):
    if not os.environ.get("RAD_MATRIX"):
        pytest.skip(f"RAD_MATRIX=1 runs it: NO EVIDENCE of {tool}")
    needs(tool, shutil.which(tool))
    version = wheel.name.split("-")[1]
    ended = home.install("--using", tool, "--index", index.as_uri(), "--version", version)
    assert ended.returncode == 0, ended.stderr
    assert home.run(home.command, "--help").returncode == 0
    failed = home.install("--using", tool, "--from", crashing)
    assert failed.returncode == 1
    assert "this version does not start; rad-engineer " in failed.stderr
    assert "the version that was there before is back: rad-engineer " in failed.stderr
    assert home.run(home.command, "--help").returncode == 0
    assert not list(home.folder.rglob("*.before"))
    gone = home.run(UNINSTALL)
    assert gone.stdout.startswith(f"removed: {TOLD[tool]}\n")
    assert not home.command.is_symlink()
    left = [path for path in home.folder.rglob("rad[_-]engineer*") if ".cache" not in path.parts]
    assert left == []
    stays = gone.stdout.splitlines()[1:]
    assert stays
    assert all(line.startswith("stays: ") for line in stays)


def test_half_a_script_does_nothing(home):
    script = INSTALL.read_text()
    ended = home.run("bash", input=script[: len(script) * 9 // 10])
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert not (home.folder / ".local").exists()


def test_without_a_checkout_it_wants_to_be_told_what_to_install(home):
    ended = home.run("bash", input=INSTALL.read_text())
    assert ended.returncode == 2
    assert ended.stderr == "install.sh: nothing to install from: name a checkout or a wheel with --from\n"


def test_a_copy_beside_another_project_installs_nothing(home):
    shutil.copy(INSTALL, home.folder)
    (home.folder / "pyproject.toml").write_text('[project]\nname = "other"\n')
    ended = home.run(home.folder / "install.sh")
    assert ended.returncode == 1
    assert "is no checkout of rad-engineer" in ended.stderr
    assert not (home.folder / ".local").exists()


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("folder", "other", "its pyproject.toml does not name it"),
        ("file", "other-1.0-py3-none-any.whl", "is neither a wheel nor an sdist of rad-engineer"),
        ("name", "rad-engineer", "there is no rad-engineer"),
    ],
)
def test_what_is_not_ours_is_not_installed(home, kind, name, told):
    if kind == "folder":
        (home.folder / name).mkdir()
        (home.folder / name / "pyproject.toml").write_text('[project]\nname = "other"\n')
    elif kind == "file":
        (home.folder / name).touch()
    ended = home.install("--from", name)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert not (home.folder / ".local").exists()


def test_a_version_that_the_index_lacks_is_not_installed(home, index):
    ended = home.install("--using", "venv", "--index", index.as_uri(), "--version", "99")
    assert ended.returncode == 1
    assert home.environments == []


OPTIONAL = "bubblewrap (optional), a container engine (optional)"


@pytest.mark.parametrize(
    ("present", "what", "packages"),
    [
        ((), "Python 3.11 or newer, git 2.38 or newer", "python3-venv git"),
        (("git",), "Python 3.11 or newer", "python3-venv"),
        (("python3",), "git 2.38 or newer", "git"),
    ],
)
def test_all_that_is_missing_is_named_with_one_command(home, present, what, packages):
    tools = home.folder / "tools"
    tools.mkdir()
    for name in ("bash", "id", "dirname", "basename", "grep", "uname"):
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
    sudo = "" if os.getuid() == 0 else "sudo "
    command = f"{sudo}apt-get install -y {packages} bubblewrap podman"
    assert ended.returncode == 1
    assert ended.stderr == f"install.sh: missing: {what}, {OPTIONAL}; this installs it: {command}\n"


@pytest.mark.parametrize(
    "options",
    [("--form", "x"), ("--from",), ("--using", "snap"), ("--version", "1.0"), ("--index", "rad-engineer"),
     ("--index", "file:///x", "--from", "y")],
)  # fmt: skip
def test_a_wrong_option_is_named(home, options):
    ended = home.install(*options)
    assert ended.returncode == 2
    assert options[0] in ended.stderr
    assert ended.stderr.count("\n") == 1
