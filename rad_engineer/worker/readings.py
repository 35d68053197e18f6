"""What gates said of a tree, remembered: the next change on that tree is held against it, in this run and in later ones."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from rad_engineer import __version__, durable
from rad_engineer.gates import Baseline, Gate
from rad_engineer.worker import boxes
from rad_engineer.worker.workplace import Workplace, gate_environment

_MOST = 64  # per gate: what is judged at once is fewer, and what is not remembered is asked again


def recall(place: Workplace, gate: Gate, tree: str) -> Baseline | None:
    """What the gate said of the tree; None where that is not known, or not readable any more."""
    path = _folder(place, gate) / f"{tree}.json"
    try:
        found = Baseline.from_json(durable.read_sealed(path)["said"])
    except (FileNotFoundError, durable.StateDamaged):
        return None
    with suppress(OSError):
        os.utime(path)
    return found


def remember(place: Workplace, gate: Gate, tree: str, seen: Baseline) -> None:
    """Keeps what the gate said, but for one that could not be run, or was killed: tomorrow it may say something.

    It is not synced: after a power cut the gate is asked again.
    """
    if seen.broken:
        return
    folder = _folder(place, gate)
    with durable.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{tree}.{os.getpid()}.new"
        new.write_bytes(durable.sealed({"said": seen.to_json()}))
        new.replace(folder / f"{tree}.json")
        _prune(folder)


def _folder(place: Workplace, gate: Gate) -> Path:
    """All that an answer depends on beside the tree: who reads it, the gate's command, the setup, where tools are."""
    path = gate_environment(os.environ).get("PATH", "")
    parts = "\0".join((__version__, gate.command, place.rules.setup or "", path, boxes.kind(place)))
    name = hashlib.sha256(parts.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return Path(place.rules.cache) / "readings" / name


def _prune(folder: Path) -> None:
    with os.scandir(folder) as entries:
        found = list(entries)
    if len(found) <= 2 * _MOST:
        return
    aged = sorted(found, key=lambda entry: entry.stat().st_mtime, reverse=True)
    for entry in aged[_MOST:]:
        Path(entry.path).unlink(missing_ok=True)
