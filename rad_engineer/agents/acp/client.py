"""What an agent hears from us when it asks: permission, files, and where its words go."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acp import RequestError
from acp.schema import (
    AgentMessageChunk,
    AgentThoughtChunk,
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    ReadTextFileResponse,
    RequestPermissionResponse,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
    WriteTextFileResponse,
)

from rad_engineer.agents.acp import answers
from rad_engineer.agents.acp.told import Telling
from rad_engineer.agents.anthropic.seam import ToolFailed


class Client:
    """The methods of a client, by the names that the library calls; what is not here is refused as unknown."""

    def __init__(self, slot: Path, telling: Telling) -> None:
        self._slot, self._telling = slot, telling
        self.listens = False  # a session that is loaded tells its whole past first
        self.stopping = False

    async def session_update(self, session_id: str, update: Any, **_more: Any) -> None:
        """What the agent says and does; what other sessions of its say is theirs."""
        if not self.listens:
            return
        telling = self._telling
        if isinstance(update, ToolCallStart | ToolCallProgress):
            telling.call(update.tool_call_id, _plain(update))
        elif isinstance(update, UsageUpdate):
            if update.cost is not None and update.cost.currency.upper() == "USD":
                telling.cost_usd = max(telling.cost_usd, update.cost.amount)
        elif isinstance(update, AgentMessageChunk) and session_id == telling.session:
            if isinstance(update.content, TextContentBlock):
                telling.piece(update.content.text, update.message_id)
        elif isinstance(update, AgentThoughtChunk):
            telling.alive()

    async def request_permission(
        self, tool_call: ToolCallUpdate, options: Sequence[PermissionOption], **_more: Any
    ) -> RequestPermissionResponse:
        """Leave for what lies in the slot; whoever is being stopped gets none."""
        known = _plain(tool_call)
        self._telling.call(tool_call.tool_call_id, {**known, "status": "in_progress"})
        answer = answers.permission(self._slot, known, [(one.option_id, one.kind) for one in options])
        if answer.outside:
            self._refused(str(tool_call.kind or "use"), answer.outside)
        if answer.option is None or self.stopping:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=answer.option))

    async def read_text_file(
        self, path: str, line: int | None = None, limit: int | None = None, **_more: Any
    ) -> ReadTextFileResponse:
        """A file in the slot."""
        try:
            return ReadTextFileResponse(content=answers.read(self._slot, path, line, limit))
        except FileNotFoundError:
            raise RequestError.resource_not_found(path) from None
        except (ToolFailed, OSError) as error:
            raise self._failed("read", path, error) from None

    async def write_text_file(self, path: str, content: str, **_more: Any) -> WriteTextFileResponse:
        """A file in the slot."""
        try:
            answers.write(self._slot, path, content)
        except (ToolFailed, OSError) as error:
            raise self._failed("write", path, error) from None
        return WriteTextFileResponse()

    def _failed(self, what: str, path: str, error: Exception) -> RequestError:
        if isinstance(error, ToolFailed):
            self._refused(what, path)
        return RequestError.invalid_params({"details": str(error)})

    def _refused(self, what: str, path: str) -> None:
        self._telling.noise(f"refused: {what} {path}, which is not in the working copy")


def _plain(model: Any) -> dict[str, Any]:
    """As it was on the wire."""
    found: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found
