"""Who writes the code: each agent is a module with `run(work) -> AgentResult`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from rad_engineer.core.fence import Marks
from rad_engineer.core.prompt import Assignment
from rad_engineer.process import Exhausted, Limits
from rad_engineer.sandbox import Box

AgentOutcome = (
    Literal["finished", "failed", "later", "timeout", "idle", "flooded", "cancelled", "missing"] | Exhausted
)

_AGENTS = {
    "anthropic": "rad_engineer.agents.anthropic",
    "command": "rad_engineer.agents.command",
    "mock": "rad_engineer.agents.mock",
}

_PREPARED = {"anthropic": "rad_engineer.agents.anthropic.ready:prepare"}


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
    box: Box  # where its commands run
    command: str = ""
    cancel: int | None = None
    on_line: Callable[[str], None] | None = None
    on_started: Callable[[int], None] | None = None  # told the process in whose exit code its word will be
    on_finished: "Callable[[AgentResult], None] | None" = None  # told at once: finished work is paid work
    base_url: str = ""  # where models are asked, for agents that speak the Messages API
    token: str = ""  # sent there as the bearer: a session's, never a key
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)  # max_turns, effort, thinking, max_tokens, …
    folder: Path | None = None  # the attempt's own: what an agent keeps to be able to go on lies there
    assignment: Assignment | None = None  # what `prompt` was made of
    hidden: Mapping[str, str] = field(default_factory=dict)  # what no model is to see, and what stands for it
    marks: Marks = field(
        kw_only=True
    )  # of text of others, and what ends the turn of one that returns a report
    session: str = ""  # one of its own to go on with, as an earlier result named it
    learnings: Path | None = None  # where it leaves what later stories should know
    bound: str = ""  # names what was put into the slot; what went on in another is no use in this one


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
    reason: str = ""  # of `later`: limit, login, budget, offline, ledger; of `failed`: drift
    summary: str = ""
    criteria: tuple[Mapping[str, Any], ...] = ()  # criterion, met, evidence (`path:line`), as the agent says
    files: tuple[str, ...] = ()  # and so are these
    tests: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    turns: int = 0
    model: str = ""
    unmetered: bool = False  # its calls passed nobody who counts
    session: str = ""  # by which it can be asked to go on
    noticed: tuple[str, ...] = ()  # what people should know of it


class Agent(Protocol):
    """What every agent module offers."""

    def run(self, work: AgentWork) -> AgentResult:
        """Works until done, failed or stopped; leaves no process behind."""


def agent(name: str) -> Agent:
    """The agent of that name, loaded when it is first asked for; raises KeyError for a name that nobody has."""
    if name in _AGENTS:
        return cast("Agent", import_module(_AGENTS[name]))
    return cast("Agent", import_module("rad_engineer.agents.cli_agents").agent(name))


def preparation(names: Iterable[str]) -> str:
    """What is done once before workers of these agents are forked, "module:function"; empty where nothing helps."""
    return next((_PREPARED[name] for name in names if name in _PREPARED), "")
