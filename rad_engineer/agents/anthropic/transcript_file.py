"""The transcript on disk: sealed lines in the attempt's folder, synced where something must not be lost or done twice."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rad_engineer import durable, logs
from rad_engineer.agents.anthropic.transcript import Conversation, Record, fold
from rad_engineer.story_files import TRANSCRIPT

_SYNCED = frozenset({"start", "answer", "begun", "report", "compacted"})
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Transcript:
    """The conversation and its file: what is written down is what is true."""

    def __init__(self, path: Path, records: list[dict[str, Any]], size: int) -> None:
        self.path = path
        self.now: Conversation = fold(records)
        with durable.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if os.fstat(self._handle).st_size != size:
                os.ftruncate(self._handle, size)  # a torn last line never happened
            if size == 0:
                durable.sync_folder(path.parent)

    def write(self, kind: str, **content: Any) -> None:
        """Writes a record down, durably where it has to be, and takes it into the conversation."""
        record = _sendable({"t": kind, **content})
        with durable.writing(self.path):
            durable.write_all(self._handle, durable.seal(durable.dump(record)) + b"\n")
            if kind in _SYNCED:
                _sync_data(self._handle)
        self.now.apply(record)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._handle)


def _sendable(record: Record) -> Record:
    """The record with nothing in it that UTF-8 does not know: halves of characters come from models and file names."""
    found: Record = json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
    return found


def open_transcript(folder: Path, wanted: Mapping[str, Any]) -> Transcript:
    """The transcript of an attempt: gone on with where it began as `wanted` says, else a new one.

    One that cannot be gone on with is kept beside it, for people.
    """
    path = folder / TRANSCRIPT
    records, size = read(path)
    if records and all(records[0].get(name) == value for name, value in wanted.items()):
        return Transcript(path, records, size)
    if path.exists():
        earlier = sum(1 for _ in folder.glob("transcript-*.jsonl")) + 1
        logs.warning(
            "the transcript does not belong to what is in the slot: the attempt begins anew", path=str(path)
        )
        with durable.writing(path):
            path.rename(folder / f"transcript-{earlier}.jsonl")
    return Transcript(path, [], 0)


def read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole records at the beginning of a transcript, and how many bytes they are."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return [], 0
    records: list[dict[str, Any]] = []
    size = 0
    for line in data.splitlines(keepends=True):
        plain = durable.unseal(line[:-1]) if line.endswith(b"\n") else None
        if plain is None:
            break
        records.append(json.loads(plain))
        size += len(line)
    return (records, size) if records and records[0]["t"] == "start" else ([], 0)
