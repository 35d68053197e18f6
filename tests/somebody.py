"""Runs rad-engineer as another user, who may read this checkout and nothing else of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Ran

NOBODY = 65_534
_VERSION = "import sys; print(sys.version_info[:2])"


def other_user() -> int | None:
    """Somebody whom we may become: only root may become somebody else."""
    return NOBODY if os.getuid() == 0 else None


def python_for(user: int | None) -> str:
    """An interpreter of our version that the user may run."""
    for program in (sys.executable, "/usr/bin/python3"):
        try:
            ended = subprocess.run(
                [program, "-c", _VERSION], capture_output=True, text=True, check=False, user=user
            )
        except OSError:
            continue
        if ended.stdout == f"{sys.version_info[:2]}\n":
            return program
    pytest.skip("NO EVIDENCE: nobody may not run an interpreter of this version")


class Somebody:
    """A user (None is ourselves) with a home of their own; work is done in `folder`."""

    def __init__(self, home: Path, folder: Path, user: int | None) -> None:
        self.home, self.folder, self.user = home, folder, user
        self.python = python_for(user)
        tools = home / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        (tools / "python3").symlink_to(self.python)
        packages = [str(ROOT), *(part for part in sys.path if part.endswith("site-packages"))]
        self.env = {
            "PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "USER": "grace", "LANG": "C.UTF-8", "COLUMNS": "100",
            "PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1", "RAD_SANDBOX": "off",  # which would keep those packages out
        }  # fmt: skip

    def moves_in(self) -> None:
        """Everything in the home is theirs now, and they can reach it."""
        if self.user is None:
            return
        for place in (self.home, *self.home.rglob("*")):
            os.chown(place, self.user, self.user, follow_symlinks=False)
        for place in self.home.parents:  # pytest keeps its folders to itself
            if place.stat().st_uid == os.getuid() and place != Path("/"):
                place.chmod(place.stat().st_mode | 0o011)

    def popen(self, *argv: str) -> "subprocess.Popen[str]":
        """Starts a command as them."""
        extra = {} if self.user is None else {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.Popen(argv, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **extra)  # fmt: skip

    def run(self, *argv: str) -> Ran:
        """Runs a command as them; skips, loudly, where they may not read this checkout."""
        with self.popen(*argv) as process:
            out, err = process.communicate(timeout=100)
        if self.user is not None and ("Permission denied" in err or "No module" in err):
            pytest.skip(f"NO EVIDENCE: nobody may not read this checkout: {err[-300:]}")
        return Ran(process.returncode, out, err)

    def rad(self, *arguments: str) -> Ran:
        """Runs rad-engineer as them."""
        return self.run(self.python, "-m", "rad_engineer", *arguments)

    def git(self, *arguments: str) -> str:
        """Runs git as them."""
        ended = self.run("git", "-c", "user.name=Grace", "-c", "user.email=grace@example.org", *arguments)
        assert ended.code == 0, ended.err
        return ended.out

    def begins(self, message: str) -> None:
        """Makes the folder a repository with a first commit."""
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-q", "-m", message)
