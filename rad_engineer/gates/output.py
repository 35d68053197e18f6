"""A gate's output, cut down to what failed, and the same failure recognised when it comes again."""

import hashlib
import json
import re
from collections.abc import Sequence

from rad_engineer.gates.judgement import GateResult, shortened
from rad_engineer.process import plain

MAX_KEPT = 8_000
MAX_TOLD = 6_000
MAX_TOLD_IN_ALL = 16_000
MAX_GATES_TOLD = 8
MAX_LINE = 400
_MAX_TELLING = 200
CUT = "[...]"

_TELLING = re.compile(r"\b(?:\w*error(?=:| \[)|err_\w+|error|fail(?:ed|ure|ures|s)?|panic(?:ked)?|exception|traceback|assert\w*|fatal|not ok|expected)\b|^E\s|✖|✗|●",
                      re.IGNORECASE)  # fmt: skip
_FAILURES_START = re.compile(
    r"^(?:=+ (?:FAILURES|ERRORS) =+"  # pytest
    r"|failures:"  # cargo
    r"|✖ failing tests:"  # node
    r"|={70}"  # unittest
    r"|Failures:"  # rspec
    r"|Summary of all failing tests"  # jest
    r"|There (?:was|were) \d+ (?:failure|error)s?:"  # phpunit
    r"|  \d+ failing)$",  # mocha
    re.MULTILINE,
)
_TAIL_LINES = 60
_NODE_POINTS = ("✔ ", "✖ ", "▶ ", "﹣ ", "\u2139 ")
_ROOM_OF_A_FILE = 20  # lines before the word that a file broke
_ROOM = 8  # lines kept behind a telling one


def cleaned(text: str) -> str:
    """The text without terminal codes; of lines that overwrite themselves the last state."""
    lines = plain(text.replace("\r\n", "\n")).split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in lines)


def excerpt(output: str, limit: int = MAX_KEPT) -> str:
    """The failing part of an output: a runner's own list of failures, else telling lines and the last ones."""
    text = cleaned(output).strip("\n")
    text = "\n".join(
        line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]} {CUT}" for line in text.split("\n")
    )
    start = _FAILURES_START.search(text)
    if start:
        return cut("\n".join([*_why_files_broke(text[: start.start()]), text[start.start() :]]), limit)
    lines = text.split("\n")
    if len(lines) <= _TAIL_LINES:
        return cut(text, limit)
    kept: set[int] = set(range(len(lines) - _TAIL_LINES, len(lines)))
    telling = [at for at, line in enumerate(lines[:-_TAIL_LINES]) if _TELLING.search(line)]
    for at in telling[:40]:
        kept.update(range(max(0, at - 1), min(len(lines), at + _ROOM)))
    shown: list[str] = []
    before = -1
    for at in sorted(kept):
        if at != before + 1:
            shown.append(CUT)
        shown.append(lines[at])
        before = at
    return cut("\n".join(shown), limit)


def _why_files_broke(text: str) -> list[str]:
    """Of test files that node could not load: its list of failures has their names only, the error stands before."""
    shown: list[str] = []
    since: list[str] = []
    lines = text.split("\n")
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        since.append(line)
        if line.lstrip().startswith(_NODE_POINTS):
            if line.startswith("✖") and following == "  'test failed'":
                shown += since[-_ROOM_OF_A_FILE:]
            since = []
    return shown


def telling_line(output: str) -> str:
    """The first line that tells what failed, else the last one."""
    lines = [line.strip() for line in cleaned(output).split("\n") if line.strip()]
    found = next((line for line in lines if _TELLING.search(line)), lines[-1] if lines else "")
    return found[:_MAX_TELLING]


def on_a_screen(text: str, most: int) -> str:
    """At most so many lines of an excerpt: from the first telling one on, and the end."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) <= most:
        return "\n".join(lines)
    half = most // 2
    before, end = lines[:-half], lines[-half:]
    start = next((at for at, line in enumerate(before) if _TELLING.search(line)), 0)
    head = before[start : start + most - half - 1]
    return "\n".join([*head, CUT, *end])


def cut(text: str, limit: int) -> str:
    """At most `limit` bytes: a third from the beginning, the rest from the end, in whole lines."""
    if len(text.encode("utf-8", "replace")) <= limit:
        return text
    room = limit - len(CUT) - 2
    head, tail = _fill(text.split("\n"), room // 3), _fill(text.split("\n")[::-1], room - room // 3)
    return "\n".join([*head, CUT, *reversed(tail)])


def _fill(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def feedback(results: Sequence[GateResult]) -> str:
    """What the next attempt is told of the gates that speak against the last one."""
    against = [result for result in results if not result.ok]
    told, unnamed = against[:MAX_GATES_TOLD], against[MAX_GATES_TOLD:]
    share = min(MAX_TOLD, (MAX_TOLD_IN_ALL - 300) // max(1, len(told)) - 2)
    parts = [cut(_told(result), share) for result in told]
    if unnamed:
        names = ", ".join(result.name for result in unnamed)
        parts.append(f"{len(unnamed)} more gates are not green: {names}"[:290])
    return "\n\n".join(parts)


def _told(result: GateResult) -> str:
    how = "no exit code" if result.exit_code is None else f"exit code {result.exit_code}"
    lines = [f"Gate `{result.name}` is {result.verdict} ({how}): {result.command}"]
    if result.detail:
        lines.append(f"{result.detail[0].upper()}{result.detail[1:]}.")
    if result.blamed:
        lines.append(
            "What is wrong now and was not before:" if result.failures != result.blamed else "What is wrong:"
        )
        lines.extend(f"- {name}" for name in shortened(result.blamed, 20))
    if result.output:
        lines.extend(["The failing part of its output:", result.output])
    return "\n".join(lines)


_VARYING = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"0x[0-9a-fA-F]+"), "<address>"),
    (re.compile(r"(?<![\w.])/(?:[\w.@+~-]+/)+"), "/"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds?|min|minutes?)\b"), "<duration>"),
    (re.compile(r"(?<=[\w)]):\d+(?::\d+)?\b"), ":<line>"),
    (re.compile(r"\b(line|lines|port|pid|PID|column|seed)([ =:]+)\d+"), r"\1\2<n>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b"), "<hash>"),
    (re.compile(r"\b\d{5,}\b"), "<n>"),
    (re.compile(r"[=_*-]{4,}"), "--"),
    (re.compile(r"\s+"), " "),
)


def steady(text: str) -> str:
    """The text without what differs from run to run: times, paths, addresses, line numbers, ids."""
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return text.strip()


def fingerprint(results: Sequence[GateResult]) -> str:
    """Names a failure: the same gates, the same tests and the same messages give the same sixteen digits."""
    parts = []
    for result in results:
        if result.ok:
            continue
        messages: set[str] = set()
        if CUT not in result.output:
            messages = {steady(line) for line in result.output.split("\n") if _TELLING.search(line)}
        names = sorted({steady(name) for name in result.blamed})
        if not names and not messages:
            messages = {steady(line) for line in result.output.split("\n")[-5:]}
        parts.append([result.name, result.verdict, result.exit_code, names, sorted(messages)])
    text = json.dumps(sorted(parts, key=str))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
