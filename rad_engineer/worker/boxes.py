"""The box of each stage: what is visible in it, and under which names."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rad_engineer import durable, sandbox
from rad_engineer.sandbox import Box, Grants, Mount
from rad_engineer.worker import ways
from rad_engineer.worker.witness import Witnessed
from rad_engineer.worker.workplace import OBJECTS, Workplace

PROMPT, PATCH, LEARNINGS = "/rad/prompt.md", "/rad/last.patch", "/rad/learnings.txt"
_SCRATCH = "/scratch"
_REACHES = {"agent": "network", "gate": "gate_network", "setup": "setup_network"}
_NONE = Grants()
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


def for_setup(place: Workplace, copy: Path, asked: ways.Asked) -> Box:
    """Where the setup command runs: it writes into the copy."""
    grants = ways.with_network(place, _NONE, "setup_network", asked.hear)
    return _open(place, "setup", copy, grants)


@contextmanager
def for_gates(
    place: Workplace, copy: Path, lane: int, asked: ways.Asked, made: tuple[str, ...] = ()
) -> Iterator[tuple[Box, Path]]:
    """Where gates judge a copy, and a folder for what they write outside it; gone afterwards.

    What setup made can be read there, and nothing more: code that is judged would change what judges the next.
    """
    scratch = Path(place.rules.cache) / "scratch" / f"{place.rules.run}-{lane}"
    shutil.rmtree(scratch, ignore_errors=True)
    with durable.writing(scratch):
        scratch.mkdir(parents=True)
        sandbox.hand_over(scratch, place.owner_of(copy))
    kept = tuple(path for path in made if (copy / path).exists() and not (copy / path).is_symlink())
    mounts = (Mount(scratch, _SCRATCH, writable=True),)
    try:
        grants = ways.with_network(place, _NONE, "gate_network", asked.hear)
        with _open(place, "gate", copy, grants, mounts, kept) as box:
            yield box, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    if not place.confined:
        return _open(place, "agent", where)
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
    grants = ways.with_network(place, granted, "network", asked.hear, shown.hosts)
    return _open(place, "agent", where, grants, tuple(mounts), ending=shown.ending)


def _open(
    place: Workplace,
    what: str,
    copy: Path,
    grants: Grants = _NONE,
    mounts: tuple[Mount, ...] = (),
    read_only: tuple[str, ...] = (),
    ending: Path | None = None,
) -> Box:
    rules = place.rules
    if rules.workspace == "slots":
        objects = place.pool.store.objects
        mounts = (Mount(objects, OBJECTS), *mounts) if objects.is_dir() else mounts
    elif place.walled:
        mounts = (*_covers(place, copy), *mounts)
        read_only = (".git",) if (copy / ".git").is_dir() else ()
    readable = tuple(Mount(path, str(path)) for path in map(_absolute, rules.readable))
    where = sandbox.Place(copy, inner(place), mounts, read_only, place.owner_of(copy), ending)
    opened = sandbox.open_box(rules.sandbox, where, replace(grants, read=(*grants.read, *readable)))
    return Witnessed(opened, what, getattr(rules, _REACHES[what]))


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
