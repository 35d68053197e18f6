"""Runs a gate in a gate copy: once, and a second time where it is red, to tell a flaky test from a failure."""

import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rad_engineer import process
from rad_engineer.gates import results, runners, shell
from rad_engineer.gates.judgement import (
    Attempt,
    Baseline,
    Gate,
    GateResult,
    Judgement,
    judge,
    shortened,
)
from rad_engineer.gates.output import cleaned, excerpt
from rad_engineer.gates.recognition import recognise
from rad_engineer.sandbox import Box

_UNWANTED = ("FORCE_COLOR", "CLICOLOR_FORCE", "PYTEST_CURRENT_TEST", "PYTHONPYCACHEPREFIX", "PYTHONSTARTUP")
_MAX_TEXT = 24 * 1024 * 1024
_SHORT = 4_000
_SOCKET_ROOM = 50
_NOT_FOUND = 127
_UNKNOWN = re.compile(r"^\S*sh: (?:(?:line )?\d+: )?([^:\s]+): (?:command )?not found$", re.MULTILINE)
_ABSENT = (
    re.compile(
        r": No module named '?(?P<what>pytest|nox|tox|coverage|mypy|ruff|flake8|pyright|pylint|build)'?$",
        re.MULTILINE,
    ),
    re.compile(r"^npm (?:ERR!|error) Missing script: (?P<what>.+)$", re.MULTILINE),
    re.compile(r"^command not found: (?P<what>\S+)$", re.MULTILINE),  # the shells that pnpm and yarn have
    re.compile(
        r"sh: (?:(?:line )?\d+: )?(?P<what>[^:\s]+): (?:command )?not found\n\W*ELIFECYCLE"
    ),  # pnpm ends with 1
    re.compile(r"ERR_PNPM_NO_SCRIPT.*(?P<what>script.*)$", re.MULTILINE),
    re.compile(r"\*\*\* No rule to make target '(?P<what>[^']+)'\.", re.MULTILINE),
    re.compile(r"can't open file '(?P<what>[^']+)': \[Errno 2\]"),
    # Line 0 is the command line itself: dash and busybox end with 2 where bash ends with 127.
    re.compile(
        r"^(?:\S*/)?(?:da|a)?sh: (?:0: )?[Cc]an(?:no|')t open '?(?P<what>[^':]+)'?: No such", re.MULTILINE
    ),
    re.compile(r"^Can't open perl script \"(?P<what>[^\"]+)\"", re.MULTILINE),
)


@dataclass(frozen=True, slots=True)
class _Ended:
    """One run of the command, read."""

    attempt: Attempt
    completed: process.Completed
    text: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where and under which limits a gate runs."""

    box: Box
    cwd: Path
    env: Mapping[str, str]
    limits: process.Limits
    scratch: Path
    cancel: int | None
    log: Path | None


def gate(name: str, command: str, scope: str = "project", files: shell.Files = shell.no_files) -> Gate:
    """A gate from its command; `files` reads the tree's files, so that `npm test` is seen through."""
    if scope not in {"story", "project", "wave", "final"}:
        raise AssertionError(scope)
    return Gate(name, command, scope, recognise(command, files).runner)  # type: ignore[arg-type]


def run(  # noqa: PLR0913 - every one is a fact about the run, and named
    gate: Gate,
    *,
    box: Box,
    cwd: Path,
    env: Mapping[str, str],
    scratch: Path,
    clock: Callable[[], float],
    limits: process.Limits = process.Limits(),  # noqa: B008 - frozen
    cancel: int | None = None,
    baseline: Baseline | None = None,
    log: Path | None = None,
    commit: str = "",
    clean: Callable[[], None] = lambda: None,
) -> GateResult:
    """Judges the tree in `cwd`, in a box that shows it and `scratch`. A red gate is run once more: green then is `flaky-green`.

    `clean` takes away what the first run has left, which could make the second one green.
    """
    place = _Place(box, cwd, env, limits, scratch, cancel, log)
    first = _once(gate, place)
    judged = judge(gate, first.attempt, baseline)
    ended, seconds = first, first.completed.seconds
    if judged.verdict == "red" and first.completed.reason == "exited" and first.completed.code:
        clean()
        again = _once(gate, replace(place, log=log and log.with_name(f"{log.stem}-again{log.suffix}")))
        seconds += again.completed.seconds
        ended, judged = _second(first, judged, again, judge(gate, again.attempt, baseline))
    result = _result(gate, ended, judged, seconds, clock(), commit)
    return replace(result, seen=_seen(gate, ended, judged).after(baseline))


def _second(first: _Ended, before: Judgement, again: _Ended, judged: Judgement) -> tuple[_Ended, Judgement]:
    """What counts of two runs of a red gate."""
    if judged.verdict == "green":
        detail = "red at first, then green without any change"
        return again, Judgement("flaky-green", before.failures, (), detail)
    if judged.verdict == "excused":
        detail = "what was new at first did not fail again; the rest was there before"
        return again, Judgement("excused", before.failures, (), detail)
    return (again, judged) if judged.verdict == "red" else (first, before)


def baseline(  # noqa: PLR0913 - as above
    gate: Gate,
    *,
    box: Box,
    cwd: Path,
    env: Mapping[str, str],
    scratch: Path,
    limits: process.Limits = process.Limits(),  # noqa: B008 - frozen
    cancel: int | None = None,
    log: Path | None = None,
) -> Baseline:
    """What the gate says of a tree that nothing is held against; one run."""
    ended = _once(gate, _Place(box, cwd, env, limits, scratch, cancel, log))
    return _seen(gate, ended, judge(gate, ended.attempt))


def _seen(gate: Gate, ended: _Ended, judged: Judgement) -> Baseline:
    attempt, reading = ended.attempt, ended.attempt.reading
    return Baseline(
        gate=gate.name,
        exit_code=attempt.code,
        failures=attempt.failed,
        passed_tests=reading.passed if reading else None,
        green=judged.verdict in {"green", "flaky-green"},
        reason="absent" if attempt.absent else attempt.reason,
        detail=judged.detail,
        count=reading.count if reading else 0,
    )


def environment(base: Mapping[str, str], temporary: str) -> dict[str, str]:
    """What gates find in their environment: what CI has, without bytecode of other trees."""
    env = {name: value for name, value in base.items() if name not in _UNWANTED}
    return {**env, "CI": "true", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": temporary}


def _short_name(folder: Path, name: str) -> Path | str:
    """A short name for a temporary folder: a socket's path, which tests put there, may have only 107 bytes."""
    if len(os.fsencode(name)) <= _SOCKET_ROOM:
        return name
    link = Path(tempfile.gettempdir()) / f"rad-{secrets.token_hex(6)}"
    try:
        link.symlink_to(folder)
    except OSError:
        return name
    return link


def _once(gate: Gate, place: _Place) -> _Ended:
    scratch = Path(tempfile.mkdtemp(prefix="g", dir=place.scratch))
    temporary = scratch / "tmp"
    temporary.mkdir()
    for folder in (scratch, temporary):
        _hand_over(folder, place.scratch)
    short = _short_name(temporary, place.box.inside(temporary))
    try:
        env = environment(place.env, str(short))
        ready = runners.prepare(gate, place.cwd, scratch, env, _reader(place.cwd), place.box.inside)
        completed = place.box.run(
            process.shell(ready.line),
            cwd=place.cwd,
            env={**env, **ready.env},
            log=place.log,
            limits=place.limits,
            cancel=place.cancel,
        )
        return _read(gate, place, ready, completed)
    finally:
        if isinstance(short, Path):
            short.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _read(gate: Gate, place: _Place, ready: runners.Preparation, completed: process.Completed) -> _Ended:
    code, masked = completed.code, shell.masks_exit(gate.command, pipefail=True)
    if masked and code == 0 and shell.shows_exit(gate.command):
        shown = shell.shown_exit(completed.last_line)
        code, masked = (code, True) if shown is None else (shown, False)
    printed = cleaned(_whole(completed, place.log))
    reading, text = runners.read(ready, printed, code, _top(place))
    if text != printed:
        completed = _instead(text, completed, place.log)
    absent = _absent(text, code) if code else ""
    return _Ended(Attempt(code, completed.reason, reading, masked, absent), completed, text)


def _top(place: _Place) -> str:
    """How programs call the folder that they ran in."""
    name = place.box.inside(place.cwd)
    return str(place.cwd.resolve()) if name == str(place.cwd) else name


def _hand_over(folder: Path, owner: Path) -> None:
    """Gives a folder to whoever the one around it belongs to: that is who runs gates, where root started us."""
    about = owner.stat()
    if about.st_uid != os.geteuid():
        os.chown(folder, about.st_uid, about.st_gid)


def _instead(text: str, completed: process.Completed, log: Path | None) -> process.Completed:
    """What a person should read in place of what was printed for us, also in the log."""
    data = text.encode("utf-8", "replace")
    if log is not None and log.exists():
        log.write_bytes(data)
    last = text.rstrip("\n").rsplit("\n", 1)[-1]
    return replace(completed, sha256=hashlib.sha256(data).hexdigest(), last_line=last)


def _whole(completed: process.Completed, log: Path | None) -> str:
    """All output where the log has more of it than memory."""
    if log is None or completed.output_bytes <= len(completed.output):
        return completed.output
    try:
        with log.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return completed.output


def _absent(text: str, code: int | None) -> str:
    if code == _NOT_FOUND and (unknown := _UNKNOWN.findall(text)):
        return f"there is no {unknown[-1]}"
    if len(text) > _SHORT:
        return ""
    found = next((match for match in (pattern.search(text) for pattern in _ABSENT) if match), None)
    return f"there is no {found['what'].strip()}" if found else ""


def _reader(top: Path) -> shell.Files:
    return lambda path: results.read_bytes(top / path)


def _result(
    gate: Gate, ended: _Ended, judged: Judgement, seconds: float, at: float, commit: str
) -> GateResult:
    reading = ended.attempt.reading
    well = judged.verdict in {"green", "flaky-green"}
    return GateResult(
        name=gate.name,
        command=gate.command,
        verdict=judged.verdict,
        exit_code=ended.attempt.code,
        seconds=round(seconds, 3),
        passed=reading.count if reading and not reading.problem else None,
        failures=shortened(judged.failures),
        blamed=shortened(judged.blamed),
        output=ended.completed.last_line[:200] if well else excerpt(ended.text),
        sha256=ended.completed.sha256,
        at=at,
        commit=commit,
        scope=gate.scope,
        detail=judged.detail,
    )
