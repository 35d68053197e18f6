"""The box of each stage: what is visible in it, and under which names."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import durable, sandbox
from rad_engineer.sandbox import Box, Grants, Mount
from rad_engineer.worker import ways
from rad_engineer.worker.witness import Witnessed
from rad_engineer.worker.workplace import OBJECTS, Workplace

if TYPE_CHECKING:
    from rad_engineer.sandbox.proxy import Decision

PROMPT, PATCH, LEARNINGS = "/rad/prompt.md", "/rad/last.patch", "/rad/learnings.txt"
_SCRATCH = "/scratch"
_REACHES = {"agent": "network", "gate": "gate_network", "setup": "setup_network"}
_NONE = Grants()
_Wanted = tuple[sandbox.Place, Grants]
_Hear = Callable[["Decision"], None]
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


def inner(place: Workplace) -> str:
    """What every copy of the project is called inside: what setup made in one is right in each."""
    return "/src/" + (_UNUSUAL.sub("-", Path(place.rules.top).name).strip(".-") or "project")


def kind(place: Workplace) -> str:
    """Names all about a box that what is said or made in it depends on."""
    rules = place.rules
    if rules.sandbox == "off":
        return "off"
    grants = (
        rules.gate_network,
        rules.setup_network,
        json.dumps(rules.registries, sort_keys=True),
        rules.private_network,
        rules.readable,
        rules.variables,
    )
    return f"{rules.sandbox} {inner(place)} {grants}"


@contextmanager
def for_setup(place: Workplace, copy: Path, asked: ways.Asked) -> Iterator[Box]:
    """Where the setup command runs: it writes into the copy. It is ended when it is denied a host."""
    with ways.ended_by_a_denial() as (until, denied):
        grants = ways.with_network(place, _NONE, "setup_network", asked.hear, denied=denied)
        with _open(place, "setup", *_wanted(place, copy, grants)).ending(until) as box:
            yield box


@dataclass(frozen=True, slots=True)
class Judged:
    """A copy that gates judge: its lane, what setup made in it, and which of two folders the next gate writes to."""

    copy: Path
    lane: int = 0
    made: tuple[str, ...] = ()
    turn: int = 0

    def scratch(self, place: Workplace) -> Path:
        """A folder for what a gate writes outside the copy; that of the next gate is another one."""
        return Path(place.rules.cache) / "scratch" / f"{place.rules.run}-{self.lane}-{self.turn % 2}"

    def kept(self) -> tuple[str, ...]:
        """What can be read there, and nothing more: code that is judged would change what judges the next."""
        here = (path for path in self.made if not (self.copy / path).is_symlink())
        return tuple(path for path in here if (self.copy / path).exists())


@contextmanager
def for_gates(place: Workplace, judged: Judged, asked: ways.Asked) -> Iterator[tuple[Box, Path]]:
    """Where a gate judges a copy, and a folder for what it writes outside it; gone afterwards."""
    scratch = judged.scratch(place)
    where, grants = _for_gate(place, judged, asked.hear)
    if not place.ahead.waits(where):
        _make_anew(place, scratch, judged.copy)
    try:
        with _open(place, "gate", where, grants) as box:
            yield box, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def gate_ahead(place: Workplace, judged: Judged) -> None:
    """Begins to open the box of the gate that comes next in a copy, unless one is waiting."""
    where, grants = _for_gate(place, judged, lambda _: None)
    if not place.ahead.waits(where):
        _make_anew(place, judged.scratch(place), judged.copy)
        place.ahead.open(place.rules.sandbox, where, grants)


def _for_gate(place: Workplace, judged: Judged, hear: _Hear) -> _Wanted:
    mounts = (Mount(judged.scratch(place), _SCRATCH, writable=True),)
    grants = ways.with_network(place, _NONE, "gate_network", hear)
    return _wanted(place, judged.copy, grants, mounts, judged.kept())


def _make_anew(place: Workplace, folder: Path, copy: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with durable.writing(folder):
        folder.mkdir(parents=True)
        sandbox.hand_over(folder, place.owner_of(copy))


@dataclass(frozen=True, slots=True)
class Shown:
    """Files of the attempt that its agent sees: the first and the last to read, the other one to write to."""

    prompt: Path
    learnings: Path
    patch: Path | None = None  # of the last attempt
    programs: tuple[Mount, ...] = ()  # what the agent itself is made of
    ending: Path | None = None  # not shown: where the box says how the agent has ended
    hosts: tuple[str, ...] = ()  # of its vendor, where it works on a login of its own


def command_inside(place: Workplace) -> tuple[str, tuple[Mount, ...]]:
    """The command line of the agent, with the files that it names by their paths, as they are called inside."""
    line = place.rules.agent_command
    if not (place.confined and line):
        return line, ()
    try:
        words = shlex.split(line)
    except ValueError:
        return line, ()
    mounts: list[Mount] = []
    for word in dict.fromkeys(words):
        path = Path(os.path.normpath(word))
        if path.is_absolute() and path.is_file() and not sandbox.shown(path, place.user):
            inner = f"/rad/agent/{len(mounts)}/{path.name}" if place.walled else word
            mounts.append(Mount(path, inner))
            line = line.replace(word, mounts[-1].inner)
    return line, tuple(mounts)


def for_agent(
    place: Workplace,
    where: Path,
    shown: Shown,
    home: Path | None,
    asked: ways.Asked,
    models: ways.Models = ways.UNMETERED,
) -> Box:
    """Where an agent and its commands work; `home` is its home folder, which is kept for it."""
    return _open(place, "agent", *_for_agent(place, where, shown, home, models, asked.hear))


def agent_ahead(
    place: Workplace, where: Path, shown: Shown, home: Path | None, models: ways.Models = ways.UNMETERED
) -> None:
    """Begins to open the box of the agent that comes next in a slot."""
    if place.walled and place.rules.workspace == "slots":
        wanted = _for_agent(place, where, shown, home, models, lambda _: None)
        place.ahead.open(place.rules.sandbox, *wanted)


def _for_agent(
    place: Workplace, where: Path, shown: Shown, home: Path | None, models: ways.Models, hear: _Hear
) -> _Wanted:
    if not place.confined:
        return _wanted(place, where)
    owner = place.owner_of(where)
    with durable.writing(shown.learnings):
        shown.learnings.touch()
        sandbox.hand_over(shown.learnings, owner)
        if home is not None:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            sandbox.hand_over(home, owner)
    mounts = [Mount(shown.learnings, LEARNINGS, writable=True), *command_inside(place)[1], *shown.programs]
    mounts += [Mount(shown.prompt, PROMPT)] if shown.prompt.is_file() else []
    mounts += [Mount(shown.patch, PATCH)] if shown.patch is not None else []
    granted = replace(models.grants, home=home)
    grants = ways.with_network(place, granted, "network", hear, shown.hosts)
    return _wanted(place, where, grants, tuple(mounts), ending=shown.ending)


def _open(place: Workplace, what: str, where: sandbox.Place, grants: Grants) -> Witnessed:
    opened = place.ahead.take(place.rules.sandbox, where, grants)
    return Witnessed(opened, what, getattr(place.rules, _REACHES[what]))


def _wanted(
    place: Workplace,
    copy: Path,
    grants: Grants = _NONE,
    mounts: tuple[Mount, ...] = (),
    read_only: tuple[str, ...] = (),
    ending: Path | None = None,
) -> _Wanted:
    rules = place.rules
    if rules.workspace == "slots":
        objects = place.pool.store.objects
        mounts = (Mount(objects, OBJECTS), *mounts) if objects.is_dir() else mounts
    elif place.walled:
        mounts = (*_covers(place, copy), *mounts)
        read_only = (".git",) if os.path.lexists(copy / ".git") else ()  # of a linked worktree it is a file
    readable = tuple(Mount(path, str(path)) for path in map(_absolute, rules.readable))
    where = sandbox.Place(copy, inner(place), mounts, read_only, place.owner_of(copy), ending)
    return where, replace(grants, read=(*grants.read, *readable))


def _covers(place: Workplace, copy: Path) -> tuple[Mount, ...]:
    """In a shared workspace the folder with the runs of the project lies within reach: something empty covers it."""
    if not (copy / ".rad-engineer").is_dir():
        return ()
    return (Mount(empty(place), f"{inner(place)}/.rad-engineer"),)


def empty(place: Workplace) -> Path:
    """A folder with nothing in it."""
    found = Path(place.rules.cache) / "empty"
    with durable.writing(found):
        found.mkdir(parents=True, exist_ok=True)
        found.chmod(0o755)  # whatever the mask: started by root, others run in there
    return found


def _absolute(name: str) -> Path:
    return Path(os.path.abspath(Path(name).expanduser()))  # noqa: PTH100 - links stay as they are named
