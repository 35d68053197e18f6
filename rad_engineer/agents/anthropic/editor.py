"""The tool `str_replace_based_edit_tool` (text_editor_20250728): view, create, str_replace and insert, below the slot."""

import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rad_engineer.agents.anthropic.confinement import inside, shown
from rad_engineer.agents.anthropic.seam import ToolFailed

MOST_BYTES = 4_000_000
_MOST_ENTRIES = 400
_AROUND = 4  # lines shown before and after an edit


def edit(slot: Path, given: Mapping[str, Any]) -> str:
    """Carries out one command of the editor; what it says is for the model."""
    command = given.get("command")
    if not isinstance(command, str) or command not in _COMMANDS:
        raise ToolFailed(f"unknown command {command!r}: view, create, str_replace or insert")
    return _COMMANDS[command](slot, given)


def text_of(given: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    """A text that the model has given; raises ToolFailed."""
    value = given.get(name, default)
    if not isinstance(value, str):
        raise ToolFailed(f"`{name}` must be given, as a string")
    return value


def number_of(given: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """A number that the model has given; raises ToolFailed."""
    value = given.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ToolFailed(f"`{name}` must be given, as an integer")
    return value


def read_text(slot: Path, name: str) -> tuple[Path, str]:
    """The content of a text file; line ends stay what they are."""
    path = inside(slot, name)
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise ToolFailed(f"{name} is a directory")
        if not stat.S_ISREG(about.st_mode):
            raise ToolFailed(f"{name} is not a regular file")
        if about.st_size > MOST_BYTES:
            raise ToolFailed(f"{name} has {about.st_size} bytes: look at parts of it with bash")
        return path, path.read_bytes().decode()
    except UnicodeDecodeError:
        raise ToolFailed(f"{name} is not UTF-8 text: look at it with bash") from None
    except OSError as error:
        raise ToolFailed(f"{name}: {error.strerror}") from None


def numbered(lines: Sequence[str], first: int) -> str:
    """Lines with their numbers, as `cat -n` has them."""
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(lines, first))


def _view(slot: Path, given: Mapping[str, Any]) -> str:
    name = text_of(given, "path")
    path = inside(slot, name)
    if path.is_dir():
        return _listing(slot, path)
    _path, text = read_text(slot, name)
    lines = _lines(text)
    first, last = _range(given.get("view_range"), len(lines))
    return numbered(lines[first - 1 : last], first) or "(the file is empty)"


def _range(wanted: object, count: int) -> tuple[int, int]:
    if wanted is None:
        return 1, count
    if not isinstance(wanted, list) or len(wanted) != 2 or not all(type(end) is int for end in wanted):
        raise ToolFailed("`view_range` must be two line numbers, [first, last]; -1 is the end")
    first, last = wanted[0], count if wanted[1] == -1 else wanted[1]
    if not 1 <= first <= max(1, count) or last < first:
        raise ToolFailed(f"`view_range` {wanted} is not within the {count} lines of the file")
    return first, last


def _listing(slot: Path, folder: Path) -> str:
    """Two levels below a directory, without hidden names, in the order of names."""
    found: list[str] = []
    for entry in _entries(folder):
        found.append(_named(slot, entry))
        if entry.is_dir() and not entry.is_symlink():
            found += [_named(slot, below) for below in _entries(entry)]
    left_out = len(found) - _MOST_ENTRIES
    rest = [f"({left_out} more left out)"] if left_out > 0 else []
    return "\n".join(found[:_MOST_ENTRIES] + rest) or "(the directory is empty)"


def _named(slot: Path, entry: Path) -> str:
    return shown(slot, entry) + ("/" if entry.is_dir() else "")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise ToolFailed(f"{folder.name}: {error.strerror}") from None


def _create(slot: Path, given: Mapping[str, Any]) -> str:
    name, text = text_of(given, "path"), text_of(given, "file_text")
    path = inside(slot, name)
    if path.is_dir():
        raise ToolFailed(f"{name} is a directory")
    there = path.exists()
    _write(name, path, text)
    return f"{name}: {'overwritten' if there else 'created'}, {len(_lines(text))} lines"


def _str_replace(slot: Path, given: Mapping[str, Any]) -> str:
    name = text_of(given, "path")
    old, new = text_of(given, "old_str"), text_of(given, "new_str", default="")
    path, text = read_text(slot, name)
    count = text.count(old) if old else 0
    if count != 1:
        where = [str(number) for number, line in enumerate(text.split("\n"), 1) if old and old in line]
        told = f" (lines {', '.join(where[:20])})" if where else ""
        raise ToolFailed(f"`old_str` is {count} times in {name}{told}: it must be there exactly once")
    start = text.index(old)
    changed = text[:start] + new + text[start + len(old) :]
    _write(name, path, changed)
    line = text.count("\n", 0, start) + 1
    return f"{name}: edited\n{_around(changed, line, new.count(chr(10)))}"


def _insert(slot: Path, given: Mapping[str, Any]) -> str:
    name, after = text_of(given, "path"), number_of(given, "insert_line")
    new = text_of(given, "insert_text", default=given.get("new_str"))
    path, text = read_text(slot, name)
    lines = text.splitlines(keepends=True)
    if not 0 <= after <= len(lines):
        raise ToolFailed(f"`insert_line` {after} is not within 0 and {len(lines)}, the lines of {name}")
    if after and not lines[after - 1].endswith("\n"):
        lines[after - 1] += "\n"
    if not new.endswith("\n") and after < len(lines):
        new += "\n"
    changed = "".join([*lines[:after], new, *lines[after:]])
    _write(name, path, changed)
    return f"{name}: edited\n{_around(changed, after + 1, new.count(chr(10)))}"


def _around(text: str, line: int, more: int) -> str:
    first = max(1, line - _AROUND)
    return numbered(_lines(text)[first - 1 : line + more + _AROUND], first)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _write(name: str, path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise ToolFailed(f"{name} is not a regular file")
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise ToolFailed(f"{name}: {error.strerror}") from None


_COMMANDS: Mapping[str, Callable[[Path, Mapping[str, Any]], str]] = {
    "view": _view,
    "create": _create,
    "str_replace": _str_replace,
    "insert": _insert,
}
