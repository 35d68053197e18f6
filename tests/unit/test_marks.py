"""What is written into the user's checkout: when, where, and what is told where nothing can be written."""

import json

import pytest

from rad_engineer import importers, store
from rad_engineer.core import graph as graphs
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.launch.marks import Marks
from rad_engineer.ledger import Ledger


def story(name, **more):
    return {
        "id": name,
        "title": f"do {name}",
        "acceptanceCriteria": [f"{name} is there"],
        "passes": False,
        **more,
    }


class Place:
    """A PRD on disk, and marks for it."""

    def __init__(self, tmp_path, *, enabled=True, stories=("A", "B")):
        self.path = tmp_path / "prd.json"
        self.write(*(story(name) for name in stories))
        prds = importers.load(str(self.path))
        self.journal = store.Journal(tmp_path / "journal", "r1", 0, 0)
        self.ledger = Ledger(
            graphs.build(prds), Checkpoint(run="r1", branch="rad/x"), self.journal, [], lambda: 5.0
        )
        self.marks = Marks(self.ledger, enabled=enabled)

    def write(self, *stories):
        self.path.write_text(json.dumps({"project": "toy", "userStories": list(stories)}))

    def passes(self):
        return [one["id"] for one in json.loads(self.path.read_text())["userStories"] if one["passes"]]

    @property
    def notes(self):
        return self.ledger.checkpoint.notes


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.journal.close()


def test_the_file_is_rewritten_at_most_once_a_second_and_at_the_end(place):
    place.marks.add(0)
    place.marks.between(100.0)
    assert place.passes() == ["A"]
    place.marks.add(1)
    place.marks.between(100.9)
    assert place.passes() == ["A"]
    place.marks.between(101.0)
    assert place.passes() == ["A", "B"]
    assert [record.marked_in for record in place.ledger.checkpoint.stories.values()] == [str(place.path)] * 2
    place.write(story("A"), story("B"))
    place.marks.flush()  # nothing waits
    assert place.passes() == []


def test_it_is_read_again_each_time(place):
    place.marks.add(0)
    place.write(story("new"), story("A", owner="ann"), story("B"))
    place.marks.flush()
    assert place.passes() == ["A"]
    assert json.loads(place.path.read_text())["userStories"][1]["owner"] == "ann"


def test_a_story_that_was_edited_away_is_told_once_and_the_others_are_marked(place):
    place.write(story("B"))
    for _ in range(2):
        place.marks.add(0)
        place.marks.add(1)
        place.marks.flush()
    assert place.passes() == ["B"]
    assert place.notes == [f"A is not in {place.path} any more; nothing was marked"]


def test_a_file_that_cannot_be_read_any_more_stops_nothing(place):
    place.marks.add(0)
    place.path.write_text("{")
    place.marks.flush()
    assert place.path.read_text() == "{"
    assert place.notes == [f"{place.path} cannot be read as a PRD any more; nothing was marked"]


def test_lines_are_added_to_progress_notes_that_are_there(place):
    notes = place.path.with_name("progress.txt")
    place.marks.add(0)
    place.marks.flush()
    assert not notes.exists()
    notes.write_text("mine\n")
    place.ledger.record("story_verified", 1, commit="c" * 40, gates=(), learnings=("run make",))
    place.ledger.record("story_landed", 1, commit="c" * 40, gates=())
    place.marks.add(1)
    place.marks.flush()
    first, *_more = notes.read_text().split("\n## ")
    assert first == "mine\n"
    assert "- B\n- do B\n- landed as cccccccccc on rad/x\n- learned: run make\n---\n" in notes.read_text()


def test_notes_that_lie_elsewhere_are_not_ours(place, tmp_path):
    elsewhere = tmp_path.with_name(f"{tmp_path.name}-elsewhere")
    elsewhere.write_text("mine\n")
    notes = place.path.with_name("progress.txt")
    notes.symlink_to(elsewhere)
    place.path.with_name("real.txt").write_text("here\n")
    for target, text in ((elsewhere, "mine\n"), (place.path.with_name("real.txt"), None)):
        notes.unlink()
        notes.symlink_to(target)
        place.marks.add(0)
        place.marks.flush()
        assert (target.read_text() == text) == (text is not None)


def test_nothing_is_written_where_that_is_not_wanted_or_already_so(tmp_path):
    place = Place(tmp_path, enabled=False)
    before = place.path.read_bytes()
    place.marks.add(0)
    place.marks.flush()
    assert place.path.read_bytes() == before
    place.journal.close()
