"""What of a request counts when it is held against a recorded one. Whatever is not on these lists counts.

Left out: `stream`, `metadata`, `cache_control`, the API version, and `/v1` before the path. Images stand there as the
digest of their bytes, a text alone as a list of one block. Of what users write, the sections in which a prompt of ours
says what other stories have done so far are left out: that depends on which of them were faster.

Made alike, in system prompts, results of tools and what clients add as `<system-reminder>`: points of time, durations,
temporary and home folders, UUIDs, commit ids, addresses in memory, and the lines in which clients name the machine.
Everywhere: secrets, and the folder in which the client says that it works.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from rad_engineer.gateway.exchange import Call
from rad_engineer.gateway.fingerprint import betas, digest
from rad_engineer.gateway.redaction import Redaction

WORKPLACE = "<workplace>"
_LEFT_OUT = ("stream", "metadata", "cache_control")
_WORKS_IN = re.compile(r"\b(?:working directory|cwd): ?(/[^\s<>'\"]{2,})", re.IGNORECASE)
_REMINDER = re.compile(r"<system-reminder>[\s\S]*?</system-reminder>")
_OF_OTHERS = re.compile(r"\n## (?:What earlier stories changed|Learnings)\n\n[\s\S]*?\n(?=\n#+ |\Z)")
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? "
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_ROOTS = tuple(
    f"/{name}" for name in ["tmp", "var/tmp", "var/folders", "private", "dev/shm", "home", "Users", "root"]
)
_ALIKE = tuple(  # what a text must contain, the shape, and what stands there instead
    (marks, re.compile(shape, re.MULTILINE), alike)
    for marks, shape, alike in (
        (("x-anthropic-billing-header:",), r"^x-anthropic-billing-header:[^\n]*", "<billing>"),
        (("OS Version", "Platform", "Shell", "Terminal", "Machine", "User"),
         r"^([ *-]*(?:OS Version|Platform|Shell|Terminal|Machine|User)):[^\n]*", r"\1: <machine>"),
        (("-",), r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b", "<uuid>"),
        (("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
         rf"\b(?:{_DAY})?{_MONTH} +\d{{1,2}},? (?:\d\d:\d\d:\d\d (?:[A-Z]{{3,4}} )?)?\d{{4}}\b", "<time>"),
        (("-",), r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)?", "<time>"),
        ((":",), r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b", "<time>"),
        (("s",), r"\b\d+(?:\.\d+)? ?(?:s|ms|µs|ns|secs?|seconds?|milliseconds?)\b", "<duration>"),
        (_ROOTS, rf"(?<![\w.:/<-])(?:{'|'.join(_ROOTS)})(?:/[\w.@+%~-]+)+", "<path>"),
        (("0x",), r"\b0x[0-9a-fA-F]{6,16}\b", "<address>"),
        (("",), r"\b(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,64}\b", "<id>"),
    )
)  # fmt: skip


def normal_form(call: Call, redaction: Redaction) -> dict[str, Any]:
    """A request as it is recorded and compared."""
    where = workplace(call.data)
    data = {name: value for name, value in call.data.items() if name not in _LEFT_OUT}
    data = moved(data, where, WORKPLACE) if where else data  # first: it may lie in a temporary folder, or not
    found: dict[str, Any] = {
        "path": call.path.removeprefix("/v1"),
        "query": call.query,
        "betas": betas(call),
        **data,
    }
    if "system" in found:
        found["system"] = _blocks(found["system"], volatile=True)
    if isinstance(found.get("tools"), list):
        found["tools"] = [_without(tool) for tool in found["tools"]]
    found["messages"] = [_message(message) for message in data.get("messages") or ()]
    normal: dict[str, Any] = redaction.tree(found)
    return normal


def lane_of(normal: Mapping[str, Any]) -> str:
    """Names the conversations that a client leads side by side: by system prompt, tools and model."""
    return digest([normal.get(name) for name in ("path", "model", "system", "tools")])[:12]


def workplace(data: Mapping[str, Any]) -> str:
    """The folder in which a client says that it works; empty where it says nothing."""
    system = data.get("system")
    texts = [system] if isinstance(system, str) else [_text(block) for block in system or ()]
    found = next((found for text in texts if (found := _WORKS_IN.search(text))), None)
    return found[1].rstrip("/.,") if found else ""


def placed(value: Any, where: str, redaction: Redaction) -> Any:
    """A JSON value without secrets, and without the folder that it comes from."""
    cleared = redaction.tree(value)
    return moved(cleared, where, WORKPLACE) if where else cleared


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


def normal_message(message: Mapping[str, Any], redaction: Redaction) -> Any:
    """A message as requests have it in normal form, where it comes from a recording already."""
    return redaction.tree(_message(message))


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    content = _blocks(message.get("content"), volatile=message.get("role") == "system")
    return {**_without(message), "content": content}


def _blocks(content: Any, *, volatile: bool) -> Any:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        return content
    return [_block(block, volatile=volatile) for block in content]


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
        if any(mark in text for mark in marks):
            text = shape.sub(alike, text)
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
