"""Agents that speak the Agent Client Protocol: one program of ours drives them all, in a process of its own.

It has no more rights than the agent that it drives, ends with it, and prints what happens as claude's stream of events.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "agent-client-protocol>=0.12.1,<0.13"
"""What the program needs and a plain installation does not have; the extra `acp` brings it."""

_PROGRAM = "rad_engineer.agents.acp.__main__"


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


def command(prompt: Path, session: str, model: str, agent: Sequence[str]) -> list[str]:
    """The command line that has this agent work on the prompt: in that session or a new one, with that model or its own."""
    return [sys.executable, "-P", "-W", "ignore", "-m", _PROGRAM, str(prompt), session, model, *agent]
