"""The journal of a run, followed and paged: however long it is, only a piece of it is in memory."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rad_engineer.core.events import Event
from rad_engineer.durable import Irregular, open_regular, unseal
from rad_engineer.server.answers import Problem

_PAGE_BYTES = 1 << 20
_MOST_SEARCHED = 1 << 26  # for events of one story


class Follower:
    """Hands out events as they are appended, from the first one; a journal that was replaced is read anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset = 0
        self.damaged = 0

    def is_shorter(self) -> bool:
        """Whether what has been read is not there any more: what was made of it does not hold."""
        try:
            return self._path.stat().st_size < self.offset
        except FileNotFoundError:
            return self.offset > 0

    def events(self) -> Iterator[Event]:
        """What has been appended since; a last line without its end is read when it has one."""
        for line, end in _lines(self._path, self.offset):
            self.offset = end
            plain = unseal(line)
            if plain is None:
                self.damaged += 1
            else:
                yield Event.from_json(json.loads(plain))


def page(
    path: Path, cursor: str | None, limit: int, story: str | None
) -> tuple[list[dict[str, Any]], str, bool]:
    """So many events behind a cursor, the cursor behind them, and whether nothing follows.

    Raises Problem where the cursor was not handed out here.
    """
    start = offset = _offset(path, cursor)
    found: list[dict[str, Any]] = []
    for line, end in _lines(path, start):
        if len(found) >= limit or (found and end - start > _PAGE_BYTES) or offset - start > _MOST_SEARCHED:
            return found, str(offset), False
        offset = end
        plain = unseal(line)
        if plain is not None:
            event = json.loads(plain)
            if story is None or event.get("story") == story:
                found.append(event)
    return found, str(offset), True


def _offset(path: Path, cursor: str | None) -> int:
    offset = int(cursor or 0)
    if offset:
        with suppress(OSError), open_regular(path) as file:
            file.seek(offset - 1)
            if file.read(1) == b"\n":
                return offset
        raise Problem(404, "cursor", "no page begins here: take the cursor from `next` of the page before")
    return 0


def _lines(path: Path, start: int) -> Iterator[tuple[bytes, int]]:
    """Whole lines without their ends, each with the offset behind it."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return
    except Irregular as error:
        raise Problem(503, "damaged", f"{path.parent.name}: its journal is no regular file") from error
    with file:
        file.seek(start)
        end = start
        for line in file:
            if not line.endswith(b"\n"):
                return
            end += len(line)
            yield line[:-1], end
