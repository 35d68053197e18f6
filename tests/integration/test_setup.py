"""Setup commands: run again when, and only when, something that they depend on has changed."""

import os

import pytest

from rad_engineer.worker import setup
from tests.boxes import off

ENV = {"PATH": os.environ["PATH"]}


class Place:
    """A working copy whose untracked files are those that setup made."""

    def __init__(self, tmp_path):
        self.top = tmp_path / "copy"
        self.git_dir = tmp_path / "copy.git"
        self.top.mkdir()
        self.git_dir.mkdir()
        self.tracked = {"package.json"}
        (self.top / "package.json").write_text("{}")
        self.read, self.write = os.pipe()

    def untracked(self):
        return tuple(entry.name for entry in self.top.iterdir() if entry.name not in self.tracked)

    def move(self, _tree, keep):
        for name in set(self.untracked()) - set(keep):
            (self.top / name).unlink()

    def run(self, command="echo made >> made"):
        copy = setup.Copy(
            self.top,
            self.git_dir,
            self.git_dir / "log",
            self.untracked,
            list,
            self.move,
            lambda path: path.unlink(),
            off,
        )
        return setup.run(command, copy, setup.Target("tree", "tree"), ENV, 20.0, self.read)


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    os.close(found.read)
    os.close(found.write)


def test_it_runs_once_and_what_it_made_is_known(place):
    assert place.run().code == 0
    assert setup.kept(place.git_dir).paths == ("made",)
    assert place.run() is None
    assert (place.top / "made").read_text() == "made\n"


@pytest.mark.parametrize(
    "name",
    ["package.json", "package-lock.json", ".npmrc", "pyproject.toml", "setup.py", "requirements-dev.txt", "Makefile",
     "web/app/package.json"],
)  # fmt: skip
def test_any_manifest_that_changes_makes_it_anew_without_what_was_made_before(place, name):
    place.run()
    place.tracked.add(name.split("/")[0])
    path = place.top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert place.run().code == 0
    assert (place.top / "made").read_text() == "made\n"


@pytest.mark.parametrize("name", ["main.py", "a/b/c/d/package.json", "node_modules/x/package.json", "lib.rs"])
def test_other_files_do_not_matter(place, name):
    place.run()
    path = place.top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert place.run() is None


def test_another_command_or_search_path_makes_it_anew(place):
    place.run()
    before = setup.kept(place.git_dir).key
    assert place.run("touch other").code == 0
    assert setup.kept(place.git_dir).paths == ("other",)
    keys = {setup.key("x", place.top, env) for env in (ENV, {"PATH": "/elsewhere"})} | {before}
    assert len(keys) == 3


def test_what_failed_is_not_kept_and_runs_again(place):
    place.run()
    (place.top / "package.json").write_text("[]")
    assert place.run("touch half; exit 3").code == 3
    assert setup.kept(place.git_dir) == setup.Kept()
    assert place.run("exit 4").code == 4


def test_a_manifest_that_is_a_link_is_not_followed(place):
    (place.top / "package-lock.json").symlink_to(place.git_dir / "elsewhere")
    (place.git_dir / "elsewhere").write_text("1")
    before = setup.key("x", place.top, ENV)
    (place.git_dir / "elsewhere").write_text("2")
    assert setup.key("x", place.top, ENV) == before
