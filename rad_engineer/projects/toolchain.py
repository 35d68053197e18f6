"""Languages, package managers, workspaces and the setup command of a project, each with the file that tells it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from rad_engineer.gates.detection import package_manager
from rad_engineer.projects import node_tools
from rad_engineer.projects.tree import Source, Tree

_LANGUAGES = (
    (
        "python",
        ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "tox.ini", "noxfile.py"),
    ),
    ("typescript", ("tsconfig.json", "tsconfig.base.json")),
    ("javascript", ("package.json",)),
    ("rust", ("Cargo.toml",)),
    ("go", ("go.mod",)),
    ("ruby", ("Gemfile",)),
    ("php", ("composer.json",)),
    ("java", ("pom.xml", "build.gradle", "build.gradle.kts", "gradlew")),
    ("elixir", ("mix.exs",)),
    ("swift", ("Package.swift",)),
    ("dart", ("pubspec.yaml",)),
    ("c", ("CMakeLists.txt", "meson.build", "configure.ac")),
)
_BY_ENDING = ((".sln", "c#"), (".slnx", "c#"), (".py", "python"), (".c", "c"), (".go", "go"), (".rb", "ruby"))
_MANAGERS = (
    ("uv", ("uv.lock",)),
    ("poetry", ("poetry.lock",)),
    ("pdm", ("pdm.lock",)),
    ("pipenv", ("Pipfile.lock", "Pipfile")),
    ("pip", ("requirements.txt", "requirements-dev.txt")),
    ("cargo", ("Cargo.toml",)),
    ("go", ("go.mod",)),
    ("bundler", ("Gemfile",)),
    ("composer", ("composer.json",)),
)
_SETUPS = (  # the lock file, the command, and what it leaves in the folder
    ("uv.lock", "uv sync --frozen", ".venv"),
    ("poetry.lock", "POETRY_VIRTUALENVS_IN_PROJECT=1 poetry install", ".venv"),
    ("pdm.lock", "pdm sync", ".venv"),
    ("pnpm-lock.yaml", "pnpm install --frozen-lockfile", "node_modules"),
    ("yarn.lock", "yarn install --frozen-lockfile", "node_modules"),
    ("bun.lock", "bun install --frozen-lockfile", "node_modules"),
    ("bun.lockb", "bun install --frozen-lockfile", "node_modules"),
    ("package-lock.json", "npm ci", "node_modules"),
    ("npm-shrinkwrap.json", "npm ci", "node_modules"),
)
_OF_MANAGER = {"pnpm": "pnpm-lock.yaml", "yarn": "yarn.lock", "npm": "package-lock.json"}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing the project has, and where that stands; `more` is what else is known of it."""

    name: str
    source: Source
    more: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """The command that prepares a working copy, what it leaves there, and the lock files it follows."""

    command: str
    keep: tuple[str, ...]
    sources: tuple[Source, ...]


def languages(tree: Tree) -> tuple[Part, ...]:
    """What it is written in, as far as its top tells."""
    found = {name: Part(name, Source(file)) for name, files in reversed(_LANGUAGES)
             for file in reversed(files) if file in tree.names}  # fmt: skip
    for name in sorted(tree.names):
        for ending, language in _BY_ENDING:
            if name.endswith(ending):
                found.setdefault(language, Part(language, Source(name)))
    if "typescript" in found:
        found.pop("javascript", None)
    order = [name for name, _ in _LANGUAGES]
    return tuple(
        sorted(found.values(), key=lambda part: order.index(part.name) if part.name in order else len(order))
    )


def package_managers(tree: Tree) -> tuple[Part, ...]:
    """Who installs what it needs."""
    found = {name: Part(name, Source(file)) for name, files in _MANAGERS
             for file in reversed(files) if file in tree.names}  # fmt: skip
    if "package.json" in tree.names:
        manager = package_manager(tree("package.json"), tree.names)
        named = tree.source("package.json", r'^\s*"packageManager"\s*:')
        lock = next(
            (file for file, _, keep in _SETUPS if keep == "node_modules" and file in tree.names),
            "package.json",
        )
        found[manager] = Part(manager, named if named.line else Source(lock))
    return tuple(found.values())


def workspaces(tree: Tree) -> tuple[Part, ...]:
    """Where it says that several packages live here."""
    return tuple(_workspaces(tree))


def _workspaces(tree: Tree) -> Iterator[Part]:
    node = node_tools.workspace(tree)
    if node is not None:
        yield Part("node", node, _told(tree.json("package.json").get("workspaces")))
    for name, file, keys in (
        ("cargo", "Cargo.toml", ("workspace",)),
        ("uv", "pyproject.toml", ("tool", "uv", "workspace")),
    ):
        table = tree.table(file, *keys)
        if table is not None:
            yield Part(name, tree.source(file, rf"^\[{'.'.join(keys)}\]"), _told(table.get("members")))
    for name, file in (
        ("go", "go.work"),
        ("lerna", "lerna.json"),
        ("nx", "nx.json"),
        ("turbo", "turbo.json"),
    ):
        if file in tree.names:
            yield Part(name, Source(file))


def _told(members: object) -> str:
    if isinstance(members, dict):
        members = members.get("packages")
    return (
        ", ".join(member for member in members if isinstance(member, str))
        if isinstance(members, list)
        else ""
    )


def setup(tree: Tree) -> Setup | None:
    """What its lock files ask for; None where nothing has to be prepared, or nothing says how."""
    found = [row for row in _SETUPS if row[0] in tree.names]
    if "package.json" in tree.names:
        wanted = _OF_MANAGER.get(package_manager(tree("package.json"), tree.names), "")
        own = [row for row in found if row[2] == "node_modules"]
        kept = [row for row in own if row[0] == wanted] or own
        found = [row for row in found if row[2] != "node_modules"] + kept[:1]
    found = [
        *[row for row in found if row[2] == ".venv"][:1],
        *[row for row in found if row[2] == "node_modules"],
    ]
    if not found:
        return None
    commands = [
        "yarn install --immutable" if file == "yarn.lock" and ".yarnrc.yml" in tree.names else command
        for file, command, _ in found
    ]
    return Setup(
        " && ".join(commands), tuple(row[2] for row in found), tuple(Source(row[0]) for row in found)
    )


def quoted(folder: str) -> str:
    """A folder as a shell takes it."""
    return shlex.quote(folder)
