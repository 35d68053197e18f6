"""What the audit log keeps: a closed list of records, each with a closed list of fields, and nothing else.

Who writes a record names its kind and its fields. What is not in the list is refused, what has another shape too, and
every text is shortened and loses secrets and personal data. A hash, a number or a flag cannot hold any.

| record | fields | meaning |
|---|---|---|
| opened | run, resumed, key | the first record of a chain, and of every process that goes on with it |
| continued | file | the first record of a file after the first one |
| damaged | what | the log was not as it had been left when it was opened again |
| run | state, branch, commit, agent, sandbox, code | a run started, goes on, is being stopped, has ended |
| spawn | what, pid, detail | a process of rad-engineer's own: the gateway, the workers |
| command | what, level, argv_hash, text, network | a command in a box, before it is started |
| network | host, port, decision, why | somebody in a box asked for a host |
| policy | decision, found | what the policy said of a change |
| injection | where, score, decision, found | a text that tries to give orders |
| trust | decision, list_hash, commands, scope | whether commands from files may run |
| key | source, what | a key was taken, kept or forgotten: from where, never which |
| gate | gate, ok, verdict | what a gate said |
| files | commit, count, list_hash, files | what a commit changes: status, path and object of each |
| landing | commit, unverified | a commit is on the run branch |
| story | state, reason, commit, by | where a story stands |
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from rad_engineer.core.events import Event
from rad_engineer.core.pii import scrubbed
from rad_engineer.core.printable import one_line

LONGEST = 2_000
MOST_FILES = 200
_MOST = 50
_HASH = re.compile(r"[0-9a-f]{8,64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}")


_Kind = TypeVar("_Kind")


class NotInSchema(ValueError):
    """A record, a field, or a value that the schema does not have."""


def _text(value: Any) -> str:
    return scrubbed(one_line(_of(value, str)[: 4 * LONGEST]))[:LONGEST]


def _of(value: Any, kind: type[_Kind]) -> _Kind:
    if type(value) is not kind:
        raise NotInSchema(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _name(value: Any) -> str:
    found = _of(value, str)
    return found if _NAME.fullmatch(found) and scrubbed(found) == found else _text(found)[:80]


def _hash(value: Any) -> str:
    if not _HASH.fullmatch(_of(value, str)):
        raise NotInSchema("no hash")
    return str(value)


def _number(value: Any) -> int | float:
    if type(value) not in (int, float):
        raise NotInSchema(f"a {type(value).__name__} where a number belongs")
    found: int | float = value
    return found


def _flag(value: Any) -> bool:
    return _of(value, bool)


def _texts(value: Any) -> list[str]:
    return [_text(one)[:500] for one in list(value)[:_MOST]]


def _files(value: Any) -> list[list[str]]:
    return [[_name(status), _text(path), _hash(found)] for status, path, found in list(value)[:MOST_FILES]]


_Check = Callable[[Any], Any]

SCHEMA: Mapping[str, Mapping[str, _Check]] = {
    "opened": {"run": _name, "resumed": _flag, "key": _hash},
    "continued": {"file": _number},
    "damaged": {"what": _text},
    "run": {"state": _name, "branch": _text, "commit": _hash, "agent": _text, "sandbox": _name, "code": _number},
    "spawn": {"what": _name, "pid": _number, "detail": _text},
    "command": {"what": _name, "level": _name, "argv_hash": _hash, "text": _text, "network": _texts},
    "network": {"host": _text, "port": _number, "decision": _name, "why": _text},
    "policy": {"decision": _name, "found": _texts},
    "injection": {"where": _text, "score": _number, "decision": _name, "found": _texts},
    "trust": {"decision": _name, "list_hash": _hash, "commands": _number, "scope": _text},
    "key": {"source": _text, "what": _name},
    "gate": {"gate": _text, "ok": _flag, "verdict": _name},
    "files": {"commit": _hash, "count": _number, "list_hash": _hash, "files": _files},
    "landing": {"commit": _hash, "unverified": _flag},
    "story": {"state": _name, "reason": _text, "commit": _hash, "by": _text},
}  # fmt: skip
"""Every record there is, with the check of each of its fields; a field may be left out."""


def record(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it may be written; fields without a value are left out. Raises NotInSchema."""
    checks = SCHEMA.get(kind)
    if checks is None:
        raise NotInSchema(f"no record is called {kind!r}")
    strange = fields.keys() - checks.keys()
    if strange:
        raise NotInSchema(f"{kind} has no field {min(strange)!r}")
    try:
        kept = {name: checks[name](value) for name, value in fields.items() if value not in (None, "")}
    except NotInSchema as error:
        raise NotInSchema(f"{kind}: {error}") from None
    return {"kind": kind, **kept}


def about(story: str | None, attempt: int | None) -> dict[str, Any]:
    """The members that say which story a record is of."""
    if story is None:
        return {}
    found: dict[str, Any] = {"story": _text(story)[:200]}
    return found if attempt is None else {**found, "attempt": attempt}


def argv_hash(argv: Iterable[str]) -> str:
    """By which a command line is known again, to the last blank."""
    return hashlib.sha256("\0".join(argv).encode("utf-8", "surrogatepass")).hexdigest()


def files(commit: str, changed: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """The fields of a `files` record; of a very long list its hash stands for what is left out."""
    rows = [(status, path, found) for status, path, found in changed]
    listed = "\0".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass")
    return {
        "commit": commit,
        "count": len(rows),
        "list_hash": hashlib.sha256(listed).hexdigest(),
        "files": rows,
    }


_STORY = {
    "story_started": "started",
    "attempt_failed": "attempt-failed",
    "story_failed": "failed",
    "story_unverified": "unverified",
    "story_interrupted": "interrupted",
    "story_waiting": "waiting",
    "story_approved": "approved",
    "story_passed": "passed-by-hand",
    "story_reopened": "reopened",
}
_RUN = {
    "run_started": "started",
    "run_resumed": "resumed",
    "run_stopping": "stopping",
    "run_finished": "finished",
}


def of_event(event: Event) -> dict[str, Any] | None:
    """The record that an event of the journal comes to, as kind and fields; None for those that are only progress."""
    data, kind = event.data, event.kind
    if kind == "story_landed":
        return {"kind": "landing", "commit": data.get("commit"), "unverified": bool(data.get("unverified"))}
    if kind == "gate_finished":
        return {
            "kind": "gate",
            "gate": data.get("gate"),
            "ok": bool(data.get("ok")),
            "verdict": data.get("verdict"),
        }
    if kind == "stage_finished":
        return _policy(data) if data.get("stage") == "policy" else None
    if kind == "network_asked":
        told = {name: data.get(name) for name in ("host", "port", "why")}
        return {"kind": "network", "decision": "allowed" if data.get("allowed") else "refused", **told}
    if kind in _STORY:
        told = {name: data.get(name) for name in ("reason", "commit", "by")}
        return {"kind": "story", "state": _STORY[kind], **told}
    if kind in _RUN:
        told = {name: data.get(name) for name in ("branch", "agent", "sandbox")}
        return {
            "kind": "run",
            "state": _RUN[kind],
            **told,
            "commit": data.get("head"),
            "code": data.get("exit_code"),
        }
    return None


def _policy(data: Mapping[str, Any]) -> dict[str, Any]:
    rows = data.get("violations") or ()
    found = [
        f"{row.get('severity')} {row.get('rule')} {row.get('path', '')}:{row.get('line') or ''}".rstrip(": ")
        for row in rows
    ]
    return {"kind": "policy", "decision": "allowed" if data.get("ok") else "refused", "found": found}
