"""Linters and builds of compiled languages, and the targets of make and just where no language tells."""

import re
from collections.abc import Iterator, Sequence

from rad_engineer.projects.allowed import recipe, refusal
from rad_engineer.projects.candidates import Candidate, Kind, Refused, naming, places
from rad_engineer.projects.mentions import Mention
from rad_engineer.projects.tree import Source, Tree

_GOLANGCI = (".golangci.yml", ".golangci.yaml", ".golangci.toml", ".golangci.json")
_CLIPPY = ("clippy.toml", ".clippy.toml")
_PLAIN_BUILDS = (
    ("Package.swift", "swift", "swift build"),
    ("gradlew", "java", "./gradlew assemble"),
    ("mix.exs", "elixir", "mix compile"),
    ("dune-project", "ocaml", "dune build"),
    ("stack.yaml", "haskell", "stack build"),
)
_TARGETS: dict[Kind, tuple[str, ...]] = {
    "test": ("test", "check", "tests"),
    "lint": ("lint", "check-lint"),
    "types": ("typecheck", "type-check", "types", "mypy"),
    "build": ("build",),
}
_MAKE = ("GNUmakefile", "makefile", "Makefile")
_JUST = ("justfile", "Justfile", ".justfile")


def cargo(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate]:
    """Clippy where the project uses it, and the build."""
    if "Cargo.toml" not in tree.names:
        return
    top = tree.toml("Cargo.toml")
    whole = " --workspace" if {"package", "workspace"} <= top.keys() else ""
    calls = naming(found, ("cargo", "clippy"))
    own = [Source(file) for file in _CLIPPY if file in tree.names]
    if calls or own:
        words = {word for call in calls[:1] for word in call.words}
        features = " --all-features" if "--all-features" in words else ""
        targets = " --all-targets" if "--all-targets" in words or not calls else ""
        strict = any("warnings" in word for call in calls for word in call.words)
        command = f"cargo clippy{whole}{targets}{features}{' -- -D warnings' if strict else ''}"
        yield Candidate("lint", "rust", command, places(own if not calls else (), calls) or tuple(own))
    place = tree.source("Cargo.toml", r"^\[(?:package|workspace)\]")
    yield Candidate(
        "build", "rust", f"cargo build{whole}", places((place,), naming(found, ("cargo", "build")))
    )


def go(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate]:
    """golangci-lint or vet where the project uses them, and the build."""
    if "go.mod" not in tree.names:
        return
    own = [Source(file) for file in _GOLANGCI if file in tree.names]
    linted, vetted = naming(found, ("golangci-lint", "run")), naming(found, ("go", "vet"))
    if own or linted:
        yield Candidate("lint", "go", "golangci-lint run", places(own, linted))
    elif vetted:
        yield Candidate("lint", "go", "go vet ./...", places((), vetted))
    place = tree.source("go.mod", r"^module\b")
    yield Candidate("build", "go", "go build ./...", places((place,), naming(found, ("go", "build"))))


def plain(tree: Tree, found: Sequence[Mention]) -> Iterator[Candidate]:
    """Languages whose one tool builds: the file itself is the answer."""
    for file, language, command in _PLAIN_BUILDS:
        if file in tree.names:
            yield Candidate(
                "build", language, command, places((Source(file),), naming(found, tuple(command.split())))
            )


def targets(tree: Tree, wanted: Sequence[Kind], found: Sequence[Mention]) -> Iterator[Candidate | Refused]:
    """Targets of make, else recipes of just, for the kinds that no language has an answer for."""
    for kind in wanted:
        for file in (*_MAKE, *_JUST):
            if file in tree.names:
                given = list(_of_file(tree, kind, file, found))
                yield from given
                if any(isinstance(each, Candidate) for each in given):
                    break


def _of_file(tree: Tree, kind: Kind, file: str, found: Sequence[Mention]) -> Iterator[Candidate | Refused]:
    program = "make" if file in _MAKE else "just"
    mark = r"^{}[ \t]*::?(?!=)" if program == "make" else r"^@?{}(?:[ \t][^:=\n]*)?:(?!=)"
    for name in _TARGETS[kind]:
        source = tree.source(file, mark.format(re.escape(name)))
        if source.line is None or (program == "make" and not recipe(tree, name)):
            continue
        command = f"{program} {name}"
        body = (
            "\n".join(recipe(tree, name)) if program == "make" else _just_body(tree.text(file), source.line)
        )
        if why := refusal(command, tree) or refusal(f"{command} ; {body}\n{command}", tree):
            yield Refused(kind, command, source, why)
            continue
        yield Candidate(kind, program, command, places((source,), naming(found, (program, name))))
        return


def _just_body(text: str, line: int) -> str:
    lines = text.split("\n")[line - 1 :]
    body = [each.strip() for each in lines[1:]]
    end = next((at for at, each in enumerate(lines[1:]) if each and not each[0].isspace()), len(body))
    return "\n".join((lines[0], *body[:end]))
