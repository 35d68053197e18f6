"""What an agent may do: whatever it names lies in the slot. Commands cannot be judged by their text; the sandbox holds those."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.agents.anthropic.confinement import created, opened, shown
from rad_engineer.agents.anthropic.seam import ToolFailed

_LARGEST = 10_000_000  # bytes of a file that an agent may have read to it
_NAMES_A_PATH = frozenset(
    ("path", "paths", "file", "file_path", "filePath", "filepath", "filename", "target_file", "absolute_path",
     "notebook_path", "directory", "dir_path", "parentDir", "parent_dir", "cwd", "workdir")
)  # fmt: skip
_YES, _NO = ("allow_once", "allow_always"), ("reject_once", "reject_always")


@dataclass(frozen=True, slots=True)
class Answer:
    """Which option is chosen, if there is a fitting one, and the path that speaks against it."""

    option: str | None
    outside: str = ""


def permission(slot: Path, call: Mapping[str, Any], options: Sequence[tuple[str, str]]) -> Answer:
    """The answer to a request for permission; `options` are pairs of an id and a kind.

    Leave is given for this once: who has it for ever does not ask again when the next file lies elsewhere.
    """
    outside = next((path for path in _named(call) if not _within(slot, path)), "")
    wanted = _NO if outside else _YES
    return Answer(next((name for kind in wanted for name, its in options if its == kind), None), outside)


def _named(call: Mapping[str, Any]) -> Iterator[str]:
    """The paths that a tool call names: its places, its diffs, and what its input calls a path."""
    for part in (*(call.get("locations") or ()), *(call.get("content") or ())):
        if isinstance(part.get("path"), str):
            yield part["path"]
    given = call.get("rawInput")
    for name, value in given.items() if isinstance(given, dict) else ():
        if name in _NAMES_A_PATH:
            yield from (
                path for path in (value if isinstance(value, list) else [value]) if isinstance(path, str)
            )


def _within(slot: Path, path: str) -> bool:
    try:
        name = within(slot, path)
        with suppress(OSError):  # not there, or not for us: whether it may be used is for who uses it
            os.close(opened(slot, name))
    except ToolFailed:
        return False
    return True


def within(slot: Path, path: str) -> str:
    """A file that is named absolutely, as the protocol wants it, by its name in the slot; raises ToolFailed outside it."""
    for top in (str(slot), os.path.realpath(slot)):
        if path == top or path.startswith(top + os.sep):
            return shown(path[len(top) :].lstrip(os.sep) or ".")
    return shown(path or ".")


def read(slot: Path, path: str, line: int | None, limit: int | None) -> str:
    """The text of a file in the slot, or `limit` lines of it from `line` (1 is the first); raises ToolFailed, OSError."""
    with os.fdopen(_plain(opened(slot, within(slot, path)), path), "rb") as handle:
        data = handle.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ToolFailed(f"{path!r} has more than {_LARGEST} bytes")
    text = data.decode("utf-8", "replace")
    if line is None and limit is None:
        return text
    first = max(line or 1, 1) - 1
    lines = text.splitlines(keepends=True)
    return "".join(lines[first : None if limit is None else first + limit])


def write(slot: Path, path: str, text: str) -> None:
    """Puts a file into the slot, with the folders that it needs; raises ToolFailed, OSError."""
    with os.fdopen(_plain(created(slot, within(slot, path)), path), "wb") as handle:
        handle.truncate()
        handle.write(text.encode("utf-8", "replace"))


def _plain(handle: int, path: str) -> int:
    """A plain file: one that never ends, or that waits for a reader, would hold up everything."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ToolFailed(f"{path!r} is not a file")
    return handle
