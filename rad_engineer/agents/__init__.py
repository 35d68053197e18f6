"""Who writes the code: each agent is a module with `run(work) -> AgentResult`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

from rad_engineer.process import Limits

AgentOutcome = Literal["finished", "failed", "later", "timeout", "idle", "flooded", "cancelled", "missing"]

_AGENTS = {"command": "rad_engineer.agents.command", "mock": "rad_engineer.agents.mock"}


@dataclass(frozen=True, slots=True)
class AgentWork:
    """One attempt at one story: where to work, what to read, how long."""

    story_id: str
    title: str
    attempt: int
    slot: Path
    prompt: Path
    log: Path
    env: Mapping[str, str]
    limits: Limits
    command: str = ""
    cancel: int | None = None
    on_line: Callable[[str], None] | None = None
    on_started: Callable[[int], None] | None = None  # told the process in whose exit code its word will be
    on_finished: Callable[[], None] | None = None  # told at once: finished work is paid work


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How it ended. Only `finished` lets the work be judged; it proves nothing by itself."""

    outcome: AgentOutcome
    code: int | None = None
    seconds: float = 0.0
    output: str = ""
    cost_usd: float = 0.0
    tokens: int = 0
    retry_at: float | None = None


class Agent(Protocol):
    """What every agent module offers."""

    def run(self, work: AgentWork) -> AgentResult:
        """Works until done, failed or stopped; leaves no process behind."""


def agent(name: str) -> Agent:
    """The agent of that name; raises KeyError for a name `names` does not list."""
    return cast("Agent", import_module(_AGENTS[name]))


def names() -> tuple[str, ...]:
    """All agents there are."""
    return tuple(_AGENTS)
