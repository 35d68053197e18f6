"""What a user has ordered, and how the run that came of it has ended."""

from dataclasses import dataclass
from typing import Any

from rad_engineer import store
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.errors import ExitCode
from rad_engineer.launch.ground import Ground
from rad_engineer.launch.inputs import Inputs
from rad_engineer.ledger import Watcher
from rad_engineer.settings import AgentChoice, Settings


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, and on what ground."""

    ground: Ground
    inputs: Inputs
    files: tuple[str, ...]
    settings: Settings
    agent: AgentChoice
    views: tuple[Watcher, ...]
    zygote: Any
    verbose: bool = False
    timed: bool = False

    @property
    def rehearsal(self) -> bool:
        """Whether the mock agent only rehearses."""
        return self.agent.name in (None, "mock")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended; `run` is None when there was nothing to do."""

    exit_code: ExitCode
    run: store.RunDir | None
    checkpoint: Checkpoint
    resumed: bool = False
    why: str = ""  # nothing could start
