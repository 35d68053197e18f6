"""What of a request counts when it is held against a recorded one. Whatever is not on these lists counts.

Left out: `stream`, `metadata`, `cache_control`, the API version, and `/v1` before the path. Images stand there as the
digest of their bytes, a text alone as a list of one block. Of what users write, the sections in which a prompt of ours
says what other stories have done so far are left out: that depends on which of them were faster.

Made alike, in system prompts, results of tools and what clients add as `<system-reminder>`: points of time, durations,
temporary and home folders, UUIDs, commit ids, addresses in memory, and the lines in which clients name the machine.
Everywhere: secrets, the folder in which the client says that it works, and the marks of a run (core/fence.py): the
nonce of its fences and the token that ends a turn.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rad_engineer.gateway.exchange import Call
from rad_engineer.gateway.fingerprint import betas, digest
from rad_engineer.gateway.redaction import Redaction
from rad_engineer.gateway.remembered import Remembered, exact

WORKPLACE = "<workplace>"
_MARKS = {
    "<nonce>": re.compile(r"\buntrusted-([0-9a-f]{16})\b"),
    "<token>": re.compile(r"\b(rad-done-[0-9a-f]{20})\b"),
}
_OF_A_LANE = ("path", "model", "system", "tools")
_MOST_LANES = 255
_MOST_REMEMBERED = 32_000_000
_LEFT_OUT = ("stream", "metadata", "cache_control")
_WORKS_IN = re.compile(r"\b(?:working directory|cwd): ?(/[^\s<>'\"]{2,})", re.IGNORECASE)
_REMINDER = re.compile(r"<system-reminder>[\s\S]*?</system-reminder>")
_OF_OTHERS = re.compile(r"\n## (?:What earlier stories changed|Learnings)\n\n[\s\S]*?\n(?=\n#+ |\Z)")
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? "
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_ROOTS = tuple(
    f"/{name}" for name in ["tmp", "var/tmp", "var/folders", "private", "dev/shm", "home", "Users", "root"]
)
_ALIKE = tuple(  # what a text must contain, the shape, and what stands there instead. `(?<!\w.)` behind the first
    # character is a `\b` before it, and five times as fast: the search knows what it looks for
    (marks, re.compile(shape, re.MULTILINE), alike)
    for marks, shape, alike in (
        (("x-anthropic-billing-header:",), r"^x-anthropic-billing-header:[^\n]*", "<billing>"),
        (("OS Version", "Platform", "Shell", "Terminal", "Machine", "User"),
         r"^([ *-]*(?:OS Version|Platform|Shell|Terminal|Machine|User)):[^\n]*", r"\1: <machine>"),
        (("-",), r"[0-9a-fA-F](?<!\w.)[0-9a-fA-F]{7}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<uuid>"),
        (("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
         rf"\b(?:{_DAY})?{_MONTH} +\d{{1,2}},? (?:\d\d:\d\d:\d\d (?:[A-Z]{{3,4}} )?)?\d{{4}}\b", "<time>"),
        (("-",), r"\d(?<!\w.)\d{3}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?", "<time>"),
        ((":",), r"\d(?<!\w.)\d:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (("s",), r"\d(?<!\w.)\d*(?:\.\d+)? ?(?:s|ms|µs|ns|secs?|seconds?|milliseconds?)\b", "<duration>"),
        (_ROOTS, rf"(?<![\w.:/<-])(?:{'|'.join(_ROOTS)})(?:/[\w.@+%~-]+)+", "<path>"),
        (("0x",), r"\b0x[0-9a-fA-F]{6,16}\b", "<address>"),
        (("",), r"[0-9a-f](?<!\w.)(?=(?<=[0-9])[0-9]*[a-f]|(?<=[a-f])[a-f]*[0-9])[0-9a-f]{6,63}\b", "<id>"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Normal:
    """A request as it is recorded and compared, with its lane, what names it, and the folder that it comes from."""

    request: Mapping[str, Any]
    lane: str
    fingerprint: str
    here: Mapping[str, str]  # what stands here for what is said in the place of it: the folder, the marks


class Forms:
    """Makes normal forms, each part of a request once: a next turn has nearly all of them again. For any thread."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._parts = Remembered(self._part, _MOST_REMEMBERED, whole=True)
        self._places = Remembered(here, _MOST_REMEMBERED // 10)
        self._lanes: dict[str, str] = {}

    def of(self, call: Call) -> Normal:
        """The normal form of a request."""
        data = {name: value for name, value in call.data.items() if name not in _LEFT_OUT}
        where = self._places.of([data.get("system"), _first_message(data)])
        parts = {name: self._each(name, where, call) for name in _FORMS if name in call.said.parts}
        rest = {name: None if name in parts else value for name, value in data.items()}
        found = {
            "path": call.path.removeprefix("/v1"),
            "query": call.query,
            "betas": betas(call),
            **away(rest, where),
        }
        request = self._redaction.tree(found)
        request |= {name: [normal for normal, _ in made] for name, made in parts.items()}
        names = {name: [digest for _, digest in made] for name, made in parts.items()}
        lane = self._lane(request, digest([names.get(name, request.get(name)) for name in _OF_A_LANE]))
        return Normal(request, lane, digest({**request, **names}), where)

    def _each(self, name: str, where: Mapping[str, str], call: Call) -> list[tuple[Any, str]]:
        listed = _as_list(call.data[name])
        before = exact([name, where])
        names = [before + part.exact for part in call.said.parts[name]]
        return self._parts.each(names, [[name, where, part] for part in listed])

    def _part(self, name_where_part: list[Any]) -> tuple[Any, str]:
        name, where, part = name_where_part
        normal = self._redaction.tree(
            _FORMS[name](away(part, where))
        )  # moved first: it may lie in a temporary folder
        return normal, digest(normal)

    def _lane(self, request: Mapping[str, Any], head: str) -> str:
        if head not in self._lanes:
            self._lanes = {**dict(islice(self._lanes.items(), _MOST_LANES)), head: lane_of(request)}
        return self._lanes[head]


def fingerprint(normal: Mapping[str, Any]) -> str:
    """Names a request by what it says."""
    return digest({
        name: [digest(part) for part in value] if name in _FORMS and isinstance(value, list) else value
        for name, value in normal.items()
    })  # fmt: skip


def same_turn(call: Call) -> str:
    """Names what is asked for, whether at once or as a stream and however long: clients change that when they ask again."""
    found = Forms(Redaction()).of(call).request
    return digest({name: value for name, value in found.items() if name != "max_tokens"})


def lane_of(normal: Mapping[str, Any]) -> str:
    """Names the conversations that a client leads side by side: by system prompt, tools and model."""
    return digest([normal.get(name) for name in _OF_A_LANE])[:12]


def workplace(system: Any) -> str:
    """The folder in which a client says that it works, in its system prompt; empty where it says nothing."""
    blocks = _as_list(system)
    texts = [_text(block) for block in blocks] if isinstance(blocks, list) else ()
    found = next((found for text in texts if (found := _WORKS_IN.search(text))), None)
    return found[1].rstrip("/.,") if found else ""


def here(system_and_first: Sequence[Any]) -> dict[str, str]:
    """What is different here from anywhere else, by what is said in its place: the folder, and the marks of the run."""
    text = json.dumps(system_and_first, ensure_ascii=False)
    found = {WORKPLACE: workplace(system_and_first[0])}
    found |= {mark: seen[1] for mark, shape in _MARKS.items() if (seen := shape.search(text))}
    return {mark: value for mark, value in found.items() if value}


def _first_message(data: Mapping[str, Any]) -> Any:
    messages = data.get("messages")
    return messages[0] if isinstance(messages, list) and messages else None


def placed(value: Any, where: Mapping[str, str], redaction: Redaction) -> Any:
    """A JSON value without secrets, and without what is different elsewhere."""
    return away(redaction.tree(value), where)


def moved(value: Any, old: str, new: str) -> Any:
    """A JSON value with one folder instead of another in its texts."""
    match value:
        case str():
            return value.replace(old, new)
        case list():
            return [moved(part, old, new) for part in value]
        case dict():
            return {name: moved(part, old, new) for name, part in value.items()}
    return value


def away(value: Any, where: Mapping[str, str]) -> Any:
    """A JSON value as it is everywhere."""
    for mark, own in where.items():
        value = moved(value, own, mark)
    return value


def back(value: Any, where: Mapping[str, str]) -> Any:
    """A JSON value as it is here."""
    for mark, own in where.items():
        value = moved(value, mark, own)
    return value


def normal_message(message: Mapping[str, Any], redaction: Redaction) -> Any:
    """A message as requests have it in normal form, where it comes from a recording already."""
    return redaction.tree(_message(message))


def _as_list(content: Any) -> Any:
    """A text alone as a list of one block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = _blocks(message.get("content"), volatile=message.get("role") == "system")
    return {**_without(message), "content": content}


def _blocks(content: Any, *, volatile: bool) -> Any:
    content = _as_list(content)
    return [_block(block, volatile=volatile) for block in content] if isinstance(content, list) else content


def _block(block: Any, *, volatile: bool) -> Any:
    if not isinstance(block, dict):
        return block
    found = _without(block)
    match found.get("type"):
        case "text" if isinstance(found.get("text"), str):
            text = found["text"]
            found["text"] = _alike(text) if volatile else _written(text)
        case "tool_result":
            found["content"] = _blocks(found.get("content", []), volatile=True)
        case "image" | "document" if isinstance(found.get("source"), dict):
            found["source"] = _source(found["source"])
    return found


def _written(text: str) -> str:
    return _REMINDER.sub(lambda part: _alike(part[0]), _OF_OTHERS.sub("", text))


def _source(source: dict[str, Any]) -> dict[str, Any]:
    data = source.get("data")
    if source.get("type") != "base64" or not isinstance(data, str):
        return source
    return {**source, "data": "sha256:" + hashlib.sha256(data.encode()).hexdigest()}


def _alike(text: str) -> str:
    for marks, shape, alike in _ALIKE:
        for mark in marks:
            if mark in text:
                text = shape.sub(alike, text)
                break
    return text


def _without(block: Any) -> Any:
    return (
        {name: value for name, value in block.items() if name != "cache_control"}
        if isinstance(block, dict)
        else block
    )


def _text(block: Any) -> str:
    text = block.get("text") if isinstance(block, dict) else None
    return text if isinstance(text, str) else ""


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "system": lambda block: _block(block, volatile=True),
    "tools": _without,
    "messages": _message,
}
"""What is a list in a request, and how one of its parts becomes normal."""
