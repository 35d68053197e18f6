"""Every view over the same run: what it says, and that nothing it writes to can stop a run."""

import io
import json
import os
import signal

import pytest
from runs import Run, graph, story

from rad_engineer import logs
from rad_engineer.core.printable import width
from rad_engineer.watch.board import Board
from rad_engineer.watch.estimate import Estimate
from rad_engineer.watch.events import EventStream
from rad_engineer.watch.live import LiveView
from rad_engineer.watch.output import Output
from rad_engineer.watch.plain import PlainView
from rad_engineer.watch.terminal import Screen
from rad_engineer.watch.wording import sentence


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def plan():
    return graph(story("US-1"), story("US-2", "US-1"), story("US-3", "US-2"), story("US-4", "US-1"))


def views(of, stream, result):
    return [
        PlainView(stream, result),
        EventStream(stream),
        LiveView(of, jobs=2, stream=stream, result=result),
    ]


def play(view, run, *, until=30.0):
    """A run as the runner would show it."""
    for event in run.events:
        view.on_event(event, run.checkpoint)
        if event.story:
            view.on_output(event.story, f"working on {event.story}\r\n")
        view.tick(event.at)
    view.tick(run.now + until)


def a_run():
    run = Run(plan())
    run.land("US-1")
    run.say("story_started", "US-2")
    run.say("attempt_failed", "US-2", reason="gate-red", detail="2 fail")
    run.say("story_started", "US-2", attempt=2)
    run.say("story_failed", "US-2", attempt=2, reason="plateau")
    run.say("story_blocked", "US-3", by=["US-2"])
    run.say("note", text="look \x1b[31mhere")
    run.say("from_a_later_version", "US-4", colour="blue")
    run.say("story_started", "US-4")
    return run


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_contract_of_every_view(kind):
    run = a_run()
    stream, result = io.StringIO(), io.StringIO()
    view = views(run.graph, stream, result)[kind]
    play(view, run)
    view.close("the end\n")
    assert "US-1" in stream.getvalue()
    assert result.getvalue() == ("" if kind == 1 else "the end\n")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_reader_that_left_stops_nothing(kind):
    run = a_run()
    view = views(run.graph, Gone(), Gone())[kind]
    play(view, run)
    view.close("the end")


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_view_may_be_closed_before_anything_happened(kind):
    view = views(plan(), io.StringIO(), io.StringIO())[kind]
    view.tick(5.0)
    view.close()


def test_a_stream_that_cannot_say_it_in_its_encoding_says_what_it_can():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    Output(stream).line("größe …")
    assert raw.getvalue() == b"gr??e ?\n"


def test_events_are_the_journal_line_by_line():
    run, stream = a_run(), io.StringIO()
    view = EventStream(stream)
    play(view, run)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines == [event.to_json() for event in run.events]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_plain_lines():
    run, stream = a_run(), io.StringIO()
    play(PlainView(stream), run, until=0)
    assert stream.getvalue().splitlines() == [
        "[  0.0s] run r1: 4 stories on rad/phase1",
        "[  1.0s] US-1 started",
        "[  3.0s] US-1 landed as 1111111111 after 1.0s",
        "[  4.0s] US-2 started",
        "[  5.0s] US-2 attempt 1 failed: a gate is red because of this story: 2 fail",
        "[  6.0s] US-2 started (attempt 2)",
        "[  7.0s] US-2 FAILED: two attempts failed in exactly the same way",
        "[  8.0s] US-3 blocked: needs US-2",
        "[  9.0s] note: look here",
        "[   11s] US-4 started",
    ]


def test_plain_never_floods():
    of = graph(*(story(f"S{number}") for number in range(2000)), parallel=True)
    run, stream = Run(of), io.StringIO()
    for key in of.keys:
        run.say("story_started", key, after=0.0005)
        run.say("story_landed", key, after=0.0005, commit="a" * 40)
    view = PlainView(stream)
    play(view, run, until=1)
    view.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) < 100
    told = sum("started" in line and "more" not in line and "…" not in line for line in lines)
    counted = sum(
        int(line.split(" started")[0].split()[-1]) for line in lines if "…" in line and "started" in line
    )
    assert told + counted == 2000


def test_plain_gives_a_sign_of_life():
    run, stream = Run(plan()), io.StringIO()
    run.say("story_started", "US-1")
    view = PlainView(stream)
    play(view, run, until=0)
    view.on_output("US-1", "\x1b[32mreading files")
    view.tick(run.now + 59)
    before = len(stream.getvalue().splitlines())
    view.tick(run.now + 61)
    view.tick(run.now + 62)
    lines = stream.getvalue().splitlines()
    assert lines[before:] == ["[ 1m02s] still running: US-1 1m01s | reading files"]


def test_every_journalled_event_has_words_or_is_left_out_on_purpose():
    run = Run(plan())
    silent = {"stage_finished", "story_verified", "run_finished", "story_marked"}
    data = {
        "by": ["US-1"],
        "scope": "final",
        "ok": False,
        "gate": "tests",
        "text": "hello",
        "reason": "human",
        "exit_code": 0,
        "stage": "agent",
        "commit": "a" * 40,
    }
    for kind in (
        "story_started",
        "gate_finished",
        "attempt_failed",
        "story_landed",
        "story_unverified",
        "story_failed",
        "story_interrupted",
        "story_blocked",
        "story_waiting",
        "story_approved",
        "story_passed",
        "story_reopened",
        *silent,
    ):
        event = run.say(kind, "US-2", **data)
        assert bool(sentence(event, run.checkpoint)) is (kind not in silent), kind
    for kind in ("run_resumed", "gates_finished", "note"):
        assert sentence(run.say(kind, None, **data), run.checkpoint)


def text_of(lines):
    return ["".join(piece for piece, _ in line) for line in lines]


def test_the_board_shows_what_runs_with_its_last_line():
    run = a_run()
    board = Board(run.graph, jobs=2)
    for event in run.events:
        board.on_event(event, run.checkpoint)
    board.on_output("US-4", "\x1b[1mstep 1\rstep 2 " + "x" * 200)
    board.on_output("US-1", "not running any more")
    frame = text_of(board.frame(run.now + 5, 100, 20))
    assert frame[0].startswith("rad-engineer  2/4 stories · 1 landed · 1 failed · 1 blocked · 1 running")
    row = next(line for line in frame if line.startswith("> US-4"))
    assert "prepare" in row
    assert "5.0s" in row
    assert "step 2" in row
    assert all(width(line) <= 100 for line in frame)
    assert any("US-2 FAILED" in line for line in frame)


def test_stages_and_attempts_are_shown():
    run = Run(plan())
    board = Board(run.graph, jobs=2)
    for event in (
        run.events[0],
        run.say("story_started", "US-1", attempt=3),
        run.say("stage_finished", "US-1", stage="agent", ok=True, seconds=1, tokens=1200),
    ):
        board.on_event(event, run.checkpoint)
    frame = text_of(board.frame(run.now, 80, 24))
    assert "commit" in frame[-1]
    assert "#3" in frame[-1]
    assert "1,200 tokens" in frame[0]
    board.on_event(run.say("story_verified", "US-1", attempt=3, commit="a"), run.checkpoint)
    assert "land " in text_of(board.frame(run.now, 80, 24))[-1]


@pytest.mark.parametrize("rows", [4, 10, 24])
def test_ten_thousand_stories_fit_any_terminal(rows):
    of = graph(*(story(f"S{number}") for number in range(10_000)), parallel=True)
    run = Run(of)
    board = Board(of, jobs=64)
    for key in of.keys[:64]:
        board.on_event(run.say("story_started", key), run.checkpoint)
    frame = text_of(board.frame(run.now, 80, rows))
    assert len(frame) <= rows
    assert any("more running" in line for line in frame)
    assert any(line.startswith("> S0 ") for line in frame) or rows == 4


def test_the_board_takes_over_a_run_that_goes_on():
    run = a_run()
    board = Board(run.graph, run.checkpoint, jobs=2)
    assert board.counts["passed"] == 1
    assert [run.graph.keys[index] for index in board.running] == ["US-4"]


def test_the_estimate_knows_the_longest_way_and_the_workers():
    of = graph(story("A"), story("B", "A"), story("C", "B"), story("D"), story("E"), story("F"))
    estimate = Estimate(of, jobs=1)
    open_ones = ["pending"] * 6
    assert estimate.left(open_ones, 0.0, {}) is None
    estimate.finished(3, 10.0)
    open_ones[3] = "passed"
    assert estimate.left(open_ones, 0.0, {}) == pytest.approx(50.0)
    wide = Estimate(of, jobs=100)
    wide.finished(3, 10.0)
    assert wide.left(open_ones, 0.0, {}) == pytest.approx(30.0)
    assert wide.left(["passed"] * 6, 10.0, {}) is None


class Terminal:
    """Enough of a terminal to see what stays on its screen."""

    def __init__(self, columns=80):
        self.columns, self.rows, self.row, self.column, self.hidden = columns, [""], 0, 0, False

    def feed(self, data):
        position = 0
        while position < len(data):
            if data[position] == "\x1b":
                position = self._escape(data, position)
                continue
            self._put(data[position])
            position += 1

    def _escape(self, data, position):
        end = position + 2
        while not data[end].isalpha():
            end += 1
        number = data[position + 2 : end]
        if data[end] == "A":
            self.row -= int(number or 1)
            assert self.row >= 0, "above the first row"
        elif data[end] == "K":
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif data[end] == "J":
            self.rows[self.row] = self.rows[self.row][: self.column]
            del self.rows[self.row + 1 :]
        elif data[end] in "hl":
            self.hidden = data[end] == "l"
        else:
            assert data[end] == "m"
        return end + 1

    def _put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.rows):
                self.rows.append("")
        else:
            line = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = line[: self.column] + char + line[self.column + 1 :]
            self.column += 1


def on_terminal(stream, terminal):
    terminal.feed(stream.getvalue())
    stream.seek(0)
    stream.truncate()


def test_the_live_view_draws_in_place_and_leaves_nothing_but_the_summary(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "20")
    run, stream, terminal = a_run(), io.StringIO(), Terminal()
    terminal.feed("$ rad-engineer run\n")
    view = LiveView(run.graph, jobs=2, stream=stream, result=stream)
    play(view, run)
    on_terminal(stream, terminal)
    assert terminal.hidden
    assert sum(row.startswith("rad-engineer  ") for row in terminal.rows) == 1
    assert any(row.startswith("> US-4") for row in terminal.rows)
    logs._log.waiting.clear()  # of whatever ran before in this process
    logs.start(None, verbose=1)
    logs.info("a line of the log", at=0.0)
    logs.stop()
    view.tick(run.now + 40)
    on_terminal(stream, terminal)
    assert terminal.rows[1].startswith("1970-01-01T00:00:00.000Z [info     ] a line of the log")
    assert sum(row.startswith("rad-engineer  ") for row in terminal.rows) == 1
    view.close("the end\n")
    on_terminal(stream, terminal)
    assert not terminal.hidden
    assert terminal.rows == ["$ rad-engineer run", terminal.rows[1], "the end", ""]


def test_the_live_view_draws_at_most_eight_times_a_second_and_only_when_something_changed():
    run, stream = Run(plan()), io.StringIO()
    view = LiveView(run.graph, jobs=2, stream=stream, result=stream)
    view._pause = 0.125
    view.on_event(run.events[0], run.checkpoint)
    frames = 0
    for step in range(1000):  # ten seconds in steps of 10 ms; output all the time for the first five
        if step == 100:
            view.on_event(run.say("story_started", "US-1", after=0), run.checkpoint)
        if step < 500:
            view.on_output("US-1", f"line {step}")
        view.tick(1000 + step / 100)
        if stream.getvalue():
            frames += 1
            stream.seek(0)
            stream.truncate()
        view._pause = 0.125  # the machine's own speed is not what is tested
    assert 30 <= frames <= 8 * 5 + 6


def test_a_short_run_never_opens_the_live_view():
    run, stream, result = a_run(), io.StringIO(), io.StringIO()
    view = LiveView(run.graph, stream=stream, result=result)
    view.tick(1.0)
    view.on_event(run.events[0], run.checkpoint)
    view.tick(1.1)
    view.close("the end")
    assert (stream.getvalue(), result.getvalue()) == ("", "the end\n")


def test_lines_that_wrapped_in_a_narrower_terminal_are_taken_away_too(monkeypatch):
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    screen = Screen(Output(stream))
    screen.draw([[("x" * 70, "")], [("y" * 10, "")]])
    stream.seek(0)
    stream.truncate()
    screen._console.width = 40
    screen.draw([[("z", "")]])
    assert stream.getvalue().startswith("\r\x1b[2A")  # three rows by now: back over two


def test_a_suspension_in_the_middle_of_a_write_waits_for_its_end(monkeypatch):
    stopped: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: stopped.append(number))

    class Slow(io.StringIO):
        def write(self, text):
            if "one" in text:
                screen._suspend(signal.SIGTSTP, None)
                assert stopped == []
            return super().write(text)

    stream = Slow()
    screen = Screen(Output(stream))
    screen.draw([[("one", "")]])
    assert stopped == [signal.SIGTSTP]
    assert stream.getvalue().endswith("\x1b[?25h")
