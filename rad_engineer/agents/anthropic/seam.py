"""The seam through which every tool of the agent is carried out: a name and its input in, what the model is told out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told of one tool call."""

    text: str
    error: bool = False
    shell_gone: bool = False  # the shell of before is no more, and the text says so


class ToolFailed(Exception):
    """A tool could not do what it was asked; the model is told why."""


class ShellEnded(ToolFailed):
    """A command has taken the shell with it."""


class Stopped(Exception):
    """The work is to end now; nothing is wrong with the tool or the call that was going on."""

    def __init__(self, reason: str) -> None:
        self.reason = reason  # cancelled, timeout, idle
        super().__init__(reason)


Execute = Callable[[str, Mapping[str, Any]], ToolResult]
"""Carries one tool call out, beside us or in a sandbox; raises Stopped when the work is to end."""
