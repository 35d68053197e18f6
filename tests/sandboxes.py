"""Boxes for tests: a slot that belongs to whoever runs in it, and a loud reason where a back-end does not work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from rad_engineer import process, sandbox
from rad_engineer.process.tree import children, living
from rad_engineer.sandbox import Box, Grants, Level, Mount, Place
from rad_engineer.sandbox.self_test import why_not
from tests import required

INNER = "/src/demo"
NOTHING = Grants()


WALLED: tuple[Level, ...] = ("bubblewrap", "landlock")
"""The back-ends that keep the contract of a box; each test names its exceptions."""

every = pytest.mark.parametrize("level", WALLED)


@cache
def _reason(level: Level) -> str:
    return why_not(level)


def needs(level: Level) -> None:
    required.needs("sandbox", not _reason(level), _reason(level))


def needs_bubblewrap() -> None:
    needs("bubblewrap")


def slot_in(folder: Path) -> Path:
    slot = folder / "slot"
    slot.mkdir()
    sandbox.hand_over(slot, sandbox.owner())
    let_through(slot)
    return slot


def let_through(path: Path) -> None:
    """Others can pass the folders above, which pytest keeps to itself: not everything can be shown elsewhere."""
    if os.geteuid() == 0:
        for folder in path.parents:
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)


def place(slot: Path, *mounts: Mount, read_only: tuple[str, ...] = ()) -> Place:
    return Place(slot, INNER, mounts, read_only, sandbox.owner())


@contextmanager
def opened(
    slot: Path,
    *mounts: Mount,
    grants: Grants = NOTHING,
    read_only: tuple[str, ...] = (),
    level: Level = "bubblewrap",
) -> Iterator[Box]:
    needs(level)
    with sandbox.open_box(level, place(slot, *mounts, read_only=read_only), grants) as box:
        yield box


def sh(box: Box, slot: Path, script: str, **options) -> process.Completed:
    env = sandbox.environment(os.environ, options.pop("env", {}))
    return box.run(["bash", "-c", script], cwd=slot, env=env, **options)


def running(box: Box) -> list[int]:
    """What lives in a box, as the host counts it."""
    namespace = box._namespace  # type: ignore[attr-defined]
    return living(children(namespace.init)) if namespace is not None else []
