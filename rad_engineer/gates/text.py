"""What the printed summary of a test runner says, for runners that leave no file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rad_engineer.gates.judgement import ERROR, Reading

MAX_NAMES = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """How a runner prints: `totals` has the group passed, or total with failed, errors and skipped."""

    totals: re.Pattern[str]
    failed: re.Pattern[str] | None = None
    passed: re.Pattern[str] | None = None
    broken: re.Pattern[str] | None = None
    place: re.Pattern[str] | None = None  # a line that says to whom the tests behind it belong


def _lines(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


_JEST_FILE = r" *{} +(?:\S+ )?({}\S*\w\.\w+)(?: \([\d.]+ ?m?s\))?"  # behind the name of its project, if any

SHAPES: Mapping[str, Shape] = {
    "cargo": Shape(
        _lines(r"^test result: (?:ok|FAILED)\. (?P<passed>\d+) passed"),
        _lines(r"^test (?P<id>\S.*) \.\.\. FAILED$"),
        _lines(r"^test (?P<id>\S.*) \.\.\. ok$"),
        _lines(r"^error: (?P<id>could not compile `[^`]+`)"),
        _lines(r"^ +(?:Running (?:unittests )?(\S+) \(.*?([\w-]+)-[0-9a-f]{16}\)|(Doc-tests \S+))$"),
    ),
    "unittest": Shape(
        _lines(
            r"^Ran (?P<total>\d+) tests? in [\d.]+s\n\n(?:OK|FAILED|NO TESTS RAN)(?: \((?P<others>.*)\))?"
        ),
        _lines(r"^(?:FAIL|ERROR): (?P<id>\S+ \(\S+\))"),
    ),
    "go": Shape(
        _lines(r"^ok[^\S\n]+\S+[^\S\n]+(?:[\d.]+s|\(cached\))(?!.*no tests to run)(?P<one>)"),
        _lines(r"^[^\S\n]*--- FAIL: (?P<id>\S+)"),
        None,
        _lines(r"^FAIL[^\S\n]+(?P<id>\S+) \[(?:build|setup) failed\]"),
    ),
    "jest": Shape(
        _lines(r"^Tests: +(?:.*?(?P<passed>\d+) passed|.*total)"),
        _lines(r"^(?: *● (?=.+ \u203a )| {2}● (?!Console$|Test suite failed to run$))(?P<id>\S.*)$"),
        None,
        _lines(
            rf"^{_JEST_FILE.format('FAIL', '?P<id>')}\n(?:(?! *(?:FAIL|PASS) ).*\n)*? *● Test suite failed to run$"
        ),
        _lines(rf"^{_JEST_FILE.format('(?:FAIL|PASS)', '')}$"),
    ),
    "vitest": Shape(
        _lines(r"^ *Tests +(?:.*?(?P<passed>\d+) passed|.*\(\d+\))"),
        _lines(r"^ *FAIL +(?P<id>\S.* > .+)$"),
    ),
    "mocha": Shape(
        _lines(r"^ +(?P<passed>\d+) passing"), _lines(r"^ {2}\d+\) (?P<id>\S[^\n]*(?:\n {7,}[^\n]+)*?):$")
    ),
    "node": Shape(
        _lines(r"^(?:\u2139|#) pass (?P<passed>\d+)"),
        _lines(r"^ *(?:✖ |not ok \d+ - )(?P<id>(?!failing tests).+?)(?: \([\d.]+ms\))?$"),
    ),
    "bun": Shape(
        _lines(r"^ *(?P<passed>\d+) pass$"),
        _lines(r"^\(fail\) (?P<id>.+?)(?: \[[\d.]+ ?m?s\])?$"),
        _lines(r"^\(pass\) (?P<id>.+?)(?: \[[\d.]+ ?m?s\])?$"),
        None,
        _lines(r"^(\S+\.[cm]?[jt]sx?):$"),
    ),
    "deno": Shape(
        _lines(r"^(?:ok|FAILED) \| (?P<passed>\d+) passed"),
        _lines(r"^(?P<id>\S.*?) \.\.\. FAILED"),
        _lines(r"^(?P<id>\S.*?) \.\.\. ok"),
        None,
        _lines(r"^running \d+ tests? from (\S+)$"),
    ),
    "mix": Shape(
        _lines(r"^(?:\d+ \w+, )*(?P<total>\d+) tests?, (?P<others>.*)"),
        _lines(r"^ +\d+\) (?:test|property|doctest) (?P<id>.+)$"),
    ),
    "rspec": Shape(_lines(r"^(?P<total>\d+) examples?, (?P<others>.*)"), _lines(r"^rspec \S+ # (?P<id>.+)$")),
    "phpunit": Shape(
        _lines(r"^(?:OK \((?P<passed>\d+) tests?|Tests: (?P<total>\d+), Assertions: \d+(?P<others>.*))"),
        _lines(r"^\d+\) (?P<id>\S+::\S+)"),
    ),
    "dotnet": Shape(
        _lines(r"(?:Failed|Passed)! +- Failed: +\d+, Passed: +(?P<passed>\d+)"),
        _lines(r"^ +Failed (?P<id>\S+) \["),
    ),
    "maven": Shape(
        _lines(r"Tests run: (?P<total>\d+), (?P<others>Failures: \d+, Errors: \d+, Skipped: \d+)\s*$"),
        _lines(r"^\[ERROR\] +(?P<id>[\w.$]+\.\w+)(?=:\d+| )"),
    ),
}

_PYTEST_NAMES = _lines(r"^(?:FAILED|ERROR) (?P<id>\S+\.py(?:::.*?)?)(?= - |$)")
_NUMBER = re.compile(r"\d+")
_NOT_PASSED = re.compile(r"(?:(\d+) (?:failures?|errors?|pending|skipped|excluded|invalid)"
                         r"|(?:failures|errors|skipped|expected failures|unexpected successes|Failures|Errors"
                         r"|Skipped|Incomplete|Risky)[:=] ?(\d+))")  # fmt: skip


def read(runner: str, output: str) -> Reading | None:
    """What the runner's printed summary says; None where it never came to one."""
    shape = SHAPES.get(runner)
    if shape is None:
        return None
    totals = list(shape.totals.finditer(output))
    failed = (*_names(shape.broken, output, ERROR), *_placed(shape, shape.failed, output))
    if not totals:
        return Reading(failed=failed, problem="its runner printed no summary") if failed else None
    passed = _placed(shape, shape.passed, output) if shape.passed else None
    if passed is not None:
        passed = tuple(name for name in passed if name not in set(failed))
    return Reading(sum(map(_passed, totals)), passed, failed)


_LOOSE = frozenset({"node", "mocha"})  # how they mark a failure others do, too: only beside their summary


def failed_names(output: str) -> tuple[str, ...]:
    """Ids of failed tests in the output of a command we know nothing about."""
    names: list[str] = []
    for package, part in _by_package(output):
        found = _names(_PYTEST_NAMES, part)
        for runner in ("go", "cargo", "unittest", "jest", "vitest", "rspec", "node", "mocha"):
            shape = SHAPES[runner]
            if runner in _LOOSE and not shape.totals.search(part):
                continue
            found += _names(shape.broken, part, ERROR) + _placed(shape, shape.failed, part)
        names += [_of_package(package, name) for name in found] if package else found
    return tuple(dict.fromkeys(names))[:MAX_NAMES]


def printed_passes(output: str) -> int:
    """How many tests some known runner says have passed, in the output of a command we know nothing about."""
    return sum(_most_passed(part) for _, part in _by_package(output))


def _most_passed(output: str) -> int:
    counts = [sum(map(_passed, shape.totals.finditer(output))) for shape in SHAPES.values()]
    summary = pytest_summary(output)
    return max([*counts, summary.get("passed", 0) if summary else 0])


_PNPM_PACKAGES = _lines(r"^Scope: .*\d+ workspace projects$")
_PNPM_LINE = re.compile(r"(?P<package>\S+) [\w:.-]+: ?(?P<text>.*)")
_PACKAGE = _lines(r"^> (?P<package>\S+)(?:@[^@\s]+ \S+$|(?=\nyarn run v))")  # npm's heading, and that of yarn


def _by_package(output: str) -> list[tuple[str, str]]:
    """What each package of a workspace printed: two may have tests of one name. "" is for what belongs to none."""
    parts: dict[str, list[str]] = {"": []}
    if _PNPM_PACKAGES.search(output):  # side by side, their lines mixed
        for line in output.split("\n"):
            found = _PNPM_LINE.fullmatch(line)
            parts.setdefault(found["package"] if found else "", []).append(found["text"] if found else line)
        return [(package, "\n".join(lines)) for package, lines in parts.items()]
    headings = list(_PACKAGE.finditer(output))
    stops = "yarn workspaces v" in output  # at the first that is red: there may be one only
    if len({heading["package"] for heading in headings}) < (1 if stops else 2):
        return [("", output)]
    ends = [*(heading.start() for heading in headings[1:]), len(output)]
    parts[""].append(output[: headings[0].start()])
    for heading, end in zip(headings, ends, strict=True):
        parts.setdefault(heading["package"], []).append(output[heading.end() : end])
    return [(package, "".join(texts)) for package, texts in parts.items()]


def _of_package(package: str, name: str) -> str:
    prefix = ERROR if name.startswith(ERROR) else ""
    return f"{prefix}{package} > {name.removeprefix(ERROR)}"


_MOST_DIGITS = 18
_PYTEST_SUMMARY = _lines(
    r"^(?:=+ )?(?P<counts>(?:\d+ [a-z ]+, )*\d+ [a-z ]+|no tests ran) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$"
)


def pytest_summary(output: str) -> dict[str, int] | None:
    """The counts of pytest's last summary line; None without one."""
    found = list(_PYTEST_SUMMARY.finditer(output))
    return _counts(found[-1]["counts"]) if found else None


def pytest_summaries(output: str) -> int:
    """How many runs of pytest have printed a summary."""
    return len(_PYTEST_SUMMARY.findall(output))


def _counts(text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in text.split(", "):
        number, _, word = part.partition(" ")
        if number.isdigit():
            counts[word.rstrip("s") if word in {"errors", "warnings"} else word] = _number(number)
    return counts


def _number(digits: str) -> int:
    """What was counted. Anybody may print digits without end: that is a large number, not a crash."""
    return int(digits) if len(digits) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _passed(found: re.Match[str]) -> int:
    groups = found.groupdict()
    if "one" in groups:
        return 1
    if groups.get("passed"):
        return _number(groups["passed"])
    if not groups.get("total"):
        return 0
    others = sum(_number(a or b) for a, b in _NOT_PASSED.findall(groups.get("others") or ""))
    return max(0, _number(groups["total"]) - others)


def _placed(shape: Shape, pattern: re.Pattern[str] | None, output: str) -> tuple[str, ...]:
    """Names behind the program they belong to: two crates may both have a `tests::it_works`."""
    if shape.place is None:
        return _names(pattern, output)
    found: list[str] = []
    where, at = "", 0
    for line in shape.place.finditer(output):
        found += _names(pattern, output[at : line.start()], where)
        where = f"{' '.join(part for part in line.groups() if part)} > "
        at = line.end()
    found += _names(pattern, output[at:], where)
    return tuple(dict.fromkeys(found))[:MAX_NAMES]


def _names(pattern: re.Pattern[str] | None, output: str, prefix: str = "") -> tuple[str, ...]:
    if pattern is None:
        return ()
    found = dict.fromkeys(f"{prefix}{' '.join(match['id'].split())}" for match in pattern.finditer(output))
    return tuple(found)[:MAX_NAMES]
