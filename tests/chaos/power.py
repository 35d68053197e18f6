"""What a run did to the disk, as the shim recorded it, and the disk as a power cut at any point would leave it."""

import os
import random
import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cchii4xqqq")


@dataclass(frozen=True)
class Operation:
    """W content, S content made durable, D folder made durable, C create, F make folder, M move, L link, U unlink,
    A told to the user."""

    kind: str
    path: str
    other: str
    inode: int
    data: bytes


@dataclass(eq=False)
class Node:
    """A file or folder: as it is in memory, and as it is on the disk for sure."""

    folder: bool = False
    live: bytes = b""
    kept: bytes = b""
    live_names: dict[str, "Node"] = field(default_factory=dict)
    kept_names: dict[str, "Node"] = field(default_factory=dict)


def read_log(path: Path) -> Iterator[Operation]:
    """The recorded operations, in the order in which they happened."""
    data = path.read_bytes()
    at = 0
    while at < len(data):
        mark, kind, _role, one, two, inode, _at, size = _HEAD.unpack_from(data, at)
        assert mark == b"R"
        at += _HEAD.size
        path_one, path_two = data[at : at + one], data[at + one : at + one + two]
        content = data[at + one + two : at + one + two + size]
        at += one + two + size
        yield Operation(kind.decode(), os.fsdecode(path_one), os.fsdecode(path_two), inode, content)


class Disk:
    """A folder before a run, and what becomes of it operation by operation."""

    def __init__(self, top: Path) -> None:
        self.top = str(top)
        self.inodes: dict[int, Node] = {}
        self.root = self._read(top)
        self.told = b""

    def _read(self, place: Path) -> Node:
        node = Node(folder=place.is_dir())
        self.inodes[place.lstat().st_ino] = node
        if node.folder:
            found = {path.name: self._read(path) for path in place.iterdir() if not path.is_symlink()}
            node.live_names, node.kept_names = found, dict(found)
        else:
            node.live = node.kept = place.read_bytes()
        return node

    def _find(self, path: str) -> Node | None:
        node: Node | None = self.root
        for name in os.path.relpath(os.path.normpath(path), self.top).split("/"):
            if name != ".":
                node = node.live_names.get(name) if node is not None else None
        return node

    def _above(self, path: str) -> tuple[dict[str, Node], str]:
        folder, name = os.path.split(os.path.normpath(path))
        found = self._find(folder)
        return ({} if found is None else found.live_names), name

    def apply(self, done: Operation) -> None:
        """One operation happens."""
        if done.kind == "A":
            self.told += done.data
        elif not done.path.startswith(self.top):
            return
        elif done.kind in "CF":
            names, name = self._above(done.path)
            names[name] = self.inodes[done.inode] = Node(folder=done.kind == "F")
        elif done.kind in "WS":
            node = self.inodes.get(done.inode)
            if node is not None:
                node.live = done.data
                node.kept = done.data if done.kind == "S" else node.kept
        elif done.kind == "D":
            node = self.inodes[done.inode]
            node.kept_names = dict(node.live_names)
        else:
            self._name(done)

    def _name(self, done: Operation) -> None:
        names, name = self._above(done.path)
        node = names.get(name)
        if done.kind in "MU":
            names.pop(name, None)
        if done.kind in "ML" and node is not None:
            names, name = self._above(done.other)
            names[name] = node

    def files(self) -> dict[str, bytes]:
        """Every file as it is in memory."""
        return dict(_files(self.root, self.top))

    def cut(self, chance: random.Random | None, modes: Mapping[str, int]) -> None:
        """Leaves on the real disk what a power cut leaves: only what was synced, or by chance more than that.

        `modes` are the files that not everybody may read: nobody records how they were made.
        """
        for path in Path(self.top).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _leave(self.root, self.top, chance, modes)


def modes(folder: Path) -> dict[str, int]:
    """The modes of the files below a folder."""
    return {str(path): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


def _files(node: Node, path: str) -> Iterator[tuple[str, bytes]]:
    for name, child in node.live_names.items():
        yield from _files(child, f"{path}/{name}") if child.folder else [(f"{path}/{name}", child.live)]


def _leave(node: Node, path: str, chance: random.Random | None, modes: Mapping[str, int]) -> None:
    if not node.folder:
        Path(path).write_bytes(_content(node, chance))
        Path(path).chmod(modes.get(path, 0o755 if node.live.startswith(b"#!") else 0o644))
        return
    Path(path).mkdir(exist_ok=True)
    names = node.live_names if chance is not None and chance.random() < 0.5 else node.kept_names
    for name, child in names.items():
        _leave(child, f"{path}/{name}", chance, modes)


def _content(node: Node, chance: random.Random | None) -> bytes:
    if chance is None or node.live == node.kept:
        return node.kept
    safe = (
        len(node.kept) if node.live.startswith(node.kept) else 0
    )  # what was only appended to is still there
    part = node.live[: chance.randint(safe, len(node.live))]
    return chance.choice((node.kept, node.live, part, node.live[:safe] + bytes(len(node.live) - safe)))
