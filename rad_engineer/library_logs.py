"""What libraries log in the standard way, as records of ours: counted out, and written by a thread of its own.

Whoever serves strangers must neither wait for its log nor let them fill a disk with it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from rad_engineer import logs
from rad_engineer.log_file import Writer

_WINDOW = 10.0
_MOST_IN_A_WINDOW = 20
_MOST_OF_A_TRACEBACK = 4_000
_LIBRARIES = ("uvicorn.error", "asyncio")
_RECORDS = {"DEBUG": logs.debug, "INFO": logs.info, "WARNING": logs.warning}


@contextmanager
def heard(form: str, level: str = "warning", **bound: Any) -> Iterator[None]:
    """What servers and the loop warn of is shown on stderr for as long as the block lasts.

    The log is opened for the first record, beside the loop: structlog takes long to import, and most have nothing to say.
    """
    writer = Writer()
    records = _Records(writer, lambda: logs.start(None, level=level, form=form))
    records.addFilter(Sparing())
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers[:] = [records]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    try:
        with logs.bound(**bound):
            yield
    finally:
        writer.wait()
        writer.close()
        logs.stop()


class Sparing(logging.Filter):
    """Lets only so many records through: what strangers send must not fill a disk."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._since = clock()
        self._passed = self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is written; the first one of a time says what was left out before."""
        now = self._clock()
        if now - self._since >= _WINDOW:
            if self._left_out:
                record.msg = f"{record.getMessage()} ({self._left_out} lines were left out before)"
                record.args = ()
            self._since, self._passed, self._left_out = now, 0, 0
        self._passed += 1
        if self._passed > _MOST_IN_A_WINDOW:
            self._left_out += 1
            return False
        return True


class _Records(logging.Handler):
    """Hands records on, with what is bound where they were made; `opens` the log in the thread that writes them."""

    def __init__(self, writer: Writer, opens: Callable[[], None]) -> None:
        super().__init__()
        self._writer = writer
        self._opens = opens

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"at": record.created, "logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            if not issubclass(record.exc_info[0], Exception):  # ended with the server: nothing has failed
                return
            fields["exception"] = logging.Formatter().formatException(record.exc_info)[-_MOST_OF_A_TRACEBACK:]
        message = record.getMessage().strip()
        context = copy_context()
        self._writer.do(
            lambda: context.run(self._put, record.levelname, message, fields), len(message) + 4_096
        )

    def _put(self, level: str, message: str, fields: dict[str, Any]) -> None:
        self._opens()
        _RECORDS.get(level, logs.error)(message, **fields)
