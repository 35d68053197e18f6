"""A document without known lists: the path a user names, and the refusal that offers one."""

import re
from collections.abc import Iterator
from typing import Any

from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import keys
from rad_engineer.importers.keys import pick, plain
from rad_engineer.importers.work_items import Found, Steps, batch_of, dotted, says_what

_FORM = 'a PRD has at least: {"userStories": [{"id": "US-001", "title": "…", "passes": false}]}'
_SPLIT = re.compile(r"\.|(?=\[)")


def at(document: Any, stories_path: str, shown: str) -> Found:
    """The work items at a path like `.phases[].tasks`, as `--stories-path` names it."""
    places: list[tuple[Steps, Any]] = [((), document)]
    for step in _steps(stories_path):
        places = [place for path, value in places for place in _step(path, value, step)]
    batches = []
    for path, value in places:
        if isinstance(value, list):
            batches.append(batch_of(value, path))
        elif isinstance(value, dict) and not stories_path.endswith("[]"):
            batches.append(batch_of(list(value.values()), path, tuple(value)))
    if not any(batch.items for batch in batches) and not any(value in ([], {}) for _, value in places):
        raise PrdInvalid(
            f"{shown}: nothing at {stories_path}",
            code="NO_STORIES",
            hint=_offer(document) or "the path looks like .userStories or .phases[].tasks",
        )
    root = [document] if isinstance(document, dict) else []
    return Found([batch for batch in batches if batch.items], stories_path, root)


def _steps(path: str) -> list[str]:
    return [step for step in _SPLIT.split(path.strip().removeprefix("$").removesuffix("[]")) if step]


def _step(path: Steps, value: Any, step: str) -> Iterator[tuple[Steps, Any]]:
    if step.startswith("["):
        index = step.strip("[]")
        if isinstance(value, list):
            chosen = range(len(value)) if index in ("", "*") else [int(index)] if index.isdigit() else []
            yield from (((*path, number), value[number]) for number in chosen if number < len(value))
        elif isinstance(value, dict) and index in ("", "*"):
            yield from (((*path, key), child) for key, child in value.items())
    elif isinstance(value, dict):
        key = step if step in value else pick(value, plain(step))
        if key is not None:
            yield (*path, key), value[key]


def refuse(document: Any, shown: str) -> PrdInvalid:
    """Nothing known was found: a schema, or a document with other lists; names the closest of them."""
    if isinstance(document, dict):
        names = {plain(key) for key in document}
        if "json-schema.org" in str(document.get("$schema", "")) or {"type", "properties"} <= names:
            return PrdInvalid(
                f"{shown}: a JSON Schema, not a PRD",
                code="IS_SCHEMA",
                hint="name a PRD that follows this schema",
            )
    what = "no list of stories found (userStories, stories, tasks, features, phases …)"
    if not isinstance(document, dict | list):
        what = f"a single {_kind(document)}, not a PRD"
    return PrdInvalid(f"{shown}: {what}", code="NO_STORIES", hint=_offer(document) or _FORM)


def _offer(document: Any) -> str | None:
    best = max(_lists(document), default=None, key=lambda scored: (round(scored[0], 1), scored[2]))
    if best is None:
        return None
    _, path, count = best
    return f"did you mean {path} ({count} items)? then: --stories-path {_quoted(path)}"


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _lists(document: Any) -> Iterator[tuple[float, str, int]]:
    """Every list of objects in the document with how much it looks like stories; bounded."""
    waiting: list[tuple[Steps, Any]] = [((), document)]
    for _ in range(20_000):
        if not waiting:
            return
        path, value = waiting.pop()
        if isinstance(value, list):
            objects = [item for item in value if isinstance(item, dict) and says_what(item)]
            if objects and dotted(path).isprintable():
                score = sum(_score(item) for item in objects[:50]) / len(objects[:50])
                yield score, dotted(path) or "[]", len(objects)
            waiting += [((*path, index), item) for index, item in enumerate(value[:200])]
        elif isinstance(value, dict):
            waiting += [((*path, key), child) for key, child in value.items()]


def _score(item: dict[str, Any]) -> float:
    names = {plain(key) for key in item}
    wanted = (
        "title",
        "name",
        "description",
        "desc",
        *keys.FIELDS["criteria"][:2],
        "status",
        "passes",
        "priority",
    )
    return sum(name in names for name in wanted) + 2 * ("id" in names)


def _kind(value: Any) -> str:
    return {str: "text", bool: "true/false", int: "number", type(None): "null"}.get(type(value), "value")
