"""The configuration that fits what was detected: as a new file, or as lines added to the one there is."""

import difflib
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rad_engineer.errors import ConfigInvalid
from rad_engineer.projects import toml_edit
from rad_engineer.projects.candidates import Candidate
from rad_engineer.projects.configuration import Target
from rad_engineer.projects.detection import Detected
from rad_engineer.settings_values import toml_key, toml_text

_TABLES = {"build": "final_gates"}  # it is slow, and what is judged by it seldom breaks


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting that is proposed: its way in the file, and why."""

    path: tuple[str, ...]
    value: str | tuple[str, ...]
    why: str

    @property
    def key(self) -> str:
        """As it is written in one line."""
        return ".".join(map(toml_key, self.path))


@dataclass(frozen=True, slots=True)
class Proposal:
    """The text with all that can be added, and what was left as it is or could not be added, with the reason."""

    before: str
    after: str
    added: tuple[Entry, ...]
    kept: tuple[tuple[Entry, str], ...]
    impossible: tuple[tuple[Entry, str], ...]

    def diff(self, name: str) -> str:
        """What would change, as a unified diff; empty when nothing does."""
        before, after = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        lines = difflib.unified_diff(before, after, f"{name} (as it is)", f"{name} (proposed)", n=2)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ no line end\n" for line in lines)


def named(found: Sequence[Candidate]) -> Iterator[tuple[str, Candidate]]:
    """Every gate with a name of its own: its kind, and the language or folder where there are several."""
    kinds = [each.kind for each in found]
    taken: set[str] = set()
    for each in found:
        name: str = each.kind
        if kinds.count(each.kind) > 1:
            name = f"{each.kind}-{(each.folder or each.language).replace('/', '-')}"
        while name in taken:
            name += "-2"
        taken.add(name)
        yield name, each


def entries(found: Detected) -> Iterator[Entry]:
    """What would be configured: gates, and what prepares a working copy."""
    for name, each in named(found.gates):
        yield Entry((_TABLES.get(each.kind, "gates"), name), each.line, ", ".join(map(str, each.sources)))
    if found.setup is not None:
        why = ", ".join(map(str, found.setup.sources))
        yield Entry(("workspace", "setup"), found.setup.command, why)
        yield Entry(("workspace", "keep"), found.setup.keep, why)


def propose(aim: Target, found: Detected) -> Proposal:
    """Adds what the file does not have; raises ConfigInvalid where it is no TOML."""
    try:
        data: Any = toml_edit.parse(aim.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigInvalid(f"{aim.path}: {error}", hint="the file is not valid TOML") from None
    for part in aim.table:
        data = data.get(part, {}) if isinstance(data, dict) else {}
    text, added, kept, impossible = aim.text, [], [], []
    for entry in entries(found):
        if why := _there(data, entry):
            kept.append((entry, why))
            continue
        try:
            edit = toml_edit.addition(text, (*aim.table, *entry.path), toml_text(entry.value))
        except toml_edit.Unsafe as error:
            impossible.append((entry, str(error)))
            continue
        text = edit.applied(text)
        added.append(entry)
    return Proposal(aim.text, text, tuple(added), tuple(kept), tuple(impossible))


def _there(data: Any, entry: Entry) -> str:
    """Why a setting is not needed: the file has it, or has the same gate by another name."""
    table = data.get(entry.path[0]) if isinstance(data, dict) else None
    if not isinstance(table, dict):
        return ""
    if entry.path[1] in table:
        mine = table[entry.path[1]]
        same = mine == entry.value or mine == list(entry.value)
        return (
            "it is there"
            if same
            else f"it is {toml_text(mine) if isinstance(mine, str | list) else 'set'} there"
        )
    if entry.path[0] == "workspace":
        return ""
    others = {value: name for gates in ("gates", "final_gates") for name, value in _items(data.get(gates))}
    return f"it is there as `{others[entry.value]}`" if entry.value in others else ""


def _items(table: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(table, dict):
        yield from ((name, value) for name, value in table.items() if isinstance(value, str))
