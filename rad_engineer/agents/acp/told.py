"""What happens in a session, told as claude tells it: an event a line, and plain lines beside it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_KEPT = 64_000  # characters of one answer
_LINE = 2_000
_ALIVE_EVERY = 1.0
_BEGUN = ("in_progress", "completed", "failed")


@dataclass
class _Call:
    """A tool call, as far as the agent has described it."""

    kind: str = ""
    title: str = ""
    command: str = ""
    shown: bool = False


@dataclass
class Telling:
    """Collects pieces of an answer, descriptions of calls and figures, and prints them when they are whole."""

    out: Callable[[bytes], None]
    session: str = ""
    count: int = 0
    used: dict[str, int] = field(default_factory=dict)
    cost_usd: float = 0.0
    _last: str = ""  # the last whole answer
    _text: str = ""
    _message: str | None = None  # whose pieces `_text` is made of
    _calls: dict[str, _Call] = field(default_factory=dict)
    _printed: float = 0.0

    def begun(self, session: str) -> None:
        """The session is known."""
        self.session = session
        self._event(type="system", subtype="init", session_id=session)

    def noise(self, line: str) -> None:
        """What is printed beside the protocol; none of it passes for an event."""
        text = line.rstrip()[:_LINE]
        if text:
            self._print(f"· {text}" if text.lstrip().startswith("{") else text)

    def alive(self) -> None:
        """Something has come that is not worth a line; silence would be taken for the end."""
        if time.monotonic() - self._printed > _ALIVE_EVERY:
            self._print("")

    def piece(self, text: str, message: str | None) -> None:
        """A piece of an answer."""
        if message != self._message:
            self._whole()
        self._message = message
        self._text = (self._text + text)[-_KEPT:]
        self.alive()

    def call(self, name: str, known: Mapping[str, Any]) -> None:
        """What an agent says of a tool call: first that there is one, later what it is. It is shown once, when it begins."""
        call = self._calls.setdefault(name, _Call())
        given = known.get("rawInput")
        command = given.get("command") if isinstance(given, dict) else None
        call.kind, call.title = known.get("kind") or call.kind, known.get("title") or call.title
        call.command = command if isinstance(command, str) else call.command
        self._whole()
        if known.get("status") in _BEGUN:
            self._show(call)
        self.alive()

    def ended(self, failed: str = "", status: int | None = None) -> None:
        """The last event: the last answer, or what has failed; `status` is what a server would say of that."""
        self._whole()
        for call in self._calls.values():
            self._show(call)
        more: dict[str, Any] = {} if status is None else {"api_error_status": status}
        self._event(
            type="result", subtype="error" if failed else "success", is_error=bool(failed), result=failed or self._last,
            session_id=self.session, num_turns=self.count, usage=self.used, total_cost_usd=self.cost_usd, **more,
        )  # fmt: skip

    def _whole(self) -> None:
        text, self._text = self._text, ""
        if text.strip():
            self._last = text
            self._said({"type": "text", "text": text})

    def _show(self, call: _Call) -> None:
        if not call.shown:
            call.shown = True
            told = call.command or call.title
            self._said({"type": "tool_use", "name": call.kind or "tool", "input": {"description": told}})

    def _said(self, block: Mapping[str, Any]) -> None:
        self.count += 1
        self._event(type="assistant", message={"id": str(self.count), "content": [block]})

    def _event(self, **content: Any) -> None:
        self._print(json.dumps(content))

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        self.out(line.encode("utf-8", "replace") + b"\n")
