"""Where the work items of a JSON document are: known lists, groups of lists, Task Master tags, one story alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rad_engineer.core.prd import Finding
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import keys
from rad_engineer.importers.keys import BARRIERS, GROUPS, ITEMS, WRAPPERS, pick, plain

Steps = tuple[str | int, ...]

_DONE = keys.FIELDS["passes"]
_TITLES = (
    "title",
    "name",
    "taskname",
    "task",
    "story",
    "feature",
    "statement",
    "description",
    "desc",
    "body",
    "storytitle",
)
_SIDE = re.compile(r"backlog|roadmap|deferred|icebox|future|parkinglot")
_STORY_ID = re.compile(r"[A-Za-z]{1,12}[-_]?[A-Za-z]?\d[\w.-]*")
_SPLIT = re.compile(r"\.|(?=\[)")


class Batch(NamedTuple):
    """Work items of one list or object, and what they stand under."""

    path: Steps
    items: list[dict[str, Any]]
    elements: range | tuple[int, ...]
    keys: tuple[str, ...] = ()  # of an object keyed by id
    group: str = ""
    wave: int | None = None


class Found:
    """What a document holds: batches in order, the container's name, the objects that describe the project."""

    __slots__ = ("batches", "container", "findings", "projects")

    def __init__(self, batches: list[Batch], container: str, projects: Sequence[dict[str, Any]] = ()) -> None:
        self.batches = batches
        self.container = container
        self.projects = list(projects)  # the innermost first
        self.findings: list[Finding] = []


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
    if len(nested) == len(document) and not any(pick(item, *_DONE) for item in nested):
        found = _expand(
            document, (), "[]", "phases" if pick(nested[0], "phase", "wave", "sprint") else "epics"
        )
        if found.batches:
            return found
    if not _like_work(document):
        return None
    return Found([_batch(document, ())], "[]")


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
            empty = empty or Found([], _dotted(here))
        found = _collect(child, here, name)
        if found is not None and found.batches:
            return found
        empty = empty or found
    return empty


def _collect(child: Any, path: Steps, name: str) -> Found | None:
    if isinstance(child, list) and _like_work(child):
        if name in GROUPS:
            return _expand(child, path, _dotted(path), name)
        return Found([_batch(child, path)], _dotted(path))
    if isinstance(child, dict) and _like_work_by_id(child, lenient=name in ITEMS[:4]):
        batch = _batch(list(child.values()), path, tuple(child))
        return Found([batch], _dotted(path) + "{}")
    return None


def _expand(groups: list[Any], path: Steps, container: str, name: str) -> Found:
    """Groups become their work items; a group without child lists is one itself."""
    found = Found([], container)
    names: dict[str, None] = {}
    for number, group in enumerate(groups):
        if not isinstance(group, dict):
            continue
        children = _children(group)
        if not children or (name == "features" and pick(group, *_DONE)):
            wave = number + 1 if name in BARRIERS else None
            found.batches.append(Batch((*path,), [group], (number,), wave=wave))
            names.setdefault(container)
            continue
        for key in children:
            inner = _collect(group[key], (*path, number, key), plain(key))
            if inner is None or not inner.batches:
                continue
            _adopt(found, inner, group, number, name)
            suffix = inner.container.removeprefix(_dotted((*path, number, key)))
            names.setdefault(f"{container if container.endswith(']') else container + '[]'}.{key}{suffix}")
            break
    _number_waves(found)
    if names:
        found.container = " + ".join(names)
    return found


def _adopt(found: Found, inner: Found, group: dict[str, Any], number: int, name: str) -> None:
    """Takes over the batches of a group, under the group's name and behind its barrier."""
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
        is_list = isinstance(value, list) and (not value or _like_work(value))
        if is_list or (isinstance(value, dict) and _like_work_by_id(value, lenient=False)):
            found.append(key)
    if found and all(group[key] == [] for key in found):  # an empty side list does not make it a group
        return [key for key in found if plain(key) in ITEMS[:3] or plain(key) in GROUPS]
    return found


def _batch(items: list[Any], path: Steps, ids: tuple[str, ...] = ()) -> Batch:
    work = [index for index, item in enumerate(items) if isinstance(item, dict)]
    if len(work) == len(items):
        return Batch(path, items, range(len(items)), ids)
    chosen = tuple(ids[index] for index in work) if ids else ()
    return Batch(path, [items[index] for index in work], tuple(work), chosen)


def _like_work(items: list[Any]) -> bool:
    """At least half of the first elements are objects that say what they are."""
    sample = items[:50]
    work = [item for item in sample if isinstance(item, dict) and _says_what(item)]
    return bool(work) and len(work) * 2 >= len(sample)


def _says_what(item: dict[str, Any]) -> bool:
    if "id" in item and "title" in item:
        return True
    names = {plain(key) for key in item}
    if (
        "command" in names
        and names & {"type", "label", "args", "group", "problemmatcher"}
        and not names & {"id", "passes"}
    ):
        return False  # an editor's task list
    return not names.isdisjoint(_TITLES) or "id" in names


def _like_work_by_id(value: dict[str, Any], *, lenient: bool) -> bool:
    sample = list(value.items())[:50]
    work = [key for key, item in sample if isinstance(item, dict) and _is_entry(key, item, lenient=lenient)]
    return bool(work) and len(work) * 2 >= len(sample)


def _is_entry(key: str, item: dict[str, Any], *, lenient: bool) -> bool:
    if lenient or _STORY_ID.fullmatch(key):
        return bool(pick(item, *_TITLES, *_DONE, "status"))
    return bool(pick(item, "title", "name", "description")) and bool(pick(item, *_DONE, "status"))


def _alone(document: dict[str, Any]) -> Found | None:
    """A document that is one story itself."""
    if not (pick(document, "id") and pick(document, "title") and pick(document, *_DONE)):
        return None
    finding = Finding("overwritten", "the whole file is one story: it may have been overwritten", 1, 1)
    found = Found([Batch((), [document], ())], ".")
    found.findings.append(finding)
    return found


def _keyed_root(document: dict[str, Any]) -> Found | None:
    """A document that is an object of stories keyed by id."""
    entries = [
        (index, key) for index, (key, item) in enumerate(document.items())
        if isinstance(item, dict) and _STORY_ID.fullmatch(key) and _is_entry(key, item, lenient=True)
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
        if key not in used and known and isinstance(child, list) and child and _like_work(child):
            ignored.append(f"{_dotted((*path, key))} ({len(child)} items)")
    if not ignored:
        return []
    return [Finding("side-list", f"not run, only {found.container} is: {', '.join(ignored)}")]


def at(document: Any, stories_path: str, shown: str) -> Found:
    """The work items at a path like `.phases[].tasks`, as `--stories-path` names it."""
    places: list[tuple[Steps, Any]] = [((), document)]
    for step in _steps(stories_path):
        places = [place for path, value in places for place in _step(path, value, step)]
    batches = []
    for path, value in places:
        if isinstance(value, list):
            batches.append(_batch(value, path))
        elif isinstance(value, dict):
            batches.append(_batch(list(value.values()), path, tuple(value)))
    if not places or not batches:
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
    return PrdInvalid(f"{shown}: {what}", code="NO_STORIES", hint=_offer(document))


def _offer(document: Any) -> str | None:
    best = max(_lists(document), default=None, key=lambda scored: scored[0])
    if best is None:
        return None
    _, path, count = best
    return f"did you mean {path} ({count} items)? then: --stories-path '{path}'"


def _lists(document: Any) -> Iterator[tuple[float, str, int]]:
    """Every list of objects in the document with how much it looks like stories; bounded."""
    waiting: list[tuple[Steps, Any]] = [((), document)]
    for _ in range(20_000):
        if not waiting:
            return
        path, value = waiting.pop()
        if isinstance(value, list):
            objects = [item for item in value if isinstance(item, dict)]
            if objects:
                score = sum(_score(item) for item in objects[:50])
                yield score, _dotted(path) or "[]", len(objects)
            waiting += [((*path, index), item) for index, item in enumerate(value[:200])]
        elif isinstance(value, dict):
            waiting += [((*path, key), child) for key, child in value.items()]


def _score(item: dict[str, Any]) -> float:
    names = {plain(key) for key in item}
    wanted = ("id", *_TITLES[:2], "description", *keys.FIELDS["criteria"][:2], "status", "passes", "priority")
    return sum(name in names for name in wanted) + 0.1


def _dotted(path: Steps) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _kind(value: Any) -> str:
    return {str: "text", bool: "true/false", int: "number", type(None): "null"}.get(type(value), "value")
