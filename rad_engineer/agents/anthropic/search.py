"""The tools that only look: `read`, `glob` and `grep`, below the slot, their answers in the order of names."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rad_engineer import process
from rad_engineer.agents.anthropic.confinement import opened, shown
from rad_engineer.agents.anthropic.editor import number_of, numbered, read_text, text_of
from rad_engineer.agents.anthropic.seam import ToolFailed

_MOST_FOUND = 500
_MOST_OF_A_FILE = 200
_MOST_LOOKED_AT = 200_000
_SECONDS = 20.0
_LONGEST_LINE = 300
_LEFT_ALONE = (".git", "node_modules", "__pycache__", ".venv")


def read(slot: Path, given: Mapping[str, Any]) -> str:
    """Lines of a text file, numbered."""
    first = number_of(given, "offset", default=1)
    count = number_of(given, "limit", default=2000)
    lines = read_text(slot, text_of(given, "path")).splitlines()
    if first < 1 or count < 1:
        raise ToolFailed("`offset` and `limit` count from 1")
    taken = lines[first - 1 : first - 1 + count]
    rest = len(lines) - (first - 1 + len(taken))
    more = f"\n({rest} more lines)" if rest > 0 else ""
    return (numbered(taken, first) or f"(nothing: the file has {len(lines)} lines)") + more


def glob(slot: Path, given: Mapping[str, Any]) -> str:
    """Files whose paths match a pattern; `**` crosses folders."""
    pattern = text_of(given, "pattern")
    folder = text_of(given, "path", default=".")
    top = _opened(slot, folder, os.O_RDONLY | os.O_DIRECTORY)
    found = []
    try:
        for path in _files(top):
            if _matches(path, pattern):
                found.append(_joined(folder, path))
            if len(found) > _MOST_FOUND:
                break
    finally:
        os.close(top)
    more = ["(more were left out)"] if len(found) > _MOST_FOUND else []
    return "\n".join([*sorted(found)[:_MOST_FOUND], *more]) or "(no file matches)"


def grep(slot: Path, given: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Lines that match an extended regular expression, as `path:line:text`."""
    pattern = text_of(given, "pattern")
    where = text_of(given, "path", default=".")
    only = text_of(given, "glob", default="")
    argv = ["grep", "-rnIHE", "-m", str(_MOST_OF_A_FILE), *(f"--exclude-dir={name}" for name in _LEFT_ALONE)]
    argv += [f"--include={only}"] if only else []
    code, out, err = _grep([*argv, "-e", pattern], slot, where, {**env, "LC_ALL": "C.UTF-8"})
    if code > 1 and not out:
        raise ToolFailed(f"grep: {err.decode('utf-8', 'replace').strip()[:500]}")
    lines = out.decode("utf-8", "replace").splitlines()
    lines.sort(key=_place)
    more = [f"({len(lines) - _MOST_FOUND} more left out)"] if len(lines) > _MOST_FOUND else []
    if code > 1:
        more.append(f"({err.decode('utf-8', 'replace').strip()[:500]})")
    if max(Counter(_place(line)[0] for line in lines).values(), default=0) >= _MOST_OF_A_FILE:
        more.append(f"(of each file, what follows after {_MOST_OF_A_FILE} lines is left out)")
    return "\n".join([line[:_LONGEST_LINE] for line in lines[:_MOST_FOUND]] + more) or "(no line matches)"


def _grep(argv: list[str], slot: Path, where: str, env: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Looks through what we hold open: a folder that grep finds at a name may be another one by then."""
    top = _opened(slot, where, os.O_RDONLY)
    try:
        if stat.S_ISDIR(os.fstat(top).st_mode):
            here = Path(f"/proc/{os.getpid()}/fd/{top}")
            code, out, err = process.capture([*argv, "--", "."], env=env, cwd=here, timeout=_SECONDS)
            lines = (os.fsencode(_joined(where, os.fsdecode(line[2:]))) for line in out.splitlines())
            return code, b"\n".join(lines), err
    finally:
        os.close(top)
    label = f"--label={shown(where)}"
    data = read_text(slot, where).encode()
    return process.capture([*argv, label, "--", "-"], env=env, cwd=slot, input=data, timeout=_SECONDS)


def _opened(slot: Path, name: str, flags: int) -> int:
    try:
        return opened(slot, name, flags)
    except OSError as error:
        raise ToolFailed(f"{name}: {error.strerror}") from None


def _joined(folder: str, path: str) -> str:
    top = shown(folder)
    return path if top == "." else f"{top}/{path}"


def _place(line: str) -> tuple[str, int]:
    path, _, rest = line.partition(":")
    number = rest.partition(":")[0]
    return path, int(number) if number.isdecimal() else 0


def _files(top: int) -> Iterator[str]:
    """Paths below an open folder; no link is followed, whatever becomes one meanwhile."""
    looked_at = 0
    for folder, names, files, _descriptor in os.fwalk(".", dir_fd=top):
        names[:] = sorted(name for name in names if name not in _LEFT_ALONE)
        for name in sorted(files):
            looked_at += 1
            if looked_at > _MOST_LOOKED_AT:
                return
            yield os.path.join(folder, name)[2:]  # noqa: PTH118 - many


def _matches(path: str, pattern: str) -> bool:
    """Whether a relative path matches; a pattern without `/` is one for names, as in .gitignore."""
    if "/" not in pattern:
        return fnmatchcase(path.rpartition("/")[2], pattern)
    return _parts_match(path.split("/"), pattern.removeprefix("./").split("/"))


def _parts_match(path: list[str], pattern: list[str]) -> bool:
    """Walks both from the left; what `**` may cover is tried once for each rest of the path."""
    reached = {0}
    for number, part in enumerate(pattern):
        last = number == len(pattern) - 1
        if part == "**":
            reached = set(range(min(reached), len(path) + (1 if last else 0)))
        else:
            reached = {at + 1 for at in reached if at < len(path) and fnmatchcase(path[at], part)}
        if not reached:
            return False
    return len(path) in reached
