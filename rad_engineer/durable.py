"""How files are written and read so that a crash, a full disk or a flipped byte cannot twist them.

A file is replaced whole: temporary file, fsync, rename, fsync of the directory. A sealed one ends in
`,"~":"<crc32>"}`; without that member it is the plain object.
"""

import errno
import json
import os
import stat
import zlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from rad_engineer.errors import OUT_OF_MEANS, CannotWrite, RadError

SCHEMA_VERSION = 1
SEAL = b',"~":"'
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


class StateDamaged(RadError):
    """State on disk contradicts its checksum; nothing was changed."""

    exit_code = CannotWrite.exit_code


class Irregular(OSError):
    """What stands in the place of a file is none: a pipe, a device, a socket or a folder."""


class LaterVersion(StateDamaged):
    """A later version of rad-engineer has written this."""


class writing:  # noqa: N801 - reads as a clause: with writing(path): ...
    """Turns a failed write below `path` into CannotWrite with the free space named; `of_run`: a run is to be resumed."""

    __slots__ = ("of_run", "path")

    def __init__(self, path: Path, *, of_run: bool = True) -> None:
        self.path = path
        self.of_run = of_run

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise cannot_write(self.path, error, of_run=self.of_run) from error


def cannot_write(path: Path, error: OSError, *, of_run: bool = True) -> CannotWrite:
    """The error a user sees when state, or with `of_run` false anything else, cannot be written."""
    if error.errno in OUT_OF_MEANS:
        return CannotWrite(
            f"cannot go on with {path}: {error.strerror}",
            hint="free processes, memory or open files (`ulimit -a`), then: rad-engineer resume",
        )
    if isinstance(error, FileNotFoundError) and of_run:
        return CannotWrite(
            f"cannot write {path}: its folder has been removed",
            hint="what has landed is on the branch; go on with: rad-engineer run PRD",
        )
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        there = path.parent.is_dir()
        why = "no file can be made there" if there else f"there is no folder {path.parent}"
        return CannotWrite(f"cannot write {path}: {why}", hint="make the folder, or name another place")
    free = "unknown"
    with suppress(OSError):
        seen = os.statvfs(path if path.exists() else path.parent)
        free = f"{seen.f_bavail * seen.f_frsize // 1_000_000} MB"
    return CannotWrite(
        f"cannot write {path}: {error.strerror or error} ({free} free)",
        hint=f"make room or mend the permissions, then: {'rad-engineer resume' if of_run else 'run the same command again'}",
    )


def open_regular(path: Path) -> BinaryIO:
    """A file, opened to read; raises Irregular for what is none: a pipe would never end, and nor would a device."""
    if stat.S_ISREG(path.stat().st_mode):  # asked before: opening a device can do things
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return os.fdopen(handle, "rb")
        os.close(handle)
    raise Irregular(errno.EINVAL, "no regular file", str(path))


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file of at most so many bytes; raises OSError for another one, Irregular for what is none."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", str(path))
    return data


def open_state(path: Path, hint: str | None = None) -> BinaryIO:
    """A file of our own, opened to read; raises StateDamaged, with what to do, where something else is in its place."""
    try:
        return open_regular(path)
    except Irregular as error:
        raise StateDamaged(f"{path} is damaged: it is no regular file", hint=hint) from error


def dump(value: Mapping[str, Any]) -> bytes:
    """Compact JSON bytes; surrogates that a PRD smuggled in survive as escapes."""
    return _compact(value).encode()


def write_sealed(path: Path, value: Mapping[str, Any], mode: int = 0o644, *, of_run: bool = True) -> None:
    """Replaces a file with an object that ends in its checksum."""
    replace(path, sealed(value), mode, of_run=of_run)


def sealed(value: Mapping[str, Any]) -> bytes:
    """An object as a sealed file has it."""
    return seal(dump({"schema_version": SCHEMA_VERSION, **value}))


def read_sealed(path: Path, hint: str | None = None) -> dict[str, Any]:
    """The object of a sealed file; raises StateDamaged, with what to do, where it contradicts its checksum."""
    with open_state(path, hint) as file:
        plain = unseal(file.read())
    if plain is None:
        raise StateDamaged(f"{path} is damaged: it contradicts the checksum at its end", hint=hint)
    data: dict[str, Any] = json.loads(plain)
    check_version(data, path)
    return data


def looks_whole(data: bytes) -> bool:
    """Whether a sealed file was written to its end, whatever has become of it since."""
    return SEAL in data[-len(SEAL) - 10 :] or data.endswith(b'"}')


def replace(path: Path, data: bytes, mode: int = 0o644, *, of_run: bool = True) -> None:
    """Replaces a file whole and durably."""
    with writing(path, of_run=of_run):
        os.rename(_beside(path, data, mode), path)  # noqa: PTH104 - one call, no Path made
        sync_folder(path.parent)


def export(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Writes a file that a user has named: nothing else beside it changes, and what is no regular file stays what it is."""
    import tempfile  # noqa: PLC0415 - only commands that write such a file need it

    with writing(path, of_run=False):
        path = Path(os.path.realpath(path))  # a link stays one, and its file is replaced
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if path.exists() and not path.is_file():
            with path.open("wb", buffering=0) as stream:
                write_all(stream.fileno(), data)
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
        try:
            try:
                write_all(handle, data)
                os.fchmod(handle, mode)
                os.fsync(handle)
            finally:
                os.close(handle)
            Path(name).rename(path)
        finally:
            Path(name).unlink(missing_ok=True)  # where it has not taken its place
        sync_folder(path.parent)


def replace_all(files: Mapping[Path, bytes]) -> None:
    """Replaces several files whole and durably, and syncs each folder once. None takes its place before all are written.

    All are on their way to the disk before the first is waited for: one sync of many costs a fifth of many syncs.
    """
    with ExitStack() as opened:
        handles: dict[Path, int] = {}
        for path, data in files.items():
            with writing(path):
                handles[path] = handle = _new(_temporary(path))
                opened.callback(os.close, handle)
                write_all(handle, data)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        for path, handle in handles.items():
            with writing(path):
                os.fsync(handle)
    for path in files:
        with writing(path):
            _temporary(path).rename(path)
    for folder in dict.fromkeys(path.parent for path in files):
        with writing(folder):
            sync_folder(folder)


def _beside(path: Path, data: bytes, mode: int = 0o644) -> Path:
    """A new file beside another one, synced."""
    temporary = _temporary(path)
    handle = _new(temporary, mode)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    return temporary


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _new(path: Path, mode: int = 0o644) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)


def sync_folder(folder: Path) -> None:
    """Makes names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
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
    return b'%b%b%08x"}' % (line[:-1], SEAL, zlib.crc32(line))


def unseal(line: bytes) -> bytes | None:
    """The object without its checksum member; None where they disagree."""
    plain = line[: -len(SEAL) - 10] + b"}"
    return plain if line == seal(plain) else None


def check_version(data: Mapping[str, Any], path: Path) -> None:
    """Raises LaterVersion where this one does not know how the file is written."""
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise LaterVersion(
            f"{path} has schema_version {version!r}; this version of rad-engineer reads {SCHEMA_VERSION}",
            hint="use the version that wrote it, or start anew with `run --fresh`",
        )
