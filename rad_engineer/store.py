"""The run directory: what a run has written down.

    .rad-engineer/runs/<run>/run.json                   what was asked for
                             prd/<n>.json|.md           the PRDs as read
                             journal.jsonl              every event, one checksummed line each
                             stories/<story>/checkpoint.json
                             stories/<story>/attempt-<k>/prompt.md, agent.log, gates/<gate>.log, diff.patch
                             report.json report.md run.log

Journal lines end in `,"~":"<crc32>"}`; without that member a line is the plain event. Only the last line may be
bad: it was being written when the run died, so it never happened.
"""

import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.core.checkpoint import Checkpoint, fold
from rad_engineer.core.events import SYNCED, Event
from rad_engineer.core.prd import Prd
from rad_engineer.core.secret_rules import redacted
from rad_engineer.durable import (
    SEAL,
    Irregular,
    StateDamaged,
    cannot_write,
    dump,
    open_regular,
    open_state,
    read_sealed,
    replace,
    seal,
    sync_folder,
    unseal,
    write_all,
    write_sealed,
    writing,
)
from rad_engineer.errors import CannotWrite, NoInput

START_ANEW = "go on with `run PRD… --fresh`: what has landed is on the branch and is not done again"
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
_COMMENT = b"\n<!-- ~ %08x -->\n"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_AFTER_THE_END = frozenset({"note", "story_approved", "story_marked", "story_passed", "story_reopened"})
_TAIL = 1 << 16
PULSE_SECONDS = 5.0
"""A run that goes on replaces its pulse so often."""
_MOMENT = "%Y%m%d-%H%M%S"
_read = json.JSONDecoder().raw_decode


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
    def pulse(self) -> Path:
        """What a run that goes on says of itself: its age tells others that it does."""
        return self.path / "pulse.json"

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
        """The content of run.json; raises StateDamaged where it cannot be believed."""
        try:
            return read_sealed(self.run_json, START_ANEW)
        except FileNotFoundError:
            raise NoInput(f"there is no run {self.run} in {self.path.parent}") from None


def runs_folder(home: Path) -> Path:
    """Where the runs of a repository (or of a shared workspace) are kept."""
    return home / ".rad-engineer" / "runs"


def approvals_folder(home: Path) -> Path:
    """Where a human's approvals are kept, a file each, named by the story's identity."""
    return home / ".rad-engineer" / "approvals"


def runs(home: Path) -> list[RunDir]:
    """All runs, newest first."""
    return runs_in(runs_folder(home))


def runs_in(folder: Path) -> list[RunDir]:
    """All runs of a folder that holds runs, newest first."""
    try:
        names = sorted((entry.name for entry in os.scandir(folder) if entry.is_dir()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [RunDir(folder / name) for name in names if (folder / name / "run.json").exists()]


def new_name(home: Path) -> str:
    """A name for a new run: it sorts behind all that are there, even when the clock was set back; unique."""
    now = time.time()
    newest = next((rundir.run[:15] for rundir in runs(home)), "")
    if newest >= time.strftime(_MOMENT, time.gmtime(now)):
        from calendar import timegm  # noqa: PLC0415 - a clock that was set back is rare, and this takes a while

        with suppress(ValueError):
            now = timegm(time.strptime(newest, _MOMENT)) + 1.0
    return time.strftime(_MOMENT, time.gmtime(now)) + "-" + os.urandom(2).hex()


def make_home(home: Path) -> None:
    """Makes the folder of runs and approvals where it is missing; git ignores all that is in it."""
    top = home / ".rad-engineer"
    top.mkdir(exist_ok=True)
    ignore = top / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def create(home: Path, run: str, content: Mapping[str, Any], prds: Sequence[Prd] = ()) -> RunDir:
    """Makes a run's directory with a copy of its PRDs; it exists for others only once run.json is whole."""
    top = home / ".rad-engineer"
    folder = runs_folder(home) / run
    with writing(top):
        make_home(home)
        folder.mkdir(parents=True)
        (folder / "stories").mkdir()
        (folder / "prd").mkdir()
        for above in (folder.parent, top, home):
            sync_folder(above)
    rundir = RunDir(folder)
    write_sealed(rundir.run_json, {**content, "inputs": keep_prds(rundir, prds)})
    return rundir


def keep_prds(
    rundir: RunDir, prds: Sequence[Prd], kept: Sequence[Mapping[str, Any]] = ()
) -> list[Mapping[str, Any]]:
    """Copies PRDs into the run directory, save those `kept` there; where each came from, and its checksum."""
    found: list[Mapping[str, Any]] = []
    for number, prd in enumerate(prds, 1):
        before = kept[number - 1] if number <= len(kept) else {}
        if before.get("path") != prd.path:
            copy = rundir.prd(number, ".json" if prd.format == "json" else ".md")
            with writing(copy):
                data = Path(prd.path).read_bytes()
            replace(copy, data)
            before = {"file": prd.file, "path": prd.path, "crc": zlib.crc32(data)}
        found.append(before)
    return found


def kept_prd(rundir: RunDir, number: int, entry: Mapping[str, Any]) -> Path:
    """The n-th PRD as it was read; raises StateDamaged where the copy is not what was copied."""
    for copy in (rundir.prd(number, ".json"), rundir.prd(number, ".md")):
        if copy.exists():
            with open_state(copy, START_ANEW) as file:
                if zlib.crc32(file.read()) == entry["crc"]:
                    return copy
            raise StateDamaged(
                f"{copy} is damaged: it contradicts its checksum",
                hint=f"bring back {entry['file']} as it was when it was run: then its copy is not needed",
            )
    raise NoInput(f"the run {rundir.run} has lost its copy of {entry['file']}")


def write_report(rundir: RunDir, document: bytes, text: str) -> None:
    """Writes both forms of the report, each with its checksum at the end."""
    data = redacted(text).encode("utf-8", "replace")
    document = redacted(document.decode()).encode()
    replace(rundir.report_json, seal(document))
    replace(rundir.report_md, data + _COMMENT % zlib.crc32(data))


def read_report(rundir: RunDir, *, json: bool) -> str | None:
    """The report as it was written; None where there is none, or not as it was written any more."""
    path = rundir.report_json if json else rundir.report_md
    try:
        with open_regular(path) as file:
            data = file.read()
    except (FileNotFoundError, Irregular):
        return None
    text = data[: -len(_COMMENT % 0)]
    plain = unseal(data) if json else text if data == text + _COMMENT % zlib.crc32(text) else None
    return None if plain is None else plain.decode()


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
        self._broken: CannotWrite | None = None
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
        if self._broken is not None:
            raise self._broken
        data = b"\n".join(self._queue) + b"\n"
        try:
            write_all(self._handle, data)
            if not os.fstat(self._handle).st_nlink:
                raise FileNotFoundError
            if self._sync:
                _sync_data(self._handle)
                self.syncs += 1
        except OSError as error:
            self._broken = cannot_write(self.path, error)
            raise self._broken from error
        self._queue.clear()
        self._sync = False

    def close(self) -> None:
        """Commits and closes."""
        if self._broken is None:
            self.commit()
        os.close(self._handle)


def scan_journal(path: Path) -> Iterator[tuple[Event, int]]:
    """Every event with the offset behind its line."""
    try:
        with open_state(path, START_ANEW) as file:
            data = file.read()
    except FileNotFoundError:
        return
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        event = _event(data[start:end])
        if event is None:
            _refuse_damage(path, data, start, end)
            return
        yield event, end + 1
        start = end + 1


def _event(line: bytes) -> Event | None:
    """The event of a line: as `unseal` does it, but without a copy, because long runs have many lines."""
    if line[-16:-10] != SEAL or line[-10:] != b'%08x"}' % zlib.crc32(b"}", zlib.crc32(line[:-16])):
        return None
    try:
        fields, _end = _read(line.decode())
        del fields["~"]
        return Event.from_json(fields)
    except (ValueError, KeyError):
        return None


def _refuse_damage(path: Path, data: bytes, start: int, end: int) -> None:
    while (following := data.find(b"\n", end + 1)) >= 0:
        if _event(data[end + 1 : following]) is not None:
            raise StateDamaged(
                f"{path} is damaged at byte {start}: a line contradicts its checksum, and good lines follow it",
                hint=START_ANEW,
            )
        end = following


def state(rundir: RunDir) -> str:
    """new, running, stopped or finished: what `load` says, from the last lines of the journal where they tell."""
    return ending(rundir).state


def ending(rundir: RunDir) -> Checkpoint:
    """The state of a run with its exit code and its end; of a long one nothing else."""
    try:
        with open_state(rundir.journal, START_ANEW) as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - _TAIL))
            lines = handle.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return Checkpoint(run=rundir.run)
    for line in reversed(lines):
        event = _event(line)
        if event is None:
            break
        if event.kind not in _AFTER_THE_END:
            return fold((event,)) if event.kind == "run_finished" else Checkpoint(rundir.run, state="running")
    return load(rundir)


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
