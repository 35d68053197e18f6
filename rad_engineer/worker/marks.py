"""Marks of a run that come back from an agent: taken out of what it said and of its log, and told."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.agents import AgentResult
from rad_engineer.core.fence import Marks

NOTICE = "the marks of this run were in {}, and were taken out: somebody wants to pass off text as ours"
_AT_ONCE = 1_000_000
_TEXTS = tuple(
    field.name for field in fields(AgentResult) if field.name not in ("outcome", "model", "session", "reason")
)


def without(result: AgentResult, marks: Marks) -> AgentResult:
    """The result without marks; that there were any is among what is to be noticed."""
    changed: dict[str, Any] = {}
    for name in _TEXTS:
        value = getattr(result, name)
        if (clean := _clean(value, marks)) != value:
            changed[name] = clean
    if not changed:
        return result
    return replace(result, **changed, noticed=(*result.noticed, NOTICE.format("the last word of the agent")))


def _clean(value: Any, marks: Marks) -> Any:
    match value:
        case str():
            return marks.redacted(value)
        case tuple() | list():
            return type(value)(_clean(part, marks) for part in value)
        case Mapping():
            return {name: _clean(part, marks) for name, part in value.items()}
    return value


def clean_log(path: Path, marks: Marks) -> bool:
    """Overwrites the marks in a log, in place: whether there were any."""
    if path.is_symlink() or not path.is_file():
        return False
    wanted = re.compile(b"|".join(re.escape(mark.encode()) for mark in (marks.nonce, marks.token)))
    longest, found, start, kept = len(marks.token), False, 0, b""
    with durable.writing(path), path.open("r+b") as log:
        while part := log.read(_AT_ONCE):
            text = kept + part
            for match in wanted.finditer(text):
                found = True
                back = log.tell()
                log.seek(start - len(kept) + match.start())
                log.write(b"*" * len(match[0]))
                log.seek(back)
            start += len(part)
            kept = text[-longest:]
    return found
