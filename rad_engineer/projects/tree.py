"""The files of somebody's project, read without trust: regular files inside it, of bounded size, and nothing else."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.gates.recognition import read_json

_LARGEST = 2_000_000
_MOST_NAMES = 5_000
_PASSED_OVER = frozenset({
    ".git", ".hg", ".venv", "venv", "env", "node_modules", "vendor", "vendors", "target", "dist", "build", "out",
    ".tox", ".nox", "__pycache__", ".rad-engineer", ".next", "coverage", "site-packages", "third_party",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was found."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Tree:
    """One folder, and what lies in it; everything is read once."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._real = Path(os.path.realpath(top))
        self._read: dict[str, bytes | None] = {}
        self._tables: dict[str, dict[str, Any]] = {}
        self.names = frozenset(self.listing(""))

    def __call__(self, path: str) -> bytes | None:
        """The content of a file; None where there is no regular one of bearable size inside this folder."""
        if path not in self._read:
            self._read[path] = self._content(path)
        return self._read[path]

    def _content(self, path: str) -> bytes | None:
        real = os.path.realpath(self._real / path)
        if not Path(real).is_relative_to(self._real):
            return None
        try:
            return durable.read_regular(Path(real), _LARGEST)
        except (OSError, ValueError):
            return None

    def listing(self, folder: str) -> list[str]:
        """The names of files and folders in a folder inside this one, sorted; none of what tools have made.

        What a link leads to counts if it lies inside too.
        """
        real = Path(os.path.realpath(self._real / folder))
        if not real.is_relative_to(self._real):
            return []
        try:
            with os.scandir(real) as entries:
                found = [entry for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]
                return sorted(
                    entry.name for entry in found if entry.name not in _PASSED_OVER and self._has(entry)
                )
        except OSError:
            return []

    def _has(self, entry: "os.DirEntry[str]") -> bool:
        if not (entry.is_file() or entry.is_dir()):
            return False
        return not entry.is_symlink() or Path(os.path.realpath(entry.path)).is_relative_to(self._real)

    def folders(self, folder: str = "") -> list[str]:
        """The folders directly in one, but no links."""
        return [
            name for name in self.listing(folder)
            if (path := self._real / folder / name).is_dir() and not path.is_symlink()
        ]  # fmt: skip

    def text(self, path: str) -> str:
        """A file as text; empty where there is none."""
        return (self(path) or b"").decode("utf-8", "replace").removeprefix("\ufeff")

    def line(self, path: str, pattern: str, behind: str = "") -> int | None:
        """The first line in which this is found, behind the first place of the other one."""
        start = re.search(behind, self.text(path), re.MULTILINE) if behind else None
        found = re.compile(pattern, re.MULTILINE).search(self.text(path), start.end() if start else 0)
        return self.text(path).count("\n", 0, found.start()) + 1 if found else None

    def source(self, path: str, pattern: str = "") -> Source:
        """A place in a file, with its line where the pattern is found."""
        return Source(path, self.line(path, pattern) if pattern else None)

    def toml(self, path: str) -> dict[str, Any]:
        """A TOML file; empty where there is none that can be read."""
        if path not in self._tables:
            try:
                self._tables[path] = tomllib.loads(self.text(path))
            except (tomllib.TOMLDecodeError, RecursionError, ValueError):
                self._tables[path] = {}
        return self._tables[path]

    def table(self, path: str, *keys: str) -> Mapping[str, Any] | None:
        """A table inside a TOML file; None where there is none."""
        found: Any = self.toml(path)
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def json(self, path: str) -> dict[str, Any]:
        """A JSON file with an object; empty where there is none that can be read."""
        return read_json(self(path))

    def within(self, folder: str) -> "Tree":
        """A folder inside as a tree of its own."""
        return Tree(self.top / folder)
