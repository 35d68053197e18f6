"""Writes "done" into the PRD file: the done fields it already has, byte for byte otherwise, atomically."""

import contextlib
import fcntl
import os
import stat
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from rad_engineer import durable
from rad_engineer.core.prd import Prd
from rad_engineer.errors import CannotWrite, NoInput, PrdInvalid
from rad_engineer.importers import json_edit, text
from rad_engineer.importers.json_edit import Edit

_TRIES = 5


def mark(data: bytes, prd: Prd, changes: Mapping[str, bool]) -> tuple[bytes, list[str]]:
    """The file with these stories done or not done, and the ids of stories that it does not have any more."""
    try:
        decoded = text.decode(data, shown=prd.file)
    except PrdInvalid:
        return data, list(changes)
    made, missing = _edits(decoded.text, prd, changes)
    if not made:
        return data, missing
    return decoded.mark + _applied(decoded.text, made).encode(decoded.encoding), missing


def write(path: Path, prd: Prd, changes: Mapping[str, bool]) -> list[str]:
    """Marks the stories in the file that `path` leads to; returns the ids of stories that are not in it any more.

    The file is read again, and once more when somebody wrote it meanwhile. Raises CannotWrite.
    """
    target = Path(os.path.realpath(path))
    for _ in range(_TRIES):
        try:
            status = target.stat()
            data = text.read(target, shown=prd.file)
        except (FileNotFoundError, NoInput, PrdInvalid):
            return list(changes)
        except OSError as error:
            raise _cannot(prd, error) from error
        changed, missing = mark(data, prd, changes)
        if changed == data or _replace(target, changed, status, prd):
            return missing
    raise CannotWrite(f"{prd.file}: something else keeps writing it", hint="close what edits it and resume")


def _edits(content: str, prd: Prd, changes: Mapping[str, bool]) -> tuple[list[Edit], list[str]]:
    if prd.format == "json":
        return json_edit.edits(content, prd, changes)
    from rad_engineer.importers import markdown, markdown_blocks, markdown_edit  # noqa: PLC0415 - load a parser

    document = markdown_blocks.read_blocks(content)
    if prd.blocks:
        region = markdown.json_region(document)
        return json_edit.edits(content, prd, changes, region=region) if region else ([], list(changes))
    return markdown_edit.edits(document, prd, changes)


def _applied(content: str, made: Sequence[Edit]) -> str:
    pieces: list[str] = []
    at = 0
    for edit in sorted(set(made), key=lambda edit: edit.start):
        pieces += (content[at : edit.start], edit.text)
        at = edit.end
    return "".join([*pieces, content[at:]])


def _replace(target: Path, data: bytes, status: os.stat_result, prd: Prd) -> bool:
    """Puts `data` in the place of the file in one step; False when the file is not the one read any more.

    A file without write permission is replaced too, and keeps its mode: a copy of something read-only is one, and
    who wants no marks says --no-write-back.
    """
    temporary = _temporary(target)
    handle = None
    try:
        handle = _claim(temporary)
        durable.write_all(handle, data)
        os.fchmod(handle, stat.S_IMODE(status.st_mode))
        with contextlib.suppress(OSError):  # only root gives files away
            os.fchown(handle, status.st_uid, status.st_gid)
        os.fsync(handle)
        if _version(target.stat()) != _version(status):
            return False
        temporary.replace(target)
        durable.sync_folder(target.parent)
    except (FileExistsError, FileNotFoundError):
        return False
    except OSError as error:
        raise _cannot(prd, error) from error
    finally:
        if handle is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
            os.close(handle)
    return True


def _temporary(target: Path) -> Path:
    """Always the same for a file, so that what a killed process left is found the next time."""
    return target.with_name(f".rad-engineer-{zlib.crc32(os.fsencode(target.name)):08x}")


def _claim(path: Path) -> int:
    """Makes a new file, locked as long as it is open; one that nobody holds was left by a killed process, and goes.

    Raises FileExistsError where somebody else is writing.
    """
    flags = os.O_EXCL | os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
    except FileExistsError:
        old = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except BlockingIOError:
            raise FileExistsError from None
        finally:
            os.close(old)
        handle = os.open(path, flags, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handle


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _cannot(prd: Prd, error: OSError) -> CannotWrite:
    reason = (error.strerror or str(error)).lower()
    return CannotWrite(
        f"{prd.file}: cannot be written: {reason}", hint="free the disk or the file, then resume"
    )
