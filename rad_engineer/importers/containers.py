"""Where the work items of a JSON document are: known lists, groups of lists, Task Master tags, one story alone."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rad_engineer.core.prd import Finding
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers.keys import BARRIERS, GROUPS, ITEMS, WRAPPERS, pick, plain
from rad_engineer.importers.work_items import (
    DONE,
    STORY_ID,
    Batch,
    Found,
    Steps,
    batch_of,
    dotted,
    is_entry,
    like_work,
    like_work_by_id,
    listed,
)

__all__ = ["Found", "find"]

_SIDE = re.compile(r"backlog|roadmap|deferred|icebox|future|parkinglot")


def find(document: Any, shown: str, *, tag: str | None = None) -> Found | None:
    """The work items by the known names, in their order; None when nothing is known; never by size."""
    if isinstance(document, list):
        return _root_list(document)
    if not isinstance(document, dict):
        return None
    empty: Found | None = None
    for path, projects in _scopes(document, tag, shown):
        found = _in_object(projects[0], path)
        if found is None:
            continue
        found.projects = projects
        if found.batches:
            found.findings += _ignored(projects[0], path, found)
            return found
        empty = empty or found
    return _alone(document) or _keyed_root(document) or empty


def _root_list(document: list[Any]) -> Found | None:
    if not document:
        return Found([], "[]")
    nested = [item for item in document if isinstance(item, dict) and _children(item)]
    if len(nested) == len(document) and not any(pick(item, *DONE) for item in nested):
        found = _expand(
            document, (), "[]", "phases" if pick(nested[0], "phase", "wave", "sprint") else "epics"
        )
        if found.batches:
            return found
    if not like_work(document):
        return None
    return listed(document, ())


def _scopes(
    document: dict[str, Any], tag: str | None, shown: str
) -> Iterator[tuple[Steps, list[dict[str, Any]]]]:
    """The document, a Task Master tag, then what is wrapped; each with the objects around it."""
    chosen = _tag(document, tag, shown)
    if chosen is not None:
        yield (chosen,), [document[chosen], document]
        return
    waiting: list[tuple[Steps, list[dict[str, Any]]]] = [((), [document])]
    while waiting:
        path, projects = waiting.pop(0)
        yield path, projects
        if len(path) < 4:
            for name in WRAPPERS:
                key = pick(projects[0], name)
                if key and isinstance(projects[0][key], dict):
                    waiting.append(((*path, key), [projects[0][key], *projects]))


def _tag(document: dict[str, Any], tag: str | None, shown: str) -> str | None:
    """The Task Master tag whose tasks are meant."""
    tags = [
        key
        for key, value in document.items()
        if isinstance(value, dict) and isinstance(value.get("tasks"), list)
    ]
    tags = [key for key in tags if plain(key) not in WRAPPERS or key == tag]
    if not tags or pick(document, *ITEMS):
        return None
    if tag is not None and tag not in tags:
        near = f"the file has: {', '.join(tags)}"
        raise PrdInvalid(f"{shown}: no tag {tag!r}", code="TAG", hint=near)
    if tag is None and "master" not in tags and len(tags) > 1:
        raise PrdInvalid(
            f"{shown}: several tags: {', '.join(tags)}", code="TAG", hint=f"choose one: --tag {tags[0]}"
        )
    return tag or ("master" if "master" in tags else tags[0])


def _in_object(value: dict[str, Any], path: Steps) -> Found | None:
    """The first known list or object that holds work items, else the first that is empty."""
    empty: Found | None = None
    for name in dict.fromkeys(ITEMS + GROUPS):
        key = pick(value, name)
        if key is None:
            continue
        child = value[key]
        here = (*path, key)
        if isinstance(child, list | dict) and not child:
            empty = empty or Found([], dotted(here))
        found = _collect(child, here, name)
        if found is not None and found.batches:
            return found
        empty = empty or found
    return empty


def _collect(child: Any, path: Steps, name: str) -> Found | None:
    if isinstance(child, list) and name in GROUPS and (like_work(child) or _are_groups(child)):
        return _expand(child, path, dotted(path), name)
    if isinstance(child, list) and like_work(child):
        return listed(child, path)
    if isinstance(child, dict) and like_work_by_id(child, lenient=name in ITEMS[:4]):
        batch = batch_of(list(child.values()), path, tuple(child))
        return Found([batch], dotted(path) + "{}")
    return None


def _are_groups(items: list[Any]) -> bool:
    """Whether elements that do not say what they are have lists of their own."""
    return bool(items) and all(isinstance(item, dict) and bool(_children(item)) for item in items[:50])


def _expand(groups: list[Any], path: Steps, container: str, name: str) -> Found:
    """Groups become their work items; a group without child lists is one itself."""
    found = Found([], container)
    names: dict[str, None] = {}
    for number, group in enumerate(groups):
        if not isinstance(group, dict):
            continue
        children = _children(group)
        if not children or (name == "features" and pick(group, *DONE)):
            wave = number + 1 if name in BARRIERS else None
            found.batches.append(Batch((*path,), [group], (number,), wave=wave))
            names.setdefault(container)
            continue
        for key in children:
            inner = _collect(group[key], (*path, number, key), plain(key))
            if inner is None or not inner.batches:
                continue
            _adopt(found, inner, group, number, name)
            suffix = inner.container.removeprefix(dotted((*path, number, key)))
            names.setdefault(f"{container if container.endswith(']') else container + '[]'}.{key}{suffix}")
            break
    _number_waves(found)
    if names:
        found.container = " + ".join(names)
    return found


def _adopt(found: Found, inner: Found, group: dict[str, Any], number: int, name: str) -> None:
    """Takes over the batches of a group, under the group's name and behind its barrier."""
    found.findings += inner.findings
    title = _group_name(group, number, name)
    for batch in inner.batches:
        wave = batch.wave
        if name in BARRIERS:
            wave = (number + 1) * 10_000 + (batch.wave or 0)
        label = f"{title} / {batch.group}" if batch.group else title
        found.batches.append(batch._replace(group=label, wave=wave))


def _number_waves(found: Found) -> None:
    """Barriers within barriers become 1, 2, 3 in their order."""
    numbers = sorted({batch.wave for batch in found.batches if batch.wave is not None})
    rank = {wave: index + 1 for index, wave in enumerate(numbers)}
    found.batches = [
        batch if batch.wave is None else batch._replace(wave=rank[batch.wave]) for batch in found.batches
    ]


def _group_name(group: dict[str, Any], number: int, name: str) -> str:
    key = pick(group, "name", "title", "id", "phase", "wave", "sprint", "epic", "milestone", "number")
    text = str(group[key]).strip() if key and isinstance(group[key], str | int) else ""
    return text if text and not text.isdigit() else f"{name[:-1]} {text or number + 1}"


def _children(group: Mapping[str, Any]) -> list[str]:
    """The keys under which a group has lists or objects of its own, the strongest name first; empty ones count."""
    found = []
    for name in dict.fromkeys((*ITEMS, *GROUPS)):
        key = pick(group, name)
        if key is None:
            continue
        value = group[key]
        is_list = isinstance(value, list) and (
            not value or like_work(value) or (name in GROUPS and _are_groups(value))
        )
        if is_list or (isinstance(value, dict) and like_work_by_id(value, lenient=False)):
            found.append(key)
    if found and all(group[key] == [] for key in found):  # an empty side list does not make it a group
        return [key for key in found if plain(key) in ITEMS[:3] or plain(key) in GROUPS]
    return found


def _alone(document: dict[str, Any]) -> Found | None:
    """A document that is one story itself."""
    if not (pick(document, "id") and pick(document, "title") and pick(document, *DONE)):
        return None
    finding = Finding("overwritten", "the whole file is one story: it may have been overwritten", 1, 1)
    found = Found([Batch((), [document], ())], ".")
    found.findings.append(finding)
    return found


def _keyed_root(document: dict[str, Any]) -> Found | None:
    """A document that is an object of stories keyed by id, or of stories with ids keyed by anything."""
    entries = [
        (index, key) for index, (key, item) in enumerate(document.items())
        if isinstance(item, dict) and STORY_ID.fullmatch(key) and is_entry(key, item, lenient=True)
    ]  # fmt: skip
    if not entries:
        entries = [
            (index, key) for index, (key, item) in enumerate(document.items())
            if isinstance(item, dict) and "id" in item and is_entry(key, item, lenient=False)
        ]  # fmt: skip
    if not entries or len(entries) * 2 < len(document):
        return None
    ids = tuple(key for _, key in entries)
    batch = Batch((), [document[key] for key in ids], tuple(index for index, _ in entries), ids)
    return Found([batch], "{}", [document])


def _ignored(value: dict[str, Any], path: Steps, found: Found) -> list[Finding]:
    """Side lists that look like work and are not run."""
    used = {batch.path[len(path)] for batch in found.batches if len(batch.path) > len(path)}
    ignored = []
    for key, child in value.items():
        known = plain(key) in ITEMS or _SIDE.search(plain(key))
        if key not in used and known and isinstance(child, list) and child and like_work(child):
            ignored.append(f"{dotted((*path, key))} ({len(child)} items)")
    if not ignored:
        return []
    return [Finding("side-list", f"not run, only {found.container} is: {', '.join(ignored)}")]
