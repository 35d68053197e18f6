"""validate: says what is wrong with PRDs, where, and what to do; the schema of a PRD."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import importers
from rad_engineer.core import graph, prd_order
from rad_engineer.core.prd import Finding, Prd
from rad_engineer.core.printable import plain
from rad_engineer.errors import ExitCode, NoInput, PrdInvalid, RadError, UsageError
from rad_engineer.launch.file_history import last_good

_SCHEMA = Path(__file__).parents[1] / "schema" / "prd-v1.schema.json"
_PROTECTED = frozenset({"main", "master", "develop"})
_NOT_RUN = frozenset({"skipped", "blocked", "human"})


@dataclass(slots=True)
class _Verdict:
    """What is said of one file."""

    file: str
    prds: tuple[Prd, ...] = ()
    refusal: RadError | None = None
    edges: int = 0
    dangling: tuple[str, ...] = ()
    cycles: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    last_good: str | None = None

    @property
    def stories(self) -> int:
        return sum(len(prd.stories) for prd in self.prds)

    @property
    def done(self) -> int:
        return sum(story.state == "done" for prd in self.prds for story in prd.stories)

    @property
    def outcome(self) -> str:
        if self.refusal is not None:
            return "refused"
        return "ok" if self.stories else "empty"


_WITH_PRODUCTION = ("full", "offline", "report", "fix", "yes", "verbose")


def validate(
    files: Sequence[str], *, as_json: bool, schema: bool, production: bool = False, **more: Any
) -> int:
    """Prints a verdict per file and returns the exit code: 65 refused, 66 not there; warnings only count with `strict`.

    With `production`, the machine and the project are looked at instead.
    """
    wishes = {name: more.pop(name) for name in _WITH_PRODUCTION if name in more}
    if production:
        if files:
            raise UsageError("--production looks at the machine and the project: name no PRD")
        from rad_engineer.commands import production as checked  # noqa: PLC0415 - PRDs need none of it

        return checked.production(checked.Wishes(json=as_json, **wishes))
    if given := [name for name, value in wishes.items() if value]:
        raise UsageError(f"--{given[0]} is for --production", hint="rad-engineer validate --production")
    if schema:
        print(_SCHEMA.read_text(encoding="utf-8"), end="")
        return ExitCode.OK
    return _files(files, as_json=as_json, **more)


def _files(
    files: Sequence[str], *, as_json: bool, strict: bool, stories_path: str | None, tag: str | None
) -> int:
    verdicts = [_load(file, stories_path, tag) for file in files]
    loaded = [prd for verdict in verdicts for prd in verdict.prds]
    for verdict in verdicts:
        _judge(verdict, loaded)
    if as_json:
        print(json.dumps({"schema_version": 1, "files": [_row(verdict) for verdict in verdicts]}))
    else:
        for verdict in verdicts:
            print("\n".join(plain(line) for text in _lines(verdict) for line in text.split("\n")))
        if not any(verdict.stories or verdict.refusal for verdict in verdicts):
            print("nothing to do")
    return _exit_code(verdicts, strict=strict)


def _load(file: str, stories_path: str | None, tag: str | None) -> _Verdict:
    try:
        prds = importers.load(file, stories_path=stories_path, tag=tag, root=_root(file))
        return _Verdict(
            file, tuple(prds), findings=tuple(finding for prd in prds for finding in prd.findings)
        )
    except NoInput as error:
        return _Verdict(file, refusal=error)
    except PrdInvalid as error:
        asks_history = (
            error.code not in {"POINTER", "TOO_LARGE", "NOT_A_FILE", "TAG"} and stories_path is None
        )
        return _Verdict(file, refusal=error, last_good=last_good(file) if asks_history else None)


def _root(file: str) -> Path | None:
    """The top of the repository around a file: links and pointers may lead anywhere in it."""
    folder = Path(os.path.realpath(os.path.dirname(file) or "."))  # noqa: PTH120  (Path would drop `..` wrongly)
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)


def _judge(verdict: _Verdict, loaded: Sequence[Prd]) -> None:
    """Adds what only shows between stories: edges, dangling needs, cycles, unusable branches."""
    if not verdict.prds:
        return
    others = [prd for prd in loaded if all(prd is not own for own in verdict.prds)]
    named, absent = _named(verdict.prds)
    others += [prd for prd in named if prd.path not in {other.path for other in loaded}]
    external = {story.id: story.state == "done" for prd in others for story in prd.stories}
    try:
        found = graph.lint(verdict.prds, external=external)
        _refuse_circle(verdict.prds, others)
    except PrdInvalid as error:
        verdict.refusal = error
        return
    verdict.edges = (graph.lint(verdict.prds) if external else found).edges
    verdict.dangling = found.dangling
    verdict.cycles = found.cycles
    verdict.findings += tuple(
        Finding("dangling", f"{line}, which no story answers to") for line in found.dangling
    )
    verdict.findings += tuple(
        Finding("dangling", f"depends on the PRD {name}, which is not there") for name in absent
    )
    for prd in verdict.prds:
        if prd.branch in _PROTECTED:
            message = f"names the branch {prd.branch}, where a run lands only with --allow-protected-branch"
            verdict.findings += (Finding("protected-branch", message),)
    if found.cycles:
        more = "".join(f"\n  {cycle}" for cycle in found.cycles[1:])
        verdict.refusal = PrdInvalid(
            f"{verdict.file}: stories need each other: {found.cycles[0]}{more}",
            code="CYCLE",
            hint="remove one of these needs",
        )


def _refuse_circle(own: Sequence[Prd], others: Sequence[Prd]) -> None:
    """Raises PrdInvalid when PRDs wait for each other and one of these is among them."""
    circle = prd_order.circle([*own, *others])
    if any(prd is mine for prd in circle for mine in own):
        raise prd_order.refusal(circle)


def _named(prds: Sequence[Prd]) -> tuple[list[Prd], list[str]]:
    """The PRDs beside these that they name in depends_on, as far as they can be read; file names without a file."""
    found: list[Prd] = []
    absent: list[str] = []
    for prd, name in graph.missing_prds(prds):
        folder = Path(prd.path).parent
        for candidate in (name, f"{name}.json", f"{name}.md"):
            try:
                found += importers.load(folder / candidate, root=folder)
            except NoInput:
                continue
            except RadError:
                break
            break
        else:
            absent += [name] if name.casefold().endswith((".json", ".md")) else []
    return found, absent


def _exit_code(verdicts: Sequence[_Verdict], *, strict: bool) -> int:
    if any(isinstance(verdict.refusal, PrdInvalid) for verdict in verdicts):
        return ExitCode.PRD_INVALID
    if any(verdict.refusal for verdict in verdicts):
        return ExitCode.NO_INPUT
    if strict and any(verdict.findings for verdict in verdicts):
        return ExitCode.PRD_INVALID
    return ExitCode.OK


def _row(verdict: _Verdict) -> dict[str, Any]:
    error = verdict.refusal
    place = error if isinstance(error, PrdInvalid) else None
    code = place.code if place else "NO_INPUT" if error else None
    return {
        "file": verdict.file,
        "outcome": verdict.outcome,
        "code": "NO_STORIES_EMPTY" if verdict.outcome == "empty" else code,
        "message": _message(verdict).split("\n")[0] if error else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "hint": error.hint if error else None,
        "last_good": verdict.last_good.partition(":")[0] if verdict.last_good else None,
        "stories": verdict.stories,
        "done": verdict.done,
        "edges": verdict.edges,
        "dangling": len(verdict.dangling),
        "cycles": len(verdict.cycles),
        "warnings": sorted({finding.code for finding in verdict.findings}),
    }


def _message(verdict: _Verdict) -> str:
    """The refusal without the file and the place, which stand beside it."""
    text = str(verdict.refusal).removeprefix(verdict.file)
    error = verdict.refusal
    if isinstance(error, PrdInvalid) and error.line is not None:
        text = text.removeprefix(f":{error.line}:{error.column}")
    return text.removeprefix(": ")


def _lines(verdict: _Verdict) -> list[str]:
    lines = [f"{verdict.file}: {_summary(verdict)}"]
    lines += [
        f"{_at(verdict.file, finding.line, finding.column)}: warning: {finding.message} [{finding.code}]"
        for finding in verdict.findings
    ]
    error = verdict.refusal
    if error is None:
        return lines
    line, column = (error.line, error.column) if isinstance(error, PrdInvalid) else (None, None)
    code = f" [{error.code}]" if isinstance(error, PrdInvalid) else ""
    first, *more = _message(verdict).split("\n")
    lines += [f"{_at(verdict.file, line, column)}: error: {first}{code}", *more]
    if error.hint:
        lines.append(f"hint: {error.hint}")
    if verdict.last_good:
        commit, _, name = verdict.last_good.partition(":")
        lines.append(
            f"hint: it was last readable at commit {commit[:12]}: git show {commit[:12]}:{shlex.quote(name)}"
        )
    return lines


def _at(file: str, line: int | None, column: int | None) -> str:
    return ":".join(str(part) for part in (file, line, column) if part is not None)


def _summary(verdict: _Verdict) -> str:
    if verdict.outcome == "refused":
        return "refused"
    if verdict.outcome == "empty":
        return "no stories, nothing to do"
    waiting = sum(story.state in _NOT_RUN for prd in verdict.prds for story in prd.stories)
    parts = [
        "1 story" if verdict.stories == 1 else f"{verdict.stories} stories",
        f"{verdict.done} done",
        "1 need" if verdict.edges == 1 else f"{verdict.edges} needs",
    ]
    if waiting:
        parts.insert(2, f"{waiting} not run")
    where = ", ".join(dict.fromkeys(prd.container for prd in verdict.prds))
    return f"ok, {', '.join(parts)} ({where})"
