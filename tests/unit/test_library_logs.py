"""What libraries log becomes records of ours: with what is bound, never in the way of whoever logs, and not without end."""

import io
import json
import logging
import sys
import threading

import pytest

from rad_engineer import library_logs, logs
from rad_engineer.library_logs import Sparing

UVICORN = logging.getLogger("uvicorn.error")


@pytest.fixture(autouse=True)
def _loggers():
    logs._log.waiting.clear()  # of whatever ran before in this process
    yield
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)


def told(text):
    return [json.loads(line) for line in text.splitlines()]


def test_what_a_library_warns_of_is_a_record_with_what_is_bound(capsys):
    with library_logs.heard("json", run="r1"):
        with logs.bound(request="0a1b"):
            UVICORN.warning("the %s are\n", "answers")
        logging.getLogger("asyncio").error("slow")
        UVICORN.info("nobody asked")
    one, other = told(capsys.readouterr().err)
    assert {name: one[name] for name in ("event", "level", "logger", "run", "request")} == {
        "event": "the answers are", "level": "warning", "logger": "uvicorn.error", "run": "r1", "request": "0a1b",
    }  # fmt: skip
    assert (other["event"], other["level"], other.get("request")) == ("slow", "error", None)


def test_a_failure_is_told_with_the_end_of_its_traceback(capsys):
    def fails(depth):
        return fails(depth - 1) if depth else 1 / 0

    with library_logs.heard("pretty"):
        for depth in (1, 200):
            try:
                fails(depth)
            except ZeroDivisionError:
                UVICORN.exception("Exception in ASGI application\n")
    shown = capsys.readouterr().err
    assert shown.count("ZeroDivisionError: division by zero") == 2
    assert shown.count("Exception in ASGI application [uvicorn.error]") == 2
    assert len(shown) < 10_000


def test_what_is_ended_with_the_server_has_not_failed(capsys):
    with library_logs.heard("json"):
        try:
            sys.exit(1)
        except SystemExit:
            UVICORN.exception("Exception in ASGI application")
    assert told(capsys.readouterr().err) == []


def test_a_secret_does_not_get_into_the_log(capsys):
    with library_logs.heard("json"):
        UVICORN.warning("refused: %s", "ghp_" + "a1B2" * 9)
    shown = capsys.readouterr().err
    assert "a1B2a1B2" not in shown
    assert "refused" in shown


def test_whoever_logs_waits_for_nobody(monkeypatch):
    shown = io.StringIO()
    taken, go_on = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text):
            taken.set()
            assert go_on.wait(60)
            return shown.write(text)

    monkeypatch.setattr("sys.stderr", Slow())
    with library_logs.heard("json"):
        for number in range(10):
            UVICORN.warning("number %d", number)
        assert taken.wait(60)
        assert shown.getvalue() == ""  # we are here, and nothing is written
        go_on.set()
    assert [each["event"] for each in told(shown.getvalue())] == [f"number {number}" for number in range(10)]


def test_strangers_fill_no_disk(capsys):
    with library_logs.heard("json"):
        for _ in range(1_000):
            UVICORN.warning("Invalid HTTP request received.")
    assert len(told(capsys.readouterr().err)) == 20


def test_logs_tell_how_much_they_left_out():
    now = [0.0]
    sparing = Sparing(lambda: now[0])
    records = [
        logging.LogRecord("a", logging.WARNING, "", 0, "said %d", (each,), None) for each in range(101)
    ]
    assert sum(sparing.filter(each) for each in records[:100]) == 20
    now[0] = 11.0
    assert sparing.filter(records[100])
    assert records[100].getMessage() == "said 100 (80 lines were left out before)"


def test_nothing_is_imported_while_there_is_nothing_to_say(monkeypatch):
    opened = []
    monkeypatch.setattr(logs, "start", lambda *_given, **_more: opened.append(1))
    with library_logs.heard("json"):
        assert opened == []
    assert opened == []
