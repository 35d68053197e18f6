"""Carries out what checks propose: only what is safe, each only after a yes, in the folder that was looked at."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from rad_engineer import process
from rad_engineer.core.printable import spelled
from rad_engineer.delivery.finding import Finding, Fix
from rad_engineer.errors import UsageError

_OURS = "rad-engineer "


def safe(findings: Iterable[Finding]) -> list[tuple[str, Fix]]:
    """What may be done without a person at the keyboard of another program."""
    return [
        (finding.id, finding.seen.fix)
        for finding in findings
        if finding.seen.fix is not None and finding.seen.fix.kind == "safe"
    ]


def carry_out(
    wanted: Iterable[tuple[str, Fix]],
    folder: Path,
    env: Mapping[str, str],
    *,
    yes: bool,
    streams: tuple[TextIO, TextIO],
) -> Iterator[str]:
    """Runs each command that somebody says yes to; tells what became of it."""
    stdin, stderr = streams
    if not yes and not (stdin.isatty() and stderr.isatty()):
        raise UsageError(
            "--fix asks before each command, and nobody can answer here", hint="add --yes to say yes to all"
        )
    for name, fix in wanted:
        stderr.write(f"{name}: {spelled(fix.command)}\n")
        if not yes:
            stderr.write("Run it? [y/N] ")
            stderr.flush()
            if stdin.readline().strip().lower() not in ("y", "yes"):
                yield f"{name}: left as it is"
                continue
        code, _, err = process.capture(
            process.shell(_runnable(fix.command)), env=env, cwd=folder, timeout=600.0
        )
        said = err.decode("utf-8", "replace").strip()
        yield f"{name}: done" if code == 0 else f"{name}: ended with {code}: {said}"


def _runnable(command: str) -> str:
    """The same command where our program is not on PATH."""
    if not command.startswith(_OURS):
        return command
    return f"{shlex.quote(sys.executable)} -P -m rad_engineer {command.removeprefix(_OURS)}"
