"""validate --production, health: is everything there that runs need; what is not, and what to do about it."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path

from rad_engineer import durable, signals
from rad_engineer.core.printable import one_line, plain, several, spelled
from rad_engineer.delivery import checks, remedies
from rad_engineer.delivery.finding import Finding
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import ExitCode
from rad_engineer.gateway import credentials
from rad_engineer.launch import ground

MARKS = {"PASS": "✓", "WARN": "!", "FAIL": "✗", "SKIP": "-"}
_PLAIN_MARKS = {"PASS": "+", "WARN": "!", "FAIL": "x", "SKIP": "-"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked for on the command line."""

    full: bool = False
    offline: bool = False
    json: bool = False
    verbose: bool = False
    report: str | None = None
    fix: bool = False
    yes: bool = False


def production(wishes: Wishes) -> int:
    """Says whether this is ready for production; 1 when it is not."""
    taken = credentials.take()
    folder, until = ground.folder(), "full" if wishes.full else "production"

    def look() -> list[Finding]:
        with signals.unwinding():
            return checks.examine(Scene(folder, os.environ, taken, offline=wishes.offline), until)  # type: ignore[arg-type]

    findings = look()
    if wishes.fix and (wanted := remedies.safe(findings)):
        streams = (sys.stdin, sys.stderr)
        for line in remedies.carry_out(wanted, folder, os.environ, yes=wishes.yes, streams=streams):
            print(plain(line), file=sys.stderr)
        findings = look()
    verdict = checks.production(findings, offline=wishes.offline)
    document = checks.document(findings, verdict, "production")
    if wishes.report is not None:
        durable.export(Path(wishes.report), dumps(document, indent=2).encode() + b"\n", 0o600)
    if wishes.json:
        print(dumps(document, indent=2))
    else:
        print(
            "\n".join(
                [*lines(findings, verbose=wishes.verbose), "", f"Production Readiness: {verdict.words}"]
            )
        )
    return ExitCode.OK if verdict.ready else ExitCode.FAILED


def health(*, json: bool, verbose: bool) -> int:
    """The quick part: this machine, and the state that is kept on it."""
    scene = Scene(ground.folder(), os.environ, credentials.take(), offline=True)
    findings = checks.examine(scene, "quick")
    verdict = checks.healthy(findings)
    if json:
        print(dumps(checks.document(findings, verdict, "health"), indent=2))
    else:
        print("\n".join([*lines(findings, verbose=verbose), "", f"Health: {verdict.words}"]))
    return ExitCode.OK if verdict.ready else ExitCode.FAILED


def lines(findings: Sequence[Finding], *, verbose: bool) -> Iterator[str]:
    """A line for each family, and below it what is not as it should be; `verbose` shows every check."""
    marks = MARKS if _speaks_unicode() else _PLAIN_MARKS
    for name, status, mine in checks.families(findings):
        why = f" ({mine[0].seen.evidence})" if status == "SKIP" and len(mine) == 1 and not verbose else ""
        yield one_line(f"{marks[status]} {name}: {status}{why}")
        for finding in mine:
            quiet = finding.status == "PASS" or (finding.status == "SKIP" and not finding.blocks)
            if verbose or not (quiet or why):
                yield from _told(finding)
    left = [f for f in findings if f.status in ("FAIL", "WARN") and f.seen.fix is None]
    if left:
        yield f"{several(len(left), 'finding')} without a command that mends it: {', '.join(f.id for f in left)}"


def _told(finding: Finding) -> Iterator[str]:
    seen = finding.seen
    yield f"    {finding.id}: {finding.status}: {one_line(seen.evidence)}"
    if seen.because:
        yield f"        first: {seen.because}"
    if seen.fix is not None and finding.status != "PASS":
        yield f"        fix: {spelled(seen.fix.command)}"
    if seen.advice and finding.status != "PASS":
        yield f"        hint: {one_line(seen.advice)}"


def _speaks_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
