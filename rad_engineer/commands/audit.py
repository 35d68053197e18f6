"""audit: what a run has done, record by record; whether the log is as it was written; the log for others."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from json import dumps
from pathlib import Path
from typing import Any

from rad_engineer import past_run
from rad_engineer.audit import key, verification
from rad_engineer.audit.log import FOLDER, USER, files_of, head_path
from rad_engineer.core.audit import SCHEMA
from rad_engineer.core.printable import one_line, several
from rad_engineer.errors import ExitCode, NoInput, UsageError
from rad_engineer.launch import ground
from rad_engineer.watch.output import Output

_HEAD = ("seq", "at", "story", "attempt", "kind", "mac")


def show(*, run: str | None, story: str | None, kind: str | None, json: bool) -> int:
    """Prints the records of a run, those of a story or a kind alone where that is wanted."""
    if kind is not None and kind not in SCHEMA:
        raise UsageError(f"no record is called {kind!r}", hint=f"there is {', '.join(SCHEMA)}")
    name, folder = _find(run)
    out = Output(sys.stdout)
    for record in verification.records(folder, name, key.find(os.environ)):
        if (story is None or record.get("story") == story) and (kind is None or record["kind"] == kind):
            out.line(dumps({"run": name, **record}) if json else _told(record))
            if out.closed:
                break
    return ExitCode.OK


def verify(*, run: str | None, json: bool, every: bool) -> int:
    """Says whether a log is as it was written; exit code 1 where it is not, with the file and the byte."""
    if every and run is not None:
        raise UsageError("--all looks at every run: name none")
    wanted = list(_all()) if every else [_find(run)]
    if not wanted:
        raise NoInput("no run here has an audit log", hint="start with: rad-engineer run PRD")
    found = {name: _checked(name, folder) for name, folder in wanted}
    bad = [name for name, checked in found.items() if not checked.ok]
    if json:
        runs = [{"run": name, "ok": checked.ok, "records": checked.records, "files": checked.files,
                 "damage": [one.to_json() for one in checked.damage], "notes": checked.notes}
                for name, checked in found.items()]  # fmt: skip
        print(dumps({"schema_version": 1, "ok": not bad, "runs": runs}, indent=2))
    else:
        for name, checked in found.items():
            verdict = (
                "as it was written" if checked.ok else f"DAMAGED in {several(len(checked.damage), 'place')}"
            )
            print(f"{name}: {several(checked.records, 'record')}, {verdict}")
            for line in (*map(str, checked.damage), *checked.notes):
                print(f"  {line}")
    return ExitCode.FAILED if bad else ExitCode.OK


def export(*, run: str | None, output: str | None) -> int:
    """Writes every record as a line of JSON, readable without the key, and in the last line what `verify` says."""
    name, folder = _find(run)
    checked = _checked(name, folder)
    lines = [dumps({"run": name, **one}) for one in verification.records(folder, name, key.find(os.environ))]
    last = {
        "verified": checked.ok,
        "records": checked.records,
        "damage": [str(one) for one in checked.damage],
    }
    text = "\n".join([*lines, dumps({"run": name, **last})]) + "\n"
    if output is None:
        Output(sys.stdout).write(text)
    else:
        with suppress(FileExistsError):
            Path(output).touch(mode=0o600, exist_ok=False)
        try:
            Path(output).write_text(text)
        except OSError as error:
            raise NoInput(f"cannot write {output}: {error.strerror}") from error
        print(f"{several(len(lines), 'record')} in {output}")
    return ExitCode.OK if checked.ok else ExitCode.FAILED


def _checked(name: str, folder: Path) -> verification.Checked:
    own = key.find(os.environ)
    if own is None:
        raise NoInput(
            f"{key.path(os.environ)}: there is no key, so nothing can be verified",
            hint="logs are verified by the user who ran them, or with a copy of that file",
        )
    return verification.check(folder, name, own, head_path(os.environ, name))


def _find(run: str | None) -> tuple[str, Path]:
    """A log by the name of its run, or the beginning of that; `user` is what belongs to no run."""
    if run == USER:
        return USER, key.folder(os.environ) / USER
    for name, folder in _all(every=run is not None):
        if run is None or name.startswith(run):
            return name, folder
    raise NoInput(
        "no run here has an audit log" if run is None else f"no run here is called {run}",
        hint="`rad-engineer status` shows the newest run; `rad-engineer audit show user` what belongs to none",
    )


def _all(*, every: bool = False) -> Iterator[tuple[str, Path]]:
    """The logs of all runs of this place, the newest first; `every` run, also one whose log is gone."""
    for rundir in past_run.folders(ground.look(os.environ)):
        folder = rundir.path / FOLDER
        if every or files_of(folder) or head_path(os.environ, rundir.run).exists():
            yield rundir.run, folder


def _told(record: Mapping[str, Any]) -> str:
    """A record as a line for people."""
    at = record.get("at")
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if isinstance(at, int | float) else ""
    story = record.get("story", "")
    attempt = f"/{record['attempt']}" if "attempt" in record else ""
    rest = " ".join(f"{name}={_value(value)}" for name, value in record.items() if name not in _HEAD)
    return (
        f"{record.get('seq', '?'):>6} {moment} {one_line(story) + attempt:12} {record['kind']:9} {rest}"
    ).rstrip()


def _value(value: object) -> str:
    return one_line(value) if isinstance(value, str) else dumps(value)
