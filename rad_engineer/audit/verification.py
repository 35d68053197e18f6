"""Looks an audit log through: every record where it was written, as it was written, up to the last one.

What is found is told with the file and the byte, and the rest is still looked at: behind a place that does not fit,
the chain goes on from the code that stands there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rad_engineer.audit import chain, encryption
from rad_engineer.audit.chain import Head
from rad_engineer.audit.log import files_of, read_head


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where a log is not as it was written."""

    file: str
    byte: int
    what: str

    def __str__(self) -> str:
        return f"{self.file}: byte {self.byte}: {self.what}"

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {"file": self.file, "byte": self.byte, "what": self.what}


@dataclass(slots=True)
class Checked:
    """What came of it."""

    records: int = 0
    files: int = 0
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every record is there, as it was written."""
        return not self.damage


def check(folder: Path, run: str, own: bytes, head_path: Path) -> Checked:
    """Looks through the log of a run; `head_path` is where the end of its chain is kept."""
    files = ((path.name, path.read_bytes()) for path in files_of(folder))
    return check_files(files, run, own, read_head(head_path, own))


def check_files(files: Iterable[tuple[str, bytes]], run: str, own: bytes, head: Head | None) -> Checked:
    """Looks through files by name and content, the oldest first; `head` is where the chain should end."""
    found = Checked()
    before = chain.beginning(own, run)
    last, expected = ("", 0), 1
    for name, data in files:
        found.files += 1
        whole = data.rfind(b"\n") + 1
        last = (name, whole)
        number = int(name.partition(".")[0])
        if number != expected:
            found.damage.append(Damage(name, 0, "a file is missing before it"))
        expected = number + 1
        for start, raw in _lines(data[:whole]):
            found.records += 1
            before = _look(found, Damage(name, start, ""), chain.read(raw), own, before)
        if whole != len(data):
            found.notes.append(f"{name}: the last line, at byte {whole}, was cut off while it was written")
    _end(found, head, before, last)
    return found


def _look(found: Checked, place: Damage, line: chain.Line | None, own: bytes, before: Head) -> Head:
    """Holds a line against the one before it; where the chain goes on behind it."""

    def wrong(what: str) -> None:
        found.damage.append(Damage(place.file, place.byte, what))

    if line is None:
        wrong(f"record {before.seq + 1} was changed: this is no record")
        return Head(before.seq + 1, before.mac)
    wanted = before.seq + 1
    if not line.follows(own, before.mac):
        if line.seq > wanted:
            wrong(f"record {_span(wanted, line.seq - 1)} missing before record {line.seq}")
        elif line.seq != wanted:
            wrong(f"record {line.seq} stands where record {wanted} was: records were moved, or changed")
        else:
            wrong(f"record {wanted} was changed, or the one before it, or it is another run's or key's")
    return Head(max(line.seq, wanted) if line.seq > wanted else wanted, line.mac)


def _span(first: int, last: int) -> str:
    return f"{first} is" if first == last else f"{first} to {last} are"


def _end(found: Checked, head: Head | None, before: Head, last: tuple[str, int]) -> None:
    if head is None:
        if found.records:
            found.damage.append(
                Damage(*last, "nobody knows where the chain ended: that file is gone, or not ours")
            )
    elif head.seq > before.seq:
        gone = _span(before.seq + 1, head.seq)
        found.damage.append(
            Damage(*last, f"the end is cut off: record {gone} missing (or lost in a power failure)")
        )
    elif head.seq == before.seq and head.mac != before.mac and not found.damage:
        found.damage.append(Damage(*last, f"record {head.seq} is not the one that was written last"))
    elif head.seq < before.seq and not found.damage:
        found.notes.append(
            f"{before.seq - head.seq} records were written after the end was last noted: it was killed there"
        )


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield start, data[start:end]
        start = end + 1


def records(folder: Path, run: str, own: bytes | None) -> Iterator[Mapping[str, Any]]:
    """The records as they stand there, what is encrypted made readable; what is none, or cannot be read, says so."""
    opened: encryption.Encryption | None = None
    for path in files_of(folder):
        data = path.read_bytes()
        for start, raw in _lines(data):
            line = chain.read(raw)
            if line is None:
                yield {"kind": "unreadable", "what": f"{path.name}: byte {start}"}
                continue
            record: Mapping[str, Any] | None = {**line.record, "mac": line.mac}
            if encryption.SEALED in line.record and own is not None:
                opened = opened or encryption.Encryption(own, run)
                record = opened.show(line.seq, {**line.record, "mac": line.mac})
            yield record or {"seq": line.seq, "kind": "unreadable", "what": f"{path.name}: byte {start}"}
