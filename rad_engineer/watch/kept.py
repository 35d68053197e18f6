"""Figures of runs as their directories have them: read once, then only what has been appended; and the totals record.

`compact` adds what the runs it removes have counted to the totals before it removes them, and names them there: a run
that is in both places for a moment counts once, so no counter ever falls.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rad_engineer import durable, store
from rad_engineer.core.events import Event
from rad_engineer.core.measures import Measures
from rad_engineer.core.metering import Metering
from rad_engineer.errors import RadError
from rad_engineer.settings_schema import AGENTS

_LATE = 4 * store.PULSE_SECONDS
_TOTALS = "totals.json"
_START = "the totals of runs that have been removed begin anew when it is deleted"


class Kept:
    """One run. `damaged` when what it has written cannot be believed any more; then nothing more is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = False
        self.metering = Metering(AGENTS, _gates(path))
        self._journal = _Lines(path / "journal.jsonl")
        self._spend = _Lines(path / "gateway" / "spend.jsonl")

    @property
    def begun_anew(self) -> bool:
        """Whether the journal is another one than the one that was read."""
        return self._journal.replaced or self._spend.replaced

    def read(self) -> None:
        """Takes in what has been appended."""
        if self.damaged:
            return
        try:
            for line in self._journal.new():
                self.metering.apply(Event.from_json(line))
            for line in self._spend.new():
                if line.get("kind") == "settled":
                    self.metering.settled(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.damaged = True

    def pulse(self, now: float) -> Mapping[str, Any] | None:
        """What the run says of itself; None where it does not go on."""
        if self.metering.state != "running":
            return None
        found = read_json(store.RunDir(self.path).pulse)
        return found if abs(now - found.get("at", 0.0)) < _LATE else None

    def gateway(self) -> Mapping[str, Any]:
        """What its gateway last said of itself."""
        return read_json(self.path / "gateway" / "state.json")


class Shelf:
    """Runs that have been read. One process has one, and any thread may ask."""

    def __init__(self) -> None:
        self._kept: dict[Path, Kept] = {}
        self._lock = threading.Lock()

    def read(self, runs: Iterable[Path]) -> list[Kept]:
        """These runs, as they are now; others are forgotten."""
        with self._lock:
            found: dict[Path, Kept] = {}
            for path in runs:
                kept = self._kept.get(path)
                if kept is None or kept.begun_anew:
                    kept = Kept(path)
                kept.read()
                found[path] = kept
            self._kept = found
            return list(found.values())


def totals_file(runs_folder: Path) -> Path:
    """Where the totals of a folder of runs are."""
    return runs_folder.parent / _TOTALS


def totals(runs_folder: Path) -> tuple[Measures, frozenset[str]]:
    """What runs have counted that were removed, and their names, as far as they may still lie there."""
    try:
        found = durable.read_sealed(totals_file(runs_folder), _START)
    except FileNotFoundError:
        return Measures(), frozenset()
    return Measures.from_json(found["measures"]), frozenset(found["runs"])


def remember(runs: Sequence[Path]) -> None:
    """Adds what these runs have counted to the totals of their folder: they are about to be removed."""
    for folder in dict.fromkeys(path.parent for path in runs):
        going = [path for path in runs if path.parent == folder]
        counted, names = totals(folder)
        for path in going:
            if path.name not in names:
                kept = Kept(path)
                kept.read()
                counted.merge(kept.metering.measures)
        still = {name for name in names if (folder / name).exists()} | {path.name for path in going}
        durable.write_sealed(totals_file(folder), {"runs": sorted(still), "measures": counted.to_json()})


def read_json(path: Path) -> Mapping[str, Any]:
    """An object that somebody else replaces now and then; empty where it cannot be read."""
    with suppress(OSError, ValueError):
        with durable.open_regular(path) as file:
            found = json.load(file)
        if isinstance(found, dict):
            return found
    return {}


class _Lines:
    """The sealed lines of a file that only grows. A last line without its end waits until it has one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode: int | None = None

    @property
    def replaced(self) -> bool:
        if self._inode is None:
            return False
        try:
            about = self._path.stat()
        except OSError:
            return False
        return about.st_ino != self._inode or about.st_size < self._offset

    def new(self) -> Iterator[dict[str, Any]]:
        """What is there since the last call; raises ValueError at a line that contradicts its checksum, or for no file."""
        try:
            with durable.open_regular(self._path) as file:
                self._inode = os.fstat(file.fileno()).st_ino
                file.seek(self._offset)
                data = file.read()
        except durable.Irregular as error:
            raise ValueError from error
        except OSError:
            return
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            plain = durable.unseal(data[start:end])
            if plain is None:
                if end + 1 < len(data):
                    raise ValueError
                return  # torn by a kill: whoever goes on cuts it off
            self._offset += end + 1 - start
            start = end + 1
            yield json.loads(plain)


def _gates(path: Path) -> frozenset[str]:
    """The gates that the configuration of a run names."""
    with suppress(RadError, OSError, KeyError, TypeError):
        rules = durable.read_sealed(path / "run.json")["rules"]
        return frozenset(
            gate["name"] for name in ("gates", "wave_gates", "final_gates") for gate in rules[name]
        )
    return frozenset()
