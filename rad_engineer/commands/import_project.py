"""import: what a project is made of, the configuration that fits it, and which of its gates are green today."""

import os
import sys
from collections.abc import Sequence
from json import dumps
from typing import Any

from rad_engineer import trust
from rad_engineer.core.printable import one_line, plain, several
from rad_engineer.errors import RadError, Refused
from rad_engineer.gates import Gate
from rad_engineer.launch import ground
from rad_engineer.launch.sandboxed import Judged
from rad_engineer.projects import configuration, importing
from rad_engineer.projects.importing import Imported
from rad_engineer.projects.toolchain import Part


def import_project(*, path: str | None, write: bool, dry_run: bool, yes: bool, json: bool) -> int:
    """Shows what was found and proposed; writes, registers and runs what it was told to."""
    found = importing.look(path or ".", ground.folder())
    if not json:
        _show(found)
    written = write and not dry_run and found.proposal.after != found.aim.text
    if written:
        configuration.refuse_outside(found.top, found.aim)
        configuration.write(found.aim, found.proposal.after)
    if not dry_run:
        importing.know(found, os.environ)
    judged, why_not = ([], "dry run") if dry_run else _judge(found, yes=yes, quiet=json)
    if json:
        print(dumps(_document(found, judged, written=written, why_not=why_not), indent=2))
    elif not dry_run:
        _next(found, written=written, wanted=write, why_not=why_not)
    return 0


def _judge(found: Imported, *, yes: bool, quiet: bool) -> tuple[list[Judged], str]:
    """Runs the gates once, if they are trusted; else why not."""
    try:
        place = importing.place(found, os.environ)
        wanted = importing.commands(place)
        if not place.settings.gates and not place.settings.final_gates:
            return [], "there are no gates"
        trust.require(place.id, wanted, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
        return _run(place, wanted, quiet=quiet), ""
    except Refused:
        return (
            [],
            "the commands are not trusted: `rad-engineer import --yes` trusts them and runs the gates once",
        )
    except RadError as error:
        return [], str(error)


def _run(place: ground.Ground, wanted: Sequence[tuple[str, str]], *, quiet: bool) -> list[Judged]:
    """Runs the gates once and prints each verdict as it comes."""
    first = next((f"`{command}` and then " for kind, command in wanted if kind == "setup"), "")
    number = sum("gate" in kind for kind, _ in wanted)
    print(
        f"rad-engineer: running {first}{several(number, 'gate')} once, on a copy", file=sys.stderr, flush=True
    )
    judged: list[Judged] = []
    for each in importing.judge(place, _begins):
        judged.append(each)
        if not quiet:
            if len(judged) == 1:
                print("\nGates today")
            tests = f", {several(each.tests, 'test')}" if each.tests else ""
            verdict = "green" if each.green else "red"
            print(
                f"  {verdict:6} {one_line(each.gate.name):12} {each.seconds:.1f}s{tests}{_because(each)}",
                flush=True,
            )
    return judged


def _begins(gate: Gate) -> None:
    print(f"rad-engineer: gate {one_line(gate.name)}: {one_line(gate.command)}", file=sys.stderr, flush=True)


def _because(each: Judged) -> str:
    return f"  {one_line(each.why)[:160]}" if each.why else ""


def _show(found: Imported) -> None:
    seen = found.detected
    print(f"Project {one_line(str(found.top))}")
    for title, parts in (
        ("languages", seen.languages),
        ("packages", seen.package_managers),
        ("workspaces", seen.workspaces),
    ):
        for part in parts:
            print(f"  {title:13} {_named(part):28} {one_line(str(part.source))}")
    for plan in seen.plans:
        told = (
            one_line(plan.problem)
            if plan.problem
            else f"{several(plan.stories, 'story', 'stories')}, {plan.done} done"
        )
        print(f"  {'plan':13} {one_line(plan.file):28} {plan.dialect}, {told}")
    for name in seen.instructions:
        print(f"  {'for agents':13} {one_line(name)}")
    print("\nGates found")
    for each in seen.gates:
        print(f"  {each.kind:6} {one_line(each.line):40}  {one_line(', '.join(map(str, each.sources)))}")
    for no in seen.refused:
        print(
            f"  {no.kind:6} {one_line(no.command):40}  not taken: {one_line(no.why)} ({one_line(str(no.source))})"
        )
    if not seen.gates:
        print("  none")
    _show_proposal(found)


def _named(part: Part) -> str:
    return one_line(f"{part.name}: {part.more}" if part.more else part.name)


def _show_proposal(found: Imported) -> None:
    name = one_line(os.path.relpath(found.aim.path))
    made = found.proposal
    if made.after == found.aim.text:
        print(f"\n{name} has all of it" if made.kept else "\nThere is nothing to configure")
    elif found.aim.exists:
        print(f"\n{plain(made.diff(name))}", end="")
    else:
        print(f"\n{name} (proposed)\n{plain(made.after)}", end="")
    for entry, why in (*made.kept, *made.impossible):
        if why != "it is there":
            print(f"note: {one_line(entry.key)} is left as it is: {one_line(why)}")
    sys.stdout.flush()  # what is asked next comes on stderr


def _next(found: Imported, *, written: bool, wanted: bool, why_not: str) -> None:
    name = one_line(os.path.relpath(found.aim.path))
    print()
    if why_not:
        print(f"The gates were not run: {plain(why_not)}")
    if written:
        print(
            f"{name} is written: {several(len(found.proposal.added), 'setting')} added, nothing else changed"
        )
    elif found.proposal.added and not wanted:
        print(f"Nothing was written: `rad-engineer import --write` adds this to {name}")
    print(f"{one_line(found.top.name)} is registered: `rad-engineer projects list`")


def _document(found: Imported, judged: list[Judged], *, written: bool, why_not: str) -> dict[str, Any]:
    seen, made = found.detected, found.proposal
    return {
        "schema_version": 1,
        "project": str(found.top),
        "languages": [_part(part) for part in seen.languages],
        "package_managers": [_part(part) for part in seen.package_managers],
        "workspaces": [_part(part) for part in seen.workspaces],
        "gates": [
            {"kind": each.kind, "language": each.language, "command": each.line, "sources": list(map(str, each.sources))}
            for each in seen.gates
        ],
        "refused": [
            {"kind": no.kind, "command": no.command, "source": str(no.source), "why": no.why} for no in seen.refused
        ],
        "setup": seen.setup.command if seen.setup else None,
        "plans": [
            {"file": each.file, "dialect": each.dialect, "stories": each.stories, "done": each.done, "problem": each.problem}
            for each in seen.plans
        ],
        "instructions": list(seen.instructions),
        "configuration": {
            "file": str(found.aim.path),
            "exists": found.aim.exists,
            "text": made.after,
            "diff": made.diff(found.aim.path.name) if found.aim.exists else "",
            "added": [entry.key for entry in made.added],
            "left": [{"key": entry.key, "why": why} for entry, why in (*made.kept, *made.impossible)],
            "written": written,
        },
        "today": [
            {"gate": each.gate.name, "green": each.green, "seconds": each.seconds, "tests": each.tests, "why": each.why}
            for each in judged
        ],
        "not_run": why_not or None,
    }  # fmt: skip


def _part(part: Part) -> dict[str, str]:
    return {"name": part.name, "source": str(part.source), "more": part.more}
