"""Trees, each read once: what differs between two of them, and the tree of a commit."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.git.objects import Reader, read_loose

GITLINK = "160000"
TREE = "040000"
_REGULAR = "100"
_MOST = 10_000  # trees that are remembered

_Entry = tuple[bytes, bytes]
Entries = dict[bytes, _Entry]
"""What a tree holds: mode and object by name, as the bytes that git has for them."""
_ENTRIES = {
    width: re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % width, re.DOTALL) for width in (20, 32)
}  # of an object's name


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that two trees do not agree on: A, M, D or T."""

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_object: str
    new_object: str


class Trees:
    """The trees of a git directory, of objects elsewhere, and of quarantines: a name never changes its meaning."""

    def __init__(self, git_dir: Path, also: Path) -> None:
        self._stores = (also, git_dir / "objects")
        self._reader = Reader(git_dir, also)
        self._known: dict[str, Entries] = {}
        self._of_commit: dict[str, str] = {}

    def read(self, name: str, quarantine: Path | None = None) -> tuple[str, bytes]:
        """An object's kind and content."""
        stores = self._stores if quarantine is None else (quarantine, *self._stores)
        return read_loose(stores, name) or self._reader.read(name)

    def tree_of(self, name: str, quarantine: Path | None = None) -> str:
        """The tree of a commit; a tree is its own."""
        found = self._of_commit.get(name)
        if found is None:
            if name in self._known:
                return name
            kind, body = self.read(name, quarantine)
            found = body[5 : body.index(b"\n")].decode("ascii") if kind == "commit" else name
            self._of_commit[name] = found
        return found

    def differences(
        self, old: str, new: str, quarantine: Path | None = None, *, trees: bool = False
    ) -> list[Difference]:
        """What differs between two trees or commits; with the directories on the way, if wanted."""
        waiting = [("", self.tree_of(old, quarantine), self.tree_of(new, quarantine))]
        found = []
        while waiting:
            prefix, one, two = waiting.pop()
            before, after = self._entries(one, quarantine), self._entries(two, quarantine)
            for name in {name for name, _entry in before.items() ^ after.items()}:
                path = prefix + os.fsdecode(name)
                for entry in _differences(path, before.get(name, _NONE), after.get(name, _NONE)):
                    is_tree = TREE in (entry.old_mode, entry.new_mode)
                    if is_tree:
                        waiting.append((f"{entry.path}/", entry.old_object, entry.new_object))
                    if trees or not is_tree:
                        found.append(entry)
        return sorted(found, key=_place)

    def _entries(self, name: str, quarantine: Path | None) -> Entries:
        if not name:
            return {}
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[name] = parse(self.read(name, quarantine)[1], len(name) // 2)
        return found


_NONE: _Entry = (b"", b"")


def _differences(path: str, old: _Entry, new: _Entry) -> list[Difference]:
    """A file that became a directory, or the other way round, has gone, and something new has come."""
    old_mode, new_mode = (mode.decode("ascii").rjust(6, "0") for mode, _name in (old, new))
    if _NONE not in (old, new) and (old_mode == TREE) != (new_mode == TREE):
        return [*_differences(path, old, _NONE), *_differences(path, _NONE, new)]
    status = "M" if old_mode == new_mode or old_mode[:3] == new_mode[:3] == _REGULAR else "T"
    if old is _NONE or new is _NONE:
        status = "A" if old is _NONE else "D"
    return [Difference(status, path, old_mode, new_mode, old[1].hex(), new[1].hex())]


def _place(entry: Difference) -> tuple[str, str]:
    return entry.path, entry.status


def parse(body: bytes, width: int) -> Entries:
    """The entries of a tree object; `width` is the length of an object's name in bytes."""
    return {name: (mode, found) for mode, name, found in _ENTRIES[width].findall(body)}
