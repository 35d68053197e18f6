"""The structured log: what is in a record, that nothing is lost before it opens, and that a full disk ends nothing."""

import ast
import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from rad_engineer import log_file, logs
from rad_engineer.core.events import Event


@pytest.fixture(autouse=True)
def _closed_afterwards():
    logs._log.waiting.clear()
    yield
    logs.stop()
    logs.echo_to(None)
    logs._log.waiting.clear()


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_records_before_the_start_are_kept_with_their_time_and_context(tmp_path):
    path = tmp_path / "20260101-000000-abcd" / "run.log"
    path.parent.mkdir()
    logs.info("early", at=5.0)
    with logs.bound(story="US-1", attempt=2):
        with logs.bound(stage="agent"):
            logs.warning("inside", number=7)
        logs.info("outside")
    logs.start(path)
    logs.info("late")
    logs.stop()
    early, inside, outside, late = records(path)
    assert early["timestamp"] == "1970-01-01T00:00:05.000Z"
    assert {
        "event": "inside",
        "level": "warning",
        "story": "US-1",
        "attempt": 2,
        "stage": "agent",
        "number": 7,
    }.items() <= inside.items()
    assert "stage" not in outside
    assert "story" not in late
    assert {record["run"] for record in (early, inside, outside, late)} == {"20260101-000000-abcd"}


def test_starting_twice_changes_nothing(tmp_path):
    logs.start(tmp_path / "run.log", run="r1")
    logs.start(tmp_path / "other.log", run="r2")
    logs.info("one")
    logs.stop()
    assert [record["run"] for record in records(tmp_path / "run.log")] == ["r1"]
    assert not (tmp_path / "other.log").exists()


def test_levels(tmp_path):
    logs.start(tmp_path / "run.log")
    logs.debug("left out")
    logs.error("kept")
    logs.stop()
    assert [record["event"] for record in records(tmp_path / "run.log")] == ["kept"]


@pytest.mark.parametrize(("verbose", "shown"), [(0, []), (1, ["normal"]), (2, ["detail", "normal"])])
def test_verbose_shows_readable_lines(tmp_path, verbose, shown):
    lines = []
    logs.echo_to(lines.append)
    logs.start(tmp_path / "run.log", verbose=verbose)
    logs.debug("detail")
    logs.info("normal", text="\x1b[2Jboo\nnext")
    logs.stop()
    assert [word for line in lines for word in ("detail", "normal") if word in line] == shown
    assert all("\x1b[2J" not in line and "\n" not in line for line in lines)


def test_a_log_without_a_file():
    lines = []
    logs.echo_to(lines.append)
    logs.start(None, verbose=1)
    logs.info("hello")
    logs.stop()
    assert len(lines) == 1


def test_a_closed_stderr_ends_nothing(tmp_path):
    def gone(_line):
        raise BrokenPipeError

    logs.echo_to(gone)
    logs.start(tmp_path / "run.log", verbose=1)
    logs.info("hello")
    logs.stop()
    assert [record["event"] for record in records(tmp_path / "run.log")] == ["hello"]


def test_an_exception_keeps_its_traceback(tmp_path):
    try:
        int("broken \udcff")
    except ValueError:
        logs.error("bug", exc_info=True)
    logs.start(tmp_path / "run.log")
    logs.stop()
    assert "ValueError: invalid literal" in records(tmp_path / "run.log")[0]["exception"]


def test_what_json_cannot_say_is_told_as_it_looks(tmp_path):
    logs.start(tmp_path / "run.log")
    logs.info("odd", path=Path("/x"), lone="\udcff")
    logs.stop()
    assert "/x" in records(tmp_path / "run.log")[0]["path"]


def _without_memory(_name):
    raise MemoryError


def _without_threads(_self):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    ("missing", "stand_in"),
    [("rad_engineer.logs.import_module", _without_memory), ("threading.Thread.start", _without_threads)],
)
def test_that_there_is_no_memory_or_thread_for_a_log_is_said_and_the_next_one_opens(
    tmp_path, monkeypatch, missing, stand_in
):
    with monkeypatch.context() as short:
        short.setattr(missing, stand_in)
        with pytest.raises((MemoryError, OSError)):
            logs.start(tmp_path / "run.log", verbose=1)
        with suppress(MemoryError):
            logs.stop()
    logs.start(tmp_path / "run.log")
    logs.info("there")
    logs.stop()
    assert [record["event"] for record in records(tmp_path / "run.log")] == ["there"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_nothing_and_the_gap_is_named(tmp_path):
    path = tmp_path / "run.log"
    path.symlink_to("/dev/full")
    logs.start(path)
    for number in range(5):
        logs.warning("lost", number=number)
        logs.flush()
    file = logs._log.file
    assert file is not None
    assert file.lost == 5
    path.unlink()
    file.handle = None
    file.retry_at = 0.0
    logs.warning("again")
    logs.stop()
    gap, again = records(path)
    assert (gap["event"], gap["lost"], again["event"]) == ("log_gap", 5, "again")


def test_a_log_that_cannot_be_opened_ends_nothing(tmp_path):
    logs.start(tmp_path / "missing" / "run.log")
    logs.error("nowhere")
    logs.stop()


def test_the_journal_is_in_it(tmp_path):
    logs.start(tmp_path / "run.log")
    logs.journal(
        Event(
            "story_landed",
            9,
            1000.5,
            "r1",
            "US-1",
            2,
            "abc",
            {"commit": "c1", "gates": [{"output": "x" * 9000}]},
        )
    )
    logs.journal(Event("story_failed", 10, 1001.0, "r1", "US-2", 1, "def", {"reason": "plateau"}))
    logs.journal(Event("gate_finished", 11, 1001.0, "r1", "US-2", 1, "def", {"ok": True}))
    logs.stop()
    landed, failed, gate = records(tmp_path / "run.log")
    assert (landed["event"], landed["story"], landed["attempt"], landed["commit"], landed["seq"]) == (
        "story_landed",
        "US-1",
        2,
        "c1",
        9,
    )
    assert "gates" not in landed
    assert (gate["event"], gate["ok"]) == ("gate_finished", True)
    assert (failed["level"], failed["reason"]) == ("warning", "plateau")


def test_it_is_buffered_and_flushed(tmp_path):
    path = tmp_path / "run.log"
    logs.start(path)
    logs.flush()
    assert logs._log.file is not None
    logs._log.file.flushed_at = float("inf")
    logs.info("waits")
    assert path.read_text() == "" if path.exists() else True
    logs.flush()
    assert len(records(path)) == 1


def test_it_prints_to_stderr_unless_told_otherwise(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.start(tmp_path / "run.log", verbose=1)
    logs.info("hello there")
    logs.stop()
    assert "hello there" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_disk_that_hangs_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(log_file, "_MOST_WAITING_BYTES", 500_000)
    path = tmp_path / "run.log"
    os.mkfifo(path)  # opening it for writing waits for a reader
    logs.start(path, run="r1")
    for number in range(20):
        logs.warning("much", text="x" * 50_000, number=number)  # more than waits for it
    logs.info("behind it")
    assert logs._log.file.lost > 5
    with path.open("rb") as reader:  # it has come to life
        told = [json.loads(reader.readline()) for _ in range(5)]
    assert [record["number"] for record in told] == [0, 1, 2, 3, 4]


def test_who_reads_stderr_slowly_holds_nobody_up(tmp_path, monkeypatch):
    read, write = os.pipe()
    with os.fdopen(write, "w", buffering=1) as stream, os.fdopen(read) as reader:
        monkeypatch.setattr("sys.stderr", stream)
        logs.start(tmp_path / "run.log", verbose=1)
        for number in range(300):
            logs.info("x" * 1000, number=number)  # more than a pipe holds
        assert "number=0" in reader.readline()
        for _ in range(298):
            reader.readline()
        logs.stop()
        assert "number=299" in reader.readline()
    assert len(records(tmp_path / "run.log")) == 300


def test_json_is_shown_where_that_is_wanted(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.start(tmp_path / "run.log", run="r1", verbose=1, form="json")
    with logs.bound(story="A", request="x#1/2"):
        logs.info("hello")
    logs.stop()
    shown = json.loads(stream.getvalue())
    assert shown == records(tmp_path / "run.log")[0]
    assert (shown["run"], shown["story"], shown["request"]) == ("r1", "A", "x#1/2")


PACKAGE = Path(logs.__file__).parent
IN_A_CONTAINER = {"delivery/deploy_door.py"}
"""What it prints is the container's log."""


def test_nobody_prints_but_commands_and_views():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if b"print" not in path.read_bytes():
            continue
        calls = [node.func for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
        if any(isinstance(called, ast.Name) and called.id == "print" for called in calls):
            found.add(str(path.relative_to(PACKAGE)))
    assert {name for name in found if not name.startswith(("commands/", "watch/"))} <= IN_A_CONTAINER
    assert "commands/compact.py" in found
