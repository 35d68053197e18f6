"""Work items as they stand in a JSON document, and what makes a list look like one of them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from rad_engineer.core.prd import Finding
from rad_engineer.importers import keys
from rad_engineer.importers.keys import pick, plain

Steps = tuple[str | int, ...]

DONE = keys.FIELDS["passes"]
TITLES = (
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
STORY_ID = re.compile(r"[A-Za-z]{1,12}[-_]?[A-Za-z]?\d[\w.-]*")


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


def listed(items: list[Any], path: Steps) -> Found:
    """The objects of a list, with a warning where it has other elements."""
    found = Found([batch_of(items, path)], dotted(path) or "[]")
    dropped = len(items) - len(found.batches[0].items)
    if dropped:
        found.findings.append(
            Finding("item-ignored", f"{dropped} of {len(items)} elements of {found.container} are no objects")
        )
    return found


def batch_of(items: list[Any], path: Steps, ids: tuple[str, ...] = ()) -> Batch:
    """The objects among some elements, and which elements they are."""
    work = [index for index, item in enumerate(items) if isinstance(item, dict)]
    if len(work) == len(items):
        return Batch(path, items, range(len(items)), ids)
    chosen = tuple(ids[index] for index in work) if ids else ()
    return Batch(path, [items[index] for index in work], tuple(work), chosen)


def like_work(items: list[Any]) -> bool:
    """At least half of the first elements are objects that say what they are."""
    sample = items[:50]
    work = [item for item in sample if isinstance(item, dict) and says_what(item)]
    return bool(work) and len(work) * 2 >= len(sample)


def says_what(item: dict[str, Any]) -> bool:
    """Whether an object says what it is, and is no entry of an editor's task list."""
    if "id" in item and "title" in item:
        return True
    names = {plain(key) for key in item}
    if (
        "command" in names
        and names & {"type", "label", "args", "group", "problemmatcher"}
        and not names & {"id", "passes"}
    ):
        return False  # an editor's task list
    return not names.isdisjoint(TITLES) or "id" in names


def like_work_by_id(value: dict[str, Any], *, lenient: bool) -> bool:
    """Whether at least half of the first members are stories under their ids."""
    sample = list(value.items())[:50]
    work = [key for key, item in sample if isinstance(item, dict) and is_entry(key, item, lenient=lenient)]
    return bool(work) and len(work) * 2 >= len(sample)


def is_entry(key: str, item: dict[str, Any], *, lenient: bool) -> bool:
    """Whether a member of an object is a story under its id."""
    if lenient or STORY_ID.fullmatch(key):
        return bool(pick(item, *TITLES, *DONE, "status"))
    return bool(pick(item, "title", "name", "description")) and bool(pick(item, *DONE, "status"))


def dotted(path: Steps) -> str:
    """A path as people read it: `.phases[0].tasks`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
