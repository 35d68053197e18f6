"""The long checks: the project's own gates, its dependencies, what the sandbox really holds, and smoke."""

import functools
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import process, sandbox
from rad_engineer.core.printable import several
from rad_engineer.delivery import security, smoke
from rad_engineer.delivery.finding import Seen, failed, passed, skipped, warned
from rad_engineer.delivery.scene import Scene

_AUDIT_SECONDS = 300.0
_TAIL = 5


@dataclass(frozen=True, slots=True)
class _Auditor:
    """A program that looks dependencies up, and the file that it reads."""

    file: str
    program: str
    argv: tuple[str, ...]


_AUDITORS = (
    _Auditor("package-lock.json", "npm", ("npm", "audit", "--json", "--audit-level=high")),
    _Auditor(
        "requirements.txt", "pip-audit", ("pip-audit", "--progress-spinner=off", "-r", "requirements.txt")
    ),
    _Auditor("Cargo.lock", "cargo-audit", ("cargo-audit", "audit")),
)


def gates(scene: Scene) -> Seen:
    """Every gate of the project, run once in a sandbox on a copy of it, behind its setup."""
    from rad_engineer.launch import gate_plan, inputs, sandboxed  # noqa: PLC0415 - only here

    if scene.place is None:
        return skipped("there is no place for runs", because=scene.in_the_way)
    if security.trusted(scene).status != "PASS":
        return skipped("its commands are not trusted", because="security.trust")
    top, wanted = scene.place.top, scene.wanted
    names = sorted(entry.name for entry in os.scandir(top))
    found = gate_plan.project_gates(
        inputs.read([], inputs.Reading()), wanted, functools.partial(_content, top), names
    )
    if not found:
        return warned("there are none: stories without verify commands end as done-unverified")
    if wanted.setup and scene.offline:
        return skipped("setup may fetch packages (--offline)")
    level, red = sandbox.choose(wanted.sandbox).level, []
    for gate in found:
        said: list[bytes] = []
        line = f"( {wanted.setup}\n) && ( {gate.command}\n)" if wanted.setup else gate.command
        ended = sandboxed.run(
            scene.place, level, "setup" if wanted.setup else "gate", process.shell(line), said.append
        )
        if ended.copy is not None:
            shutil.rmtree(ended.copy.parent, ignore_errors=True)
        if ended.code != 0:
            tail = b"".join(said).decode("utf-8", "replace").strip().splitlines()[-_TAIL:]
            red.append(f"{gate.name} ended with {ended.code}: {' / '.join(tail)}")
    if red:
        return failed("; ".join(red), advice="rad-engineer sandbox run --as gate -- COMMAND")
    return passed(f"green: {', '.join(gate.name for gate in found)}")


def _content(top: Path, name: str) -> bytes | None:
    return (top / name).read_bytes() if (top / name).is_file() else None


def dependencies(scene: Scene) -> Seen:
    """What is known of the project's dependencies: asked of the databases of npm, pip-audit, cargo-audit."""
    mine = [auditor for auditor in _AUDITORS if (scene.top / auditor.file).is_file()]
    if not mine:
        return skipped(f"there is none of {', '.join(auditor.file for auditor in _AUDITORS)}")
    if scene.offline:
        return skipped("databases of vulnerabilities are not asked (--offline)")
    told, bad = [], []
    for auditor in mine:
        if shutil.which(auditor.program, path=scene.env.get("PATH")) is None:
            told.append(f"{auditor.file}: {auditor.program} is not installed")
            continue
        code, out, err = process.capture(
            list(auditor.argv), env=scene.env, cwd=scene.top, timeout=_AUDIT_SECONDS
        )
        text = (out + err).decode("utf-8", "replace")
        if code == 0:
            told.append(f"{auditor.file}: nothing known")
        elif _not_asked(text):
            told.append(f"{auditor.file}: nobody could be asked")
        else:
            bad.append(f"{auditor.file}: `{' '.join(auditor.argv)}` finds vulnerabilities")
    if bad:
        return failed("; ".join(bad), advice="update what it names")
    return (passed if all(": nothing" in one for one in told) else skipped)("; ".join(told))


def _not_asked(text: str) -> bool:
    """Whether it failed before it could tell anything."""
    try:
        document = json.loads(text)
    except ValueError:
        return "ConnectionError" in text or "couldn't fetch" in text
    return isinstance(document, dict) and "error" in document


def enforcement(scene: Scene) -> Seen:
    """Everything that the sandbox promises, tried out."""
    from rad_engineer.launch import trials  # noqa: PLC0415 - only here

    if security.walls(scene).status != "PASS":
        return skipped("there is no sandbox", because="security.sandbox")
    level = sandbox.choose(scene.wanted.sandbox).level
    found = trials.report().found
    weak = [defence for defence, by_level in found.items() if by_level.get(level) == "open"]
    held = sum(by_level.get(level) == "held" for by_level in found.values())
    if weak:
        return warned(f"{level}: {held} held, not: {'; '.join(weak)}", advice="rad-engineer sandbox report")
    return passed(f"{level}: all {held} that could be tried held")


def smoked(_scene: Scene) -> Seen:
    """The smoke tests, in a home of their own."""
    results = smoke.run()
    bad = [f"{one.name}: {one.evidence}" for one in results if one.status == "FAIL"]
    if bad:
        return failed("; ".join(bad), advice="rad-engineer test --smoke --json")
    left_out = [f"{one.name}: {one.evidence}" for one in results if one.status == "SKIP"]
    if left_out:
        return warned(f"left out: {'; '.join(left_out)}")
    return passed(f"{several(len(results), 'test')} passed")
