"""Linters, type checkers and the build of a project with a package.json: its scripts, and what its test script does besides."""

import re
from collections.abc import Iterator, Sequence

from rad_engineer.gates.detection import PLACEHOLDER, package_manager
from rad_engineer.gates.recognition import scripts_of
from rad_engineer.gates.shell import flattened
from rad_engineer.projects.allowed import refusal
from rad_engineer.projects.candidates import Candidate, Kind, Refused, naming, places
from rad_engineer.projects.mentions import Mention
from rad_engineer.projects.tree import Source, Tree

_FILE = "package.json"
_NAMES: dict[Kind, tuple[str, ...]] = {
    "test": (),
    "lint": ("lint", "lint:check", "lint:ci", "check:lint", "test:lint", "test:eslint", "eslint", "lint:js", "lint:ts", "lint:eslint",
             "lint:code", "biome", "biome:check", "xo", "standard"),
    "types": ("typecheck", "type-check", "types:check", "check:types", "check-types", "check:type", "type:check",
              "test:types", "test:type", "type-tests", "test-types", "typings:check", "lint:types", "ts:check", "tsc:check",
              "check:ts", "tsc", "test:tsc", "test:tsd", "test:dtslint", "types"),
    "build": ("build",),
}  # fmt: skip
_CHECKS_TYPES = re.compile(
    r"\b(?:tsc|tsgo|vue-tsc|svelte-check|flow|tsd|tstyche|dtslint|attw|vitest|turbo|nx|astro check|(?:npm|pnpm|yarn|bun) )"
)
_TOOLS: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "lint": (
        ("eslint",),
        ("xo",),
        ("standard",),
        ("oxlint",),
        ("biome", "lint"),
        ("biome", "check"),
        ("biome", "ci"),
    ),
    "types": (("tsc", "--noEmit"), ("tsc", "-p"), ("tsd",), ("vue-tsc", "--noEmit")),
}
_PLAIN = re.compile(r"[\w./=,*{}:-]+")


def find(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate | Refused]:
    """What may judge a package besides its tests."""
    scripts = scripts_of(tree(_FILE))
    manager = package_manager(tree(_FILE), tree.names)
    for kind in ("lint", "types", "build"):
        given = list(_from_scripts(tree, kind, scripts, manager, found))
        yield from given
        if not any(isinstance(each, Candidate) for each in given):
            yield from _from_test(tree, kind, scripts.get("test", ""), manager)
    if not scripts.get("test"):
        yield from _of_members(tree, manager)


def _from_scripts(tree: Tree, kind: Kind, scripts: dict[str, str], manager: str, found: Sequence[Mention]
                  ) -> Iterator[Candidate | Refused]:  # fmt: skip
    """The first script with a name for this kind that may be a gate; those before it are refused."""
    for name in _NAMES[kind]:
        script = scripts.get(name, "")
        if (
            not script.strip()
            or PLACEHOLDER.search(script)
            or (kind == "types" and not _CHECKS_TYPES.search(script))
        ):
            continue
        command = f"{manager} {name}" if manager == "yarn" else f"{manager} run {name}"
        source = tree.source(_FILE, rf'^\s*"{re.escape(name)}"\s*:')
        if why := refusal(command, tree):
            yield Refused(kind, command, source, why)
            continue
        yield Candidate(kind, "node", command, places((source,), naming(found, *_calls(manager, name))))
        return


def _calls(manager: str, name: str) -> tuple[tuple[str, ...], ...]:
    return (manager, "run", name), (manager, name)


def _from_test(tree: Tree, kind: Kind, script: str, manager: str) -> Iterator[Candidate]:
    """A linter or checker that the test script starts beside the tests: on its own it says sooner what is wrong."""
    for command in flattened(script):
        for words in _TOOLS.get(kind, ()):
            if command.words[: len(words)] == words and all(map(_PLAIN.fullmatch, command.words)):
                quiet = " --noEmit" if words == ("tsc", "-p") and "--noEmit" not in command.words else ""
                program = "bunx" if manager == "bun" else "npx"
                line = f"{program} --no-install {' '.join(command.words)}{quiet}"
                if not refusal(line, tree):
                    yield Candidate(kind, "node", line, (tree.source(_FILE, r'^\s*"test"\s*:'),))
                    return


def _of_members(tree: Tree, manager: str) -> Iterator[Candidate]:
    """The tests of all members of a workspace whose top has none of its own."""
    source = workspace(tree)
    if source is None or manager not in {"npm", "pnpm"}:
        return
    members = [f"{parent}/{name}" for parent in tree.folders() for name in tree.folders(parent)]
    if any(scripts_of(tree(f"{member}/{_FILE}")).get("test") for member in members[:200]):
        command = "pnpm -r run test" if manager == "pnpm" else "npm run test --workspaces --if-present"
        yield Candidate("test", "node", command, (source,))


def workspace(tree: Tree) -> Source | None:
    """Where it says that this is the top of a workspace."""
    if "pnpm-workspace.yaml" in tree.names and tree.line("pnpm-workspace.yaml", r"^packages\s*:"):
        return tree.source("pnpm-workspace.yaml", r"^packages\s*:")
    return tree.source(_FILE, r'^\s*"workspaces"\s*:') if tree.json(_FILE).get("workspaces") else None
