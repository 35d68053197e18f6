"""Which commands a project's own files name: CI, tox, nox, make, just, pre-commit, scripts. None of it is ever run.

They tell which of several possible gates the project means, and which paths it gives to its tools.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rad_engineer.gates.recognition import scripts_of
from rad_engineer.gates.shell import flattened as simple_commands
from rad_engineer.projects.tree import Source, Tree

_CI = (
    ".gitlab-ci.yml",
    ".travis.yml",
    ".circleci/config.yml",
    "azure-pipelines.yml",
    ".cirrus.yml",
    "appveyor.yml",
)
_MAKE = ("GNUmakefile", "makefile", "Makefile")
_JUST = ("justfile", "Justfile", ".justfile")
_SCRIPTS = ("scripts", "script", "bin", "ci")
_MOST_LINES = 4_000
_LEAD = re.compile(r"^\s*(?:- )?\s*(?:(?:run|script|commands?|command)\s*[:=]\s*)?[@>|+-]*\s*")
_ASSIGNED = re.compile(r"^\s*(?:export )?([A-Z_]+)=[\"']?([^\"'`$]*)[\"']?\s*$", re.MULTILINE)
_FACTOR = re.compile(r"^[\w{},.!-]+:\s+(?=\S)")  # of tox: in which environments a line counts
_HOOKS = {"ruff": ("ruff", "check"), "ruff-check": ("ruff", "check")}
_OPTIONS_WITH_VALUE = frozenset(
    {"--group", "--extra", "--with", "--python", "-p", "--package", "-C", "--directory"}
)
_RUNNERS = {"uv": "run", "poetry": "run", "pdm": "run", "hatch": "run", "rye": "run", "pipx": "run", "pipenv": "run",
            "pnpm": "exec", "bundle": "exec", "npm": "exec"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mention:
    """A command that is named somewhere, without what launches it; the weightier the place, the smaller `rank`."""

    words: tuple[str, ...]
    source: Source
    rank: int

    def starts(self, *words: str) -> bool:
        """Whether it is this program, with this verb."""
        return self.words[: len(words)] == words


def mentions(tree: Tree) -> list[Mention]:
    """Every command that is named, the weightiest places first."""
    found = [
        mention
        for reader in (_ci, _tox, _nox, _recipes, _tables, _scripts, _hooks)
        for mention in reader(tree)
    ]
    return sorted(found, key=lambda mention: mention.rank)


def _ci(tree: Tree) -> Iterator[Mention]:
    folder = ".github/workflows"
    workflows = [f"{folder}/{name}" for name in tree.listing(folder) if name.endswith((".yml", ".yaml"))]
    for path in (*workflows, *_CI):
        rank = 3 if re.search(r"release|publish|deploy|docs", path) else 0
        yield from _lines(tree, path, rank)
        for number, line in enumerate(tree.text(path).split("\n")[:_MOST_LINES], 1):
            if "golangci/golangci-lint-action@" in line:
                yield Mention(("golangci-lint", "run"), Source(path, number), rank)


def _lines(tree: Tree, path: str, rank: int) -> Iterator[Mention]:
    text = tree.text(path)
    known = dict(_ASSIGNED.findall(text))
    for number, line in enumerate(text.split("\n")[:_MOST_LINES], 1):
        if line.strip() and not line.lstrip().startswith("#"):
            plain = re.sub(
                r"\$\{?([A-Z_]+)\}?", partial(_value, known), _LEAD.sub("", line, count=1).strip("\"'")
            )
            yield from named(plain, Source(path, number), rank)


def _value(known: dict[str, str], found: re.Match[str]) -> str:
    return known.get(found[1], found[0])


def named(line: str, source: Source, rank: int) -> Iterator[Mention]:
    """The commands of a shell line, each without its launcher."""
    for command in simple_commands(line):
        words = bare(command.words)
        if words:
            yield Mention(words, source, rank)


def bare(words: Sequence[str]) -> tuple[str, ...]:
    """A command without `uv run`, `python -m`, `npx` and the like in front of it."""
    rest = list(words)
    while rest:
        name = rest[0].rsplit("/", 1)[-1]
        if name in _RUNNERS and _RUNNERS[name] in rest[1:3]:
            rest = _behind_options(rest[rest.index(_RUNNERS[name]) + 1 :])
        elif name in {"npx", "bunx", "uvx", "cross-env", "env"}:
            rest = _behind_options(rest[1:])
        elif (re.fullmatch(r"python[\d.]*|\{envpython\}|py", name) and "-m" in rest[:4]) or (
            name == "coverage" and "-m" in rest[:6]
        ):
            rest = rest[rest.index("-m") + 1 :]
        else:
            return (name, *rest[1:])
    return ()


def _behind_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        del words[: 2 if words[0] in _OPTIONS_WITH_VALUE else 1]
    return words


def _tox(tree: Tree) -> Iterator[Mention]:
    inside = False
    for number, line in enumerate(tree.text("tox.ini").split("\n")[:_MOST_LINES], 1):
        if not line[:1].isspace():
            inside = line.startswith("commands")
            line = line.partition("=")[2]  # noqa: PLW2901 - what is left of it
        if inside:
            yield from named(_FACTOR.sub("", line.strip()), Source("tox.ini", number), 1)
    for path, keys in (("pyproject.toml", ("tool", "tox")), ("tox.toml", ())):
        for words in _commands(tree.table(path, *keys)):
            quoted = re.escape(f'"{words[0]}"')
            at = tree.line(path, quoted, r"^\[tool\.tox" if keys else "")
            yield Mention(bare(words), Source(path, at), 1)


def _commands(table: Any) -> Iterator[list[str]]:
    if not isinstance(table, dict):
        return
    for key, value in table.items():
        if key == "commands" and isinstance(value, list):
            for line in value:
                words = [word for word in line if isinstance(word, str)] if isinstance(line, list) else []
                if words:
                    yield words
        else:
            yield from _commands(value)


def _nox(tree: Tree) -> Iterator[Mention]:
    try:
        parsed = ast.parse(tree.text("noxfile.py"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(parsed):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run":
            words = [
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            if words:
                yield Mention(bare(words), Source("noxfile.py", node.lineno), 1)


def _recipes(tree: Tree) -> Iterator[Mention]:
    for path in (*_MAKE, *_JUST):
        if path in tree.names:
            yield from _lines(tree, path, 2)


def _tables(tree: Tree) -> Iterator[Mention]:
    """Scripts that are kept in tables: package.json, pdm, hatch, poe."""
    for name, script in scripts_of(tree("package.json")).items():
        source = tree.source("package.json", rf'^\s*"{re.escape(name)}"\s*:')
        yield from named(script, source, 2)
    for keys in (("pdm", "scripts"), ("poe", "tasks"), ("hatch", "envs")):
        for name, script in _texts(tree.table("pyproject.toml", "tool", *keys) or {}):
            at = tree.line("pyproject.toml", rf"^{re.escape(name)}\s*=", rf"^\[tool\.{keys[0]}\.{keys[1]}")
            yield from named(script, Source("pyproject.toml", at), 2)


def _texts(table: Any) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            yield from ((name, script) for _, script in _texts(value))
        elif isinstance(value, list):
            yield from ((name, line) for line in value if isinstance(line, str))


def _scripts(tree: Tree) -> Iterator[Mention]:
    paths = [name for name in sorted(tree.names) if name.endswith(".sh")]
    for folder in _SCRIPTS:
        paths += [f"{folder}/{name}" for name in tree.listing(folder)[:50]] if folder in tree.names else []
    for path in paths:
        if re.match(r"#!.*\b(?:ba|da|z)?sh\b", tree.text(path)):
            yield from _lines(tree, path, 2)


def _hooks(tree: Tree) -> Iterator[Mention]:
    path = ".pre-commit-config.yaml"
    lines = tree.text(path).split("\n")[:_MOST_LINES]
    for number, line in enumerate(lines, 1):
        found = re.match(r"\s*-\s+id:\s*([\w-]+)", line)
        if found:
            words = _HOOKS.get(found[1], (found[1],))
            yield Mention((*words, *_arguments(lines[number : number + 8])), Source(path, number), 4)


def _arguments(lines: Sequence[str]) -> list[str]:
    for line in lines:
        if re.match(r"\s*-\s+(?:id|repo):", line):
            break
        found = re.match(r"\s*args:\s*\[(.*)\]", line)
        if found:
            return [word.strip(" \"'") for word in found[1].split(",") if word.strip(" \"'")]
    return []
