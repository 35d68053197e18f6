"""What the user has trusted: for each repository, the hashes of the command lists that may run there.

$XDG_STATE_HOME/rad-engineer/trust.json
{"schema_version": 1, "repositories": {ID: {HASH: {"at": seconds, "commands": [[kind, text], …]}}}}
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rad_engineer import trail
from rad_engineer.audit import of_user
from rad_engineer.core.printable import spelled
from rad_engineer.errors import Refused
from rad_engineer.settings import state_home
from rad_engineer.shared_file import SharedFile

Commands = Sequence[tuple[str, str]]
"""What would be run: pairs of kind ("gate pytest", "setup", "verify US-001") and command line."""


_JUDGES = ("gate ", "verify ", "wave gate ", "final gate ")


@dataclass(frozen=True, slots=True)
class Trusted:
    """One list of commands that may run."""

    fingerprint: str
    at: float
    commands: tuple[tuple[str, str], ...]


def fingerprint(commands: Commands) -> str:
    """The hash of a list of commands; order and repetition do not count."""
    text = json.dumps(sorted(set(commands)), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def path(env: Mapping[str, str]) -> Path:
    """The file that keeps what was trusted."""
    return state_home(env) / "trust.json"


def is_trusted(repo_id: str, fp: str, *, env: Mapping[str, str] = os.environ) -> bool:
    """Whether exactly this list may run in this repository."""
    return fp in _kept(env).read().get(repo_id, {})


def trusted(repo_id: str, *, env: Mapping[str, str] = os.environ) -> list[Trusted]:
    """Everything that may run in this repository, newest first."""
    found = [
        Trusted(fp, entry["at"], tuple((kind, text) for kind, text in entry["commands"]))
        for fp, entry in _kept(env).read().get(repo_id, {}).items()
    ]
    return sorted(found, key=lambda entry: -entry.at)


def remember(repo_id: str, commands: Commands, *, env: Mapping[str, str] = os.environ) -> None:
    """Trusts this list in this repository from now on."""
    with _kept(env).changed() as repositories:
        entry = {"at": time.time(), "commands": sorted(set(commands))}
        repositories.setdefault(repo_id, {})[fingerprint(commands)] = entry
    _tell("remembered", repo_id, commands, env)


def revoke(repo_id: str, *, env: Mapping[str, str] = os.environ) -> int:
    """Trusts nothing in this repository any more; returns how many lists were trusted."""
    with _kept(env).changed() as repositories:
        gone = len(repositories.pop(repo_id, {}))
    of_user({"kind": "trust", "decision": "revoked", "scope": repo_id}, env)
    return gone


def require(repo_id: str, commands: Commands, *, yes: bool, stdin: TextIO, stderr: TextIO,
            env: Mapping[str, str] = os.environ) -> None:  # fmt: skip
    """Lets a list of commands through once it is trusted, asking where that is possible; else raises Refused."""
    if not commands:
        return
    if is_trusted(repo_id, fingerprint(commands), env=env):
        _tell("trusted-before", repo_id, commands)
        return
    known = known_of(trusted(repo_id, env=env))
    if all(meant(*one) in known for one in commands):  # fewer commands, or others that were all shown before
        _tell("all-shown-before", repo_id, commands)
        return
    try:
        ask(commands, yes=yes, stdin=stdin, stderr=stderr)
    except Refused:
        _tell("refused", repo_id, commands, env)
        raise
    _tell("yes-flag" if yes else "asked-and-trusted", repo_id, commands)
    remember(repo_id, commands, env=env)


def known_of(entries: Sequence[Trusted]) -> set[tuple[str, str]]:
    """What was shown and trusted before, each as what it may do."""
    return {meant(*one) for entry in entries for one in entry.commands}


def meant(kind: str, text: str) -> tuple[str, str]:
    """What trust in a command is for: gates of all kinds run alike; a word that a gate may say opens nothing elsewhere."""
    return ("gate" if kind.startswith(_JUDGES) else kind, text)


def ask(commands: Commands, *, yes: bool, stdin: TextIO, stderr: TextIO) -> None:
    """Shows the commands and asks whether they may run; raises Refused when not, or when nobody can answer."""
    listing = "\n".join(shown(commands))
    if yes:
        stderr.write(f"Trusting these commands (--yes):\n{listing}\n")
        return
    if not (stdin.isatty() and stderr.isatty()):
        raise Refused(
            f"these commands are not trusted yet:\n{listing}",
            hint="look at them, then run `rad-engineer trust PRD…` with the same PRDs, or add --yes",
        )
    stderr.write(f"These commands come from files and would run here:\n{listing}\nTrust them? [y/N] ")
    stderr.flush()
    if stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("the commands were not trusted, so nothing was started")


def _tell(decision: str, repo_id: str, commands: Commands, env: Mapping[str, str] | None = None) -> None:
    """Tells the log of the run that begins, or with `env` that of the user."""
    record = {
        "decision": decision,
        "list_hash": fingerprint(commands),
        "commands": len(set(commands)),
        "scope": repo_id,
    }
    if env is None:
        trail.tell("trust", **record)
    else:
        of_user({"kind": "trust", **record}, env)


def shown(commands: Commands) -> list[str]:
    """The commands as lines for people: all of each is seen, and nothing in them is acted on by a terminal."""
    rows = sorted({(spelled(kind).replace("\n", " "), spelled(text)) for kind, text in commands})
    column = min(max((len(kind) for kind, _ in rows), default=0), 24)
    indent = "\n" + " " * (column + 4)
    return [f"  {kind:<{column}}  {text.strip().replace(chr(10), indent)}" for kind, text in rows]


def _kept(env: Mapping[str, str]) -> SharedFile:
    """Where nothing can be read, nothing is trusted, and the next answer replaces it."""
    return SharedFile(path(env), "repositories", forgiven=True)
