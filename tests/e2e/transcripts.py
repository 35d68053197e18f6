"""Reads the commands that the documentation shows, plays them in scratch repositories, and compares what comes.

What counts in README.md and docs/*.md:

    <!-- project: NAME -->    the blocks that follow happen in a fresh copy of doc_projects.NAME
    <!-- file: PATH -->       the next block is the content of that file there
    <!-- hidden: COMMAND -->  run there, not shown to the reader
    <!-- any order -->        the lines of the next block may come in any order
    <!-- not run here: REASON -->  the next block is shown, and run by nobody; a test counts these
    <!-- same keys as: COMMAND -->  the next block, JSON, has only keys that the command's JSON has too
    ```console                lines behind `$ ` (and `> `) are run, what follows is what they print; `...` leaves lines out
    ```sh                     run as a whole; must exit 0

`python -m tests.e2e.transcripts README.md docs/*.md` writes the real output into the files.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import doc_projects

ROOT = Path(__file__).parents[2]
HOME = "/home/ada"
_FENCE = re.compile(r"^```(?P<tag>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(
    r"^<!-- (?P<kind>project|file|hidden|any order|not run here|same keys as)(?:: (?P<value>.*?))? -->$",
    re.MULTILINE,
)
_MARK = "\x1e"
_CHANGING = (
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b"), "RUN"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DATE"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "TIME"),
    (re.compile(r"\b\d{10}\.\d+\b"), "SECONDS"),
    (re.compile(r"\[ *[\dhms. ]+\]"), "[TIME]"),
    (re.compile(r"\b\d+m ?\d+s\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)?(s|ms)\b"), "TIME"),
    (re.compile(r'"seconds": ?[\d.]+'), '"seconds": TIME'),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "HASH"),
    (re.compile(r"\bprocess \d+\b"), "process PID"),
    (re.compile(r"; (sandbox: \w+|SANDBOX OFF: commands run with all your rights)"), "; sandbox: LEVEL"),
    (re.compile(r'"sandbox": ?"\w+"'), '"sandbox": LEVEL'),
    (re.compile(r"\bsandbox (bubblewrap|off)\b"), "sandbox LEVEL"),
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command line and what the page says it prints."""

    line: str
    shown: str


@dataclass
class Step:
    """One block, file or hidden command of a scenario."""

    kind: str  # console, sh, file, hidden, keys
    text: str
    at: int  # offset in the page
    value: str = ""
    any_order: bool = False

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block."""
        found: list[list[str]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append([line[2:]])
            elif line.startswith("> ") and found and len(found[-1]) == 1:
                found[-1][0] += "\n" + line[2:]
            elif found:
                found[-1].append(line)
        return [Command(first, "\n".join(rest)) for first, *rest in found]


@dataclass
class Scenario:
    """What happens in one scratch repository."""

    page: str
    project: str
    line: int
    steps: list[Step] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """All documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def not_run(path: Path) -> list[str]:
    """The blocks of a page that are shown and not run: where, and why."""
    text = path.read_text()
    found = [m for m in _COMMENT.finditer(text) if m["kind"] == "not run here"]
    return [
        f"{path.name}:{text.count(chr(10), 0, m.start()) + 1}: {m['value'] or 'NO REASON'}" for m in found
    ]


def blocks(text: str) -> Iterator[tuple[str, str, int]]:
    """Every fenced block: tag, content, offset of its content."""
    for found in _FENCE.finditer(text):
        yield found["tag"], found["text"], found.start("text")


def scenarios(path: Path) -> list[Scenario]:
    """The scenarios of a page; raises ValueError where a command stands in none."""
    text = path.read_text()
    found: list[Scenario] = []
    fenced = [(m.start(), m.end()) for m in _FENCE.finditer(text)]
    marks = [m for m in _COMMENT.finditer(text) if not any(a <= m.start() < b for a, b in fenced)]
    pending: dict[str, str] = {}
    for piece in sorted((*marks, *_FENCE.finditer(text)), key=lambda m: m.start()):
        line = text.count("\n", 0, piece.start()) + 1
        if piece.re is _COMMENT:
            kind, value = piece["kind"], piece["value"] or ""
            if kind == "project":
                found.append(Scenario(path.name, value, line))
            elif kind == "hidden":
                found[-1].steps.append(Step("hidden", value, piece.start()))
            else:
                pending[kind] = value
            continue
        step = _step(piece["tag"], piece["text"], piece.start("text"), pending)
        pending = {}
        if step is not None and not found:
            raise ValueError(f"{path.name}:{line}: no project is named before this block")
        if step is not None:
            found[-1].steps.append(step)
    return found


def _step(tag: str, text: str, at: int, pending: dict[str, str]) -> Step | None:
    if "not run here" in pending:
        return None
    if "file" in pending:
        return Step("file", text, at, pending["file"])
    if "same keys as" in pending:
        return Step("keys", text, at, pending["same keys as"])
    if tag in ("console", "sh"):
        return Step(tag, text, at, any_order="any order" in pending)
    return None


class Scratch:
    """A scratch repository with a shell."""

    def __init__(self, folder: Path, project: str) -> None:
        self.home = folder.resolve()
        self.folder = self.home / "shop"
        tools = self.home / "bin"
        tools.mkdir(parents=True)
        shim = tools / "rad-engineer"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m rad_engineer "$@"\n')
        shim.chmod(0o755)
        self.env = {
            "PATH": os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"])),
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "GIT_CONFIG_NOSYSTEM": "1",
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE")},
            **(
                {} if project == "quickstart" else {"RAD_SANDBOX": "off"}
            ),  # others have agents that write elsewhere
        }
        doc_projects.make(project, self.folder, tools, self.env)

    def play(self, steps: list[Step]) -> list[str]:
        """Plays all steps in one shell; what each command printed, in order."""
        script, number = ["cd " + str(self.folder), "__rc=0"], 0
        for index, step in enumerate(steps):
            if step.kind == "file":
                kept = self.home / f"file-{index}"
                kept.write_text(step.text)
                script.append(
                    f'mkdir -p "$(dirname {step.value})"; cp {kept} {step.value}; chmod +x {step.value}'
                )
                continue
            lines = [c.line for c in step.commands] if step.kind == "console" else [step.value or step.text]
            for line in lines:
                script.append(f"printf '{_MARK}{number}\\n'\n(exit $__rc)\n{line}\n__rc=$?")
                if step.kind in ("sh", "hidden"):
                    script.append('[ $__rc = 0 ] || { echo "exit $__rc"; exit 99; }')
                number += 1
        path = self.home / "script"
        path.write_text("\n".join(script) + f"\nprintf '{_MARK}end\\n'\n")
        ended = subprocess.run(
            ["bash", str(path)], check=False, env=self.env, cwd=self.home, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100,
        )  # fmt: skip
        printed = ended.stdout.decode("utf-8", "replace").replace(str(self.home), HOME)
        parts = printed.split(_MARK)
        if parts[-1] != "end\n":
            raise AssertionError(f"the script stopped early:\n{printed[-3000:]}")
        return [part.partition("\n")[2] for part in parts[1:-1]]


def normal(text: str) -> str:
    """The text with everything that differs from run to run replaced by its kind."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    text = "\n".join(lines)
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return re.sub(r" {2,}", "  ", text)


def agrees(shown: str, printed: str, *, any_order: bool = False) -> bool:
    """Whether the page tells what was printed; a line `...` stands for any lines."""
    left, right = normal(shown), normal(printed)
    if any_order:
        wanted = [line for line in left.splitlines() if line != "..."]
        return (
            set(wanted) <= set(right.splitlines())
            if "..." in left.splitlines()
            else sorted(wanted) == sorted(right.splitlines())
        )
    # Where lines are wrapped depends on the length of paths, so only words count.
    pieces = (
        "".join(f"{re.escape(word)} " for word in piece.split()) for piece in re.split(r"(?m)^\.\.\.$", left)
    )
    return re.fullmatch(r"(?:\S+ )*".join(pieces), "".join(f"{word} " for word in right.split())) is not None


def missing_keys(shown: object, real: object, where: str = "") -> list[str]:
    """Keys and types of the example that the real document does not have."""
    if isinstance(shown, dict) and isinstance(real, dict):
        gone = [f"{where}.{key}" for key in shown if key not in real]
        return gone + [m for k in shown if k in real for m in missing_keys(shown[k], real[k], f"{where}.{k}")]
    if isinstance(shown, list) and isinstance(real, list):
        return missing_keys(shown[0], real[0], f"{where}[]") if shown and real else []
    if shown is None or real is None or (isinstance(shown, int | float) and isinstance(real, int | float)):
        return []
    return [] if type(shown) is type(real) else [f"{where}: {type(real).__name__}"]


def played(scenario: Scenario) -> list[str]:
    """What the commands of a scenario print, in a folder whose path is so short that no line is broken within it."""
    with tempfile.TemporaryDirectory(prefix="d") as folder:
        return Scratch(Path(folder) / "ada", scenario.project).play(scenario.steps)


def differences(scenario: Scenario) -> list[str]:
    """Plays a scenario; for every command whose output is another, what the page says and what was printed."""
    printed = iter(played(scenario))
    found = []
    for step in scenario.steps:
        if step.kind == "console":
            for command in step.commands:
                real = next(printed)
                if not agrees(command.shown, real, any_order=step.any_order):
                    found.append(f"$ {command.line}\n--- the page\n{command.shown}\n--- in truth\n{real}")
        elif step.kind == "keys":
            gone = missing_keys(json.loads(step.text), json.loads(next(printed)))
            found += [f"{step.value}: the page has {name}" for name in gone]
        elif step.kind != "file":
            next(printed)
    return found


def rewrite(path: Path) -> None:
    """Writes what is really printed into a page, where it is not what the page says."""
    changes: list[tuple[int, int, str]] = []
    for scenario in scenarios(path):
        printed = iter(played(scenario))
        for step in scenario.steps:
            if step.kind == "file":
                continue
            if step.kind != "console":
                next(printed)
                continue
            parts = []
            for command in step.commands:
                real = next(printed)
                same = agrees(command.shown, real, any_order=step.any_order)
                shown = (
                    command.shown
                    if same
                    else "\n".join(line.rstrip() for line in real.rstrip("\n").splitlines())
                )
                parts.append("$ " + command.line.replace("\n", "\n> ") + (f"\n{shown}" if shown else ""))
            changes.append((step.at, step.at + len(step.text), "\n".join(parts) + "\n"))
    text = path.read_text()
    for start, end, new in reversed(changes):
        text = text[:start] + new + text[end:]
    path.write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
