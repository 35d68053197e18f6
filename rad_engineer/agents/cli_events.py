"""What command-line agents print, read line by line: text to show, use, cost, session, and what went wrong."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rad_engineer.agents.adapters import Dialect

Event = Mapping[str, Any]
Trouble = Literal["limit", "login", "budget", "error"]

_SHOWN = 400
_LONGEST = 4_000_000  # bytes of one event; what is longer is dropped
_KEPT_TEXT = 32_000
_BY_STATUS: dict[int, Trouble] = {401: "login", 403: "login", 402: "budget", 429: "limit", 529: "limit"}
_LIMIT = re.compile(
    r"usage limit|hit your (?:\w+ )?limit|rate.?limit|quota|too many requests|overloaded|resource_exhausted"
    r"|limit reached|out of (?:extra )?(?:usage|credits)|insufficient credits",
    re.IGNORECASE,
)
_API_ERROR = re.compile(r"\[API Error: (\d{3})\b")
_LOGIN = re.compile(
    r"not logged in|please (?:run )?/?log ?in|/login|login failed|log in again|no api key|api key (?:not|is) "
    r"|invalid (?:x-)?api.key|no authentication information|authentication[_ ]?(?:error|failed|required)"
    r"|unauthorized|set an auth method|not authenticated|missing credentials",
    re.IGNORECASE,
)


@dataclass
class Told:
    """What has been understood so far."""

    session: str = ""
    model: str = ""
    text: str = ""  # the last whole answer
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    turns: int = 0
    trouble: Trouble | None = None
    message: str = ""  # what it said of the trouble
    retry_at: float | None = None
    retry_after: float | None = None
    murmur: tuple[Trouble, str] | None = None  # what a line that is no event let suspect
    ended: bool = False  # its last event has come, and was a good one
    used: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # by message: later ones correct earlier ones

    @property
    def tokens(self) -> int:
        """All that went in and came out."""
        counted = [(self.input_tokens, self.output_tokens), *self.used.values()]
        return max(sum(counted[0]), sum(sum(pair) for pair in counted[1:]))

    def went_wrong(self, message: str, status: int | None = None, kind: str = "") -> None:
        """Notes a trouble; a named status or kind counts more than the words of the message."""
        self.message = message[:2_000] or self.message
        found = _BY_STATUS.get(status or 0) or _of_kind(kind) or _of_words(message)
        if self.trouble in (None, "error") or found != "error":
            self.trouble = found

    def recovered(self) -> None:
        """An answer came after all."""
        self.trouble, self.message = None, ""


class Reader:
    """Takes bytes as they come; lines that are no events are kept as plain text."""

    def __init__(self, dialect: Dialect) -> None:
        self.told = Told()
        self._read = _DIALECTS[dialect]
        self._rest = b""
        self._skips = False

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines to show, for a log and for who looks on."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            self._rest, self._skips = b"", True
        for line in lines:
            if self._skips:
                self._skips = False
                continue
            yield from self._line(line)

    def end(self) -> Iterator[str]:
        """What a last line without an end has to say."""
        rest, self._rest = self._rest, b""
        if rest and not self._skips:
            yield from self._line(rest)

    def _line(self, line: bytes) -> Iterator[str]:
        text = line.decode("utf-8", "replace").strip()
        if not text:
            return
        event: Any = None
        if text.startswith("{"):
            try:
                event = json.loads(text)
            except (ValueError, RecursionError):
                event = None
        if isinstance(event, dict):
            yield from (shown for shown in self._read(self.told, event) if shown.strip())
        else:
            _plain(self.told, text)
            yield text


def _plain(told: Told, text: str) -> None:
    """A line of stderr, or of an agent without events."""
    usage = _AIDER_USE.search(text)
    if usage is not None:
        told.input_tokens += _count(usage[1])
        told.output_tokens += _count(usage[2])
        told.turns += 1
    if (cost := _AIDER_COST.search(text)) is not None:
        told.cost_usd = float(cost[1])
    elif usage is None and len(text) < 1_000 and (kind := _of_words(text)) != "error":
        told.murmur = (kind, text)
    if usage is not None:
        told.murmur = None


_AIDER_USE = re.compile(r"Tokens: ([\d.,]+[kM]?) sent.*?([\d.,]+[kM]?) received")
_AIDER_COST = re.compile(r"Cost: \$[\d.]+ message, \$([\d.]+) session")


def _count(text: str) -> int:
    unit = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    return int(float(text.rstrip("kM").replace(",", "")) * unit)


def _of_kind(kind: str) -> Trouble | None:
    if kind in ("rate_limit", "rate_limit_error", "overloaded_error", "usage_limit_reached"):
        return "limit"
    if kind in ("authentication_error", "authentication_failed", "permission_error"):
        return "login"
    return "budget" if kind == "billing_error" else None


def _of_words(text: str) -> Trouble:
    if _LIMIT.search(text):
        return "limit"
    return "login" if _LOGIN.search(text) else "error"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        for name in ("command", "file_path", "filePath", "path", "pattern", "query", "description"):
            if isinstance(value.get(name), str):
                return " ".join(value[name].split())[:_SHOWN]
        return ", ".join(map(str, value))[:_SHOWN]
    return " ".join(str(value).split())[:_SHOWN]


def _number(value: Any) -> int:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15
    return int(value) if good else 0


def _money(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6
    return float(value) if good else 0.0


def _part(event: Event, name: str) -> Event:
    found = event.get(name)
    return found if isinstance(found, dict) else {}


def _text(event: Event, *names: str) -> str:
    return next((found for name in names if isinstance(found := event.get(name), str) and found), "")


def _usage(event: Event) -> tuple[int, int]:
    """Input with what came from and went into a cache, and output, in any spelling."""
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "inputTokens")
    return sum(_number(event.get(name)) for name in names), _number(
        event.get("output_tokens", event.get("outputTokens"))
    )


def _claude(told: Told, event: Event) -> Iterator[str]:
    """Also amp, cursor-agent and qwen: `system`, `assistant`, `user`, `result`, one message an event."""
    told.session = _text(event, "session_id") or told.session
    kind = event.get("type")
    if kind == "system":
        told.model = _text(event, "model") or told.model
    elif kind == "assistant":
        yield from _claude_answer(told, event)
    elif kind == "tool_call" and event.get("subtype") == "started":
        yield from (
            f"→ {name}: {_short(_part(_part(event, 'tool_call'), name))}"
            for name in _part(event, "tool_call")
        )
    elif kind == "rate_limit_event":
        about = _part(event, "rate_limit_info")
        if about.get("status") == "rejected":
            told.retry_at = _number(about.get("resetsAt")) or told.retry_at
    elif kind == "result":
        yield from _claude_result(told, event)
    elif kind == "error":
        told.went_wrong(_text(event, "message", "error") or _short(event))
        yield told.message


def _claude_answer(told: Told, event: Event) -> Iterator[str]:
    message = _part(event, "message")
    name = _text(message, "id") or str(len(told.used))
    told.used[name] = _usage(_part(message, "usage"))
    blocks = message.get("content")
    text = ""
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, dict):
            continue
        if block.get("type") == "text":
            text += _text(block, "text")
        elif block.get("type") == "tool_use":
            yield f"→ {_text(block, 'name')}: {_short(block.get('input'))}"
    if text:
        told.text = text[-_KEPT_TEXT:]
        yield text
    if event.get("is_api_error_message") or event.get("error"):
        told.went_wrong(text, _status(event), _text(event, "api_error_type", "error"))


def _status(event: Event) -> int | None:
    status = event.get("api_error_status", event.get("statusCode"))
    return status if isinstance(status, int) else None


def _claude_result(told: Told, event: Event) -> Iterator[str]:
    told.cost_usd = _money(event.get("total_cost_usd")) or told.cost_usd
    told.turns = _number(event.get("num_turns")) or told.turns
    sent, received = _usage(_part(event, "usage"))
    told.input_tokens, told.output_tokens = max(told.input_tokens, sent), max(told.output_tokens, received)
    text = _text(event, "result", "error")
    if (failed := _API_ERROR.match(text)) is not None:  # qwen calls that a success
        told.went_wrong(text, int(failed[1]))
        yield told.message
    elif event.get("is_error") or str(event.get("subtype", "")).startswith("error"):
        told.went_wrong(text or _text(event, "subtype"), _status(event), _text(event, "api_error_type"))
        yield told.message
    else:
        told.recovered()
        told.text = text[-_KEPT_TEXT:] or told.text
        told.ended = True


def _opencode(told: Told, event: Event) -> Iterator[str]:
    told.session = _text(event, "sessionID") or told.session
    part, kind = _part(event, "part"), event.get("type")
    if kind == "text":
        told.text = _text(part, "text")[-_KEPT_TEXT:]
        yield told.text
    elif kind == "tool_use":
        yield f"→ {_text(part, 'tool')}: {_short(_part(part, 'state').get('input'))}"
    elif kind == "step_finish":
        tokens = _part(part, "tokens")
        cache = _part(tokens, "cache")
        told.input_tokens += (
            _number(tokens.get("input")) + _number(cache.get("read")) + _number(cache.get("write"))
        )
        told.output_tokens += _number(tokens.get("output")) + _number(tokens.get("reasoning"))
        told.cost_usd += _money(part.get("cost"))
        told.turns += 1
        told.recovered()
        told.ended = part.get("reason") != "tool-calls"
    elif kind == "error":
        about = _part(event, "error")
        data = _part(about, "data")
        told.went_wrong(_text(data, "message") or _text(about, "name"), _status(data))
        after = _part(data, "responseHeaders").get("retry-after")
        if isinstance(after, str) and after.isascii() and after.isdigit():
            told.retry_after = min(float(after), 7 * 86_400.0)
        yield told.message


def _codex(told: Told, event: Event) -> Iterator[str]:
    kind, item = event.get("type"), _part(event, "item")
    told.session = _text(event, "thread_id") or told.session
    if kind == "item.completed" and item.get("type") == "agent_message":
        told.text = _text(item, "text")[-_KEPT_TEXT:]
        yield told.text
    elif kind == "item.started" and item.get("type") == "command_execution":
        yield f"→ {_short(item)}"
    elif kind == "item.completed" and item.get("type") == "file_change":
        changes = item.get("changes")
        yield from (f"→ {_short(change)}" for change in (changes if isinstance(changes, list) else ()))
    elif kind == "turn.completed":
        sent, received = _usage(_part(event, "usage"))
        told.input_tokens, told.output_tokens = told.input_tokens + sent, told.output_tokens + received
        told.turns += 1
        told.recovered()
        told.ended = True
    elif kind in ("turn.failed", "error"):
        told.went_wrong(_text(_part(event, "error"), "message") or _text(event, "message"))
        yield told.message


def _gemini(told: Told, event: Event) -> Iterator[str]:
    kind = event.get("type")
    told.session = _text(event, "session_id") or told.session
    if kind == "init":
        told.model = _text(event, "model")
    elif kind == "message" and event.get("role") == "assistant":
        told.text = ((told.text if event.get("delta") else "") + _text(event, "content"))[-_KEPT_TEXT:]
    elif kind == "tool_use":
        yield told.text
        yield f"→ {_text(event, 'tool_name')}: {_short(event.get('parameters'))}"
        told.text = ""
    elif kind == "error":
        if event.get("severity") != "warning":
            told.went_wrong(_text(event, "message"))
        yield _text(event, "message")
    elif kind == "result":
        yield told.text
        stats = _part(event, "stats")
        told.input_tokens, told.output_tokens = _usage(stats)
        told.turns = _number(stats.get("tool_calls")) + 1
        if event.get("status") == "error":
            told.went_wrong(_text(_part(event, "error"), "message"))
            yield told.message
        else:
            told.recovered()
            told.ended = True


def _goose(told: Told, event: Event) -> Iterator[str]:
    kind = event.get("type")
    if kind == "message":
        message = _part(event, "message")
        blocks = message.get("content")
        for block in blocks if isinstance(blocks, list) else ():
            if not isinstance(block, dict) or message.get("role") != "assistant":
                continue
            if block.get("type") == "text":
                told.text = _text(block, "text")[-_KEPT_TEXT:]
                yield told.text
            elif block.get("type") == "toolRequest":
                call = _part(_part(block, "toolCall"), "value")
                yield f"→ {_text(call, 'name')}: {_short(call.get('arguments'))}"
    elif kind == "error":
        told.went_wrong(_text(event, "error"))
        yield told.message
    elif kind == "complete":
        sent, received = _usage(event)
        sent += _number(event.get("cache_write_input_tokens"))
        told.input_tokens = sent or _number(event.get("total_tokens"))
        told.output_tokens, told.cost_usd = received, _money(event.get("cost_usd"))
        told.ended = told.trouble is None


def _copilot(told: Told, event: Event) -> Iterator[str]:
    kind, data = str(event.get("type", "")), _part(event, "data")
    told.session = _text(event, "sessionId") or _text(data, "sessionId") or told.session
    if kind == "assistant.message":
        told.text = _text(data, "content")[-_KEPT_TEXT:] or told.text
        yield _text(data, "content")
    elif kind == "tool.execution_start":
        yield f"→ {_text(data, 'toolName')}: {_short(data.get('arguments'))}"
    elif kind == "assistant.usage":
        sent, received = _usage(data)
        told.input_tokens, told.output_tokens = told.input_tokens + sent, told.output_tokens + received
        told.model = _text(data, "model") or told.model
        told.turns += 1
    elif kind in ("session.error", "error"):
        told.went_wrong(
            _text(data, "message") or _text(event, "message"), _status(data), _text(data, "errorType")
        )
        yield told.message
    elif kind == "result":
        told.ended = event.get("exitCode", 0) == 0


def _aider(_told: Told, event: Event) -> Iterator[str]:
    """Has no events: what looks like one is part of its answer."""
    yield json.dumps(event)


_DIALECTS: Mapping[Dialect, Callable[[Told, Event], Iterator[str]]] = {
    "claude": _claude,
    "opencode": _opencode,
    "codex": _codex,
    "gemini": _gemini,
    "goose": _goose,
    "copilot": _copilot,
    "aider": _aider,
}
