"""A story's checkpoint on disk: read back whole, or not at all."""

import pytest

from rad_engineer import durable, story_files
from rad_engineer.errors import CannotWrite
from rad_engineer.process.tree import boot_id


def folder_of(tmp_path):
    (tmp_path / "stories").mkdir(exist_ok=True)
    return tmp_path / "stories" / "US-1"


def test_the_last_checkpoint_is_read_back(tmp_path):
    folder = folder_of(tmp_path)
    assert story_files.read_checkpoint(folder) is None
    for attempt in (1, 2, 3):
        story_files.write_checkpoint(folder, {"attempt": attempt, "agent": {"ok": True}})
        found = story_files.read_checkpoint(folder)
        assert found == {
            "schema_version": durable.SCHEMA_VERSION,
            "boot": boot_id(),
            "attempt": attempt,
            "agent": {"ok": True},
        }
    assert [path.name for path in folder.iterdir()] == ["checkpoint.json"]


def test_no_cut_and_no_changed_byte_makes_another_checkpoint(tmp_path):
    folder = folder_of(tmp_path)
    story_files.write_checkpoint(folder, {"attempt": 1})
    path = folder / "checkpoint.json"
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[: min(at, len(data) - 11)])
        assert story_files.read_checkpoint(folder) is None
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(durable.StateDamaged, match=r"checkpoint\.json is damaged") as caught:
            story_files.read_checkpoint(folder)
        assert f"remove {path} and resume" in str(caught.value.hint)


def test_only_a_checkpoint_that_still_counts_is_replaced_with_care(tmp_path):
    """That of an earlier attempt is worth nothing: overwritten it is effective before it is synced."""
    folder = folder_of(tmp_path)
    seen = []
    for attempt, stage in ((1, "agent"), (1, "policy"), (2, "agent"), (2, "policy")):
        story_files.write_checkpoint(folder, {"attempt": attempt, "stage": stage})
        seen.append((folder / "checkpoint.json").stat().st_ino)
    assert seen[0] != seen[1] == seen[2] != seen[3]


@pytest.mark.parametrize("damaged", [b"", b"{", b"\x00" * 100])
def test_what_a_crash_has_cut_short_is_written_anew(tmp_path, damaged):
    folder = folder_of(tmp_path)
    folder.mkdir()
    (folder / "checkpoint.json").write_bytes(damaged)
    story_files.write_checkpoint(folder, {"attempt": 2})
    found = story_files.read_checkpoint(folder)
    assert found is not None
    assert found["attempt"] == 2


def test_the_checkpoint_of_a_later_version_is_refused_not_overlooked(tmp_path):
    folder = folder_of(tmp_path)
    folder.mkdir()
    line = durable.seal(durable.dump({"schema_version": durable.SCHEMA_VERSION + 1, "attempt": 1}))
    (folder / "checkpoint.json").write_bytes(line)
    with pytest.raises(durable.StateDamaged, match="schema_version"):
        story_files.read_checkpoint(folder)


def test_what_an_agent_left_is_not_believed_after_a_power_cut_but_what_git_holds_is(tmp_path):
    folder = folder_of(tmp_path)
    for stage, boot, believed in (
        ("agent", boot_id(), True),
        ("agent", "before", False),
        ("policy", "before", True),
    ):
        story_files.write_checkpoint(folder, {"attempt": 1, "stage": stage, "boot": boot})
        assert (story_files.finished_stage(folder, 1) is not None) is believed
        assert story_files.finished_stage(folder, 2) is None


def test_a_file_in_the_way_is_no_checkpoint_and_cannot_become_one(tmp_path):
    folder = folder_of(tmp_path)
    folder.touch()
    assert story_files.read_checkpoint(folder) is None
    with pytest.raises(CannotWrite, match="there is no folder"):
        story_files.write_checkpoint(folder, {"attempt": 1})


def test_a_note_makes_its_folders_and_may_be_written_again(tmp_path):
    folder = folder_of(tmp_path) / "attempt-1"
    story_files.write_note(folder, "prompt.md", b"a long one")
    story_files.write_note(folder, "prompt.md", b"short")
    assert (folder / "prompt.md").read_bytes() == b"short"
    with pytest.raises(CannotWrite, match="attempt-1"):
        story_files.write_note(folder, "no/such/place", b"")


JOB = {"story": {"identity": "i", "key": "A"}, "attempt": 2, "base": "b", "slot": 3}


@pytest.mark.parametrize(
    ("added", "believed"),
    [(b"0\n", True), (b"", False), (b"9\n", False), (b"256\n", False), (b"0\n0\n", False)],
)
def test_what_a_box_says_of_an_agent_that_nobody_asked_any_more(tmp_path, added, believed):
    ending = story_files.expect_end(tmp_path / "attempt-2", JOB)
    ending.write_bytes(ending.read_bytes() + added)
    found = story_files.finished_stage(tmp_path, 2)
    assert (found is not None) == believed
    if found is not None:
        assert (found["stage"], found["slot"], found["base"], found["attempt"]) == ("agent", 3, "b", 2)
    assert story_files.finished_stage(tmp_path, 1) is None


def test_nor_is_it_believed_where_it_was_cut_short_or_of_another_day(tmp_path, monkeypatch):
    ending = story_files.expect_end(tmp_path / "attempt-2", JOB)
    ending.write_bytes(ending.read_bytes()[9:] + b"0\n")
    assert story_files.finished_stage(tmp_path, 2) is None
    ending = story_files.expect_end(tmp_path / "attempt-2", JOB)
    ending.write_bytes(ending.read_bytes() + b"0\n")
    assert story_files.finished_stage(tmp_path, 2) is not None
    monkeypatch.setattr(story_files, "boot_id", lambda: "another")
    assert story_files.finished_stage(tmp_path, 2) is None


def test_a_checkpoint_knows_more_than_a_box(tmp_path):
    ending = story_files.expect_end(tmp_path / "attempt-2", JOB)
    ending.write_bytes(ending.read_bytes() + b"0\n")
    story_files.write_stage(tmp_path, JOB, "agent", wrote={"agent": "claude"})
    found = story_files.finished_stage(tmp_path, 2)
    assert found is not None
    assert found["wrote"] == {"agent": "claude"}
