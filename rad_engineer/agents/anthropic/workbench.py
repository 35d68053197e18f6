"""Carries tool calls out in the slot, its shell in a box, what only looks at files and edits them beside it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rad_engineer import process, trail
from rad_engineer.agents.anthropic import editor, search
from rad_engineer.agents.anthropic.confinement import mask
from rad_engineer.agents.anthropic.learnings import record_learning
from rad_engineer.agents.anthropic.seam import ShellEnded, ToolFailed, ToolResult
from rad_engineer.agents.anthropic.shell import Ran, Shell, shell_environment
from rad_engineer.core import audit
from rad_engineer.core.prompt import cut
from rad_engineer.core.secret_rules import redacted
from rad_engineer.sandbox import Box

CAPS = {"bash": 30_000, "str_replace_based_edit_tool": 30_000, "read": 30_000, "glob": 10_000, "grep": 15_000}
"""The most characters that a tool may tell the model."""

_SMALL = 2_000


class Workbench:
    """The tools of one attempt."""

    def __init__(  # noqa: PLR0913 - all but three are named
        self,
        slot: Path,
        env: Mapping[str, str],
        learnings: Path,
        *,
        box: Box,
        hidden: Mapping[str, str],
        cancel: int | None = None,
        until: float | None = None,
        seconds: float = 600.0,
    ) -> None:
        self._slot = slot
        self._seconds = seconds
        self._mask = mask(slot, hidden, box.inside(slot))
        self._shell = Shell(box, slot, env, cancel=cancel, until=until)
        plain = shell_environment(env, str(slot))
        self._tools: dict[str, Callable[[Mapping[str, Any]], str]] = {
            "bash": self._bash,
            "str_replace_based_edit_tool": lambda given: editor.edit(slot, given),
            "read": lambda given: search.read(slot, given),
            "glob": lambda given: search.glob(slot, given),
            "grep": lambda given: search.grep(slot, given, plain),
            "record_learning": lambda given: record_learning(learnings, given),
        }

    def execute(self, name: str, given: Mapping[str, Any]) -> ToolResult:
        """Carries one call out; raises Stopped when the work is to end."""
        tool = self._tools.get(name)
        if tool is None:
            return ToolResult(f"there is no tool named {name!r}", error=True)
        try:
            return ToolResult(self._told(name, tool(given)))
        except ToolFailed as failed:
            gone = isinstance(failed, ShellEnded)
            return ToolResult(self._told(name, str(failed)), error=True, shell_gone=gone)
        except OSError as error:  # of the slot: an agent can make folders in which nearly everything fails
            return ToolResult(self._told(name, f"{name}: {error.strerror or error}"), error=True)

    def close(self) -> None:
        """Leaves no process behind."""
        self._shell.close()

    def _told(self, name: str, text: str) -> str:
        return cut(redacted(self._mask(process.plain(text))), CAPS.get(name, _SMALL))

    def _bash(self, given: Mapping[str, Any]) -> str:
        if given.get("restart"):
            self._shell.close()
            return "the shell was restarted: it is in the project's root, and variables are gone"
        command = editor.text_of(given, "command")
        told = command[: 2 * audit.LONGEST]
        trail.tell("command", what="tool", argv_hash=audit.argv_hash(["bash", "-c", command]), text=told)
        ran = self._shell.run(command, self._seconds)
        if ran.ending == "done":
            return _with_code(ran)
        raise ShellEnded(f"{ran.text.rstrip()}\n[{self._why(ran)}; {_NEW_SHELL}]".lstrip())

    def _why(self, ran: Ran) -> str:
        if ran.ending == "timeout":
            return f"stopped after {self._seconds:g} s"
        if ran.ending == "flooded":
            return "stopped: it printed without end"
        return f"the shell ended with exit code {ran.code}"


_NEW_SHELL = "the next command gets a new shell: in the project's root, without the variables and processes of this one"


def _with_code(ran: Ran) -> str:
    text = ran.text.rstrip("\n")
    if ran.code:
        return f"{text}\n[exit code {ran.code}]".lstrip("\n")
    return text or "(no output)"
