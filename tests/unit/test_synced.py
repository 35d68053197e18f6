"""In which order names and contents are made durable: what a power cut may take is decided by nothing else."""

import os
from pathlib import Path

import pytest
from test_store import EVENTS

from rad_engineer import durable, store
from rad_engineer.core.events import Event

FILES = Path("/proc/self/fd")
pytestmark = pytest.mark.skipif(not FILES.exists(), reason="files cannot be named here")
NOTE = Event("note", 1, 1.0, "r1", data={"text": "rides along"})


@pytest.fixture
def done(monkeypatch):
    """Every sync and rename of this process, by the name of what it was done to, in order."""
    found = []

    def seen(what, act):
        def call(target, *more):
            path = (FILES / str(target)).readlink() if isinstance(target, int) else target
            found.append((what, path.name))
            return act(target, *more)

        return call

    monkeypatch.setattr(store, "_sync_data", seen("sync data", os.fsync))
    monkeypatch.setattr(os, "fsync", seen("sync", os.fsync))
    monkeypatch.setattr(os, "rename", seen("rename", os.rename))
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def test_a_file_is_whole_before_it_has_its_name_and_has_it_for_good(folder, done):
    durable.replace(folder / "report", b"x")
    assert done == [("sync", "report.new"), ("rename", "report.new"), ("sync", "folder")]


def test_a_run_has_its_folders_before_it_says_that_it_is_there(folder, done):
    store.create(folder, "r1", {})
    assert done == [
        *(("sync", name) for name in ("runs", ".rad-engineer", "folder")),
        ("sync", "run.json.new"),
        ("rename", "run.json.new"),
        ("sync", "r1"),
    ]


def test_a_new_journal_has_its_name_for_good_and_an_old_one_loses_only_a_torn_line(folder, done):
    path = folder / "journal"
    store.Journal(path, "r1", 0, 0).close()
    assert done == [("sync", "folder")]
    path.write_bytes(b"whole\ntorn")
    store.Journal(path, "r1", 1, len(b"whole\n")).close()
    assert done[1:] == [("sync", "journal")]
    store.Journal(path, "r1", 1, len(b"whole\n")).close()
    assert (done[2:], path.read_bytes()) == ([], b"whole\n")


def test_a_commit_is_synced_when_one_of_its_events_asks_for_it(folder, done):
    journal = store.Journal(folder / "journal", "r1", 0, 0)
    done.clear()
    for events, syncs in (([NOTE], 0), ([NOTE, EVENTS[0], NOTE], 1), ([NOTE], 1), ([EVENTS[2]], 2)):
        for event in events:
            journal.append(event)
        journal.commit()
        assert (journal.syncs, done) == (syncs, [("sync data", "journal")] * syncs)
    journal.close()
