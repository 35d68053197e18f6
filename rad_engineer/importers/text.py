"""From a path to text: what may be read, links and pointers, byte order marks, encodings."""

import codecs
import json
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from rad_engineer.core.prd import Finding
from rad_engineer.errors import NoInput, PrdInvalid

LIMIT = 50 * 1024 * 1024
_HOPS = 5  # a pointer to a pointer is odd, a longer chain is a loop
_POINTER = re.compile(
    r"\s*@?([\w.~-][\w./~ -]*\.(?:json|md|markdown|example))(?:[ \t]+\S.*)?\s*", re.IGNORECASE
)
_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Decoded(NamedTuple):
    """A file's text, and what is needed to write it back as it was: encoding and byte order mark."""

    text: str
    encoding: str
    mark: bytes
    findings: tuple[Finding, ...] = ()


def read(path: Path, *, shown: str) -> bytes:
    """All bytes of a regular file; never waits for a pipe, never swallows a device or a giant."""
    try:
        _regular(path.stat(), shown)  # before opening: opening a device can do things
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            _regular(os.fstat(handle), shown)
            data = file.read()
    except (OSError, ValueError) as error:
        raise _unreadable(error, shown) from error
    if len(data) > LIMIT:
        raise _too_large(len(data), shown)
    return data


def decode(data: bytes, *, shown: str) -> Decoded:
    """UTF-8, UTF-16 and UTF-32 by their marks, else UTF-8, else CP1252 with a warning; binary is refused."""
    unmarked = (b"", json.detect_encoding(data[:4]) if b"\0" in data[:4] else "utf-8")
    mark, encoding = next((pair for pair in _MARKS if data.startswith(pair[0])), unmarked)
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and not mark and b"\0" not in data:
            return _western(data, error, shown)
        raise _not_text(shown) from error
    if "\0" in text or not (mark or encoding == "utf-8" or text.lstrip()[:1] in ("{", "[")):
        raise _not_text(shown)
    return Decoded(text, encoding, mark)


def _not_text(shown: str) -> PrdInvalid:
    return PrdInvalid(f"{shown}: not a text file", code="ENCODING", hint="name a PRD, saved as UTF-8")


def follow(path: Path, *, root: Path | None, shown: str) -> Path:
    """The file a link stands for; it must stay inside `root`, or in the link's own folder without one."""
    try:
        parent, target = Path(os.path.realpath(path.parent)), Path(os.path.realpath(path))
    except ValueError as error:
        raise _unreadable(error, shown) from error
    if not target.is_relative_to(_area(parent, root)):
        raise PrdInvalid(
            f"{shown}: a link to {target}, outside the repository",
            code="POINTER",
            hint="name the file itself, or move it into the repository",
        )
    return target


def pointer(text: str) -> str | None:
    """The path a one-line file stands for (`../tasks/prd.json`, `@plan/PRD.md do all of it`), else None."""
    if len(text) > 1000:
        return None
    found = _POINTER.fullmatch(text) if "\n" not in text.strip() else None
    return found.group(1).strip() if found else None


def resolve(path: Path, *, root: Path | None, shown: str) -> tuple[Path, Decoded]:
    """Follows links and pointers from `path`; returns the file really read and its text."""
    first = path
    for _ in range(_HOPS):
        path = follow(path, root=root, shown=shown)
        decoded = decode(read(path, shown=shown), shown=shown)
        name = pointer(decoded.text)
        if name is None:
            return path, decoded
        path = inside(path, name, root=root or first.parent, shown=shown)
    raise PrdInvalid(
        f"{shown}: pointers lead in a circle (last: {path})", code="POINTER", hint="name the PRD itself"
    )


def inside(path: Path, name: str, *, root: Path, shown: str) -> Path:
    """The file that `path` names: beside it, or from the top of the repository; never outside."""
    area = _area(Path(os.path.realpath(path.parent)), root)
    candidates = (path.parent / name, area / name)
    for candidate in candidates:
        target = Path(os.path.realpath(candidate))
        if target.is_relative_to(area) and target != path and target.is_file():
            return target
    target = Path(os.path.realpath(candidates[0]))
    problem = "does not exist" if target.is_relative_to(area) else "lies outside the repository"
    raise PrdInvalid(
        f"{shown}: points to {name}, which {'is this file' if target == path else problem}",
        code="POINTER",
        line=1,
        column=1,
        hint="name the PRD itself",
    )


def _area(parent: Path, root: Path | None) -> Path:
    """The folder a link or pointer in `parent` may not leave."""
    top = Path(os.path.realpath(root)) if root else parent
    return top if parent.is_relative_to(top) else parent


def _regular(status: os.stat_result, shown: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        folder = shown or "."  # an empty name is the current folder
        raise PrdInvalid(
            f"{folder}: is a directory", code="NOT_A_FILE", hint=f"name the PRD file in it: {folder}/prd.json"
        )
    if not stat.S_ISREG(status.st_mode):
        raise PrdInvalid(
            f"{shown}: is a pipe, socket or device", code="NOT_A_FILE", hint="save the PRD as a file first"
        )
    if status.st_size > LIMIT:
        raise _too_large(status.st_size, shown)


def _too_large(size: int, shown: str) -> PrdInvalid:
    return PrdInvalid(
        f"{shown}: {size / 1048576:.0f} MB is too large for a PRD (at most {LIMIT // 1048576} MB)",
        code="TOO_LARGE",
        hint="split it into several PRDs that depend on each other",
    )


def _unreadable(error: OSError | ValueError, shown: str) -> NoInput:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NoInput(
            f"{shown}: no such file", hint="check the path; it is relative to the current directory"
        )
    reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return NoInput(f"{shown}: cannot be read: {reason.lower()}", hint="name a file that you can read")


def _western(data: bytes, error: UnicodeDecodeError, shown: str) -> Decoded:
    line = data.count(b"\n", 0, error.start) + 1
    column = error.start - data.rfind(b"\n", 0, error.start)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise PrdInvalid(
            f"{shown}:{line}:{column}: neither UTF-8 nor Windows-1252 text",
            code="ENCODING",
            line=line,
            column=column,
            hint="save the file as UTF-8",
        ) from error
    finding = Finding("cp1252", "not UTF-8: read as Windows-1252; save it as UTF-8", line, column)
    return Decoded(text, "cp1252", b"", (finding,))
