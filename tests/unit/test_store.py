"""What a run has written down: whole after any crash, never silently wrong, refused where it cannot be trusted."""

import json
import resource
import signal
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rad_engineer import durable, store
from rad_engineer.core.checkpoint import fold
from rad_engineer.core.events import Event
from rad_engineer.errors import CannotWrite, ExitCode, NoInput

EVENTS = [
    Event("run_started", 1, 10.0, "r1", data={"kind": "real", "base": "b1", "pid": 1}),
    Event("story_started", 2, 11.0, "r1", "US-1", 1, "i1", {"slot": 0}),
    Event("story_landed", 3, 12.5, "r1", "US-1", 1, "i1", {"commit": "c1", "gates": []}),
    Event("note", 4, 13.0, "r1", data={"text": 'a "~":"0" in a text, \ud800 and ü'}),
]


def written(path, events=EVENTS):
    journal = store.Journal(path, "r1", 0, 0)
    for event in events:
        journal.append(event)
    journal.close()
    return path.read_bytes()


def read(path):
    return [event for event, _end in store.scan_journal(path)]


def rundir(tmp_path, **content):
    return store.create(tmp_path, "r1", {"kind": "real", **content})


@contextmanager
def files_up_to(size):
    """A disk that is full behind so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


# -- lines --------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@example({"text": "\ud800"})
@example({"~": "00000000"})
def test_a_sealed_line_gives_back_what_was_sealed(value):
    line = durable.dump(value)
    assert b"\n" not in line
    assert json.loads(line) == value
    if value:
        sealed = durable.seal(line)
        assert durable.unseal(sealed) == line
        assert json.loads(sealed).keys() >= value.keys()  # still JSON for any other reader


@given(st.binary(max_size=60))
@example(b"")
@example(b'{"a":1}')
@example(b',"~":"00000000"}')
def test_what_nobody_sealed_is_not_unsealed(line):
    assert durable.unseal(line) is None


def test_no_flipped_bit_passes():
    sealed = durable.seal(b'{"event":"note","seq":1}')
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            assert durable.unseal(bytes(changed)) is None, (at, bit)


# -- the journal --------------------------------------------------------------------------------------------


def test_what_was_committed_is_read_back(tmp_path):
    written(tmp_path / "journal")
    assert read(tmp_path / "journal") == EVENTS


def test_nothing_is_on_disk_before_a_commit_and_one_sync_serves_many_events(tmp_path):
    journal = store.Journal(tmp_path / "journal", "r1", 0, 0)
    for event in EVENTS:
        journal.append(event)
    assert (tmp_path / "journal").read_bytes() == b""
    journal.commit()
    assert (len(read(tmp_path / "journal")), journal.syncs, journal.seq) == (4, 1, 4)
    journal.commit()
    journal.append(EVENTS[3])  # a note rides along
    journal.commit()
    assert (len(read(tmp_path / "journal")), journal.syncs) == (5, 1)
    journal.close()


def test_a_run_without_a_journal_has_no_events(tmp_path):
    assert read(tmp_path / "none") == []


def test_a_journal_cut_anywhere_keeps_its_whole_lines_and_goes_on(tmp_path):
    run = rundir(tmp_path)
    data = written(run.journal)
    ends = [end for _event, end in store.scan_journal(run.journal)]
    for length in range(len(data) + 1):
        run.journal.write_bytes(data[:length])
        whole = [event for event, end in zip(EVENTS, ends, strict=True) if end <= length]
        assert read(run.journal) == whole
        checkpoint, journal = store.reopen(run)
        assert checkpoint.seq == journal.seq == len(whole)
        journal.append(Event("note", len(whole) + 1, 99.0, "r1", data={"text": "on"}))
        journal.close()
        assert [event.kind for event in read(run.journal)] == [*(event.kind for event in whole), "note"]


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_a_journal_with_a_flipped_byte_is_never_silently_wrong(tmp_path, flip):
    """Either a tail that nothing follows is left out, or the damage is named; no other event is ever read."""
    path = tmp_path / "journal"
    data = written(path)
    starts = [0, *(end for _event, end in store.scan_journal(path))]
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :])
        hit = max(n for n, start in enumerate(starts) if start <= at)
        if hit < len(EVENTS) - 2 or (hit == len(EVENTS) - 2 and data[at] != ord("\n")):
            with pytest.raises(durable.StateDamaged, match=f"damaged at byte {starts[hit]}:"):
                read(path)
        else:  # no good line follows: the line end before the last line makes one bad line of two
            assert read(path) == EVENTS[:hit]


def test_damage_before_good_lines_is_refused_with_its_place_and_a_way_on(tmp_path):
    run = rundir(tmp_path)
    first, second, *rest = written(run.journal).splitlines(keepends=True)
    for bad in (b"", b"\x00" * 40, b"{}", b"not a line", second[:-5]):
        run.journal.write_bytes(first + bad + b"\n" + b"".join(rest))
        before = run.journal.read_bytes()
        for look in (store.load, store.reopen):
            with pytest.raises(
                durable.StateDamaged, match=rf"journal\.jsonl is damaged at byte {len(first)}:"
            ) as caught:
                look(run)
            assert "--fresh" in str(caught.value.hint)
            assert caught.value.exit_code == ExitCode.CANNOT_WRITE
        assert run.journal.read_bytes() == before  # nothing was thrown away


def test_a_line_that_is_no_event_counts_as_damage(tmp_path):
    path = tmp_path / "journal"
    good = written(path)
    last = good.splitlines(keepends=True)[-1]
    for line in (b"", b"nonsense\n", durable.seal(b'{"seq":1}'), durable.seal(b"{nonsense}")):
        path.write_bytes(line + b"\n" + last)
        with pytest.raises(durable.StateDamaged, match="byte 0"):
            read(path)


def test_garbage_at_the_end_never_happened(tmp_path):
    run = rundir(tmp_path)
    data = written(run.journal)
    run.journal.write_bytes(data + b"\x00" * 512)
    heard = []
    checkpoint, journal = store.reopen(run, heard.append)
    journal.close()
    assert heard == EVENTS
    assert checkpoint == fold(EVENTS)
    assert run.journal.read_bytes() == data


def test_a_run_whose_journal_is_empty_still_has_its_name(tmp_path):
    found = store.load(rundir(tmp_path))
    assert (found.run, found.state) == ("r1", "new")


def test_a_journal_is_for_its_owner_to_write_and_has_its_folder(tmp_path):
    written(tmp_path / "journal")
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) & 0o133 == 0
    with pytest.raises(CannotWrite, match="gone/journal: its folder has been removed"):
        store.Journal(tmp_path / "gone/journal", "r1", 0, 0)


def test_after_a_failed_write_the_journal_refuses_every_further_one(tmp_path):
    path = tmp_path / "journal"
    journal = store.Journal(path, "r1", 0, 0)
    journal.append(EVENTS[0])
    journal.commit()
    size = path.stat().st_size
    journal.append(EVENTS[1])
    with (
        files_up_to(size + 10),
        pytest.raises(CannotWrite, match=r"cannot write .*journal: .* free\)") as caught,
    ):
        journal.commit()
    assert "rad-engineer resume" in str(caught.value.hint)
    assert path.stat().st_size == size + 10  # a torn line lies there
    journal.append(EVENTS[2])
    with pytest.raises(CannotWrite, match=r"cannot write .*journal"):
        journal.commit()
    journal.close()  # closes without another try
    assert path.stat().st_size == size + 10
    assert read(path) == EVENTS[:1]


def test_a_journal_that_was_removed_is_not_written_on(tmp_path):
    path = tmp_path / "journal"
    journal = store.Journal(path, "r1", 0, 0)
    journal.append(EVENTS[0])
    journal.commit()
    path.unlink()
    journal.append(EVENTS[1])
    with pytest.raises(CannotWrite, match="its folder has been removed") as caught:
        journal.commit()
    assert "rad-engineer run PRD" in str(caught.value.hint)
    journal.close()


def test_a_full_disk_is_named(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "journal").symlink_to("/dev/full")
    journal = store.Journal(tmp_path / "journal", "r1", 0, 0)
    journal.append(EVENTS[0])
    with pytest.raises(CannotWrite, match="No space left on device"):
        journal.commit()
    journal.close()


# -- files --------------------------------------------------------------------------------------------------


def test_a_run_is_there_once_it_is_whole(tmp_path):
    run = rundir(tmp_path, identities=["i1"])
    assert run.read_run() == {
        "schema_version": durable.SCHEMA_VERSION,
        "kind": "real",
        "identities": ["i1"],
        "inputs": [],
    }
    assert run.stories.is_dir()
    assert run.prd(1, ".json").parent.is_dir()
    assert (tmp_path / ".rad-engineer/.gitignore").read_text() == "*\n"
    (store.runs_folder(tmp_path) / "r2").mkdir()  # its run.json was never written
    (store.runs_folder(tmp_path) / "notes.txt").touch()
    store.create(tmp_path, "r3", {})
    assert [found.run for found in store.runs(tmp_path)] == ["r3", "r1"]


def test_a_place_where_nothing_ran_has_no_runs(tmp_path):
    assert store.runs(tmp_path) == []
    (tmp_path / ".rad-engineer").touch()
    assert store.runs(tmp_path) == []


def test_an_own_gitignore_is_left_alone(tmp_path):
    (tmp_path / ".rad-engineer").mkdir()
    (tmp_path / ".rad-engineer/.gitignore").write_text("mine\n")
    rundir(tmp_path)
    assert (tmp_path / ".rad-engineer/.gitignore").read_text() == "mine\n"


def test_no_run_takes_the_place_of_another(tmp_path):
    rundir(tmp_path)
    with pytest.raises(CannotWrite, match="File exists"):
        rundir(tmp_path)


def test_a_run_that_is_not_there_is_no_input(tmp_path):
    with pytest.raises(NoInput, match="there is no run r9"):
        store.RunDir(store.runs_folder(tmp_path) / "r9").read_run()


def test_a_damaged_run_json_is_refused(tmp_path):
    run = rundir(tmp_path)
    run.run_json.write_bytes(run.run_json.read_bytes()[:-3])
    with pytest.raises(durable.StateDamaged, match=r"run\.json is damaged") as caught:
        run.read_run()
    assert "--fresh" in str(caught.value.hint)


@pytest.mark.parametrize("version", [durable.SCHEMA_VERSION + 1, None, "1"])
def test_state_of_another_version_is_refused(tmp_path, version):
    run = rundir(tmp_path)
    run.run_json.write_bytes(durable.seal(durable.dump({"schema_version": version})))
    with pytest.raises(durable.StateDamaged, match="schema_version") as caught:
        run.read_run()
    assert "the version that wrote it" in str(caught.value.hint)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.json"
    durable.replace(path, b"old")
    with files_up_to(100), pytest.raises(CannotWrite, match=r"report\.json"):
        durable.replace(path, b"n" * 1000)
    assert path.read_bytes() == b"old"
    durable.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert [name.name for name in tmp_path.iterdir()] == ["report.json"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o133 == 0


def test_what_cannot_be_written_below_nothing_is_still_told(tmp_path):
    path = tmp_path / "gone" / "deeper" / "report.json"
    with pytest.raises(CannotWrite, match="its folder has been removed"):
        durable.replace(path, b"")


@given(st.text(max_size=80))
@example("../../etc")
@example("…")
@example(".hidden")
def test_a_slug_is_a_plain_file_name(text):
    found = store.slug(text)
    assert 0 < len(found) <= 40
    assert not found.startswith((".", "-"))
    assert found.isascii()
    assert "/" not in found
    assert found.isprintable()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("US-1", "US-1"),
        ("X/1: fix X", "X-1-fix-X"),
        ("..a-", "a"),
        ("x" * 39 + "yz", "x" * 39 + "y"),
        ("…", "story"),
        ("", "story"),
    ],
)
def test_a_slug_keeps_what_may_stand_in_a_name(text, name):
    assert store.slug(text) == name


def test_two_stories_with_one_id_have_two_folders(tmp_path):
    run = rundir(tmp_path)
    assert run.story("US/1", "0123456789abcdef") == run.stories / "US-1-01234567"
    assert run.story("US/1", "fedcba9876543210") != run.story("US/1", "0123456789abcdef")
    assert {run.journal.name, run.report_json.name, run.report_md.name, run.log.name} == {
        "journal.jsonl", "report.json", "report.md", "run.log",
    }  # fmt: skip
