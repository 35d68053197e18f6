"""Whose the run records of a project are: those that came along with it are nobody's word.

A run directory says which agent works, at which level of sandbox, and what has been approved. So whoever ships one
with a repository would be obeyed by `resume`. A mark in `.rad-engineer`, made with a key of the user's, says that all
in it was written here, by this user.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from rad_engineer import durable, store, trust
from rad_engineer.audit import key, of_user
from rad_engineer.core.printable import several
from rad_engineer.launch.ground import Ground

MARK = "owner"
_SIZE = 64


def require_own(
    ground: Ground, *, yes: bool, stdin: TextIO, stderr: TextIO, env: Mapping[str, str] = os.environ
) -> None:
    """Lets records through that are the user's own, asking for others where that is possible; else raises Refused."""
    folder = ground.home / ".rad-engineer"
    if is_own(ground.home, env):
        return
    strange = _found(ground.home)
    if strange:
        trust.ask([(f"records {folder}", strange)], yes=yes, stdin=stdin, stderr=stderr)
        of_user({"kind": "trust", "decision": "records-taken-over", "scope": ground.id}, env)
    mark = _mark(key.find_or_make(env))
    with durable.writing(folder):
        store.make_home(ground.home)
    durable.replace(folder / MARK, mark + b"\n")


def is_own(home: Path, env: Mapping[str, str] = os.environ) -> bool:
    """Whether what lies there was written by this user: nobody else has the key."""
    own = key.find(env)
    if own is None:
        return False
    try:
        handle = os.open(
            home / ".rad-engineer" / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return False
    with os.fdopen(handle, "rb") as opened:
        return hmac.compare_digest(opened.read(_SIZE), _mark(own))


def _mark(own: bytes) -> bytes:
    return hmac.new(own, b"rad-engineer run records 1", hashlib.sha256).hexdigest().encode("ascii")


def _found(home: Path) -> str:
    """What there is that would be believed; nothing where there are no records."""
    runs = len(store.runs(home))
    approvals = store.approvals_folder(home)
    given = len(list(approvals.iterdir())) if approvals.is_dir() else 0
    if not runs and not given:
        return ""
    counted = f"{several(runs, 'run')}, {several(given, 'approval')}"
    return f"{counted}, written by somebody else or on another machine: they say what is run, and how it is confined"
