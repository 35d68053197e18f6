"""What a project is made of and how it judges itself, read from its files alone: nothing of it is run."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rad_engineer import gates
from rad_engineer.projects import native_tools, node_tools, plans, python_tools, toolchain
from rad_engineer.projects.allowed import refusal
from rad_engineer.projects.candidates import KINDS, Candidate, Kind, Refused, naming, places
from rad_engineer.projects.mentions import Mention, mentions
from rad_engineer.projects.tree import Source, Tree

_LANGUAGES = {"pytest": "python", "unittest": "python", "tox": "python", "nox": "python", "npm": "node", "pnpm": "node",
              "yarn": "node", "bun": "node", "cargo": "rust"}  # fmt: skip
_NOT_PROJECTS = frozenset({"docs", "doc", "examples", "example", "fixtures", "tests", "test", "testdata", "templates",
                           "benchmarks", "bench", "samples", "scripts", "tools", "site", "website"})  # fmt: skip
_MOST_FOLDERS = 12


@dataclass(frozen=True, slots=True)
class Detected:
    """All that the files of a project tell."""

    languages: tuple[toolchain.Part, ...]
    package_managers: tuple[toolchain.Part, ...]
    workspaces: tuple[toolchain.Part, ...]
    gates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    setup: toolchain.Setup | None
    plans: tuple[plans.Plan, ...]
    instructions: tuple[str, ...]


def detect(top: Path) -> Detected:
    """Looks at a folder; raises nothing, whatever is in it."""
    tree = Tree(top)
    found, refused = _at(tree)
    if not any(each.kind == "test" for each in found):
        for folder in _parts(tree):
            inner, no = _at(tree.within(folder))
            if any(each.kind == "test" for each in inner):
                found += [
                    replace(each, folder=folder, sources=_below(folder, each.sources)) for each in inner
                ]
                refused += [replace(each, source=_below(folder, (each.source,))[0]) for each in no]
    return Detected(
        languages=toolchain.languages(tree),
        package_managers=toolchain.package_managers(tree),
        workspaces=toolchain.workspaces(tree),
        gates=tuple(sorted(found, key=lambda each: KINDS.index(each.kind))),
        refused=tuple(refused),
        setup=toolchain.setup(tree),
        plans=plans.plans(tree),
        instructions=plans.instructions(tree),
    )


def _at(tree: Tree) -> tuple[list[Candidate], list[Refused]]:
    """The gates of one folder: languages first; make and just for what none of them answers."""
    named = mentions(tree)
    given: list[Candidate | Refused] = [*_tests(tree, named)]
    for finder in (
        python_tools.find,
        node_tools.find,
        native_tools.cargo,
        native_tools.go,
        native_tools.plain,
    ):
        given += finder(tree, named)
    given = [_judged(each, tree) for each in given]
    have = {each.kind for each in given if isinstance(each, Candidate)}
    languages = {each.language for each in given if isinstance(each, Candidate)}
    missing = [kind for kind in KINDS if kind not in have and not (kind in {"types", "build"} and languages)]
    given += native_tools.targets(tree, missing, named)
    found = _each_once(each for each in given if isinstance(each, Candidate))
    return found, [each for each in given if isinstance(each, Refused)]


def _each_once(found: Iterable[Candidate]) -> list[Candidate]:
    kept: dict[tuple[Kind, str], Candidate] = {}
    for each in found:
        kept.setdefault((each.kind, each.language), each)
    return list(kept.values())


def _judged(each: Candidate | Refused, tree: Tree) -> Candidate | Refused:
    """What may not be a gate is refused; tests that tidy up the files they look at are let be what they are."""
    if isinstance(each, Refused):
        return each
    why = refusal(each.command, tree, rewriting=each.kind == "test")
    return Refused(each.kind, each.command, each.sources[0], why) if why else each


def _tests(tree: Tree, named: Sequence[Mention]) -> Iterator[Candidate]:
    """The test commands that a run would find by itself, each with its place and what else names it."""
    for gate in gates.detect(tree, tree.names):
        if gate.name in {"tox", "nox", "make", "just"}:
            continue  # the first two fetch packages; the others are asked for every kind
        file, _, mark = gate.source.partition(", ")
        words = tuple(gate.command.split())
        runner = (
            ("pytest",) if gate.name == "pytest" else ("unittest",) if gate.name == "unittest" else words[:2]
        )
        yield Candidate("test", _LANGUAGES.get(gate.name, gate.name), gate.command,
                        places((_place(tree, file, mark),), naming(named, runner)))  # fmt: skip


def _place(tree: Tree, file: str, mark: str) -> Source:
    """A place from the words that tell it: `package.json, scripts.test`."""
    word = (
        mark.rpartition(".")[2]
        if mark.startswith(("scripts", "tasks"))
        else mark.rsplit(" ", maxsplit=1)[-1]
        if mark
        else ""
    )
    if not word:
        return Source(file.rstrip("/"))
    quoted = (
        rf'"{re.escape(word)}"\s*:'
        if mark.startswith(("scripts", "tasks"))
        else re.escape(mark if mark.startswith("[") else mark.split(" ", maxsplit=1)[0])
    )
    return tree.source(file, quoted)


def _parts(tree: Tree) -> list[str]:
    """Folders that may be projects of their own below a top that is none."""
    return [name for name in tree.folders() if name not in _NOT_PROJECTS and not name.startswith(".")][
        :_MOST_FOLDERS
    ]


def _below(folder: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    return tuple(Source(f"{folder}/{source.file}", source.line) for source in sources)
