"""Machine results of jest, vitest, go test and node --test, read as something a stranger may have written."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rad_engineer.gates.judgement import ERROR, Reading

MAX_BYTES = 64 * 1024 * 1024
MAX_NAME = 500
_FAILED, _PASSED = "failed", "passed"


def read_bytes(path: Path) -> bytes | None:
    """A result file; None where there is none, or none of a sane size."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return None
    return path.read_bytes()


def read_jest(data: bytes | None, top: str) -> Reading:
    """The JSON that jest and vitest write: `top` is the folder the run took place in."""
    if data is None:
        return Reading(problem="its runner left no result")
    try:
        return _jest(json.loads(data), top)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Reading(problem=f"the result file cannot be read: {error}")


def _jest(document: dict[str, Any], top: str) -> Reading:
    outcomes: dict[str, str] = {}
    for suite in document["testResults"]:
        file = str(suite.get("name") or suite.get("testFilePath") or "").removeprefix(f"{top}/")
        cases = suite.get("assertionResults") or ()
        if suite.get("status") == _FAILED and not cases:
            outcomes[f"{ERROR}{file}"] = _FAILED
        for case in cases:
            title = " > ".join([*map(str, case.get("ancestorTitles") or ()), str(case["title"])])
            _note(outcomes, f"{file} > {title}", case.get("status"))
    return _reading(outcomes)


def read_go(lines: Iterable[str]) -> tuple[Reading | None, str]:
    """The events of `go test -json` and, as the events would hide it, the plain output they carry."""
    outcomes: dict[str, str] = {}
    plain: list[str] = []
    ended = False
    for line in lines:
        event = _go_event(line)
        if event is None:
            plain.append(line)
            continue
        plain.append(str(event.get("Output", "")).rstrip("\n") if event.get("Output") else "")
        action, package, test = event.get("Action"), str(event.get("Package", "")), event.get("Test")
        if action not in {"pass", "fail", "skip"} or not package:
            continue
        if test:
            outcome = {"pass": _PASSED, "fail": _FAILED}.get(str(action))
            _note(outcomes, f"{package}.{test}", outcome)
        else:
            ended = True
            if action == "fail" and not any(name.startswith(f"{package}.") for name in outcomes):
                outcomes[f"{ERROR}{package}"] = _FAILED
    return (_reading(outcomes) if ended else None), "\n".join(line for line in plain if line)


def _go_event(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"'):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and "Action" in event else None


_POINT = re.compile(r"^(?P<indent> *)(?P<outcome>ok|not ok)\b(?: \d+)?(?: -)? ?(?P<name>.*)$")
_SUBTEST = re.compile(r"^(?P<indent> *)# Subtest: (?P<name>.*)$")
_FILE_NAME = re.compile(r"^/|\.[cm]?[jt]sx?$")


def read_tap(data: bytes | None, top: str) -> Reading:
    """TAP as node writes it. A file that only ended well is no test."""
    if data is None:
        return Reading(problem="its runner left no result")
    outcomes: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    deepest = -1  # of the point before: a shallower one closes a suite
    for line in data.decode("utf-8", "replace").splitlines():
        opened = _SUBTEST.match(line)
        if opened:
            indent = len(opened["indent"])
            parents = [*(p for p in parents if p[0] < indent), (indent, opened["name"])]
            continue
        point = _POINT.match(line)
        if point is None:
            continue
        indent = len(point["indent"])
        suite, deepest = deepest > indent, indent
        name, _, directive = point["name"].partition(" # ")
        ok = point["outcome"] == "ok"
        if suite or directive[:4].upper() in {"SKIP", "TODO"}:
            continue
        if _FILE_NAME.search(name):
            if not ok:
                outcomes[f"{ERROR}{name.removeprefix(f'{top}/')}"] = _FAILED
            continue
        above = [p[1] for p in parents if p[0] < indent]
        _note(outcomes, " > ".join([*above, name]), _PASSED if ok else _FAILED)
    return _reading(outcomes)


def _note(outcomes: dict[str, str], name: str, outcome: object) -> None:
    """Of two tests with one name, the failed one counts."""
    if outcome in {_PASSED, _FAILED} and outcomes.get(name[:MAX_NAME]) != _FAILED:
        outcomes[name[:MAX_NAME]] = str(outcome)


def _reading(outcomes: dict[str, str]) -> Reading:
    passed = tuple(name for name, outcome in outcomes.items() if outcome == _PASSED)
    return Reading(
        len(passed), passed, tuple(name for name, outcome in outcomes.items() if outcome == _FAILED)
    )
