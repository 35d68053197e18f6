"""The quickstart from its recorded exchanges: in another folder, by another user, on another day, with nothing kept from before."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests import quickstart
from tests.required import needs
from tests.somebody import NOBODY, Somebody, other_user

YEAR = 366 * 86_400
ROOTS = os.getuid() == 0
STORIES = ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]


def far_away(folder: Path) -> Somebody:
    """Somebody with a copy of the quickstart, and a clock that is a year ahead."""
    home = folder / "far away" / "home"
    project = home / "pocket book"
    shutil.copytree(quickstart.EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__", ".*cache"))
    library, source = folder / "another_day.so", Path(__file__).with_name("another_day.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    grace = Somebody(home, project, other_user())
    grace.env |= {
        "TZ": "Pacific/Auckland", "LD_PRELOAD": str(library), "ANOTHER_DAY": str(YEAR),
        "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    }  # fmt: skip
    grace.moves_in()
    grace.begins("before the stories")
    return grace


def report(somebody: Somebody) -> dict:
    newest = max((somebody.folder / ".rad-engineer" / "runs").iterdir())
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


@pytest.mark.parametrize("who", ["another user", "the same user"])
def test_elsewhere_as_somebody_else_on_another_day(tmp_path, who):
    needs("gcc", shutil.which("gcc"))
    if (who == "another user") != ROOTS:
        pytest.skip(
            "only root can become somebody else: NO EVIDENCE of another user"
            if not ROOTS
            else "done as another"
        )
    grace = far_away(tmp_path)
    ran = grace.rad("run", "prd.json", "--yes", "--jobs", "1")
    assert ran.code == 0, ran.err + ran.out
    told = report(grace)
    assert [(one["key"], one["status"], one["attempts"]) for one in told["stories"]] == [
        (name, "passed", 1) for name in STORIES]  # fmt: skip
    assert told["started_at"] > time.time() + YEAR - 86_400
    assert (grace.folder / ".rad-engineer").stat().st_uid == (NOBODY if ROOTS else os.getuid())
    landed = trees(grace)
    assert sorted(name for name, _tree in landed) == STORIES
    assert landed == wanted(grace, [name for name, _tree in landed])

    grace.git("checkout", "-q", "prd.json")
    prd = grace.folder / "prd.json"
    prd.write_text(prd.read_text().replace("need not think about cents", "need not think about bents"))
    again = grace.rad("run", "prd.json", "--yes", "--fresh", "--only", "PB-1", "--branch", "rad/again")
    assert again.code == 1, again.err + again.out
    story = next(one for one in report(grace)["stories"] if one["key"] == "PB-1")
    assert (story["status"], story["reason"], story["attempts"]) == ("failed", "drift", 1)
    assert story["detail"].startswith("messages[0].content[1].text differs from character ")
    assert "think about bents" in story["detail"]
    assert "think about cents" in story["detail"]
