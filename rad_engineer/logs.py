"""The structured log of a run: JSON lines in run.log, the same records readable on stderr with -v.

Anybody may write records at any time; until `start` they wait in memory, because structlog takes longer to import
than a run may take to its first child. The log never stops a run: what a full disk refuses is counted and named in
the first record that fits again.
"""

import errno
import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer.core.pii import scrubbed
from rad_engineer.core.printable import one_line, plain
from rad_engineer.core.secret_rules import redacted
from rad_engineer.log_file import LogFile, Writer

if TYPE_CHECKING:
    from rad_engineer.core.events import Event

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_WAITING = 20_000  # records kept before the log is open

_LOUD_EVENTS = frozenset({"attempt_failed", "story_failed", "story_blocked", "story_unverified"})

_bound: ContextVar[Mapping[str, Any]] = ContextVar("rad_engineer_log_fields", default={})  # noqa: B039 - never changed


@dataclass
class _Opening:
    """A log that waits for structlog: its import runs beside the loop, which is waiting for children anyway."""

    file: LogFile | None
    writer: Writer
    written: int
    shown: int
    form: str
    run: str
    starved: bool = False

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._import, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:  # what Python makes of EAGAIN
            raise OSError(errno.EAGAIN, "no thread can be started: too many of them, or no memory") from error

    def _import(self) -> None:
        try:
            import_module("structlog")
        except (MemoryError, RuntimeError, SystemError):  # in each of them an import without memory may end
            self.starved = True

    def logger(self) -> Any:
        """Waits for structlog."""
        self.thread.join()
        if self.starved:
            raise MemoryError("no memory for the log")
        found = _structlog(self)
        return found.bind(run=self.run) if self.run else found


@dataclass(slots=True)
class _Log:
    """What is open now."""

    waiting: deque[tuple[str, str, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_WAITING))
    logger: Any = None
    file: LogFile | None = None
    opening: _Opening | None = None
    echo: Callable[[str], object] | None = None


_log = _Log()


def debug(event: str, **fields: Any) -> None:
    """Records a detail that matters only when something is being looked for."""
    _record("debug", event, fields)


def info(event: str, **fields: Any) -> None:
    """Records something that is as it should be."""
    _record("info", event, fields)


def warning(event: str, **fields: Any) -> None:
    """Records something a person may want to look at."""
    _record("warning", event, fields)


def error(event: str, **fields: Any) -> None:
    """Records something that failed; `exc_info=True` adds the traceback of the exception being handled."""
    _record("error", event, fields)


def journal(event: "Event") -> None:
    """Records an event of the journal, so that run.log tells the whole run in one place."""
    level = "warning" if event.kind in _LOUD_EVENTS else "info"
    fields = {name: value for name, value in event.data.items() if name not in ("gates", "stories", "prds")}
    if event.story is not None:
        fields |= {"story": event.story, "attempt": event.attempt}
    _record(level, event.kind, {"at": event.at, "seq": event.seq, **fields})


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Adds fields (story, attempt, stage) to every record made inside."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def bind(**fields: Any) -> None:
    """Adds fields (a request) to every record that this task makes from here on."""
    _bound.set({**_bound.get(), **fields})


def start(
    path: Path | None, *, run: str | None = None, level: str = "info", verbose: int = 0, form: str = "pretty"
) -> None:  # fmt: skip
    """Opens run.log (None: no file) and, when verbose, the readable form; writes what has been waiting.

    Returns at once, and changes nothing where a log is open already; the run's name is that of the log's folder.
    `level` holds for the file, without one for what is shown; `verbose` 1 shows info and up, 2 everything; `form` of
    what is shown is pretty or json.
    """
    if _log.opening is not None:
        return
    shown = {0: 100 if path else LEVELS[level], 1: LEVELS["info"]}.get(int(verbose), LEVELS["debug"])
    written = LEVELS["debug"] if verbose > 1 else LEVELS.get(level, LEVELS["info"])
    writer = Writer()
    _log.file = file = LogFile(path, writer) if path is not None else None
    if run is None:
        run = path.parent.name if path is not None else ""
    _log.opening = _Opening(file, writer, written if file else 100, shown, form, run)
    if verbose or path is None:
        _open()


def echo_to(echo: Callable[[str], object] | None) -> None:
    """Where readable lines go: a live view prints them above itself; None is stderr."""
    _log.echo = echo


def flush() -> None:
    """Puts what has been recorded into the file now."""
    _open()
    if _log.file is not None:
        _log.file.flush(time.monotonic())
        _log.file.writer.wait()


def stop() -> None:
    """Flushes and closes; later records wait again."""
    try:
        _open()
    finally:
        if _log.file is not None:
            _log.file.close()
        if _log.opening is not None:
            _log.opening.writer.wait()
            _log.opening.writer.close()
        _log.logger = _log.file = _log.opening = None


def _open() -> None:
    """Waits for structlog, then writes what has been waiting for it."""
    if _log.opening is None or _log.logger is not None:
        return
    _log.logger = _log.opening.logger()
    while _log.waiting:
        name, event, fields = _log.waiting.popleft()
        getattr(_log.logger, name)(event, **fields)


def _record(level: str, event: str, fields: dict[str, Any]) -> None:
    fields = {**_bound.get(), **fields}
    fields.setdefault("at", time.time())
    if _log.logger is None and _log.opening is not None and not _log.opening.thread.is_alive():
        _open()
    if _log.logger is not None:
        getattr(_log.logger, level)(event, **fields)
        return
    if fields.get("exc_info") is True:
        fields["exc_info"] = sys.exc_info()
    _log.waiting.append((level, event, fields))


def _structlog(opening: _Opening) -> Any:
    import structlog  # noqa: PLC0415 - 110 ms: only when a log is opened, after the first child was started

    file, written, shown = opening.file, opening.written, opening.shown
    pretty = structlog.dev.ConsoleRenderer(
        colors=_colour(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )
    as_json = json.JSONEncoder(ensure_ascii=True, default=repr).encode  # made once, not for each record

    def readable(logger: Any, name: str, record: MutableMapping[str, Any]) -> str:
        if opening.form == "json":
            return scrubbed(as_json(record))
        lines = {key: one_line(value) if isinstance(value, str) and key != "exception" else value
                 for key, value in record.items()}  # fmt: skip
        return redacted(str(pretty(logger, name, lines)))

    def write(logger: Any, name: str, record: MutableMapping[str, Any]) -> str:
        number = LEVELS[name]
        if number >= shown:
            _show(opening.writer, readable(logger, name, record))
        if file is not None and number >= written:
            file.add(scrubbed(as_json(record)), urgent=number >= LEVELS["warning"] and "seq" not in record)
        raise structlog.DropEvent

    return structlog.wrap_logger(
        None,
        processors=[structlog.processors.add_log_level, _stamp, structlog.processors.format_exc_info, write],
        wrapper_class=structlog.make_filtering_bound_logger(min(written, shown, 50)),
        context_class=dict,
        cache_logger_on_first_use=True,
    )


def _show(writer: Writer, line: str) -> None:
    """A live view draws by itself, in its own thread; who reads stderr slowly holds nobody up."""
    if _log.echo is None:
        writer.do(lambda: _to_stderr(line), len(line))
    else:
        with suppress(OSError, ValueError):  # a closed stderr ends nothing
            _log.echo(line)


def _stamp(_logger: Any, _name: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    at = datetime.fromtimestamp(record.pop("at"), UTC)
    record["timestamp"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return record


def _colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _to_stderr(line: str) -> None:
    sys.stderr.write((line if _colour() else plain(line)) + "\n")


class EventLog:
    """Writes every event into run.log."""

    def on_event(self, event: "Event", _checkpoint: object) -> None:
        """Logs it."""
        journal(event)

    def on_output(self, key: str, line: str) -> None:
        """Output has its own logs."""

    def tick(self, now: float) -> None:  # noqa: ARG002 - views are told the time of day
        """Writes what has waited long enough."""
        if _log.file is not None and _log.file.lines:
            _log.file.flush_when_due(time.monotonic())
