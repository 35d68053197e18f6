"""A patch as values: which files it touches, and which lines it takes out and puts in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

LINK = "120000"
GITLINK = "160000"
_HUNK = re.compile(r"@@ -(\d{1,12})(?:,(\d{1,12}))? \+(\d{1,12})(?:,(\d{1,12}))? @@ ?(.*)")
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-7]{3})')
_MEANT = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_NOWHERE = "/dev/null"


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its number: in the new file where it was added, in the old one where it was removed."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that were changed in one place: `start` in the new file; `section` is the line above that git names with it."""

    removed: tuple[Line, ...]
    added: tuple[Line, ...]
    section: str = ""
    start: int = 0


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file of a patch: A, M, D, R or T. `size` is that of the new file in bytes, where it is known."""

    path: str
    status: str = "M"
    old_path: str = ""
    old_mode: str = ""
    new_mode: str = ""
    hunks: tuple[Hunk, ...] = ()
    binary: bool = False
    size: int | None = None

    @property
    def added(self) -> Iterator[Line]:
        """All lines that are put in."""
        return (line for hunk in self.hunks for line in hunk.added)

    @property
    def removed(self) -> Iterator[Line]:
        """All lines that are taken out."""
        return (line for hunk in self.hunks for line in hunk.removed)

    @property
    def gone(self) -> bool:
        """Whether there is no such file any more."""
        return self.status == "D"


Diff = tuple[FileDiff, ...]


def parse(patch: bytes) -> Diff:
    """The files of a unified diff, as git or `diff -u` writes it; anything else in it is passed over."""
    lines = patch.decode("utf-8", "replace").split("\n")
    found: list[FileDiff] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        bare = line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")
        if line.startswith("diff --git ") or bare:
            file, at = _file(lines, at)
            found.append(file)
        else:
            at += 1
    return tuple(found)


def _file(lines: list[str], at: int) -> tuple[FileDiff, int]:
    """One file from its first line on, and where the next one may begin."""
    file = FileDiff("")
    if lines[at].startswith("diff --git "):
        path = _named_twice(lines[at])
        file, at = FileDiff(path, old_path=path), at + 1
        while at < len(lines) and (taken := _header(file, lines[at])) is not None:
            file, at = taken, at + 1
    if at + 1 < len(lines) and lines[at].startswith("--- ") and lines[at + 1].startswith("+++ "):
        file = _between(file, lines[at][4:], lines[at + 1][4:])
        at += 2
    hunks: list[Hunk] = []
    while at < len(lines) and (head := _HUNK.match(lines[at])):
        hunk, at = _hunk(lines, at + 1, head)
        hunks.append(hunk)
    if any("\0" in line.text for hunk in hunks for line in (*hunk.added, *hunk.removed)):
        file = replace(
            file, binary=True
        )  # as git says; but one such byte hides nothing of what is in the lines
        hunks = [
            replace(hunk, removed=_without_zeros(hunk.removed), added=_without_zeros(hunk.added))
            for hunk in hunks
        ]
    return replace(file, hunks=tuple(hunks)), at


def _without_zeros(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(replace(line, text=line.text.replace("\0", "")) for line in lines)


def _header(file: FileDiff, line: str) -> FileDiff | None:
    """What a line between `diff --git` and the first hunk says; None when it is none of these."""
    word, _, rest = line.partition(" mode ")
    if rest and word in ("new file", "deleted file", "old", "new"):
        old = word in ("old", "deleted file")
        status = {"new file": "A", "deleted file": "D"}.get(word, file.status)
        if word == "new" and file.old_mode[:2] != rest[:2]:
            status = "T"
        changed = replace(file, old_mode=rest) if old else replace(file, new_mode=rest)
        return replace(changed, status=status, old_path="" if status == "A" else file.old_path)
    for start in ("rename from ", "copy from "):
        if line.startswith(start):
            return replace(file, status="R" if start[0] == "r" else "A", old_path=_plain(line[len(start) :]))
    for start in ("rename to ", "copy to "):
        if line.startswith(start):
            return replace(file, path=_plain(line[len(start) :]))
    if line.startswith(("Binary files ", "GIT binary patch")):
        return replace(file, binary=True)
    if line.startswith("index "):
        mode = line.partition(" ")[2].partition(" ")[2]
        return replace(file, old_mode=mode, new_mode=mode) if mode else file
    return file if line.startswith(("similarity ", "dissimilarity ")) else None


def _between(file: FileDiff, old: str, new: str) -> FileDiff:
    """The file with what `---` and `+++` say of it."""
    before, after = (_side(name) for name in (old, new))
    status = "A" if before is None else "D" if after is None else file.status
    path = after or before or ""
    old_path = file.old_path if file.status == "R" else (before or "")
    return replace(file, path=path, old_path=old_path, status=status)


def _side(name: str) -> str | None:
    path = _plain(name if name.startswith('"') else name.partition("\t")[0])
    if path == _NOWHERE:
        return None
    return path[2:] if path[:2] in ("a/", "b/", "i/", "w/", "c/", "o/") else path


def _named_twice(line: str) -> str:
    """The path in `diff --git a/path b/path`, which has it twice unless a rename says otherwise below."""
    names = line[len("diff --git ") :]
    if names.startswith('"'):
        return _plain(names[: len(names) // 2])[2:]
    return names[: len(names) // 2][2:]


def _plain(name: str) -> str:
    """A path as it is: git writes one with unusual characters in quotes."""
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name

    def meant(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 255]) if len(code) == 3 else _MEANT.get(code, code)

    return _ESCAPE.sub(meant, name[1:-1].encode("utf-8")).decode("utf-8", "replace")


def _hunk(lines: list[str], at: int, head: re.Match[str]) -> tuple[Hunk, int]:
    old, new = int(head[1]), int(head[3])
    old_left, new_left = (int(head[group]) if head[group] is not None else 1 for group in (2, 4))
    removed: list[Line] = []
    added: list[Line] = []
    while at < len(lines) and (old_left > 0 or new_left > 0 or lines[at].startswith("\\")):
        mark, text = lines[at][:1], lines[at][1:]
        at += 1
        if mark == "\\":
            continue
        if mark != "+":
            if mark == "-":
                removed.append(Line(old, text))
            old, old_left = old + 1, old_left - 1
        if mark != "-":
            if mark == "+":
                added.append(Line(new, text))
            new, new_left = new + 1, new_left - 1
    return Hunk(tuple(removed), tuple(added), head[5], int(head[3])), at
