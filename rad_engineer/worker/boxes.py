"""The box of each stage: what is visible in it, and under which names."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rad_engineer import durable, sandbox
from rad_engineer.sandbox import Box, Mount
from rad_engineer.worker.workplace import Workplace

_SCRATCH = "/scratch"


def for_setup(place: Workplace, copy: Path) -> Box:
    """Where the setup command runs: it writes into the copy."""
    return _open(place, copy)


@contextmanager
def for_gates(place: Workplace, copy: Path, lane: int) -> Iterator[tuple[Box, Path]]:
    """Where gates judge a copy, and a folder for what they write outside it; gone afterwards."""
    scratch = Path(place.rules.cache) / "scratch" / f"{place.rules.run}-{lane}"
    shutil.rmtree(scratch, ignore_errors=True)
    with durable.writing(scratch):
        scratch.mkdir(parents=True)
    try:
        with _open(place, copy, Mount(scratch, _SCRATCH, writable=True)) as box:
            yield box, scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def for_agent(place: Workplace, where: Path) -> Box:
    """Where an agent and its commands work."""
    return _open(place, where)


def _open(place: Workplace, copy: Path, *mounts: Mount) -> Box:
    inner = f"/src/{Path(place.rules.top).name}"
    return sandbox.open_box("off", sandbox.Place(copy, inner, mounts))
