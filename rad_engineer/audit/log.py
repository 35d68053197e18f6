"""The writer: records go to disk in the order in which they are told, before the journal relies on them."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import durable, locks, process
from rad_engineer.audit import chain, key
from rad_engineer.audit.chain import Head
from rad_engineer.core import audit

if TYPE_CHECKING:
    from rad_engineer.audit.encryption import Encryption
    from rad_engineer.errors import CannotWrite

FOLDER = "audit"  # in the run directory
USER = "user"
"""The name of the chain for what belongs to no run: what a user trusts, and which key is kept."""

_ROTATE = 8_000_000
_HEAD_SIZE = 512
_PATIENCE = 10.0  # s
_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


def files_of(folder: Path) -> list[Path]:
    """The files of a log, the oldest first; a pipe or a link in the place of one is none."""
    found = (path for path in folder.glob("[0-9]*.jsonl") if path.stem.isdecimal())
    return sorted(path for path in found if path.is_file() and not path.is_symlink())


def head_path(env: Mapping[str, str], run: str) -> Path:
    """Where the end of a run's chain is kept: beside the key, apart from the log."""
    return key.folder(env) / "heads" / run


def open_log(
    folder: Path, run: str, env: Mapping[str, str], *, encrypted: bool = False, rotate: int = _ROTATE
) -> "AuditLog":
    """The log of a run, ready to go on behind its last whole record."""
    own, hidden = key.find_or_make(env), None
    if encrypted:
        from rad_engineer.audit.encryption import Encryption  # noqa: PLC0415 - an extra

        hidden = Encryption(own, run)
    return AuditLog(folder, run, own, head_path(env, run), hidden, rotate)


def of_run(rundir: Path, wanted: str, env: Mapping[str, str] = os.environ) -> "AuditLog | None":
    """The log of the run in that directory, as the setting `audit` wants it; None for `off`."""
    if wanted == "off":
        return None
    log = open_log(rundir / FOLDER, rundir.name, env, encrypted=wanted == "encrypted")
    log.tell({"kind": "opened", "run": rundir.name, "resumed": log.resumed, "key": log.key_id})
    return log


def of_user(record: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> None:
    """Adds a record to the log of what belongs to no run."""
    folder = key.folder(env)
    with durable.writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locks.acquire(folder / "user.lock", _PATIENCE, process.describe_self("audit")):
        log = open_log(folder / USER, USER, env)
        try:
            log.tell(record)
        finally:
            log.close()


def read_head(path: Path, own: bytes) -> Head | None:
    """Where a chain ended when it was last written; None where that is not known, or not by us."""
    try:
        found = json.loads(path.read_bytes())
        head = Head(int(found["seq"]), str(found["mac"]))
        bytes.fromhex(head.mac)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return head if found.get("code") == _head_code(own, path.name, head) else None


def _head_code(own: bytes, run: str, head: Head) -> str:
    _line, signed = chain.line(own, head, {"head": run})
    return signed.mac


class AuditLog:
    """An audit log that is being written. A record that cannot be written stops the run, as the journal does."""

    def __init__(
        self, folder: Path, run: str, own: bytes, head: Path, encryption: "Encryption | None", rotate: int
    ) -> None:
        self.folder = folder
        self.run = run
        self._key = own
        self._encryption = encryption
        self._rotate = rotate
        self._queue: list[bytes] = []
        self._broken: CannotWrite | None = None
        with durable.writing(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            head.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._head_path = head
        known = read_head(head, own)
        found = _last(folder, own, known or chain.beginning(own, run))
        self.head = found.head
        self._number = found.number
        self._size = found.size
        with durable.writing(head):
            self._head_handle = os.open(head, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if known is None and not self.head.seq:
            with durable.writing(head):
                self._write_head()  # first: where nobody knows the end of a chain, somebody has removed it
        self._handle = self._open_file()
        self._sync = _Syncing(self._handle)
        self.resumed = bool(self.head.seq)
        if found.damage or (self.resumed and known is None):
            self.tell(
                {"kind": "damaged", "what": found.damage or "nobody knows any more where the chain ended"}
            )

    @property
    def key_id(self) -> str:
        """By which the key is known again."""
        return chain.key_id(self._key)

    def tell(self, record: Mapping[str, Any], story: str | None = None, attempt: int | None = None) -> None:
        """Queues a record: kind and fields. Raises NotInSchema for what is none."""
        fields = {name: value for name, value in record.items() if name != "kind"}
        checked = audit.record(str(record.get("kind")), fields)
        self._append({"at": round(time.time(), 3), **audit.about(story, attempt), **checked})

    def _append(self, record: dict[str, Any]) -> None:
        if self._encryption is not None:
            record = self._encryption.hide(self.head.seq + 1, record)
        line, self.head = chain.line(self._key, self.head, record)
        self._queue.append(line)
        self._size += len(line) + 1

    def commit(self) -> None:
        """Puts what is queued into the file, and then where the chain ends now. The disk follows at once, beside us."""
        if not self._queue:
            return
        self._refuse()
        data = b"\n".join(self._queue) + b"\n"
        try:
            durable.write_all(self._handle, data)
            if not os.fstat(self._handle).st_nlink:
                raise FileNotFoundError
            self._write_head()
        except OSError as error:
            self._broken = durable.cannot_write(self._path(), error)
            raise self._broken from error
        self._queue.clear()
        self._sync.wake()
        if self._size >= self._rotate:
            self._next_file()

    def close(self) -> None:
        """Commits, and returns when all of it is on the disk."""
        try:
            if self._broken is None:
                self.commit()
            self._sync.end()
            self._refuse()
            with durable.writing(self._head_path):
                os.fsync(self._head_handle)
        finally:
            self._sync.end()
            os.close(self._handle)
            os.close(self._head_handle)

    def _refuse(self) -> None:
        if self._broken is None and self._sync.failed is not None:
            self._broken = durable.cannot_write(self._path(), self._sync.failed)
        if self._broken is not None:
            raise self._broken

    def _path(self) -> Path:
        return self.folder / f"{self._number:04}.jsonl"

    def _open_file(self) -> int:
        path = self._path()
        with durable.writing(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(path, flags, 0o600)
            if os.fstat(handle).st_size != self._size:
                os.ftruncate(handle, self._size)  # a torn last line never happened
                os.fsync(handle)
            if not self._size:
                durable.sync_folder(path.parent)
        return handle

    def _next_file(self) -> None:
        self._sync.end()
        self._refuse()
        os.close(self._handle)
        self._number += 1
        self._size = 0
        self._handle = self._open_file()
        self._sync = _Syncing(self._handle)
        self.tell({"kind": "continued", "file": self._number})
        self.commit()

    def _write_head(self) -> None:
        """In place: it lies within one page, and who reads it torn knows by its code."""
        head = {"run": self.run, "seq": self.head.seq, "mac": self.head.mac}
        code = _head_code(self._key, self._head_path.name, self.head)
        data = durable.dump({**head, "code": code}).ljust(_HEAD_SIZE - 1) + b"\n"
        os.pwrite(self._head_handle, data, 0)


class _Syncing:
    """Syncs a file beside whoever writes it: never two syncs at once, so that one covers what came during the last."""

    def __init__(self, handle: int) -> None:
        self.failed: OSError | None = None
        self._handle = handle
        self._wanted = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        self._wanted.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._go, daemon=True, name="audit")
            with suppress(RuntimeError):  # no thread can be had: what is left is the last sync
                self._thread.start()

    def end(self) -> None:
        """Returns when everything is on the disk; a second time changes nothing."""
        if self._ending:
            return
        self._ending = True
        self._wanted.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()
        self._do()

    def _go(self) -> None:
        while not self._ending:
            self._wanted.wait()
            self._wanted.clear()
            if not self._ending:
                self._do()

    def _do(self) -> None:
        try:
            _sync_data(self._handle)
        except OSError as error:
            self.failed = error


class _Found:
    """Where a log is to be gone on with: the head, the file and its size, and what is wrong with what is there."""

    __slots__ = ("damage", "head", "number", "size")

    def __init__(self, head: Head, number: int, size: int, damage: str = "") -> None:
        self.head = head
        self.number = number
        self.size = size
        self.damage = damage


def _last(folder: Path, own: bytes, head: Head) -> _Found:
    """Looks at the last file only: whether it ends with the head, or goes on from it."""
    files = files_of(folder)
    if not files:
        return _Found(head, 1, 0, f"{head.seq} records are gone" if head.seq else "")
    number = int(files[-1].stem)
    with durable.writing(files[-1]):
        size = files[-1].read_bytes().rfind(b"\n") + 1
    ends_well, after = head.seq == 0, []
    for raw in (raw for file in reversed(files) for raw in _backwards(file.read_bytes())):
        line = chain.read(raw)
        if line is None or line.seq <= head.seq:
            ends_well = line is not None and line.seq == head.seq and line.mac == head.mac
            break
        after.append(line)
    before = head
    for line in reversed(after):
        if not (line.seq == before.seq + 1 and line.follows(own, before.mac)):
            ends_well = False
            break
        before = Head(line.seq, line.mac)
    if ends_well:
        return _Found(before, number, size)
    return _Found(head, number + 1, 0, f"{files[-1].name} does not end as record {head.seq} left it")


def _backwards(data: bytes) -> Iterator[bytes]:
    """The whole lines of a file, the last one first."""
    end = data.rfind(b"\n")
    while end > 0:
        start = data.rfind(b"\n", 0, end) + 1
        yield data[start:end]
        end = start - 1
