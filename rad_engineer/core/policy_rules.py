"""The rules of the policy, one by one: what of a change each of them hits."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import normpath

from rad_engineer.core import file_kinds, secret_rules, thresholds, weakened_tests
from rad_engineer.core.diff import GITLINK, LINK, Diff, FileDiff
from rad_engineer.core.fence import Marks
from rad_engineer.core.globs import matches
from rad_engineer.core.languages import family_of, holds_tests, is_comment

Read = Callable[[str], str | None]
_CONFLICT = re.compile(r"(?:<{7}|>{7}|\|{7}) \S")
_MACHINE = re.compile(
    r"(?<![\w.$}\])*/~-])(?:/home/(?!(?:user|username|me|you|runner|app|node|vscode|dev|ubuntu|linuxbrew|alice|bob)\b)[a-z_][\w.-]*/\w"
    r"|/Users/(?!(?:user|username|me|you|runner|Shared|alice|bob)\b)[A-Za-z][\w.-]*/\w|[A-Z]:\\{1,2}Users\\{1,2}(?!user|me|you|Public)\w+)"
)
_UNFINISHED = re.compile(
    r"\b(?:TO"
    r"DO|FIX"
    r"ME|XX"
    r"X)\b|\braise NotImplementedError\b|\b(?:unimplemented|todo)!\(|(?i:throw new (?:\w*Error)\([\"'`]not (?:yet )?implemented)"
)
_HEADER_LINES = 12
_CITED = re.compile(r"(?P<path>[^/~\s:][^:]*):(?P<first>\d+)(?:-(?P<last>\d+))?")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may change; 0 is no limit."""

    file_lines: int = 1_000
    file_bytes: int = 1_000_000
    story_lines: int = 4_000
    story_files: int = 100
    story_bytes: int = 5_000_000
    lines_per_minute: int = 1_000


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A project's own rule: lines that match a pattern, in files that match a glob; without a pattern, those files."""

    id: str
    severity: str
    pattern: str
    paths: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Claim:
    """What a report says of a criterion: `places` are path:line."""

    text: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What is judged: the diff, and what is known beside it.

    `judging`: changed paths that judge the work, as whoever knows the gates has found them. `read` reads a file as it
    is after the change. `claims` is None where nobody has made a report.
    """

    diff: Diff
    judging: tuple[str, ...] = ()
    prds: tuple[str, ...] = ()
    read: Read = lambda _path: None
    seconds: float | None = None
    claims: tuple[Claim, ...] | None = None
    marks: Marks | None = None  # of the run, where there is one


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule, a place, and what is wrong there; of a secret the short hash."""

    rule: str
    path: str
    line: int | None
    message: str
    secret: str = ""


def hits(
    change: Change, limits: Limits, forbid: Sequence[str], header: str, own: Iterable[OwnRule]
) -> Iterator[Hit]:
    """Everything that any rule has to say."""
    yield from _judging(change, forbid)
    yield from _secrets(change.diff)
    yield from _run_marks(change)
    yield from _tests(change)
    for file in change.diff:
        yield from _escapes(file)
        yield from _kinds(file, limits)
        if not file.gone:
            yield from _lines(file)
            yield from _header(file, header, change.read)
    yield from _sizes(change, limits)
    yield from _citations(change)
    for rule in own:
        yield from _own(rule, change.diff)


def _judging(change: Change, forbid: Sequence[str]) -> Iterator[Hit]:
    for path in change.judging:
        yield Hit("protected-path", path, None, "this judges the work and may not be changed by it")
    for file in change.diff:
        if {file.path, file.old_path} & set(change.prds):
            yield Hit("prd", file.path, None, "the PRD was changed")
        for glob in forbid:
            if matches(file.path, glob):
                yield Hit("forbidden-path", file.path, None, f"`forbid` names {glob}")


def _secrets(diff: Diff) -> Iterator[Hit]:
    """Secrets in added lines; what the same change takes out elsewhere was there before."""
    before = {found.value for file in diff for _line, found in _found(file, removed=True)}
    for file in diff:
        for (number, text), found in _found(file, removed=False):
            if found.value in before:
                continue
            rule = "secret"
            if secret_rules.allowed(text):
                rule = "secret-allowed"
            elif found.kind in secret_rules.KEPT_IN_TESTS and holds_tests(file.path):
                rule = "secret-in-tests"
            digest = secret_rules.short_hash(found.value)
            yield Hit(rule, file.path, number, f"{found.kind} {digest}", digest)


def _found(file: FileDiff, *, removed: bool) -> Iterator[tuple[tuple[int, str], secret_rules.Found]]:
    for hunk in file.hunks:
        lines = hunk.removed if removed else hunk.added
        text = "\n".join(line.text for line in lines)
        for found in secret_rules.in_code(text, file.path):
            line = lines[text.count("\n", 0, found.start)]
            yield (line.number, line.text), found


def _run_marks(change: Change) -> Iterator[Hit]:
    """Marks of the run in names and added lines, also where they go over several lines."""
    if change.marks is None:
        return
    for file in change.diff:
        lines = list(file.added)
        text = "\n".join(line.text for line in lines)
        at = change.marks.find(text)
        if at is not None:
            yield Hit("run-mark", file.path, lines[text.count("\n", 0, at)].number, "a mark of this run")
        elif change.marks.find(file.path) is not None:
            yield Hit("run-mark", file.path, None, "its name has a mark of this run")


def _tests(change: Change) -> Iterator[Hit]:
    said = {
        "tests-removed": "the test `{}` is gone, and nothing replaces it",
        "assertions-removed": "an assertion is gone, and none comes in its place: {}",
        "assertions-fewer": "fewer assertions than before: {}",
        "tests-skipped": "skipped, or expected to fail: {}",
    }
    for one in weakened_tests.weakened(change.diff, change.read):
        message = said[one.kind].format(one.what[:120])
        if one.excuse:
            yield Hit(
                "tests-removed-with-code", one.path, one.line, f"{message}; `{one.excuse}` has gone as well"
            )
        else:
            yield Hit(one.kind, one.path, one.line, message)
    for number in thresholds.loosened(change.diff):
        after = f"is now `{number.after[:80]}`" if number.after else "is gone"
        yield Hit("threshold-loosened", number.path, number.line, f"`{number.before[:80]}` {after}")


def _escapes(file: FileDiff) -> Iterator[Hit]:
    parts = file.path.split("/")
    if file.path.startswith("/") or ".." in parts or any(part.lower() == ".git" for part in parts):
        yield Hit("tree-escape", file.path, None, "no path of a file in a repository")
    if file.new_mode == LINK and not file.gone:
        for line in file.added:
            target = normpath("/".join((*parts[:-1], line.text)))
            if line.text.startswith("/") or target.startswith("../") or target in ("..", ".git"):
                yield Hit(
                    "tree-escape",
                    file.path,
                    1,
                    f"a link that leads out of the repository, to {line.text[:120]}",
                )
    if file.new_mode == GITLINK and file.status == "A":
        yield Hit("new-dependency", file.path, None, "a submodule")


def _kinds(file: FileDiff, limits: Limits) -> Iterator[Hit]:
    for rule, message in file_kinds.of_path(file.path):
        yield Hit(rule, file.path, None, message)
    if not file.gone:
        if file_kinds.says_generated(file):
            yield Hit("generated-file", file.path, 1, "it says itself that it is generated")
        if file.binary and file.status in ("A", "T"):
            yield Hit("binary-file", file.path, None, "a new file that is not text")
        if limits.file_bytes and file.size is not None and file.size > limits.file_bytes:
            yield Hit("large-file", file.path, None, f"{file.size:,} bytes")
    for line, name in file_kinds.new_dependencies(file):
        yield Hit("new-dependency", file.path, line, f"`{name}` was not needed before")
    lines = _changed_lines(file)
    if limits.file_lines and lines > limits.file_lines and not file_kinds.is_lock(file.path):
        yield Hit("edits-of-file", file.path, None, f"{lines:,} changed lines")


def _changed_lines(file: FileDiff) -> int:
    """Of what is no text, nobody has written any."""
    return 0 if file.binary else sum(len(hunk.added) + len(hunk.removed) for hunk in file.hunks)


def _lines(file: FileDiff) -> Iterator[Hit]:
    """What single added lines give away."""
    code = family_of(file.path) is not None
    for line in file.added:
        if _CONFLICT.match(line.text):
            yield Hit("conflict-marker", file.path, line.number, line.text[:40])
        if match := _MACHINE.search(line.text):
            yield Hit("machine-path", file.path, line.number, match[0][:80])
        if (
            code
            and (match := _UNFINISHED.search(line.text))
            and (match[0].islower() or _is_remark(line.text))
        ):
            yield Hit("unfinished", file.path, line.number, line.text.strip()[:120])


def _is_remark(text: str) -> bool:
    return (
        is_comment(text)
        or re.search(r"(?:#|//|/\*)", text) is not None
        or "NotImplemented" in text
        or "throw" in text
    )


def _header(file: FileDiff, header: str, read: Read) -> Iterator[Hit]:
    if not header or file.status != "A" or file.binary or family_of(file.path) is None:
        return
    text = read(file.path)
    first = (
        text.split("\n")[:_HEADER_LINES]
        if text is not None
        else [line.text for line in file.added][:_HEADER_LINES]
    )
    if header not in "\n".join(first):
        yield Hit(
            "licence-header", file.path, 1, f"its first {_HEADER_LINES} lines do not have `{header[:60]}`"
        )


def _sizes(change: Change, limits: Limits) -> Iterator[Hit]:
    """What a whole story changes; lock files are somebody else's lines."""
    own = [file for file in change.diff if not file_kinds.is_lock(file.path)]
    lines = sum(_changed_lines(file) for file in own)
    size = sum(file.size or 0 for file in change.diff if file.status == "A")
    if limits.story_lines and lines > limits.story_lines:
        yield Hit("edits-of-story", "", None, f"{lines:,} changed lines")
    if limits.story_files and len(change.diff) > limits.story_files:
        yield Hit("edits-of-story", "", None, f"{len(change.diff):,} changed files")
    if limits.story_bytes and size > limits.story_bytes:
        yield Hit("edits-of-story", "", None, f"{size:,} bytes in new files")
    if limits.lines_per_minute and change.seconds is not None:
        minutes = max(change.seconds / 60, 1)
        if lines > limits.lines_per_minute * minutes:
            yield Hit("change-rate", "", None, f"{lines:,} changed lines in {minutes:.0f} min")


def _citations(change: Change) -> Iterator[Hit]:
    """Whether a report's evidence is there at all; what it shows, only gates and readers can say."""
    for claim in change.claims or ():
        if not claim.places:
            yield Hit("citation", "", None, f"no place is named for: {claim.text[:120]}")
        for place in claim.places:
            match = _CITED.fullmatch(place)
            wrong = "is no path:line" if match is None else _wrong(match, change.read)
            if wrong:
                yield Hit("citation", "", None, f"{place[:120]} {wrong}, cited for: {claim.text[:120]}")


def _wrong(match: re.Match[str], read: Read) -> str:
    text = read(match["path"])
    if text is None:
        return "does not exist"
    first, last = int(match["first"]), int(match["last"] or match["first"])
    lines = text.count("\n") + (not text.endswith("\n") and text != "")
    return "" if 1 <= first <= last <= lines else f"is not in the file, which has {lines} lines"


def _own(rule: OwnRule, diff: Diff) -> Iterator[Hit]:
    pattern = re.compile(rule.pattern)
    for file in diff:
        if rule.paths and not any(matches(file.path, glob) for glob in rule.paths):
            continue
        if not rule.pattern:
            yield Hit(rule.id, file.path, None, rule.message)
        for line in file.added if rule.pattern else ():
            if pattern.search(line.text):
                yield Hit(rule.id, file.path, line.number, rule.message)
