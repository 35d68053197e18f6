"""The login of an agent's own, lent to it for one turn: exactly the files that its row declares, and only by a grant.

Without walls they are links, so that a login that is renewed is the user's at once. In a box they are copies in the
agent's home folder, whose names whoever works there can turn into anything: they are opened below it, by no link. Of
what comes back only a renewed login is taken, in the form that it had: no settings that would run commands out here.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer.agents.adapters import Adapter
from rad_engineer.agents.anthropic.confinement import created, opened
from rad_engineer.agents.anthropic.seam import ToolFailed
from rad_engineer.durable import write_all

_LARGEST = 1_000_000  # bytes of a login
_LONGEST = 64_000  # characters of a token


@dataclass(frozen=True, slots=True)
class Lent:
    """One file of the user's, and its place in the agent's folder; a copy, when there is `content`."""

    real: Path
    state: Path
    place: str
    content: bytes | None = None
    renewed: bool = True


class NotLent(Exception):
    """The agent's folder does not take its login."""


def lend(adapter: Adapter, home: Path, state: Path, *, boxed: bool) -> list[Lent]:
    """Puts exactly the declared files into the agent's own folder, where it has one; raises NotLent."""
    found: list[Lent] = []
    for source, target in adapter.credentials.items():
        real = home / source
        if not real.is_file() or not (boxed or (target and adapter.home)):
            continue
        if boxed:
            content = real.read_bytes()
            found.append(Lent(real, state, target or source, content, source in adapter.renews))
            try:
                _copy(found[-1], content)
            except (OSError, ToolFailed) as error:
                take_back(found)
                raise NotLent(f"{adapter.name}: its home folder does not take {source}: {error}") from error
            continue
        link = state / target
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(real)
        found.append(Lent(real, state, target))
    return found


def _copy(lent: Lent, content: bytes) -> None:
    """For whoever the agent's own folder belongs to, and nobody else."""
    handle = created(lent.state, lent.place)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ToolFailed(f"{lent.place} is not a file")
        os.fchmod(handle, 0o600)
        os.ftruncate(handle, 0)
        write_all(handle, content)
    finally:
        os.close(handle)


def take_back(lent: Sequence[Lent]) -> list[str]:
    """Nothing is left here; a login that was renewed goes back to where it came from. What did not is told."""
    told = []
    for one in lent:
        read = _linked if one.content is None else _copied
        with suppress(OSError, ToolFailed):
            after = read(one)
            if after is not None and (why := _give(one, after)):
                told.append(why)
        with suppress(OSError, ToolFailed):
            _remove(one)
    return told


def _linked(lent: Lent) -> bytes | None:
    """What has replaced the link."""
    link = lent.state / lent.place
    replaced = link.is_file() and not link.is_symlink()
    return link.read_bytes() if replaced else None


def _copied(lent: Lent) -> bytes | None:
    if not lent.renewed:
        return None
    handle = opened(lent.state, lent.place)
    with os.fdopen(handle, "rb") as file:
        plain = stat.S_ISREG(os.fstat(handle).st_mode)
        after = file.read(_LARGEST) if plain else b""
    return after if after and after != lent.content else None


def _give(lent: Lent, after: bytes) -> str:
    """Replaces the user's file; says why not."""
    now = lent.real.read_bytes()
    if after in (b"", now):
        return ""
    if lent.content is not None:
        if now != lent.content:  # somebody else has renewed it meanwhile
            return ""
        if not alike(lent.content, after):
            return (
                f"{lent.real.name} has come back in another form, and was not taken: log in again if need be"
            )
    copy = lent.real.with_name(f".{lent.real.name}.rad-engineer")
    handle = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(handle, after)
    finally:
        os.close(handle)
    copy.replace(lent.real)
    return ""


def _remove(lent: Lent) -> None:
    above, _, name = lent.place.rpartition("/")
    folder = opened(lent.state, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def alike(before: bytes, after: bytes) -> bool:
    """Whether both are JSON of the same form: the same names, and tokens and times in the same places."""
    try:
        return _alike(json.loads(before), json.loads(after))
    except (ValueError, RecursionError):
        return False


def _alike(before: Any, after: Any) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(_alike(before[name], after[name]) for name in before)
    if isinstance(before, list) and isinstance(after, list):
        return before == after  # scopes
    if isinstance(before, str) and isinstance(after, str):
        return len(after) <= _LONGEST and after.isprintable()
    return before == after or (isinstance(before, int | float) and isinstance(after, int | float))
