"""How each known runner is made to leave a machine result in a place we chose, and how it is read."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rad_engineer.gates import junit, results, text
from rad_engineer.gates.judgement import ERROR, Gate, Reading
from rad_engineer.gates.recognition import OPAQUE, Recognised, recognise
from rad_engineer.gates.scanners import SCANNER
from rad_engineer.gates.shell import Files, flattened, no_files, within

_JUNIT = re.compile(r"--junit-?xml(?:=(.+))?$")


@dataclass(frozen=True, slots=True)
class Preparation:
    """A gate made ready: the line to run, what its environment gets, and where its result will lie."""

    runner: str
    line: str
    result: Path
    env: Mapping[str, str] = field(default_factory=dict)
    recognised: Recognised = field(default_factory=Recognised)
    stale: int | None = None  # when a result file that was there before was written


def prepare(
    gate: Gate,
    cwd: Path,
    scratch: Path,
    env: Mapping[str, str],
    files: Files = no_files,
    inside: Callable[[Path], str] = str,
) -> Preparation:
    """Makes a gate's runner leave its result in `scratch`; the environment alone does it wherever it can.

    `inside` is how a path is called where the gate runs.
    """
    found = recognise(gate.command, files)
    runner = gate.runner if gate.runner != OPAQUE else found.runner
    line, result = gate.command, scratch / "result.json"
    added: dict[str, str] = {}
    if runner == "go" and found.alone and "-json" not in gate.command:
        added["GOFLAGS"] = f"{env.get('GOFLAGS', '')} -json".strip()
    elif runner == "node":
        result = scratch / "result.tap"
        options = f'--test-reporter=tap "--test-reporter-destination={inside(result)}" --test-reporter=spec --test-reporter-destination=stdout'
        added["NODE_OPTIONS"] = f"{env.get('NODE_OPTIONS', '')} {options}".strip()
    elif runner in _APPENDED and found.append and not (runner == "cargo" and " -- " in gate.command):
        dashes = "-- " if found.append == "dashes" and " -- " not in gate.command else ""
        line = f"{gate.command} {dashes}{_APPENDED[runner].format(path=shlex.quote(inside(result)))}"
    elif runner in {"pytest", OPAQUE}:
        result = _own_junit(gate.command, cwd) or scratch / "junit.xml"
        added["PYTEST_ADDOPTS"] = (
            f"{env.get('PYTEST_ADDOPTS', '')} {_pytest_options(inside(scratch))}".strip()
        )
    return Preparation(runner, line, result, added, found, _written(result))


_APPENDED = {
    "cargo": "--no-fail-fast",  # or the tests behind a red one are not run, and nothing tells that they broke
    "jest": "--json --outputFile={path}",
    "vitest": "--reporter=default --reporter=json --outputFile.json={path}",
}


def _pytest_options(scratch: str) -> str:
    """Verbosity 0 makes sure of a summary line; xunit1 names files, so that ids are those pytest prints.

    Nothing else: an option of a plugin that the project has switched off would be an error of its configuration.
    """
    return shlex.join((f"--junitxml={scratch}/junit.xml", "--verbosity=0", "-o", "junit_family=xunit1"))


def _own_junit(line: str, cwd: Path) -> Path | None:
    """Where the command itself sends the result: its own option beats ours."""
    for command in flattened(line):
        for word, following in zip(command.words, (*command.words[1:], ""), strict=True):
            option = _JUNIT.match(word)
            if option:
                return cwd / within(command.folder, option[1] or following)
    return None


def _written(path: Path) -> int | None:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return None


def read(preparation: Preparation, output: str, code: int | None, top: str) -> tuple[Reading | None, str]:
    """What the runner left, and the output as a person should read it; `top` is how it calls the project's folder."""
    if preparation.runner == "go" and "GOFLAGS" in preparation.env:
        reading, plain = results.read_go(output.splitlines())
        return (reading or text.read("go", plain)), plain
    if preparation.runner == SCANNER:
        return None, output
    if preparation.runner == OPAQUE:
        return _opaque(preparation, output, code), output
    reader = _READERS.get(preparation.runner)
    if reader is not None:
        return reader(preparation, output, code, top), output
    return text.read(preparation.runner, output), output


def _opaque(preparation: Preparation, output: str, code: int | None) -> Reading | None:
    """A command we know nothing about may still have run pytest, or printed the names of what failed."""
    found = _fresh_junit(preparation)
    if not found.problem:
        return Reading(found.count, found.passed, found.failed if code else ())
    failed = text.failed_names(output) if code else ()
    return Reading(text.printed_passes(output), None, failed) if failed else None


def _fresh_junit(preparation: Preparation) -> Reading:
    if preparation.stale is not None and _written(preparation.result) == preparation.stale:
        return Reading(problem="the result file is from before the run")
    return junit.read(preparation.result)


def _pytest(preparation: Preparation, output: str, code: int | None, _top: str) -> Reading:
    reading = _fresh_junit(preparation)
    summary = text.pytest_summary(output)
    if reading.problem:
        return Reading(failed=text.failed_names(output) if code else (), problem=reading.problem)
    if code:
        return reading
    if summary is None:
        problem = "" if preparation.recognised.quiet else "pytest never came to its summary"
        return Reading(reading.count, reading.passed, reading.failed, problem)
    said = summary.get("failed", 0) + summary.get("error", 0)
    if said and not reading.failed:
        contradiction = f"{ERROR}the summary counts {said} failures, the result file none"
        return Reading(reading.count, reading.passed, (contradiction,))
    most = sum(number for word, number in summary.items() if word.endswith("passed"))
    if reading.count > most:
        problem = f"the result file tells of {reading.count} passed tests, the summary of {most}"
        return Reading(most, reading.passed, reading.failed, problem)
    times = preparation.recognised.times
    if not preparation.recognised.quiet and text.pytest_summaries(output) < times:
        return Reading(
            reading.count, reading.passed, reading.failed, "not every run of pytest came to its summary"
        )
    return reading


def _jest(preparation: Preparation, output: str, code: int | None, top: str) -> Reading | None:
    if not preparation.recognised.append:
        return text.read(preparation.runner, output)
    return _file_or_text(
        results.read_jest(results.read_bytes(preparation.result), top), preparation, output, code
    )


def _node(preparation: Preparation, output: str, code: int | None, top: str) -> Reading | None:
    return _file_or_text(
        results.read_tap(results.read_bytes(preparation.result), top), preparation, output, code
    )


def _file_or_text(found: Reading, preparation: Preparation, output: str, code: int | None) -> Reading:
    """Of a red run that left no file, the printed failures are worth having."""
    if found.problem and code:
        printed = text.read(preparation.runner, output)
        return Reading(failed=printed.failed if printed else (), problem=found.problem)
    return found


_READERS: Mapping[str, Callable[[Preparation, str, int | None, str], Reading | None]] = {
    "pytest": _pytest,
    "jest": _jest,
    "vitest": _jest,
    "node": _node,
}
