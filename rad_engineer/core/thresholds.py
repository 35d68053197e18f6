"""Numbers that tests and their settings are held to, and that a change makes easier to keep."""

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from rad_engineer.core.diff import Diff, FileDiff, Hunk, Line
from rad_engineer.core.languages import family_of, holds_tests, is_assertion, is_comment

_AT_LEAST = re.compile(
    r"(?i:cov-fail-under|fail[_-]?under|minimum_coverage(?:_by_file)?|coverage[_-]?threshold|min[_-]?coverage|check-coverage"
    r"|mutation[_-]?(?:score|threshold)|\b(?:branches|functions|lines|statements)[\"']?\s*:|\bplaces\s*=|toBeCloseTo\()"
)
_AT_MOST = re.compile(
    r"(?i:--max-warnings|\bmax[_-]warnings\b|\b(?:rel|abs|atol|rtol|delta|epsilon|tolerance|rel_tol|abs_tol|max_diff)\s*[=:])"
)
_NUMBER = re.compile(r"(?<![\w.])\d++(?:_\d++)*+(?:\.\d++)?+(?:e[+-]?\d++)?+(?!\.*+\w)", re.IGNORECASE)
_COMPARED = re.compile(r"(?P<sign><=?|>=?)\s*$")
_SETTINGS = re.compile(
    r"(?:^|/)(?:pyproject\.toml|setup\.cfg|tox\.ini|pytest\.ini|\.?coveragerc|noxfile\.py|package\.json|Makefile|justfile|\.simplecov"
    r"|codecov\.ya?ml|\.codecov\.ya?ml|\.nycrc(?:\.json)?|\.c8rc(?:\.json)?|(?:jest|vitest|karma|stryker)[\w.]*\.(?:[cm]?[jt]s|json)|Cargo\.toml"
    r"|pom\.xml|build\.gradle(?:\.kts)?|phpunit\.xml(?:\.dist)?)$|(?:^|/)\.github/workflows/|(?:^|/)\.gitlab-ci\.yml$"
)


@dataclass(frozen=True, slots=True)
class Loosened:
    """A number that is easier to keep than it was; no `after` where nothing is asked any more."""

    path: str
    line: int
    before: str
    after: str


def loosened(diff: Diff) -> Iterator[Loosened]:
    """Every threshold that a change loosens or takes away."""
    for file in diff:
        in_tests = holds_tests(file.path)
        if in_tests or _SETTINGS.search(file.path):
            for hunk in file.hunks:
                yield from _in_hunk(file, hunk, in_tests=in_tests)


def _in_hunk(file: FileDiff, hunk: Hunk, *, in_tests: bool) -> Iterator[Loosened]:
    removed = [line for line in hunk.removed if not is_comment(line.text) and _NUMBER.search(line.text)]
    added: dict[str, deque[Line]] = defaultdict(deque)
    for line in hunk.added if removed else ():
        added[_shape(line)].append(line)
    said_again = _said_again(hunk) if removed else False
    for line in removed:
        alike = added.get(_shape(line))
        if alike:
            match = alike.popleft()
            if _easier(file.path, line.text, match.text, in_tests=in_tests):
                yield Loosened(file.path, match.number, line.text.strip(), match.text.strip())
        elif not in_tests and _AT_LEAST.search(line.text) and not said_again:
            yield Loosened(file.path, line.number, line.text.strip(), "")


def _shape(line: Line) -> str:
    return "".join(_NUMBER.sub("0", line.text).split()).rstrip(",")


def _said_again(hunk: Hunk) -> bool:
    return any(_AT_LEAST.search(other.text) and _NUMBER.search(other.text) for other in hunk.added)


def _easier(path: str, before: str, after: str, *, in_tests: bool) -> bool:
    """Whether one of the numbers in a line, which is the same otherwise, asks for less now."""
    family = family_of(path)
    asserts = in_tests and family is not None and is_assertion(family, before)
    for old, new in zip(_NUMBER.finditer(before), _NUMBER.finditer(after), strict=False):
        was, now = (float(match[0].replace("_", "")) for match in (old, new))
        if was == now:
            continue
        ahead = before[: old.start()]
        compared = _COMPARED.search(ahead) if asserts else None
        if compared is not None:
            if (now > was) == compared["sign"].startswith("<"):
                return True
        elif _AT_MOST.search(ahead):
            if now > was:
                return True
        elif _AT_LEAST.search(ahead) and now < was:
            return True
    return False
