"""When the setup command runs again, and when what it made is enough."""

import os
from pathlib import Path

import pytest

from rad_engineer.worker import setup
from tests.boxes import off

COMMAND = "mkdir -p node_modules && date +%N > package-lock.json && echo once >> ../ran"


class Place:
    """A working copy whose tree has the files named in `tracked`."""

    def __init__(self, folder: Path) -> None:
        self.top, self.git_dir, self.tracked = folder / "copy", folder / "git", {"package.json"}
        self.top.mkdir()
        self.git_dir.mkdir()
        (self.top / "package.json").write_text("{}")
        read, self.write_end = os.pipe()
        self.cancel = read

    def untracked(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in self.top.iterdir() if path.name not in self.tracked))

    def move(self, _tree: str, stay: tuple[str, ...]) -> None:
        for name in set(self.untracked()) - set(stay):
            path = self.top / name
            path.rmdir() if path.is_dir() else path.unlink()

    def ran(self) -> int:
        copy = setup.Copy(
            self.top,
            self.git_dir,
            self.git_dir / "log",
            self.untracked,
            list,
            self.move,
            Path.unlink,
            off,
        )
        setup.run(COMMAND, copy, setup.Target("tree", "tree"), dict(os.environ), 60, self.cancel)
        return len((self.top.parent / "ran").read_text().split())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_lock_file_that_setup_made_is_no_reason_to_run_it_again(place: Place) -> None:
    assert [place.ran(), place.ran(), place.ran()] == [1, 1, 1]
    (place.top / "package.json").write_text('{"name": "shop"}')
    assert [place.ran(), place.ran()] == [2, 2]


def test_a_lock_file_that_a_story_commits_is(place: Place) -> None:
    assert place.ran() == 1
    place.tracked.add("package-lock.json")
    assert place.ran() == 2
