"""Agents that speak the Agent Client Protocol: one program of ours drives them all, in a process of its own.

It has no more rights than the agent that it drives, ends with it, and prints what happens as claude's stream of events.
"""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rad_engineer.sandbox import Box, Mount

PACKAGE = "agent-client-protocol>=0.12.1,<0.13"
"""What the program needs and a plain installation does not have; the extra `acp` brings it."""

_PROGRAM = "rad_engineer.agents.acp.__main__"
_INNER = "/rad/client"
_IMPORTED = (
    "rad_engineer", "acp", "pydantic", "pydantic_core", "typing_extensions", "annotated_types", "typing_inspection"
)  # fmt: skip
_START = """
import importlib.util, runpy, sys
class Shown:
    places = {places}
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        place = cls.places.get(name)
        return importlib.util.spec_from_file_location(name, place) if place else None
sys.meta_path.insert(0, Shown)
runpy.run_module({program!r}, run_name="__main__")
"""
"""Finds these packages and no others: a search path in the environment would be that of all Python that the agent runs."""


def lacking() -> str:
    """What to do where the package is not installed; empty where it is."""
    if find_spec("acp") is not None:
        return ""
    own = (
        f"{sys.executable} -m pip install"
        if find_spec("pip")
        else f"uv pip install --python {sys.executable}"
    )
    return f"it needs a package that is not installed: {own} '{PACKAGE}'"


def mounts() -> tuple[Mount, ...]:
    """What a box has to show for the program to run in it: its own code, and the packages that it imports."""
    places = (path.parent if path.name == "__init__.py" else path for path in _origins().values())
    return tuple(Mount(place, f"{_INNER}/{place.name}") for place in places)


def _origins() -> dict[str, Path]:
    found = {name: find_spec(name) for name in _IMPORTED}
    return {name: Path(spec.origin) for name, spec in found.items() if spec is not None and spec.origin}


def command(box: Box, prompt: Path, session: str, model: str, agent: Sequence[str]) -> list[str]:
    """The command line that has this agent work on the prompt: in that session or a new one, with that model or its own."""
    if box.level == "off":
        start = [sys.executable, "-P", "-W", "ignore", "-m", _PROGRAM]
    else:  # where our own environment is not seen
        places = {name: box.inside(path) for name, path in _origins().items()}
        start = [os.path.realpath(sys.executable), "-I", "-S", "-W", "ignore", "-c"]
        start.append(_START.format(places=places, program=_PROGRAM))
    return [*start, box.inside(prompt), session, model, *agent]
