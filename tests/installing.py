"""What tests of install.sh and uninstall.sh share: a home, and a wheel that needs no other."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / "install.sh"
UNINSTALL = ROOT / "uninstall.sh"


def make_wheel(top):
    """rad-engineer as a wheel without dependencies, so that installing it needs no network, and without most rooms."""
    rooms = [path.parent.name for path in (ROOT / "rad_engineer").glob("*/__init__.py")]
    unneeded = [name for name in rooms if name not in ("commands", "core")]
    shutil.copytree(
        ROOT / "rad_engineer",
        top / "rad_engineer",
        ignore=shutil.ignore_patterns("__pycache__", *unneeded),
    )
    shutil.copytree(
        ROOT / "examples", top / "examples", ignore=shutil.ignore_patterns("__pycache__", ".*cache")
    )
    for name in ("README.md", "LICENSE", ".gitignore"):
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
