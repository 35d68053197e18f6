"""Boxes for tests: a slot that belongs to whoever runs in it, and a loud reason where bubblewrap does not work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from rad_engineer import process, sandbox
from rad_engineer.sandbox import Box, Grants, Mount, Place
from rad_engineer.sandbox.self_test import why_not

INNER = "/src/demo"
NOTHING = Grants()


@cache
def _reason() -> str:
    return why_not("bubblewrap")


def needs_bubblewrap() -> None:
    if _reason():
        pytest.skip(f"NO SANDBOX WAS TESTED: {_reason()}")


def slot_in(folder: Path) -> Path:
    slot = folder / "slot"
    slot.mkdir()
    sandbox.hand_over(slot, sandbox.owner())
    return slot


def place(slot: Path, *mounts: Mount, read_only: tuple[str, ...] = ()) -> Place:
    return Place(slot, INNER, mounts, read_only, sandbox.owner())


@contextmanager
def opened(
    slot: Path, *mounts: Mount, grants: Grants = NOTHING, read_only: tuple[str, ...] = ()
) -> Iterator[Box]:
    needs_bubblewrap()
    with sandbox.open_box("bubblewrap", place(slot, *mounts, read_only=read_only), grants) as box:
        yield box


def sh(box: Box, slot: Path, script: str, **options) -> process.Completed:
    env = sandbox.environment(os.environ, options.pop("env", {}))
    return box.run(["bash", "-c", script], cwd=slot, env=env, **options)
