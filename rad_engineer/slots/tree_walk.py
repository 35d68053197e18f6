"""Our own walk over a working copy: directory descriptors, names and types, before git sees any of it.

A slot is written by strangers. Nothing in here opens a file, follows a link or trusts a path: directories are
opened one inside the other, and everything else is judged by its name and type alone.
"""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from rad_engineer.slots.removal import open_folder, remove
from rad_engineer.slots.tree_names import Kept, Names, is_dot_git

MAX_DEPTH = 200
MAX_PATH = 4_000
MAX_OPEN = 500
_YOUNG = 200_000_000  # ns
IGNORE_FILES = frozenset({".gitignore", ".gitattributes", ".gitmodules"})
MAX_IGNORE_FILE = 64 * 1024
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one story may leave behind."""

    entries: int = 200_000  # that the walk sees, git-ignored ones as well
    files: int = 20_000
    file_bytes: int = 100 * 1024**2
    total_bytes: int = 1024**3


class Seen:
    """Directories that held nothing but their part of the tree when they were last read.

    One whose times have not changed since has the same entries, of the same types, and need not be read again: the
    system changes them with every name that comes, goes or moves, and nobody can turn them back. Times that were
    young when they were read prove nothing, because the clock behind them is coarse.
    """

    __slots__ = ("_folders", "patterns")

    def __init__(self) -> None:
        self.patterns: tuple[str, ...] = ()
        self._folders: dict[str, tuple[_Stamp, tuple[str, ...]]] = {}

    def expect(self, kept: Kept) -> None:
        """Forgets everything when something else is kept from now on."""
        if kept.patterns != self.patterns:
            self.patterns = kept.patterns
            self._folders.clear()

    def below(self, path: str, stamp: "_Stamp") -> tuple[str, ...] | None:
        """The directories in a directory that has not changed; None for one that must be read."""
        found = self._folders.get(path)
        return found[1] if found is not None and found[0] == stamp else None

    def note(self, path: str, stamp: "_Stamp", below: Iterable[str]) -> None:
        """Remembers a directory that was read and had nothing else in it."""
        if stamp[2] < time.time_ns() - _YOUNG:
            self._folders[path] = (stamp, tuple(below))


_Stamp = tuple[int, int, int]


def _stamp(folder: int) -> _Stamp:
    about = os.fstat(folder)
    return about.st_ino, about.st_mtime_ns, about.st_ctime_ns


@dataclass(slots=True)
class Survey:
    """What a walk saw: files and links that the tree does not have; or why it stopped."""

    new: dict[str, int] = field(default_factory=dict)  # path: bytes
    ignore_files: list[str] = field(default_factory=list)  # over the limit
    problem: str | None = None
    detail: str = ""


class _Stopped(Exception):
    """The walk has seen enough."""


@dataclass(frozen=True, slots=True)
class _Told:
    names: Names
    kept: Kept
    bounds: Bounds
    seen: Seen


def survey(top: str, names: Names, kept: Kept, bounds: Bounds, seen: Seen | None = None) -> Survey:
    """Looks through a slot before git does. Directories that their owner cannot read are made readable."""
    found = Survey()
    if seen is None or not set(seen.patterns) <= set(kept.patterns):
        seen = Seen()
    root = open_folder(top, None)
    try:
        _look(root, "", 1, found, _Told(names, kept, bounds, seen))
    except _Stopped:
        pass
    finally:
        os.close(root)
    return found


def _stop(found: Survey, problem: str, path: str) -> None:
    found.problem = problem
    found.detail = path[:200] + ("…" if len(path) > 200 else "")
    raise _Stopped


def _look(folder: int, path: str, depth: int, found: Survey, told: _Told) -> None:
    prefix = f"{path}/" if path else ""
    # An ignore file may have grown without its directory having changed.
    watched = not IGNORE_FILES.isdisjoint(told.names.files.get(path, _NOTHING))
    known = None if watched else told.seen.below(path, _stamp(folder))
    below = _look_at(folder, path, found, told) if known is None else known
    if below and depth > MAX_DEPTH:
        _stop(found, "too-deep", path)
    for name in below:
        inner = open_folder(name, folder)
        try:
            _look(inner, prefix + name, depth + 1, found, told)
        finally:
            os.close(inner)


def _look_at(folder: int, path: str, found: Survey, told: _Told) -> list[str]:
    """Looks at the entries of one directory; returns the directories in it."""
    files = told.names.files.get(path, _NOTHING)
    prefix = f"{path}/" if path else ""
    below = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name in files and name not in IGNORE_FILES and entry.is_file(follow_symlinks=False):
                continue
            full = prefix + name
            if full == ".git" or full in told.kept:
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


def _judge(entry: "os.DirEntry[str]", full: str, found: Survey, told: _Told) -> None:
    is_link = entry.is_symlink()
    if not is_link and not entry.is_file(follow_symlinks=False):
        _stop(found, "special-file", full)
    if is_dot_git(entry.name):
        _stop(found, "nested-git", full)
    size = 0 if is_link else entry.stat(follow_symlinks=False).st_size
    if entry.name in IGNORE_FILES and size > MAX_IGNORE_FILE:
        found.ignore_files.append(full)
    parent = full.rpartition("/")[0]
    if entry.name in told.names.files.get(parent, _NOTHING):
        return
    found.new[full] = size
    if len(found.new) > told.bounds.entries:
        _stop(found, "too-many-files", f"more than {told.bounds.entries} new files")


def clean(top: str, names: Names, kept: Kept, attic: int, seen: Seen | None = None) -> None:
    """Takes away everything that is not in the tree, save what is kept; what is of another type goes as well."""
    seen = Seen() if seen is None else seen
    seen.expect(kept)
    root = open_folder(top, None)
    try:
        _clean(root, "", (names, kept, attic, seen))
    finally:
        os.close(root)


def _clean(folder: int, path: str, told: tuple[Names, Kept, int, Seen]) -> None:
    names, _kept, attic, seen = told
    folders = names.folders.get(path, _NOTHING)
    prefix = f"{path}/" if path else ""
    stamp = _stamp(folder)
    below = seen.below(path, stamp)
    if below is None:
        below, unwanted = _sort_out(folder, path, told)
        for name in unwanted:
            remove(name, folder, attic)
        if not unwanted:
            seen.note(path, stamp, below)
    for name in below:
        inner = open_folder(name, folder)
        try:
            _clean(inner, prefix + name, told)
        finally:
            os.close(inner)
        if name not in folders:
            with suppress(OSError):  # something that is kept lies in it
                os.rmdir(name, dir_fd=folder)


def _sort_out(
    folder: int, path: str, told: tuple[Names, Kept, int, Seen]
) -> tuple[tuple[str, ...], list[str]]:
    """The directories to go on in, and the entries to take away."""
    names, kept, _attic, _seen = told
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
    return tuple(below), unwanted


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
