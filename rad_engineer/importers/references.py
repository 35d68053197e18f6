"""Small fields of a story in their many spellings: needs, priority, points, files, waves, ids."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from rad_engineer.core.prd import Wave

_NONE = frozenset(
    {
        "",
        "none",
        "null",
        "n/a",
        "na",
        "-",
        "\u2013",
        "\u2014",
        "nil",
        "nothing",
        "[]",
        "no",
        "false",
        "keine",
        "无",
    }
)
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+(?:and|&|und)\s+")
_ID_LIKE = re.compile(r"[\w.#/-]*\d[\w.#/-]*|[\w./-]+")
_VERSION = re.compile(
    r"[\^~<>=v*]?\s*[\d*]|latest|next|workspace:|file:|git|http|npm:|link:|\*|>=|catalog:", re.IGNORECASE
)
_WORD = re.compile(r"[a-z]+\d?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LEVELS = {
    **dict.fromkeys(("critical", "highest", "blocker", "urgent", "p0", "must", "p0critical"), 0),
    **dict.fromkeys(("high", "p1", "should", "major", "hoch", "alta", "高"), 1),
    **dict.fromkeys(("medium", "med", "normal", "p2", "could", "moderate", "mittel", "media", "média", "中"), 2),
    **dict.fromkeys(("low", "lowest", "minor", "p3", "p4", "wont", "won", "nice", "optional", "trivial", "baixa", "低"), 3),
}  # fmt: skip
_SIZES = {
    **dict.fromkeys(("xs", "trivial", "tiny"), 1.0),
    **dict.fromkeys(("s", "small", "low", "simple", "easy"), 2.0),
    **dict.fromkeys(("m", "medium", "moderate", "normal"), 3.0),
    **dict.fromkeys(("l", "large", "high", "complex", "hard"), 5.0),
    **dict.fromkeys(("xl", "xlarge", "veryhigh", "very", "epic", "critical"), 8.0),
    "xxl": 13.0,
}
_UNIT = re.compile(
    r"(\d+(?:\.\d+)?)\s*(?:(?:-|\u2013|to)\s*(\d+(?:\.\d+)?))?\s*(m|min|h|hr|d|w)?", re.IGNORECASE
)
_HOURS = {"m": 1 / 60, "min": 1 / 60, "h": 1.0, "hr": 1.0, "d": 8.0, "w": 40.0}
_NOTE = re.compile(r"\s+\(.*$|\s+(?:-|\u2013|\u2014|#|//|←|<-)\s+.*$|:\s+.*$", re.DOTALL)
_PATH = re.compile(r"[^\s<>|\"]+")
_SLUG = re.compile(r"[\W_]+")


def needs(value: Any) -> Iterator[str]:
    """References to other stories as written; a table of packages is none."""
    if isinstance(value, str):
        yield from _named(value)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, list):
        for item in value:
            yield from needs(item) if not isinstance(item, dict) else _of_object(item)


def _named(text: str) -> Iterator[str]:
    text = text.strip()
    if len(text) < 8 and text.casefold() in _NONE:
        return
    if " " not in text and "," not in text and ";" not in text:
        yield text
        return
    parts = [part for part in _SEPARATOR.split(text) if part]
    if len(parts) > 1 and all(_ID_LIKE.fullmatch(part) for part in parts):
        yield from parts
    else:
        yield text


def _of_object(item: dict[str, Any]) -> Iterator[str]:
    for key in ("id", "storyId", "story_id", "taskId", "task_id", "story", "task", "ref", "key"):
        if isinstance(item.get(key), str | int) and not isinstance(item[key], bool):
            yield str(item[key]).strip()
            return


def is_package_table(value: Any) -> bool:
    """Whether `dependencies` is what npm means by it: names and versions."""
    return isinstance(value, dict) and all(
        isinstance(item, str) and _VERSION.match(item) for item in value.values()
    )


def priority(value: Any) -> int | None:
    """A number as it is, a word by its level, prose by its first word; None for what says nothing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(r"-?\d{1,15}(?:\.\d+)?", text):
        return int(text.split(".")[0])
    for word in _WORD.findall(text.replace("'", ""))[:1] or [text[:1]]:
        if word.casefold() in _LEVELS:
            return _LEVELS[word.casefold()]
    return None


def points(value: Any) -> float | None:
    """Story points, hours or a size, as the weight of a story; None for what says nothing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return float(value) if 0 < value < 1_000_000 else None
    if not isinstance(value, str):
        return None
    text = value.strip().casefold()
    number = _UNIT.match(text)
    if number and len(text) < 60:
        low = float(number[1][:12])
        high = float(number[2][:12]) if number[2] else low
        return (low + high) / 2 * _HOURS.get(number[3] or "", 1.0) or None
    word = _WORD.match(text)
    return _SIZES.get(word.group()) if word else None


def wave(value: Any) -> Wave | None:
    """A declared wave: a number, `Wave 2`, or a letter."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Wave("", value)
    if isinstance(value, str):
        found = re.search(r"\d{1,6}", value)
        if found:
            return Wave("", int(found.group()))
        if len(value.strip()) == 1 and value.strip().isalpha():
            return Wave("", ord(value.strip().upper()) - ord("A") + 1)
    return None


def files(value: Any) -> Iterator[str]:
    """Declared files without notes like ` (NEW)`; what only is read does not count."""
    if isinstance(value, str):
        for part in value.split(",") if " " not in value.strip() or ", " in value else [value]:
            path = _NOTE.sub("", part.strip()).strip().strip("`'\"").replace("\\", "/").removeprefix("./")
            if (
                _PATH.fullmatch(path)
                and ("/" in path or "." in path or path[0].isupper())
                and "://" not in path
            ):
                yield path
    elif isinstance(value, list):
        for item in value:
            yield from files(item)
    elif isinstance(value, dict):
        kind = str(value.get("type", "")).upper()
        single = next(
            (value[key] for key in ("path", "file", "filename", "name") if isinstance(value.get(key), str)),
            None,
        )
        if single is not None:
            yield from files(single) if kind not in {"REFERENCE", "DEPENDENCY", "READ"} else ()
        else:
            for item in value.values():
                if isinstance(item, str | list):
                    yield from files(item)


def line(text: str) -> str:
    """Text as one line without control characters, as ids and titles are shown."""
    text = text.strip()
    if text.isprintable():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def short_id(text: str) -> str:
    """An id as one line that fits a screen and a file name."""
    text = line(text)
    return text if len(text) <= 200 else f"{text[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def made_id(title: str, *texts: str) -> str:
    """A stable id of an item without one: its title in short and a hash of what it says, never its place."""
    digest = hashlib.sha256("\0".join((title, *texts)).encode("utf-8", "replace")).hexdigest()[:6]
    slug = _SLUG.sub("-", title.casefold()).strip("-")
    if len(slug) > 40:
        slug = slug[:41].rsplit("-", 1)[0][:40]
    return f"{slug or 'story'}-{digest}"


def first_sentence(text: str) -> str:
    """The beginning of a description, as a title."""
    head = re.split(r"(?<=[.!?\u3002\uff01\uff1f])\s|\n", text.strip(), maxsplit=1)[0].strip()
    return head if len(head) <= 160 else head[:157].rsplit(" ", 1)[0] + " …"
