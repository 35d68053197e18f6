"""The quickstart with walls around every command: by each back-end, as root and as an ordinary user."""

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import quickstart
from tests.sandboxes import needs
from tests.somebody import Somebody, other_user, python_for

STORIES = ["PB-1", "PB-2", "PB-3", "PB-4", "PB-5"]
TOOLS = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")
CASES = [
    ("landlock", "an ordinary user"),
    ("landlock", "ourselves"),
    ("bubblewrap", "an ordinary user"),
    ("bubblewrap", "ourselves"),
]


def venv_in(home: Path, python: str) -> Path:
    """What the gates need where everybody may read it: what people have activated lies on their PATH as well."""
    venv = home / "venv"
    subprocess.run([python, "-m", "venv", "--without-pip", str(venv)], check=True)
    [packages] = venv.glob("lib/python3*/site-packages")
    for name in TOOLS:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                target = packages / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), target)
    return venv


@pytest.mark.parametrize(("level", "who"), CASES)
def test_the_quickstart(tmp_path, level, who):
    if (level, who) != CASES[0] and not os.environ.get("RAD_QUICKSTARTS"):
        pytest.skip("takes 15 s each: set RAD_QUICKSTARTS")
    needs(level)
    user = other_user() if who == "an ordinary user" else None
    home = tmp_path / "home"
    shutil.copytree(
        quickstart.EXAMPLE, home / "book", ignore=shutil.ignore_patterns("__pycache__", ".*cache")
    )
    grace = Somebody(home, home / "book", user)
    everybody = python_for(other_user())
    grace.env["PATH"] = f"{venv_in(home, everybody)}/bin:/usr/bin:/bin"
    del grace.env["PYTHONDONTWRITEBYTECODE"]
    grace.moves_in()
    for folder in home.parents:  # also where we stay ourselves: what runs inside is somebody without rights
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    grace.begins("before the stories")
    ran = grace.rad("run", "prd.json", "--yes", "--plain", "--sandbox", level)
    assert ran.code == 0, ran.err + ran.out
    assert f"; sandbox: {level}" in ran.err
    assert ("weaker than bubblewrap" in ran.err) == (level == "landlock")
    shape = "--format=%(trailers:key=Rad-Story,valueonly,separator=)"
    landed = grace.git("log", "--first-parent", shape, "main..rad/pocketbook").split()
    assert sorted(landed) == STORIES
