"""What looks like a secret: found in what is to become code, and hidden in what is only read.

One implementation for diffs, logs, transcripts, reports and prompts. A type with a fixed beginning is known by its
shape (core/secret_shapes.py); any other by the name that it is assigned to and by how little its value looks like words.
"""

import hashlib
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rad_engineer.core.secret_shapes import SHAPES, compiled

GENERIC = "assigned-secret"
KEPT_IN_TESTS = frozenset({"private-key", "json-web-token"})
"""Types that tests make for themselves all the time: below a test path they only warn."""

_NAMES = (
    r"passw(?:or)?d|passphrase|passwd|pwd|secret|token|api[_-]?key|auth[_-]?key|access[_-]?key|account[_-]?key"
    r"|private[_-]?key|signing[_-]?key|encryption[_-]?key|master[_-]?key|credential"
)
_HINT = re.compile(rf"{_NAMES}|://[^\s:/@]+:", re.IGNORECASE)
_QUOTED = re.compile(
    rf"(?:{_NAMES})[A-Za-z0-9_.-]{{0,30}}[\"'\]]{{0,2}}\s{{0,4}}(?:=>|:=|=|:|,|\()\s{{0,4}}[brfu@$]?"
    r"(?P<quote>[\"'`])(?P<value>[^\s\"'`]{16,200})(?P=quote)",
    re.IGNORECASE,
)
_BARE = re.compile(
    rf"^\s*(?:export\s+|ENV\s+|set\s+|-\s+|-D)?[A-Za-z0-9_.-]{{0,60}}(?:{_NAMES})[A-Za-z0-9_.-]{{0,30}}\s{{0,4}}[=:]\s{{0,4}}"
    r"(?P<value>[A-Za-z0-9+/_~.=-]{16,200})\s*$",
    re.IGNORECASE,
)
_URL = re.compile(
    r"://[^\s:/@'\"<>{}$]{1,100}:(?P<value>[^\s:/@'\"<>{}$]{12,200})@(?!localhost|127\.|example)"
)
_BARE_FILES = re.compile(
    r"(?:^|/)(?:\.env[^/]*|Dockerfile[^/]*|[^/]*\.(?:env|ini|cfg|conf|properties|ya?ml|tfvars|sh|bash|zsh|netrc))$"
)
_LOCKED = re.compile(
    r"(?:^|/)(?:[^/]*[.-]lock(?:\.[a-z]+)?|[^/]*\.lockfile|package-lock\.json|npm-shrinkwrap\.json|go\.sum|[^/]*\.min\.(?:js|css)"
    r"|[^/]*\.(?:map|svg|snap|ipynb))$"
)
_PRETENDED = re.compile(
    r"example|x{4,}|your|placeholder|dummy|redacted|change.?me|insert|\.\.\.|(?:0123|1234)5678|abcdef(?:gh|01)|deadbeef",
    re.IGNORECASE,
)
_NOT_A_VALUE = re.compile(r"[(){}<>\[\]$%|\\]|^[./~]|^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+$|^https?:|^\w+/\w+/")
_PARTS = re.compile(r"[A-Za-z]+|\d+")
_WORD = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{2,}")
_BODY = re.compile(r"[A-Za-z0-9+/=]{16}")
_ALLOWED = re.compile(r"pragma: ?allowlist[ -]secret|gitleaks:allow|rad: ?allow[ -]secret", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A secret in a text: its type and where it stands."""

    kind: str
    value: str
    start: int

    @property
    def end(self) -> int:
        """Behind its last character."""
        return self.start + len(self.value)

    @property
    def mark(self) -> str:
        """What may be shown of it: the type and a short hash, by which it is known again."""
        return f"{self.kind} {short_hash(self.value)}"


def short_hash(value: str) -> str:
    """Eight digits by which a secret is known again; too few to guess it by."""
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:8]


def allowed(line: str) -> bool:
    """Whether somebody wrote beside it that it is none."""
    return _ALLOWED.search(line) is not None


_MARKS = tuple((mark, shape.name) for shape in SHAPES for mark in shape.marks)


def find(text: str) -> list[Found]:
    """Every text of a known shape, in the order in which it stands there, none inside another."""
    found: list[Found] = []
    for name in dict.fromkeys(name for mark, name in _MARKS if mark in text):
        found = _with(
            found, (Found(name, match[0], match.start()) for match in compiled(name).finditer(text))
        )
    return found


def _with(found: list[Found], more: Iterable[Found]) -> list[Found]:
    """In the order in which they stand there, and of those that overlap the one that was found first."""
    starts = [one.start for one in found]
    for new in more:
        at = bisect_left(starts, new.end)
        if not (at and found[at - 1].end > new.start):
            starts.insert(at, new.start)
            found.insert(at, new)
    return found


def in_code(text: str, path: str) -> list[Found]:
    """What of a text that becomes code is taken for a secret: known shapes, and what is assigned to a telling name.

    What is plainly made up, and what programs only speak of, is left out.
    """
    known = [one for one in find(text) if _is_meant(one)]
    return _with(known, _assigned(text, path))


_TEXT_ONLY = frozenset(shape.name for shape in SHAPES if shape.text_only)


def _is_meant(found: Found) -> bool:
    if found.kind in _TEXT_ONLY:
        return False
    if found.kind == "private-key":
        return _BODY.search(found.value.partition("KEY")[2]) is not None
    return not _PRETENDED.search(found.value) and entropy(found.value) > 2.8


def _assigned(text: str, path: str) -> Iterator[Found]:
    if _LOCKED.search(path) or not _HINT.search(text):
        return
    patterns = (_QUOTED, _URL, _BARE) if _BARE_FILES.search(path) else (_QUOTED, _URL)
    start = 0
    for line in text.split("\n"):
        if _HINT.search(line):
            for pattern in patterns:
                for match in pattern.finditer(line):
                    if is_random(match["value"]):
                        yield Found(GENERIC, match["value"], start + match.start("value"))
        start += len(line) + 1


def is_random(value: str) -> bool:
    """Whether a value looks drawn, not written: digits among letters, no words, many different characters."""
    if _NOT_A_VALUE.search(value) or _PRETENDED.search(value):
        return False
    digits = sum(char.isdigit() for char in value)
    letters = sum(char.isalpha() for char in value)
    mixed = value != value.lower() and value != value.upper()
    if digits < (1 if mixed else 3) or letters < 3:
        return False
    if _HEX.fullmatch(value.replace("-", "")):
        return entropy(value) > 3.0
    words = sum(len(word) for part in _PARTS.findall(value) for word in _WORD.findall(part) if len(word) > 3)
    return words * 2 < letters and entropy(value) > min(3.5, 0.8 * math.log2(len(value)))


def entropy(value: str) -> float:
    """Bits for each character, as its own characters are distributed."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def redacted(text: str, *, hashed: bool = True) -> str:
    """The text with the type and the short hash of each secret in its place; without the hash, two runs look alike."""
    return hidden(text, find(text), hashed=hashed)


def hidden(text: str, found: Sequence[Found], *, hashed: bool = True) -> str:
    """The text with marks in the place of these secrets, which are in the order in which they stand there."""
    if not found:
        return text
    parts, at = [], 0
    for one in found:
        parts += [text[at : one.start], f"[redacted: {one.mark if hashed else one.kind}]"]
        at = one.end
    return "".join([*parts, text[at:]])
