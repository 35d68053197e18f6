"""PRDs that list other PRDs: the files they name, and the order between them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rad_engineer.importers import references
from rad_engineer.importers.keys import ITEMS, pick

_FILE = ("file", "prd", "prdfile", "path", "prdpath", "jsonfile")
_COUNT = ("stories", "storycount", "userstories", "totalstories", "count", "tasks", "taskcount", "numstories")
_NAMES = ("id", "name", "title", "phase", "milestone", "number")


class Child(NamedTuple):
    """A PRD file a manifest names, and the other files of the manifest it needs."""

    file: str
    needs: tuple[str, ...]


def children(document: Any) -> list[Child]:
    """The PRD files a document lists: items with a file and a story count; none when it is a PRD itself."""
    if isinstance(document, list):
        lists = [document]
    elif isinstance(document, dict):
        lists = [value for value in document.values() if isinstance(value, list)]
        if (key := pick(document, *ITEMS[:4])) and document[key] and not _is_manifest(document[key]):
            return []
    else:
        return []
    for items in lists:
        if _is_manifest(items):
            return _children(items)
    return []


def _is_manifest(items: Any) -> bool:
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(item, dict) and _file(item) for item in items)
    )


def _file(item: Mapping[str, Any]) -> str | None:
    key, count = pick(item, *_FILE), pick(item, *_COUNT)
    if key is None or count is None or not isinstance(item[count], int) or isinstance(item[count], bool):
        return None
    value = item[key]
    return value if isinstance(value, str) and value.lower().endswith((".json", ".md", ".markdown")) else None


def _children(items: list[dict[str, Any]]) -> list[Child]:
    named: dict[str, str] = {}
    for item in items:
        file = _file(item) or ""
        for name in _NAMES:
            key = pick(item, name)
            if key is not None and isinstance(item[key], str | int):
                named.setdefault(str(item[key]).strip().casefold(), file)
    found = []
    for item in items:
        key = pick(item, "dependson", "dependencies", "blockedby", "requires", "needs")
        wanted = references.needs(item[key]) if key is not None else ()
        needs = tuple(named.get(name.casefold(), name) for name in wanted)
        found.append(Child(_file(item) or "", needs))
    return found
