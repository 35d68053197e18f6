"""Tests that a change makes weaker: fewer of them, fewer assertions in them, skipped ones, looser thresholds.

What counts is what is lost net: a test that is renamed, moved, or replaced where it stood is not lost, and one whose
subject goes with it is only told. New tests elsewhere in a change make up for nothing.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from rad_engineer.core.diff import Diff, FileDiff, Hunk, Line
from rad_engineer.core.languages import Family, family_of, holds_tests, is_assertion, is_comment

Kind = Literal["tests-removed", "assertions-removed", "assertions-fewer", "tests-skipped"]
After = Callable[[str], str | None]
"""Reads a file as it is after the change; None where there is none, or nobody knows."""
_TABLE = re.compile(
    r"parametri[sz]e|\.each\b|test_case|rstest|#\[case|subTest|t\.Run\(|@(?:MethodSource|ValueSource|CsvSource)|InlineData"
    r"|^\s*for\b|\.forEach\(|\bmacro_rules!|test!\("
)
_EMPTY = re.compile(
    r"\bin\s*(?:\(\s*\)|\[\s*\]|\{\s*\}|range\(\s*0\s*\)|[\"']{2})\s*:|\[\s*\]\.(?:forEach|each|map)\("
)
_CALL = re.compile(r"^\s*(?!print\b|super\b)[A-Za-z_][\w.]*\(")
_NEAR = 6  # unchanged lines between two hunks of one place
_CONDITION = re.compile(
    r"\bif\b|skipif|skip_?unless|skipIf|skipUnless|importorskip|EnabledIf|DisabledIf|Disabled(?:On|For)|assume|process\.|require"
)
_DEFINED = (
    re.compile(
        r"^\s*(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|static|final|abstract|async|unsafe|override)\s+)*"
        r"(?:def|class|function\*?|fn|func|fun|struct|enum|trait|interface|type|const|let|var|void|module|mod)\s+(?:\([^)]*\)\s*)?"
        r"(?P<name>[A-Za-z_$][\w$]{3,})"
    ),
    re.compile(r"^\s*(?:[\w$]+\.)+(?P<name>[A-Za-z_$][\w$]{3,})\s*=[^=]"),
    re.compile(r"^(?P<name>[A-Za-z_]\w{3,})\s*(?::[^=]+)?=[^=]"),
    re.compile(r"(?P<name>[\"'][\w./:-]{4,40}[\"'])"),
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_LIKE = 0.5
_LEAST = 8  # a condition of fewer characters says nothing
_MOST_COMPARED = 4_000_000  # names of lost tests with those of new ones: past that, none is like another
_SHORT = 24  # a body of fewer characters says nothing
_PLAIN = frozenset(
    {"test", "tests", "it", "should", "the", "a", "an", "and", "with", "when", "is", "to", "of", "in"}
)


@dataclass(frozen=True, slots=True)
class Weakening:
    """One way in which tests got weaker. `excuse`: what went with it, and makes it a matter of opinion."""

    kind: Kind
    path: str
    line: int
    what: str
    excuse: str = ""


@dataclass(frozen=True, slots=True)
class _Test:
    name: str
    path: str
    line: int
    hunk: Hunk


class _Place:
    """Hunks that stand so near to each other that one is the other's replacement, and what of tests they take and bring."""

    def __init__(self, family: Family, path: str, hunks: list[Hunk]) -> None:
        self.path = path
        self.hunks = hunks
        self.lost = [test for hunk in hunks for test in _tests(family, path, hunk, hunk.removed)]
        self.new = [test for hunk in hunks for test in _tests(family, path, hunk, hunk.added)]
        self.asserted = [(hunk, line) for hunk in hunks for line in hunk.removed if _asserts(family, line)]
        self.asserts = [line for hunk in hunks for line in hunk.added if _asserts(family, line)]
        self.skipped = [line for hunk in hunks for line in hunk.removed if _skips(family, line)]
        self.skips = [(hunk, line) for hunk in hunks for line in hunk.added if _skips(family, line)]

    @cached_property
    def as_table(self) -> bool:
        """Whether what it brings, which tests, asserts or calls something, runs more often than it is written."""
        lines = [line.text for hunk in self.hunks for line in hunk.added]
        if not any(_TABLE.search(text) and not _EMPTY.search(text) for text in lines):
            return False
        return bool(self.new or self.asserts) or any(_CALL.search(text) for text in lines)

    @cached_property
    def were(self) -> str:
        """All that it takes, without blanks."""
        return _squeezed([line.text for hunk in self.hunks for line in hunk.removed])


def weakened(diff: Diff, after: After = lambda _path: None) -> list[Weakening]:
    """Everything by which a change weakens the tests that there were."""
    places = [
        _Place(family, file.path, hunks)
        for file in diff
        if (family := family_of(file.path)) is not None
        for hunks in _near(_of_tests(family, file))
    ]
    gone = _gone_from_code(diff)
    lost, accounted = _lost_tests(places, after)
    found = [*_removed(lost, gone), *_unasserted(places, accounted, gone), *_skipped(places)]
    return sorted(found, key=lambda one: (one.path, one.line))


def _of_tests(family: Family, file: FileDiff) -> list[Hunk]:
    if holds_tests(file.path):
        return list(file.hunks)
    return [hunk for hunk in file.hunks if family.inline is not None and family.inline.search(hunk.section)]


def _near(hunks: list[Hunk]) -> Iterator[list[Hunk]]:
    """Hunks with only a few lines between them, together."""
    together: list[Hunk] = []
    end = 0
    for hunk in hunks:
        if together and hunk.start - end > _NEAR:
            yield together
            together = []
        together.append(hunk)
        end = hunk.start + len(hunk.added)
    if together:
        yield together


def _tests(family: Family, path: str, hunk: Hunk, lines: tuple[Line, ...]) -> Iterator[_Test]:
    """The tests that lines begin; where only an attribute announces one, the name is looked for below it."""
    announced: Line | None = None
    for line in lines:
        match = family.test.search(line.text)
        below = family.named_below.search(line.text) if family.named_below and announced else None
        if below:
            yield _Test(below["name"], path, (announced or line).number, hunk)
            announced = None
        elif match and not is_comment(line.text):
            name = next((text for text in match.groupdict().values() if text), "")
            if name or family.named_below is None:
                yield _Test(_unquoted(name), path, line.number, hunk)
            else:
                announced = line
    if announced is not None:
        yield _Test("", path, announced.number, hunk)


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] in "\"'`" and name[0] == name[-1] else name


def _asserts(family: Family, line: Line) -> bool:
    return is_assertion(family, line.text)


def _skips(family: Family, line: Line) -> bool:
    return family.skip.search(line.text) is not None and not is_comment(line.text)


def _lost_tests(places: list[_Place], after: After) -> tuple[list[_Test], set[int]]:
    """Tests that are neither renamed nor moved nor replaced where they stood, nor still there as they were.

    Also the hunks of the last two kinds: what goes with a test is told with it.
    """
    lost = _without_same(
        [test for one in places for test in one.lost], [test for one in places for test in one.new]
    )
    new = _without_same(
        [test for one in places for test in one.new], [test for one in places for test in one.lost]
    )
    tables = {id(hunk) for one in places if one.as_table for hunk in one.hunks}
    left, accounted = [], set()
    here: dict[int, deque[_Test]] = defaultdict(deque)
    for test in new:
        here[id(test.hunk)].append(test)
    spare = {id(test): test for test in new}
    names = len(lost) * len(new) <= _MOST_COMPARED
    texts = {path: _After(path, after(path)) for path in {test.path for test in lost}}
    for test in lost:
        near = _first_left(here[id(test.hunk)], spare) or next(
            (one for one in (spare.values() if names else ()) if _alike(test.name, one.name)), None
        )
        if near:
            del spare[id(near)]
        elif id(test.hunk) not in tables:
            accounted.add(id(test.hunk))
            if not texts[test.path].still_has(test):
                left.append(test)
    return left, accounted


def _first_left(tests: deque[_Test], spare: Mapping[int, _Test]) -> _Test | None:
    while tests:
        if id(test := tests.popleft()) in spare:
            return test
    return None


class _After:
    """A file as it is after the change: the tests in it, and its text without blanks."""

    def __init__(self, path: str, text: str | None) -> None:
        family, lines = family_of(path), (text or "").split("\n")
        hunk = Hunk((), tuple(Line(number, line) for number, line in enumerate(lines, 1)))
        self.names = {one.name for one in _tests(family, path, hunk, hunk.added)} if family else set()
        self.text = _squeezed(lines)

    def still_has(self, test: _Test) -> bool:
        """Whether there is another test of that name, or one that does the same under another."""
        if test.name and test.name in self.names:
            return True
        body = _squeezed(_body(test).split("\n")[1:])
        return len(body) > _SHORT and body in self.text


def _squeezed(lines: list[str]) -> str:
    return "".join("".join(line.split()) for line in lines)


def _without_same(tests: Iterable[_Test], others: Iterable[_Test]) -> list[_Test]:
    """The tests of whose name there are more here than there."""
    there = Counter(test.name for test in others)
    left = []
    for test in tests:
        if there[test.name]:
            there[test.name] -= 1
        else:
            left.append(test)
    return left


@lru_cache(maxsize=4096)
def _words(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(name)) - _PLAIN


def _alike(one: str, other: str) -> bool:
    first, second = _words(one), _words(other)
    return bool(first and second) and len(first & second) / len(first | second) >= _LIKE


def _removed(lost: list[_Test], gone: set[str]) -> Iterator[Weakening]:
    for test in lost:
        text = _body(test)
        excuse = next((name for name in gone if name in text), "")
        yield Weakening("tests-removed", test.path, test.line, test.name or "a test", excuse)


def _body(test: _Test) -> str:
    """What is removed from a test's first line on, until another one begins."""
    lines, family = test.hunk.removed, family_of(test.path)
    start = bisect_left(lines, test.line, key=lambda line: line.number)
    end = start + 2
    while end < len(lines) and not (family and family.test.search(lines[end].text)):
        end += 1
    return "\n".join(line.text for line in lines[start:end])


def _unasserted(places: list[_Place], of_lost: set[int], gone: set[str]) -> Iterator[Weakening]:
    """Assertions that fall in tests that stay: held against what comes in the same place, then in the same file."""
    moved = Counter(_bare(line) for one in places for line in one.asserts)
    short: dict[str, list[tuple[int, Weakening]]] = {}
    spare: Counter[str] = Counter()
    for one in places:
        taken = [line for hunk, line in one.asserted if id(hunk) not in of_lost and not _found(moved, line)]
        here = Counter(_bare(line) for _hunk, line in one.asserted)
        brought = [line for line in one.asserts if not _found(here, line)]
        missing = len(taken) - len(brought)
        if missing < 0 and not one.new:
            spare[one.path] -= missing
        if missing <= 0 or one.as_table:
            continue
        text = "\n".join(line.text for hunk in one.hunks for line in hunk.removed)
        excuse = next((name for name in gone if name in text), "")
        kind: Kind = "assertions-fewer" if brought else "assertions-removed"
        told = Weakening(kind, one.path, taken[0].number, taken[0].text.strip(), excuse)
        short.setdefault(one.path, []).append((missing, told))
    for path, found in short.items():
        for missing, told in found:
            if spare[path] < missing:
                yield told
            spare[path] -= missing


def _found(counted: Counter[str], line: Line) -> bool:
    """Whether a line is among those that are counted; it is taken from them."""
    if not counted[_bare(line)]:
        return False
    counted[_bare(line)] -= 1
    return True


def _bare(line: Line) -> str:
    return "".join(line.text.split()).rstrip(",;")


def _skipped(places: list[_Place]) -> Iterator[Weakening]:
    """Skips that are new, and not only in another place; a new test may be skipped where it cannot run."""
    were = Counter(_bare(line) for one in places for line in one.skipped)
    tests = [test for one in places for test in one.lost], [test for one in places for test in one.new]
    new = {id(test.hunk) for test in _without_same(*reversed(tests))}
    for one in places:
        spare = len(one.skipped)
        for hunk, line in one.skips:
            if _found(were, line) or spare > 0:
                spare -= 1
            elif not _on_condition(one, hunk, line, new=id(hunk) in new):
                yield Weakening("tests-skipped", one.path, line.number, line.text.strip())


def _on_condition(place: _Place, hunk: Hunk, line: Line, *, new: bool) -> bool:
    """Whether a skip has a condition, and belongs to a new test, or was there before in other words."""
    at = bisect_left(hunk.added, line.number - 1, key=lambda other: other.number)
    above = [other.text for other in hunk.added[at : at + 2] if other.number <= line.number]
    if not _CONDITION.search("\n".join(above)):
        return False
    condition = _squeezed(above[:1]).rstrip("{:")
    return new or (len(condition) > _LEAST and condition in place.were)


def _gone_from_code(diff: Diff) -> set[str]:
    """Names that the change takes out of what is no test: a test of one of them has lost its subject."""
    gone: set[str] = set()
    kept: set[str] = set()
    for file in diff:
        if holds_tests(file.path) or family_of(file.path) is None:
            continue
        gone.update(_defined(file.removed))
        kept.update(_defined(file.added))
        if file.gone:
            gone.add(file.path.rpartition("/")[2].partition(".")[0])
    return {name for name in gone - kept if len(name) > 3}


def _defined(lines: Iterable[Line]) -> Iterator[str]:
    for line in lines:
        for pattern in _DEFINED:
            yield from (match["name"] for match in pattern.finditer(line.text))
