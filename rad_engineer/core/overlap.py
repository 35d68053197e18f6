"""Keeps stories apart that declare the same files: who holds which path, and who waits for it."""

import re
from functools import lru_cache
from heapq import heappop, heappush
from typing import TypeAlias

_WILD = re.compile(r"[*?\[{]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|\{[^{}/]*\}|.", re.DOTALL)
_DEEPEST = 32
"""Deeper paths are cut: they then overlap a little more than they must."""


_HELD, _WITHIN = "held", "within"
_Place: TypeAlias = tuple[str, str]
"""Where a story is parked: at a held path, or at a folder of its own within which something is held."""


def normal(path: str) -> str:
    """One spelling for a declared path: slashes, no `./`, no trailing `/`; "" is the whole repository."""
    parts = [part for part in path.strip().replace("\\", "/").split("/") if part not in {"", "."}]
    return "/".join(parts[:_DEEPEST])


@lru_cache(maxsize=1 << 16)
def folders(path: str) -> tuple[str, ...]:
    """The folders a path lies in, the top ("") first; the top lies in none."""
    if not path:
        return ()
    return ("", *(path[:at] for at, char in enumerate(path) if char == "/"))


def overlap(one: str, other: str) -> bool:
    """Whether two declared paths (normal spelling, globs allowed) can name the same file."""
    if one == other:
        return True
    wild_one, wild_other = is_glob(one), is_glob(other)
    if wild_one and wild_other:
        return _related(_root(one), _root(other)) and _same_end(one, other)
    if wild_one or wild_other:
        glob, path = (one, other) if wild_one else (other, one)
        root = _root(glob)
        if path == root or path in folders(root):
            return True
        if root not in folders(path):
            return False
        looks_like_folder = "." not in path.rpartition("/")[2]
        return looks_like_folder or _pattern(glob).match(path) is not None
    return _related(one, other)


@lru_cache(maxsize=1 << 16)
def is_glob(path: str) -> bool:
    """Whether the path has a wildcard."""
    return _WILD.search(path) is not None


def _related(one: str, other: str) -> bool:
    return one == other or one in folders(other) or other in folders(one)


def _root(glob: str) -> str:
    """The folder that holds all a glob can name."""
    match = _WILD.search(glob)
    return glob[: match.start()].rpartition("/")[0] if match else glob


def _same_end(one: str, other: str) -> bool:
    """False where two globs ask for different ends, as `*.py` and `*.ts` do."""
    first, second = (re.split(r"[*?\]}]", glob)[-1] for glob in (one, other))
    return "{" in first + second or first.endswith(second) or second.endswith(first)


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """Matches the paths a glob names, and what lies below them."""
    return re.compile("".join(map(_translate, _TOKEN.findall(glob))) + r"(?:/.*)?\Z", re.DOTALL)


_FIXED = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translate(token: str) -> str:
    if token in _FIXED:
        return _FIXED[token]
    if len(token) == 1:
        return re.escape(token)
    return "[^/]*" if token[0] == "{" else "[^/]"


class Claims:
    """The paths that running stories hold. Who finds one taken is parked there and woken when it is free.

    Of several parked at a path only the first is woken; it passes the path on when it does not take it.
    So a file that thousands of stories declare costs each of them one step, not one per story before it.
    Who declares a folder of which something is held waits until nothing of it is.
    """

    def __init__(self) -> None:
        self._paths: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._holder: dict[str, int] = {}
        self._below: dict[str, dict[str, None]] = {}  # folder -> held paths below it
        self._globs: dict[str, None] = {}
        self._parked: dict[_Place, list[int]] = {}  # heaps of ranks
        self._woken: dict[int, _Place] = {}  # rank -> where it was parked

    def conflict(self, files: tuple[str, ...]) -> tuple[str, int] | None:
        """A held path that one of these overlaps, and who holds it."""
        for path in self._normal(files):
            held = self._held(path)
            if held is not None:
                return held, self._holder[held]
        return None

    def claim(self, story: int, files: tuple[str, ...]) -> None:
        """The story holds these paths from now on."""
        for path in self._normal(files):
            self._holder[path] = story
            if is_glob(path):
                self._globs[path] = None
            else:
                for folder in folders(path):
                    self._below.setdefault(folder, {})[path] = None

    def release(self, files: tuple[str, ...]) -> list[int]:
        """Frees these paths; the ranks of those who may try again."""
        woken = []
        for path in self._normal(files):
            self._holder.pop(path, None)
            self._globs.pop(path, None)
            woken += self._wake((_HELD, path))
            if path not in self._below:
                woken += self._wake((_WITHIN, path))
            if is_glob(path):
                continue
            for folder in folders(path):
                below = self._below[folder]
                below.pop(path, None)
                if not below:
                    del self._below[folder]
                    woken += self._wake((_WITHIN, folder))
        return woken

    def park(self, files: tuple[str, ...], rank: int) -> None:
        """Waits until what is in the way is free."""
        for path in self._normal(files):
            held = self._held(path)
            if held is not None:
                within = held != path and path in self._below and not is_glob(path)
                place = (_WITHIN, path) if within else (_HELD, held)
                heappush(self._parked.setdefault(place, []), rank)
                return

    def tried(self, rank: int) -> list[int]:
        """To be told when a woken one has started, was parked again or is out: passes a free path on."""
        place = self._woken.pop(rank, None)
        if place is None or place[1] in self._holder or (place[0] == _WITHIN and place[1] in self._below):
            return []
        return self._wake(place)

    def _normal(self, files: tuple[str, ...]) -> tuple[str, ...]:
        paths = self._paths.get(files)
        if paths is None:
            paths = self._paths[files] = tuple(dict.fromkeys(map(normal, files)))
        return paths

    def _held(self, path: str) -> str | None:
        if path in self._holder:
            return path
        if is_glob(path):
            root = _root(path)
            for folder in (*folders(root), root):
                if folder in self._holder:
                    return folder
            near = self._below.get(root, ())
            return next((held for held in (*near, *self._globs) if overlap(path, held)), None)
        for below in self._below.get(path, ()):
            return below
        for folder in folders(path):
            if folder in self._holder:
                return folder
        return next((glob for glob in self._globs if overlap(path, glob)), None)

    def _wake(self, place: _Place) -> list[int]:
        heap = self._parked.get(place)
        if not heap:
            return []
        rank = heappop(heap)
        if not heap:
            del self._parked[place]
        self._woken[rank] = place
        return [rank]
