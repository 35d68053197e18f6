"""What single lines of a Markdown plan say: ids, `**Field**: value` pairs, references and shell commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A token with a digit in it that people use to name a story: US-001, P0-1, W1-S2, UI-S1, T1, F1-UI, US-C01.
_DASHED = r"[A-Za-z]\w*(?:[-.]\w+)*-\w*\d\w*(?:\.\d+[a-z]?)*|[A-Za-z]+\d+(?:-\w+)+"
_SHORT = r"[A-Z]{1,6}_?\d+[a-z]?"
_WORD = r"(?:user[ -])?(?:story|task|issue|ticket|feature|item|requirement)\s+#?\d+(?:\.\d+)*[a-z]?"
_SEPARATOR = r"\s*(?:[:：]|\s[-–—]+(?=\s)|[.)](?=\s)|[–—])\s*"  # noqa: RUF001 - as written by people
_LEAD = r"^(?:[^\w\s\[(*`~]+\s*)?"  # an emoji or a rule in front of the id
_HEADING_ID = re.compile(
    rf"{_LEAD}(?:\*\*|\[|`|\()?(?:(?P<id>{_DASHED}|{_SHORT}|(?i:{_WORD}))(?:\*\*|\]|`|\))?(?:{_SEPARATOR}|$|(?<=[\]*`)])\s+)"
    rf"|(?P<bare>[A-Za-z]\w*(?:-\w+)*-\d+[a-z]?)(?:\*\*|\]|`|\))?\s+)(?:\*\*\s*)?(?P<title>.*)$",
    re.DOTALL,
)
_ITEM_ID = re.compile(
    rf"{_LEAD}(?:(?P<mark>\*\*|__|`|\[|\()(?P<id>{_DASHED}|{_SHORT}|\d+(?:\.\d+)+[a-z]?)"
    rf"[:.]?(?:\*\*|__|`|\]|\))(?:{_SEPARATOR}|\s+)|(?P<plain>{_DASHED}|{_SHORT}|\d+(?:\.\d+)+[a-z]?)(?:{_SEPARATOR}|$)"
    rf"|(?P<dotted>[A-Za-z]\w*-\d+\.\d+[a-z]?)\s+|(?:\*\*)?(?P<word>(?i:{_WORD})){_SEPARATOR})(?P<title>.*)$",
    re.DOTALL,
)
# Headings that gather stories; `P1` alone is a priority.
GROUP = re.compile(
    r"^\W*(?:(?:phase|priority|sprint|step|week|wave|milestone|epic|iteration|stage|day|month|quarter|part"
    r"|release|version|section|chapter|module|track|appendix|objective)\s*#?[\dA-Z]?[\d.]*\b|[PQVM]\d+\b(?!-|\.\d))",
    re.IGNORECASE,
)
_DECORATION = re.compile(
    r"(?:\s*(?:[✅☑✔✓❌⬜🔴🟡🟢🔵🟠⚪⏳⌛⏸🚧⚠🔄🏁🎉]\ufe0f?)\s*(?:\(?[A-Z][A-Z /-]*\)?)?)+\s*$"
)
_TITLE_LIMIT = 1000
_VALUE_LIMIT = 4000
_LEADING_EMOJI = re.compile(r"^(?:[✅☑✔✓❌⬜🔴🟡🟢🔵🟠⚪⏳⌛⏸🚧⚠🔄🏁🎉]\ufe0f?\s*)+")
_DONE_EMOJI = re.compile(r"[✅☑✔✓🟢]")
_FIELD = re.compile(
    r"^[ \t>]*(?:[-*+][ \t]+)?(?:\*\*(?P<bold>[^*\n:]{2,30}?)(?::\*\*|\*\*[ \t]*:)|(?P<plain>[A-Z][A-Za-z ]{1,24}):(?=[ \t\r\n]|$))"
    r"[ \t]*(?P<value>[^\r\n]*)",
    re.MULTILINE,
)
_NOTHING = re.compile(r"^\W*(?:(?:none|nothing|n/?a|nil)\b.*|(?:no|null)?\W*)$", re.IGNORECASE | re.DOTALL)
_NOTE = re.compile(
    r"\s+\((?:new|updated?|modif\w+|exist\w+|delet\w+|remov\w+|creat\w+)\b[^)]*\)\s*$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Field:
    """A `**Name**: value` line; `start` and `end` hold the value."""

    name: str
    value: str
    start: int
    end: int


def heading_id(text: str) -> tuple[str, str] | None:
    """Splits `US-001: Title` into id and title; None for headings that name no story."""
    if GROUP.match(text):
        return None
    found = _HEADING_ID.match(_LEADING_EMOJI.sub("", text))
    if found is None:
        return None
    return _one_word(found["id"] or found["bare"]), clean_title(found["title"])


def item_id(text: str) -> tuple[str, str] | None:
    """Splits `**7.0** Title`, `T1: title` or `P0-1.2 title` at the start of a list item."""
    if GROUP.match(text):
        return None
    found = _ITEM_ID.match(text)
    if found is None:
        return None
    written = found["id"] or found["plain"] or found["dotted"] or found["word"]
    title = found["title"]
    if text.startswith("**") and not found["mark"] and title.endswith("**"):
        title = title[:-2]
    return _one_word(written), clean_title(title)


def _one_word(written: str) -> str:
    return re.sub(r"[\s#]+", "-", written.strip())


def clean_title(text: str) -> str:
    """The first line of a title without marks of progress and without bold around all of it."""
    title = " ".join(text.strip().split("\n", 1)[0].split())[:_TITLE_LIMIT]
    title = _DECORATION.sub("", _LEADING_EMOJI.sub("", title)).strip()
    for mark in ("**", "__", "~~"):
        if len(title) > 4 and title.startswith(mark) and title.endswith(mark) and title.count(mark) == 2:
            title = title[2:-2].strip()
    return title.rstrip("#").strip()


def shows_done(heading: str) -> bool:
    """Whether a heading carries a sign of completion."""
    return _DONE_EMOJI.search(heading) is not None


def fields(text: str, start: int, end: int) -> Iterator[Field]:
    """The `**Name**: value` and `Name: value` lines between two places."""
    for found in _FIELD.finditer(text, start, end):
        value = found["value"].rstrip()
        name = (found["bold"] or found["plain"]).strip().lower()
        yield Field(name, plain(value), found.start("value"), found.start("value") + len(value))


def plain(text: str) -> str:
    """A value without the backticks or stars around it."""
    return text.strip().strip("`*").strip()


def references(text: str) -> tuple[str, ...]:
    """The stories that a `Dependencies` value names, as written."""
    if _NOTHING.match(text):
        return ()
    text = text[:_VALUE_LIMIT]
    pieces = re.split(r"[,;&\n]|\s+and\s+|\s\+\s", re.sub(r"\[([^\]]*)\](?:\([^)]*\))?", r"\1", text))
    names = (plain(re.sub(r"\s*\([^)]*\)?\s*$", "", piece)).lstrip("#") for piece in pieces)
    return tuple(dict.fromkeys(name for name in names if not _NOTHING.match(name)))


def file_names(lines: list[str]) -> tuple[str, ...]:
    """Paths from list items: the back-ticked part, or the bare line when it looks like a path, without notes."""
    found: list[str] = []
    for line in lines:
        quoted = re.findall(r"`([^`\n]+)`", line)
        bare = _NOTE.sub("", line.split("\n", 1)[0]).strip()
        if quoted:
            found.append(_NOTE.sub("", quoted[0]).strip())
        elif " " not in bare and re.search(r"[/.]\w", bare):
            found.append(bare)
    return tuple(dict.fromkeys(found))
