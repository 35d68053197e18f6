"""Are programs inside a box those that the user has? A gate that finds another python3 makes every story unverified."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from rad_engineer import process
from rad_engineer.gates import Gate, shell
from rad_engineer.sandbox import Box
from rad_engineer.worker.workplace import gate_environment

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_SECONDS = 60.0
_ASK = r"""
for word; do
  printf '%s\t%s\t%s\n' "$word" "$(command -v -- "$word")" "$("$word" --version 2>/dev/null </dev/null | head -n 1)"
done
"""
_Told = dict[str, tuple[str, str]]


def differences(gates: Sequence[Gate], box: Box, user: Mapping[str, str], cwd: Path) -> list[str]:
    """What is wrong with the programs that gates begin with, each with the grant that mends it."""
    env = gate_environment(user)
    words = _words(gates, env.get("PATH", os.defpath))
    if not words:
        return []
    asked = ["sh", "-c", _ASK, "sh", *words]
    _, out, _ = process.capture(asked, env=env, cwd=Path("/"), timeout=_SECONDS)
    limits = process.Limits(seconds=_SECONDS)
    ended = box.run(asked, cwd=cwd, env=env, limits=limits)
    outside, inside = _read(out.decode("utf-8", "replace")), _read(ended.output)
    return [
        _told(word, outside[word], inside.get(word, ("", "")))
        for word in words
        if word in outside and outside[word] != inside.get(word)
    ]


def _words(gates: Sequence[Gate], path: str) -> list[str]:
    """The first words of their commands that a search finds: what the project brings along is the same anywhere."""
    found: dict[str, None] = {}
    for gate in gates:
        for command in shell.flattened(gate.command):
            word = command.words[0] if command.words else ""
            if _PLAIN.fullmatch(word) and shutil.which(word, path=path):
                found[word] = None
    return list(found)


def _read(text: str) -> _Told:
    rows = (line.split("\t", 2) for line in text.splitlines())
    return {row[0]: (row[1], row[2].strip()) for row in rows if len(row) == 3}


def _told(word: str, outside: tuple[str, str], inside: tuple[str, str]) -> str:
    def named(about: tuple[str, str]) -> str:
        return " ".join(filter(None, (about[0] or "not there", about[1] and f"({about[1]})")))

    folder = Path(os.path.realpath(outside[0])).parent
    top = folder.parent if folder.name in ("bin", "sbin") else folder
    return f'`{word}` is {named(outside)}, but {named(inside)} in the sandbox: [grants] read = ["{top}"]'
