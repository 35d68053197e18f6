"""The run directory: what a run has written down, and how it is written so that a crash cannot twist it.

    .rad-engineer/runs/<run>/run.json                   what was asked for
                             prd/<n>.json|.md           the PRDs as read
                             journal.jsonl              every event, one checksummed line each
                             stories/<story>/checkpoint.json
                             stories/<story>/attempt-<k>/prompt.md, agent.log, gates/<gate>.log, diff.patch
                             report.json report.md run.log

Journal lines end in `,"~":"<crc32>"}`; without that member a line is the plain event. Only the last line may be
bad: it was being written when the run died, so it never happened. Files are replaced whole: temporary file,
fsync, rename, fsync of the directory.
"""

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.core.checkpoint import Checkpoint, fold
from rad_engineer.core.events import SYNCED, Event
from rad_engineer.errors import CannotWrite, NoInput, RadError

SCHEMA_VERSION = 1
_SEAL = b',"~":"'
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_AFTER_THE_END = frozenset({"note", "story_approved", "story_marked", "story_passed", "story_reopened"})
_TAIL = 1 << 16
_read = json.JSONDecoder().raw_decode
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


class StateDamaged(RadError):
    """State on disk contradicts its checksum; nothing was changed."""

    exit_code = CannotWrite.exit_code


def slug(text: str) -> str:
    """A file name for any text: safe characters only, never empty, never hidden, at most 40 long."""
    safe = _UNSAFE.sub("-", text).strip("-.")
    return safe[:40] or "story"


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths inside one run's directory."""

    path: Path

    @property
    def run(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def run_json(self) -> Path:
        """What was asked for: inputs, settings, base, branch."""
        return self.path / "run.json"

    @property
    def journal(self) -> Path:
        """The events."""
        return self.path / "journal.jsonl"

    @property
    def report_json(self) -> Path:
        """The report for programs."""
        return self.path / "report.json"

    @property
    def report_md(self) -> Path:
        """The report for people."""
        return self.path / "report.md"

    @property
    def log(self) -> Path:
        """The structured log."""
        return self.path / "run.log"

    @property
    def stories(self) -> Path:
        """The folder of the stories' folders."""
        return self.path / "stories"

    def story(self, story_id: str, identity: str) -> Path:
        """A story's folder: named by id and identity, so that a display key may change."""
        return self.stories / f"{slug(story_id)}-{identity[:8]}"

    def prd(self, number: int, suffix: str) -> Path:
        """The n-th PRD as it was read."""
        return self.path / "prd" / f"{number}{suffix}"

    def read_run(self) -> dict[str, Any]:
        """The content of run.json; raises StateDamaged where it cannot be understood."""
        try:
            data: dict[str, Any] = json.loads(self.run_json.read_bytes())
        except FileNotFoundError:
            raise NoInput(f"there is no run {self.run} in {self.path.parent}") from None
        except ValueError as error:
            raise StateDamaged(f"{self.run_json} is damaged: {error}") from error
        check_version(data, self.run_json)
        return data


def runs_folder(home: Path) -> Path:
    """Where the runs of a repository (or of a shared workspace) are kept."""
    return home / ".rad-engineer" / "runs"


def approvals_folder(home: Path) -> Path:
    """Where a human's approvals are kept, a file each, named by the story's identity."""
    return home / ".rad-engineer" / "approvals"


def runs(home: Path) -> list[RunDir]:
    """All runs, newest first."""
    try:
        names = sorted(
            (entry.name for entry in os.scandir(runs_folder(home)) if entry.is_dir()), reverse=True
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    folder = runs_folder(home)
    return [RunDir(folder / name) for name in names if (folder / name / "run.json").exists()]


def create(home: Path, run: str, content: Mapping[str, Any]) -> RunDir:
    """Makes a run's directory; it exists for others only once run.json is whole."""
    top = home / ".rad-engineer"
    with writing(top):
        top.mkdir(exist_ok=True)
        ignore = top / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        folder = runs_folder(home) / run
        folder.mkdir(parents=True)
        (folder / "stories").mkdir()
        (folder / "prd").mkdir()
    rundir = RunDir(folder)
    replace(rundir.run_json, dump({"schema_version": SCHEMA_VERSION, **content}))
    return rundir


class writing:  # noqa: N801 - reads as a clause: with writing(path): ...
    """Turns a failed write below `path` into CannotWrite with the free space named."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise cannot_write(self.path, error) from error


def cannot_write(path: Path, error: OSError) -> CannotWrite:
    """The error a user sees when state cannot be written."""
    free = "unknown"
    with suppress(OSError):
        seen = os.statvfs(path if path.exists() else path.parent)
        free = f"{seen.f_bavail * seen.f_frsize // 1_000_000} MB"
    return CannotWrite(
        f"cannot write {path}: {error.strerror or error} ({free} free)",
        hint="make room or mend the permissions, then: rad-engineer resume",
    )


def dump(value: Mapping[str, Any]) -> bytes:
    """Compact JSON bytes; surrogates that a PRD smuggled in survive as escapes."""
    return _compact(value).encode()


def replace(path: Path, data: bytes) -> None:
    """Replaces a file whole and durably."""
    temporary = path.with_name(path.name + ".new")
    with writing(path):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(temporary, path)  # noqa: PTH104 - one call, no Path made
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Writes everything: a short write is not an end."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def seal(line: bytes) -> bytes:
    """Adds the checksum member to one JSON object."""
    return b'%b%b%08x"}' % (line[:-1], _SEAL, zlib.crc32(line))


def unseal(line: bytes) -> bytes | None:
    """The object without its checksum member; None where they disagree."""
    cut = len(line) - len(_SEAL) - 10
    if cut < 1 or line[cut : cut + len(_SEAL)] != _SEAL or line[-2:] != b'"}':
        return None
    plain = line[:cut] + b"}"
    return plain if line[-10:-2] == b"%08x" % zlib.crc32(plain) else None


class Journal:
    """The append-only journal of a run that is going on.

    `append` queues; `commit` writes what is queued in one call and syncs when one of the events needs it.
    After a failed write or sync the journal refuses every further call: what is on disk is then unknown.
    """

    def __init__(self, path: Path, run: str, seq: int, size: int) -> None:
        self.path = path
        self.run = run
        self.seq = seq
        self.syncs = 0
        self._queue: list[bytes] = []
        self._sync = False
        self._poisoned = False
        with writing(path):
            self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            if os.fstat(self._handle).st_size != size:
                os.ftruncate(self._handle, size)  # a torn last line never happened
                os.fsync(self._handle)
            if size == 0:
                sync_folder(path.parent)

    def append(self, event: Event) -> None:
        """Queues an event."""
        self.seq = event.seq
        self._queue.append(seal(dump(event.to_json())))
        self._sync = self._sync or event.kind in SYNCED

    def commit(self) -> None:
        """Puts everything queued on disk before anybody acts on it."""
        if not self._queue:
            return
        if self._poisoned:
            raise CannotWrite(
                f"cannot write {self.path}: an earlier write failed", hint="rad-engineer resume"
            )
        data = b"\n".join(self._queue) + b"\n"
        try:
            write_all(self._handle, data)
            if self._sync:
                _sync_data(self._handle)
                self.syncs += 1
        except OSError as error:
            self._poisoned = True
            raise cannot_write(self.path, error) from error
        self._queue.clear()
        self._sync = False

    def close(self) -> None:
        """Commits and closes."""
        if not self._poisoned:
            self.commit()
        os.close(self._handle)


def scan_journal(path: Path) -> Iterator[tuple[Event, int]]:
    """Every event with the offset behind its line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        event = _event(data[start:end]) if end >= 0 else None
        if event is None:
            _refuse_damage(path, data, start, end)
            return
        yield event, end + 1
        start = end + 1


def _event(line: bytes) -> Event | None:
    """The event of a line: as `unseal` does it, but without a copy, because long runs have many lines."""
    if line[-16:-10] != _SEAL or line[-10:] != b'%08x"}' % zlib.crc32(b"}", zlib.crc32(line[:-16])):
        return None
    try:
        fields, _end = _read(line.decode())
        del fields["~"]
        return Event.from_json(fields)
    except (ValueError, KeyError):
        return None


def _refuse_damage(path: Path, data: bytes, start: int, end: int) -> None:
    while end >= 0:
        following = data.find(b"\n", end + 1)
        if following >= 0 and _event(data[end + 1 : following]) is not None:
            raise StateDamaged(
                f"{path} is damaged at byte {start}: a line contradicts its checksum, and good lines follow it",
                hint="keep a copy, then start anew with `run --fresh`: what has landed is on the branch",
            )
        end = following


def state(rundir: RunDir) -> str:
    """new, running, stopped or finished: what `load` says, from the last lines of the journal where they tell."""
    try:
        with rundir.journal.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _TAIL))
            lines = handle.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return "new"
    for line in reversed(lines):
        event = _event(line)
        if event is None:
            break
        if event.kind not in _AFTER_THE_END:
            return fold((event,)).state if event.kind == "run_finished" else "running"
    return load(rundir).state


def load(rundir: RunDir) -> Checkpoint:
    """The state of a run."""
    checkpoint = fold(event for event, _end in scan_journal(rundir.journal))
    checkpoint.run = rundir.run
    return checkpoint


def reopen(rundir: RunDir, tell: Callable[[Event], None] | None = None) -> tuple[Checkpoint, Journal]:
    """The state of a run and its journal, ready to go on behind the last whole line; `tell` hears every event."""
    checkpoint = Checkpoint(run=rundir.run)
    size = 0
    for event, end in scan_journal(rundir.journal):
        checkpoint.apply(event)
        if tell is not None:
            tell(event)
        size = end
    return checkpoint, Journal(rundir.journal, rundir.run, checkpoint.seq, size)


def check_version(data: Mapping[str, Any], path: Path) -> None:
    """Raises StateDamaged where a later version has written the file."""
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise StateDamaged(
            f"{path} has schema_version {version!r}; this version of rad-engineer reads {SCHEMA_VERSION}",
            hint="use the version that wrote it, or start anew with `run --fresh`",
        )
