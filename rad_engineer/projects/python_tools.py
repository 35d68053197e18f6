"""Linters, type checkers and the build of a Python project, as its own files configure and call them."""

import re
from collections.abc import Iterator, Sequence

from rad_engineer.gates.detection import python_prefix
from rad_engineer.projects.candidates import Candidate, Kind, naming, places
from rad_engineer.projects.mentions import Mention
from rad_engineer.projects.tree import Source, Tree

_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt")
_CONFIGURED = {  # tool: the files that are its own, and (file, pattern) where it has a part of another one
    "ruff": (("ruff.toml", ".ruff.toml"), (("pyproject.toml", r"^\[tool\.ruff\b"),)),
    "flake8": ((".flake8",), (("setup.cfg", r"^\[flake8\]"), ("tox.ini", r"^\[flake8\]"))),
    "pylint": ((".pylintrc", "pylintrc"), (("pyproject.toml", r"^\[tool\.pylint\b"),)),
    "mypy": (
        ("mypy.ini", ".mypy.ini"),
        (("pyproject.toml", r"^\[tool\.mypy\]"), ("setup.cfg", r"^\[mypy\]")),
    ),
    "pyright": (("pyrightconfig.json",), (("pyproject.toml", r"^\[tool\.pyright\]"),)),
    "ty": (("ty.toml",), (("pyproject.toml", r"^\[tool\.ty\b"),)),
}
_VERBS = {"ruff": ("ruff", "check"), "ty": ("ty", "check")}
_LINTERS = ("ruff", "flake8", "pylint")
_CHECKERS = ("mypy", "pyright", "ty")
_BUILDS = (("build",), ("uv", "build"), ("poetry", "build"), ("pdm", "build"), ("hatch", "build"), ("flit", "build"),
           ("pyproject-build",))  # fmt: skip
_PLAIN = re.compile(r"[\w./=,-]+")
_FOR_MACHINES = re.compile(
    r"--(?:output-format|diff|show-|no-cache|junit|html|color|pretty|verbose|quiet)|-[vq]+$"
)
_NOT_SOURCES = frozenset({"tests", "test", "docs", "doc", "examples", "scripts", "benchmarks"})


def find(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate]:
    """What may judge a Python project besides its tests."""
    if not any(mark in tree.names for mark in _MARKS):
        return
    for kind, tools in (("lint", _LINTERS), ("types", _CHECKERS)):
        known = [tool for tool in tools if _configured(tree, tool) or _named(found, tool)]
        for tool in sorted(known, key=lambda tool: not _configured(tree, tool))[:1]:
            yield _candidate(tree, found, "lint" if kind == "lint" else "types", tool)
    yield from _build(tree, found)


def _candidate(tree: Tree, found: Sequence[Mention], kind: Kind, tool: str) -> Candidate:
    calls = _named(found, tool)
    verb = _VERBS.get(tool, (tool,))
    arguments = next((args for call in calls if (args := _paths(tree, call.words[len(verb) :]))), ())
    if not arguments:
        arguments = _usual(tree, tool)
    prefix = python_prefix(tree.names) or ("" if tool == "ty" else "python3 -m ")
    return Candidate(kind, "python", f"{prefix}{' '.join((*verb, *arguments))}",
                     places(_configured(tree, tool), calls))  # fmt: skip


def _named(found: Sequence[Mention], tool: str) -> list[Mention]:
    return [
        mention for mention in naming(found, _VERBS.get(tool, (tool,)))
        if mention.rank == 4 or not {"--fix", "--version", "install"}.intersection(mention.words)
    ]  # fmt: skip


def _configured(tree: Tree, tool: str) -> list[Source]:
    files, parts = _CONFIGURED[tool]
    own = [Source(file) for file in files if file in tree.names]
    return own + [tree.source(file, mark) for file, mark in parts if tree.line(file, mark)]


def _paths(tree: Tree, words: Sequence[str]) -> tuple[str, ...]:
    """What a call gives to the tool, if it names files of the project and nothing odd; what is for machines is left out."""
    kept: list[str] = []
    for at, word in enumerate(words):
        if _FOR_MACHINES.match(word) or (at and words[at - 1] in {"--output-format", "--color", "--python"}):
            continue
        if not _PLAIN.fullmatch(word) or word.startswith("--fix"):
            return ()
        kept.append(word)
    named = [word for word in kept if not word.startswith("-")]
    there = [word for word in named if word == "." or (tree.top / word).exists()]
    return tuple(kept) if named and there == named else ()


def _usual(tree: Tree, tool: str) -> tuple[str, ...]:
    """What a tool is given where nobody says: nothing where it is configured, else the sources."""
    if tool in {"pyright", "ty", "flake8"}:
        return ()
    if tool == "ruff":
        return (".",)
    texts = (tree.table("pyproject.toml", "tool", "mypy") or {}).keys() & {"files", "packages", "modules"}
    ini = any(re.search(r"^(?:files|packages|modules)\s*=", tree.text(file), re.MULTILINE)
              for file in ("mypy.ini", ".mypy.ini", "setup.cfg"))  # fmt: skip
    if tool == "mypy" and (texts or ini):
        return ()
    if "src" in tree.names:
        return ("src",)
    packages = [
        name
        for name in tree.folders()
        if tree(f"{name}/__init__.py") is not None and name not in _NOT_SOURCES
    ]
    return tuple(packages) or (".",)


def _build(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate]:
    system = tree.table("pyproject.toml", "build-system") or {}
    named = tree.table("pyproject.toml", "project") or tree.table("pyproject.toml", "tool", "poetry")
    if "setup.py" in tree.names:
        named = named or {"name": ""}
    if not named or not ("build-backend" in system or "setup.py" in tree.names):
        return
    prefix = python_prefix(tree.names)
    command = f"{prefix}python -m build --no-isolation" if prefix else "python3 -m build --no-isolation"
    if prefix == "uv run ":
        command = "uv build --no-build-isolation --offline"
    first = tree.source("pyproject.toml", r"^\[build-system\]") if system else Source("setup.py")
    yield Candidate("build", "python", command, places((first,), naming(found, *_BUILDS)))
