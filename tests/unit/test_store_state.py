"""The state of a run from the end of its journal: the same as from all of it, and without reading all of it."""

import tracemalloc

import pytest

from rad_engineer import store
from rad_engineer.core.events import Event

STARTED = ("run_started", {})
NOTE = ("note", {"text": "x" * 200})


def ended(code):
    return ("run_finished", {"exit_code": code})


def journal(tmp_path, *happened):
    rundir = store.RunDir(tmp_path / "r1")
    rundir.path.mkdir()
    kept = store.Journal(rundir.journal, "r1", 0, 0)
    for seq, (kind, data) in enumerate(happened, 1):
        kept.append(Event(kind, seq, 1.0, "r1", data=data))
    kept.close()
    return rundir


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ([STARTED], "running"),
        ([STARTED, NOTE], "running"),
        ([STARTED, ("gates_finished", {"scope": "final", "ok": True})], "running"),
        ([STARTED, ended(0)], "finished"),
        ([STARTED, ended(1), NOTE], "finished"),
        ([STARTED, ended(3)], "stopped"),
        ([STARTED, ended(4), NOTE, NOTE], "stopped"),
        ([STARTED, ended(4), ("run_resumed", {})], "running"),
        ([STARTED, ended(4), ("run_resumed", {}), ended(0)], "finished"),
        ([NOTE], "new"),
    ],
)
def test_it_is_what_the_whole_journal_says(tmp_path, happened, state):
    rundir = journal(tmp_path, *happened)
    assert (store.state(rundir), store.load(rundir).state) == (state, state)


def test_of_a_long_journal_only_the_end_is_read(tmp_path):
    rundir = journal(tmp_path, STARTED, *[NOTE] * 400, ended(3), NOTE)
    data = bytearray(rundir.journal.read_bytes())
    assert len(data) > 1 << 16
    data[10] ^= 1
    rundir.journal.write_bytes(data)
    assert store.state(rundir) == "stopped"


def test_what_a_long_journal_begins_with_is_not_even_in_memory(tmp_path):
    rundir = journal(tmp_path, STARTED, ended(3))
    end = rundir.journal.read_bytes()
    with rundir.journal.open("wb") as handle:
        handle.seek(32 << 20)
        handle.write(b"\n" + end)
    tracemalloc.start()
    try:
        assert store.state(rundir) == "stopped"
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


def test_where_the_end_tells_nothing_all_of_it_is_read(tmp_path):
    rundir = journal(tmp_path, STARTED, ended(3), *[NOTE] * 400)
    assert store.state(rundir) == "stopped"


def test_a_torn_last_line_is_no_matter_and_no_journal_is_new(tmp_path):
    rundir = journal(tmp_path, STARTED, ended(3))
    with rundir.journal.open("ab") as handle:
        handle.write(b'{"event":"note"')
    assert store.state(rundir) == "stopped"
    rundir.journal.unlink()
    assert store.state(rundir) == "new"


def test_what_goes_on_knows_its_run(tmp_path):
    rundir = journal(tmp_path, STARTED)
    checkpoint, kept = store.reopen(rundir)
    assert (checkpoint.run, kept.run, kept.seq) == ("r1", "r1", 1)
    kept.close()
    rundir.journal.unlink()
    checkpoint, kept = store.reopen(rundir)
    kept.close()
    assert (checkpoint.run, kept.seq, rundir.journal.read_bytes()) == ("r1", 0, b"")
