"""install.sh and uninstall.sh on bare Debian systems, a whole life each: RAD_MATRIX=1 as root, with debootstrap.

RAD_MATRIX_ROOTS names a folder with systems from before, `bare` and `old`; they are only read. `-s` shows the table.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSIDE = ROOT / "tests" / "install_matrix" / "inside.sh"
CYCLE = "/given/matrix/cycle.sh"
SYSTEMS = {
    "bare": ("bookworm", "python3,ca-certificates"),
    "old": ("bullseye", "python3,git,ca-certificates"),
}
CHECKOUT, SPACES = "/given/checkout", "/given/a check out"
WHOLE = ("installed: ", "imported from site-packages", "quickstart: 5 of 5 landed", "after an upgrade that crashes: ",
         "upgraded: configuration and key are as before", "uninstalled: nothing is left")  # fmt: skip

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("RAD_MATRIX") or os.getuid() != 0 or shutil.which("debootstrap") is None,
        reason="NO EVIDENCE: RAD_MATRIX=1, root and debootstrap are needed; takes minutes",
    ),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """Root file systems: Debian 12 with nothing but python3, and Debian 11 with its git and Python."""
    kept = os.environ.get("RAD_MATRIX_ROOTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("systems")
    for name, (suite, packages) in SYSTEMS.items():
        if not (folder / name / "usr").is_dir():
            argv = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, folder / name]
            subprocess.run(argv, check=True, capture_output=True)
    return folder


def rewritten(wheel, folder, change):
    """The wheel with some of its files, and its name, changed."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / change("name", wheel.name), "w") as new:
        for name in old.namelist():
            new.writestr(change("name", name), change(name, old.read(name)))


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """What every case gets to see: checkouts, wheels of three kinds, all that they need, and the scripts."""
    folder = tmp_path_factory.mktemp("given")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for top in ("checkout", "a check out"):
        for name in filter(None, listed.decode().split("\0")):
            target = folder / top / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "wheel"]
    subprocess.run(build, cwd=folder / "checkout", check=True, capture_output=True)
    [wheel] = (folder / "wheel").iterdir()
    version = wheel.name.split("-")[1]

    def crashing(name, value):
        return b"raise SystemExit(9)\n" if name == "rad_engineer/cli.py" else value

    def newer(name, value):
        old, new = (version, "99.0.0") if name == "name" else (version.encode(), b"99.0.0")
        changes = name in ("name", "rad_engineer/__init__.py") or name.endswith(".dist-info/METADATA")
        return value.replace(old, new) if changes or name.endswith(".dist-info/RECORD") else value

    rewritten(wheel, folder / "crashing", crashing)
    rewritten(wheel, folder / "newer", newer)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-qq",
        "--disable-pip-version-check",
        "-d",
        folder / "house",
    ]
    subprocess.run([*pip, wheel, "hatchling", "editables", "pytest"], check=True)
    shutil.copytree(INSIDE.parent, folder / "matrix")
    (folder / "tmp").mkdir()
    for path in (folder, *folder.parents):
        if path.stat().st_mode & 0o005 != 0o005:
            path.chmod(path.stat().st_mode | 0o055)
    return folder


class System:
    """A system on which one case happens: the layers below are only read."""

    def __init__(self, layers, given, folder):
        self.layers, self.given, self.folder = layers, given, folder

    @property
    def written(self):
        return self.folder / "top"

    def run(self, user, *argv, **env):
        layers = ":".join(map(str, self.layers))
        self.folder.mkdir(exist_ok=True, mode=0o755)
        plain = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "GIVEN": str(self.given),
        }
        return subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             INSIDE, layers, self.folder, user, *argv],
            env=plain | {"DEBIAN_FRONTEND": "noninteractive"} | env, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def system(given, tmp_path_factory):
    return lambda *layers: System(layers, given, tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def complete(systems, given, tmp_path_factory):
    """A bare system on which the one command that install.sh names has been carried out, word for word."""
    bare = System((systems / "bare",), given, tmp_path_factory.mktemp("complete"))
    refused = bare.run("root", f"{CHECKOUT}/install.sh")
    assert refused.returncode == 1, refused.stderr
    told, command = refused.stderr.strip().split("; this installs it: ")
    assert told == (
        "install.sh: missing: the venv module of python3, git 2.38 or newer, bubblewrap (optional), "
        "a container engine (optional)"
    )
    done = bare.run("root", "bash", "-c", command)
    assert done.returncode == 0, done.stderr[-2000:]
    print(f"\n| nothing but python3 | refused, then: `{command}` |")
    return (bare.written, systems / "bare")


def whole(name, ended):
    lines = [line.removeprefix("ok ") for line in ended.stdout.splitlines()]
    print(f"\n| {name} | {'; '.join(lines)} |")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [line.startswith(start) for line, start in zip(lines, WHOLE, strict=True)] == [True] * len(WHOLE)


CASES = {
    "nothing but python3, root, checkout": ("root", CHECKOUT, (), {}),
    "ordinary user, checkout": ("ada", CHECKOUT, (), {}),
    "ordinary user, wheel": ("ada", CHECKOUT, ("--from", "wheel"), {}),
    "paths with spaces, checkout": ("ada", SPACES, (), {"CASE_HOME": "/home/ada/my home"}),
    "paths with spaces, wheel": ("ada", SPACES, ("--from", "wheel"), {"CASE_HOME": "/home/ada/my home"}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_whole_life(system, complete, given, name):
    user, top, options, env = CASES[name]
    [wheel] = (given / "wheel").iterdir()
    options = [f"/given/wheel/{wheel.name}" if word == "wheel" else word for word in options]
    whole(
        name, system(*complete).run(user, CYCLE, f"{top}/install.sh", f"{top}/uninstall.sh", *options, **env)
    )


def test_a_home_that_cannot_be_written(system, complete):
    env = {"CASE_HOME": "/srv/home", "READ_ONLY_HOME": "1"}
    refused = system(*complete).run("ada", f"{CHECKOUT}/install.sh", "--no-setup", **env)
    assert refused.returncode == 1
    assert refused.stderr == (
        "install.sh: /srv/home/.local/share/rad-engineer cannot be written; name a folder of yours with XDG_DATA_HOME\n"
    )
    elsewhere = {
        f"XDG_{name}_HOME": f"/var/tmp/ada/{name}" for name in ("DATA", "BIN", "STATE", "CACHE", "CONFIG")
    }
    ended = system(*complete).run(
        "ada", CYCLE, f"{CHECKOUT}/install.sh", f"{CHECKOUT}/uninstall.sh", **env, **elsewhere
    )
    whole("a read-only home, XDG folders elsewhere", ended)


def test_without_git(system, systems, complete):
    there = system(*complete)
    gone = there.run("root", "bash", "-c", "rm /usr/bin/git")
    assert gone.returncode == 0, gone.stderr
    refused = there.run("ada", f"{CHECKOUT}/install.sh")
    assert refused.returncode == 1
    assert refused.stderr == (
        "install.sh: missing: git 2.38 or newer; this installs it: sudo apt-get install -y git\n"
    )
    print("\n| without git | refused: git 2.38 or newer is missing |")


def test_a_system_whose_packages_are_too_old(system, systems):
    refused = system(systems / "old").run("ada", f"{CHECKOUT}/install.sh")
    assert refused.returncode == 1
    assert refused.stderr.startswith("install.sh: missing: Python 3.11 or newer, git 2.38 or newer, ")
    assert "; what apt-get has of Python and git here is too old: upgrade the system" in refused.stderr
    print("\n| Debian 11: git 2.30, Python 3.9 | refused: both are too old, and so is what apt-get has |")


def test_a_script_from_a_pipe_installs_nothing(system, complete):
    ended = system(*complete).run(
        "ada",
        "bash",
        "-c",
        f"cd {CHECKOUT} && bash -s -- --using venv <install.sh; echo code $?; ls -A ~/.local",
    )
    assert ended.stdout.splitlines()[0] == "code 2", ended.stderr
    assert "nothing to install from" in ended.stderr
    print("\n| from a pipe, inside a checkout | exit 2, nothing installed |")
