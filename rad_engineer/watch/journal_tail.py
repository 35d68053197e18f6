"""Follows the journal of a run that another process writes: whole lines only, no lock, no rereading."""

import json
from collections.abc import Iterator
from pathlib import Path

from rad_engineer.core.events import Event
from rad_engineer.durable import open_state, unseal


class JournalTail:
    """Hands out events as they are appended. A last line without its end is read when it has one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def events(self) -> Iterator[Event]:
        """What has been appended since the last call; a journal that is not there yet has nothing."""
        try:
            with open_state(self._path) as file:
                file.seek(0, 2)
                self._offset = min(self._offset, file.tell())  # a torn tail is cut off when a run goes on
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            plain = unseal(line)
            if plain is not None:
                yield Event.from_json(json.loads(plain))
