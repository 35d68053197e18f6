"""Our own walk over a working copy: directory descriptors, names and types, before git sees any of it.

A slot is written by strangers. Nothing in here opens a file, follows a link or trusts a path: directories are
opened one inside the other, and everything else is judged by its name and type alone.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from rad_engineer.removal import open_folder, remove

MAX_DEPTH = 200
MAX_PATH = 4_000
MAX_OPEN = 500
IGNORE_FILES = frozenset({".gitignore", ".gitattributes", ".gitmodules"})
MAX_IGNORE_FILE = 64 * 1024
_IGNORABLE = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_DOT_GIT = re.compile(r"(\.git|git~[0-9]+)[ .]*([:\\].*)?", re.IGNORECASE | re.DOTALL)
_NOTHING: frozenset[str] = frozenset()
_WILD = re.compile(r"[*?[]")
_TOKEN = re.compile(r"\*\*/|\*\*|\[!?[^]/]+\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_dot_git(name: str) -> bool:
    """Whether some file system or some git takes this name for `.git`."""
    if "i" not in name and "I" not in name:
        return False
    return _DOT_GIT.fullmatch(_IGNORABLE.sub("", name)) is not None


@dataclass(slots=True)
class Names:
    """What a tree holds: the names in every directory, by the directory's path ("" is the top)."""

    files: dict[str, set[str]] = field(default_factory=dict)
    folders: dict[str, set[str]] = field(default_factory=dict)
    gitlinks: set[str] = field(default_factory=set)

    def add(self, path: str, *, gitlink: bool = False) -> None:
        """Takes in a path."""
        parent, _, name = path.rpartition("/")
        if gitlink:
            self.gitlinks.add(path)
            self.folders.setdefault(parent, set()).add(name)
        else:
            known = self.files.get(parent)
            if known is not None:
                known.add(name)
                return
            self.files[parent] = {name}
        while parent:
            upper, _, name = parent.rpartition("/")
            inside = self.folders.setdefault(upper, set())
            if name in inside:
                return
            inside.add(name)
            parent = upper

    def drop(self, path: str) -> None:
        """Forgets a path, and the directories that are empty without it."""
        parent, _, name = path.rpartition("/")
        if path in self.gitlinks:
            self.gitlinks.discard(path)
            self.folders.get(parent, set()).discard(name)
        else:
            self.files.get(parent, set()).discard(name)
        while parent and not self.files.get(parent) and not self.folders.get(parent):
            self.files.pop(parent, None)
            self.folders.pop(parent, None)
            parent, _, name = parent.rpartition("/")
            self.folders.get(parent, set()).discard(name)

    def has(self, path: str) -> bool:
        """Whether the tree holds this file, or this directory."""
        parent, _, name = path.rpartition("/")
        return name in self.files.get(parent, _NOTHING) or name in self.folders.get(parent, _NOTHING)


class Kept:
    """Paths that stay and are not looked into: exact ones, and globs from the top (`**/` for any depth)."""

    __slots__ = ("_above", "_globs", "_paths", "patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(dict.fromkeys(pattern.strip("/") for pattern in patterns if pattern.strip("/")))
        self._paths = frozenset(self.patterns)
        self._globs = _any_of(pattern for pattern in self.patterns if _WILD.search(pattern))
        self._above = _any_of(above for pattern in self.patterns for above in _above(pattern))

    def __contains__(self, path: str) -> bool:
        return path in self._paths or (self._globs is not None and self._globs.fullmatch(path) is not None)

    def below(self, path: str) -> bool:
        """Whether something that is kept may lie in a directory that is not kept itself."""
        return self._above is not None and self._above.fullmatch(path) is not None


def _above(pattern: str) -> list[str]:
    """The directories on the way to a pattern, as far as it names them."""
    fixed, deep, _rest = pattern.partition("**")
    parts = fixed.rstrip("/").split("/") if deep else pattern.split("/")[:-1]
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1) if parts[0]]


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    found = [_glob(pattern) for pattern in patterns]
    return re.compile("|".join(found), re.DOTALL) if found else None


def _glob(pattern: str) -> str:
    parts = _TOKEN.findall(pattern)
    return "".join(_meaning(part) for part in parts)


def _meaning(token: str) -> str:
    if token in _MEANINGS:
        return _MEANINGS[token]
    if len(token) > 1:
        return token.replace("\\", "\\\\").replace("[!", "[^", 1)
    return re.escape(token)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one story may leave behind."""

    entries: int = 200_000
    file_bytes: int = 100 * 1024**2
    total_bytes: int = 1024**3


@dataclass(slots=True)
class Survey:
    """What a walk saw: files and links that the tree does not have; or why it stopped."""

    new: dict[str, int] = field(default_factory=dict)  # path: bytes
    ignore_files: list[str] = field(default_factory=list)  # over the limit
    problem: str | None = None
    detail: str = ""


class _Stopped(Exception):
    """The walk has seen enough."""


def survey(top: str, names: Names, kept: Kept, bounds: Bounds) -> Survey:
    """Looks through a slot before git does. Directories that their owner cannot read are made readable."""
    found = Survey()
    root = open_folder(top, None)
    try:
        _look(root, "", 1, found, (names, kept, bounds))
    except _Stopped:
        pass
    finally:
        os.close(root)
    return found


def _stop(found: Survey, problem: str, path: str) -> None:
    found.problem = problem
    found.detail = path[:200] + ("…" if len(path) > 200 else "")
    raise _Stopped


def _look(folder: int, path: str, depth: int, found: Survey, told: tuple[Names, Kept, Bounds]) -> None:
    prefix = f"{path}/" if path else ""
    below = _look_at(folder, path, found, told)
    if below and depth > MAX_DEPTH:
        _stop(found, "too-deep", path)
    for name in below:
        inner = open_folder(name, folder)
        try:
            _look(inner, prefix + name, depth + 1, found, told)
        finally:
            os.close(inner)


def _look_at(folder: int, path: str, found: Survey, told: tuple[Names, Kept, Bounds]) -> list[str]:
    """Looks at the entries of one directory; returns the directories in it."""
    names, kept, _bounds = told
    files = names.files.get(path, _NOTHING)
    prefix = f"{path}/" if path else ""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in files and name not in IGNORE_FILES and entry.is_file(follow_symlinks=False):
                continue
            full = prefix + name
            if full == ".git" or full in kept:
                continue
            if len(full) > MAX_PATH:
                _stop(found, "too-deep", full)
            if not entry.is_dir(follow_symlinks=False):
                _judge(entry, full, found, told)
            elif is_dot_git(name):
                _stop(found, "nested-git", full)
            else:
                below.append(name)
    return below


def _judge(entry: "os.DirEntry[str]", full: str, found: Survey, told: tuple[Names, Kept, Bounds]) -> None:
    names, _kept, bounds = told
    is_link = entry.is_symlink()
    if not is_link and not entry.is_file(follow_symlinks=False):
        _stop(found, "special-file", full)
    if is_dot_git(entry.name):
        _stop(found, "nested-git", full)
    size = 0 if is_link else entry.stat(follow_symlinks=False).st_size
    if entry.name in IGNORE_FILES and size > MAX_IGNORE_FILE:
        found.ignore_files.append(full)
    parent = full.rpartition("/")[0]
    if entry.name in names.files.get(parent, _NOTHING):
        return
    found.new[full] = size
    if len(found.new) > bounds.entries:
        _stop(found, "too-many-files", f"more than {bounds.entries} new files")


def clean(top: str, names: Names, kept: Kept, attic: int) -> None:
    """Takes away everything that is not in the tree, save what is kept; what is of another type goes as well."""
    root = open_folder(top, None)
    try:
        _clean(root, "", (names, kept, attic))
    finally:
        os.close(root)


def _clean(folder: int, path: str, told: tuple[Names, Kept, int]) -> None:
    names, kept, attic = told
    files, folders = names.files.get(path, _NOTHING), names.folders.get(path, _NOTHING)
    prefix = f"{path}/" if path else ""
    below: list[str] = []
    unwanted: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in files:
                if not (entry.is_file(follow_symlinks=False) or entry.is_symlink()):
                    unwanted.append(name)
            elif name in folders:
                (below if entry.is_dir(follow_symlinks=False) else unwanted).append(name)
            elif prefix + name not in kept:
                spared = kept.below(prefix + name) and entry.is_dir(follow_symlinks=False)
                (below if spared else unwanted).append(name)
    for name in unwanted:
        remove(name, folder, attic)
    for name in below:
        inner = open_folder(name, folder)
        try:
            _clean(inner, prefix + name, told)
        finally:
            os.close(inner)
        if name not in folders:
            with suppress(OSError):  # something that is kept lies in it
                os.rmdir(name, dir_fd=folder)


def _folders(top: str) -> Iterator[tuple[str, int, list["os.DirEntry[str]"]]]:
    """Every directory of a slot that is not nested absurdly deep: path, descriptor, entries."""
    waiting = [("", open_folder(top, None), 1)]
    try:
        while waiting:
            path, folder, depth = waiting.pop()
            try:
                with os.scandir(folder) as scanned:
                    entries = list(scanned)
                yield path, folder, entries
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
                if depth <= MAX_DEPTH and len(waiting) + len(below) < MAX_OPEN:
                    waiting += [(f"{path}/{name}", open_folder(name, folder), depth + 1) for name in below]
            finally:
                os.close(folder)
    finally:
        for _path, folder, _depth in waiting:
            os.close(folder)


def make_readable(top: str) -> None:
    """Lets the owner read every file; called when git could not."""
    for _path, folder, entries in _folders(top):
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                mode = entry.stat(follow_symlinks=False).st_mode
                if not mode & stat.S_IRUSR:
                    os.chmod(entry.name, stat.S_IMODE(mode) | stat.S_IRUSR, dir_fd=folder)


def largest(top: str) -> tuple[str, int]:
    """The largest file of a slot and its size: the likely reason when git ran into a limit."""
    best = ("", 0)
    for path, _folder, entries in _folders(top):
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                if size > best[1]:
                    best = (f"{path}/{entry.name}".lstrip("/"), size)
    return best
