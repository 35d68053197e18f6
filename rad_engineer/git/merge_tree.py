"""Merging two commits in memory, and telling what conflicts."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.git.command import GitFailed, call, run
from rad_engineer.git.repository import Repository

CONFLICT_TEXT = 8_000
_HUNK = re.compile(rb"^<{7} .*?^>{7} [^\n]*\n?", re.MULTILINE | re.DOTALL)
_SHOWN_FILES = 20
_CONTEXT = 200


@dataclass(frozen=True, slots=True)
class Merge:
    """A merged tree; or None, which paths conflict, and how."""

    tree: str | None
    conflict: str = ""
    paths: tuple[str, ...] = ()


def merge(place: Repository | Path, tip: str, commit: str, env: Mapping[str, str] | None = None) -> Merge:
    """Merges a commit with the tip, in a repository or a bare git directory, without touching any work tree."""
    git_dir = place.git_dir if isinstance(place, Repository) else place
    # The user's work tree may be dirty: its .gitattributes must not have a say in what lands.
    alone = {"GIT_WORK_TREE": str(git_dir), **(env or {})}
    arguments = (
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--messages",
        "--end-of-options",
        tip,
        commit,
    )
    code, out, err = call(place, *arguments, env=alone, cwd=git_dir, durable=not env)
    if code not in (0, 1) or not out:
        raise GitFailed(arguments, code, err)
    tree, *rest = out.split(b"\0")
    if code == 0:
        return Merge(os.fsdecode(tree))
    end = rest.index(b"") if b"" in rest else len(rest)
    raw_paths = list(dict.fromkeys(rest[:end]))
    messages = _messages(rest[end + 1 :])
    conflict = _describe(place, os.fsdecode(tree), raw_paths, messages, alone)
    return Merge(None, conflict, tuple(os.fsdecode(path) for path in raw_paths))


def _messages(parts: list[bytes]) -> list[str]:
    """The sentences of git about what it could not merge, without the paths and types in front of them."""
    found = []
    position = 0
    while position < len(parts) and parts[position].isdigit():
        position += 1 + int(parts[position])
        kind, sentence = (*parts[position : position + 2], b"", b"")[:2]
        if not kind.startswith(b"Auto-merging"):
            found.append(sentence.decode("utf-8", "replace").strip())
        position += 2
    return found


def _describe(
    place: Repository | Path, tree: str, paths: list[bytes], messages: list[str], env: Mapping[str, str]
) -> str:
    lines = ["\n".join(messages)]
    asked = [path for path in paths if b"\n" not in path][:_SHOWN_FILES]
    names = b"".join(tree.encode() + b":" + path + b"\n" for path in asked)
    blobs = run(place, "cat-file", "--batch", data=names, env=env)
    for path, content in zip(asked, _contents(blobs), strict=False):
        hunks = _HUNK.findall(content)
        if hunks:
            shown = b"\n".join(hunks).decode("utf-8", "replace")
            lines.append(f"--- {os.fsdecode(path)}\n{shown}")
    whole = "\n".join(lines).encode("utf-8", "replace").decode()
    if len(whole.encode()) <= CONFLICT_TEXT:
        return whole
    return whole.encode()[: CONFLICT_TEXT - _CONTEXT].decode("utf-8", "ignore") + "\n[the rest is left out]\n"


def _contents(output: bytes) -> list[bytes]:
    """What cat-file --batch answered; b"" for what is not a file."""
    found = []
    while output:
        header, _, output = output.partition(b"\n")
        words = header.split(b" ")
        if len(words) < 3 or not words[-1].isdigit():
            found.append(b"")
            continue
        size = int(words[-1])
        found.append(output[:size] if words[-2] == b"blob" else b"")
        output = output[size + 1 :]
    return found
