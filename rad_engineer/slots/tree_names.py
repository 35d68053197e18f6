"""Names in a tree: what it holds in every directory, which paths are kept beside it, and which pass for `.git`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

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
