"""The quickstart from its recorded exchanges: in another folder, by another user, on another day, with nothing kept from before."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import quickstart
from tests.conftest import ROOT, Ran

YEAR = 366 * 86_400
NOBODY = 65_534
ROOTS = os.getuid() == 0
STORIES = ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]
_VERSION = "import sys; print(sys.version_info[:2])"


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
    """A user with a home of their own, far from here, and a clock that is a year ahead."""

    def __init__(self, folder: Path, user: int | None) -> None:
        self.user = user
        self.python = python_for(user)
        home = folder / "far away" / "home"
        self.folder = home / "pocket book"
        shutil.copytree(
            quickstart.EXAMPLE, self.folder, ignore=shutil.ignore_patterns("__pycache__", ".*cache")
        )
        library = folder / "another_day.so"
        source = Path(__file__).with_name("another_day.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        tools = home / "bin"
        tools.mkdir()
        (tools / "python3").symlink_to(self.python)
        packages = [str(ROOT), *(part for part in sys.path if part.endswith("site-packages"))]
        self.env = {
            "PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "USER": "grace", "LANG": "C.UTF-8", "COLUMNS": "100",
            "TZ": "Pacific/Auckland", "PYTHONPATH": os.pathsep.join(packages), "PYTHONDONTWRITEBYTECODE": "1",
            "LD_PRELOAD": str(library), "ANOTHER_DAY": str(YEAR),
            "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
        }  # fmt: skip
        if user is not None:
            for place in (home, *home.rglob("*")):
                os.chown(place, user, user, follow_symlinks=False)
            for place in folder.parents:  # pytest keeps its folders to itself
                if place.stat().st_uid == os.getuid() and place != Path("/"):
                    place.chmod(place.stat().st_mode | 0o011)
            folder.chmod(0o755)

    def run(self, *argv: str) -> Ran:
        ended = subprocess.run(
            argv, cwd=self.folder, env=self.env, user=self.user, group=self.user, stdin=subprocess.DEVNULL,
            extra_groups=None if self.user is None else [], capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        if self.user is not None and ("Permission denied" in ended.stderr or "No module" in ended.stderr):
            pytest.skip(f"NO EVIDENCE: nobody may not read this checkout: {ended.stderr[-300:]}")
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    def rad(self, *arguments: str) -> Ran:
        return self.run(self.python, "-m", "rad_engineer", *arguments)

    def git(self, *arguments: str) -> str:
        ended = self.run("git", "-c", "user.name=Grace", "-c", "user.email=grace@example.org", *arguments)
        assert ended.code == 0, ended.err
        return ended.out

    def report(self) -> dict:
        newest = max((self.folder / ".rad-engineer" / "runs").iterdir())
        return json.loads((newest / "report.json").read_text())


def trees(somebody: Somebody) -> list[tuple[str, str]]:
    """Of each landing, oldest first: the story, and the tree."""
    shape = "--format=%(trailers:key=Rad-Story,valueonly,separator=) %T"
    lines = somebody.git("log", "--first-parent", "--reverse", shape, "main..rad/pocketbook").splitlines()
    return [tuple(line.split()) for line in lines if line.strip()]


def wanted(somebody: Somebody, order: list[str]) -> list[tuple[str, str]]:
    """The same, from what the model of the tests writes: each story's files over those of the ones before it."""
    somebody.env["GIT_INDEX_FILE"] = str(somebody.folder / ".git" / "another-index")
    found = []
    somebody.git("read-tree", "main")
    for name in order:
        for path in (quickstart.WORK / name).rglob("*.py"):
            blob = somebody.git("hash-object", "-w", str(path)).strip()
            relative = path.relative_to(quickstart.WORK / name)
            somebody.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{relative}")
        found.append((name, somebody.git("write-tree").strip()))
    del somebody.env["GIT_INDEX_FILE"]
    return found


@pytest.mark.skipif(shutil.which("gcc") is None, reason="NO EVIDENCE: there is no compiler for another day")
@pytest.mark.parametrize("who", ["another user", "the same user"])
def test_elsewhere_as_somebody_else_on_another_day(tmp_path, who):
    if (who == "another user") != ROOTS:
        pytest.skip(
            "only root can become somebody else: NO EVIDENCE of another user"
            if not ROOTS
            else "done as another"
        )
    grace = Somebody(tmp_path, NOBODY if ROOTS else None)
    grace.git("init", "-q", "-b", "main")
    grace.git("add", ".")
    grace.git("commit", "-q", "-m", "before the stories")
    ran = grace.rad("run", "prd.json", "--yes", "--jobs", "1")
    assert ran.code == 0, ran.err + ran.out
    report = grace.report()
    assert [(one["key"], one["status"], one["attempts"]) for one in report["stories"]] == [
        (name, "passed", 1) for name in STORIES]  # fmt: skip
    assert report["started_at"] > time.time() + YEAR - 86_400
    assert (grace.folder / ".rad-engineer").stat().st_uid == (NOBODY if ROOTS else os.getuid())
    landed = trees(grace)
    assert sorted(name for name, _tree in landed) == STORIES
    assert landed == wanted(grace, [name for name, _tree in landed])

    grace.git("checkout", "-q", "prd.json")
    prd = grace.folder / "prd.json"
    prd.write_text(prd.read_text().replace("need not think about cents", "need not think about bents"))
    again = grace.rad("run", "prd.json", "--yes", "--fresh", "--only", "PB-1", "--branch", "rad/again")
    assert again.code == 1, again.err + again.out
    story = next(one for one in grace.report()["stories"] if one["key"] == "PB-1")
    assert (story["status"], story["reason"], story["attempts"]) == ("failed", "drift", 1)
    assert story["detail"].startswith("messages[0].content[1].text differs from character ")
    assert "think about bents" in story["detail"]
    assert "think about cents" in story["detail"]
