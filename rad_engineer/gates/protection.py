"""What a story may not change because it judges the story: scripts that gates run, and protected globs."""

import re
import tomllib
from collections.abc import Container, Iterable, Sequence

from rad_engineer.core.globs import matches
from rad_engineer.gates.recognition import package_script, scripts_of
from rad_engineer.gates.shell import Command, Files, flattened, no_files, within

_INTERPRETERS = re.compile(
    r"(?:ba|da|z|k)?sh|python[\d.]*|pypy3?|node|deno|bun|tsx|ts-node|ruby|perl|php|lua|Rscript|source|\."
)
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_JUSTFILES = ("justfile", "Justfile", ".justfile")
_CHECKS = re.compile(
    r"(?:^|/)\.?(?:ci|scripts?|tools?|hack|bin|checks?|gates?)/|(?:^|[/_.-])(?:check|verify|validate|lint|gate|ci|smoke|accept(?:ance)?)",
    re.IGNORECASE,
)
_TESTS = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test|[^/]*\.(?:test|spec))\.\w+$|(?:^|/)conftest\.py$")
_CHOOSE_A_SHELL = (
    ".npmrc",
    ".yarnrc",
)  # `script-shell`: what runs the scripts, also where there is no such file yet
_PRODUCT = frozenset({"manage.py", "setup.py"})
_RECIPE = re.compile(r"^(?P<target>[\w./-]+(?: [\w./-]+)*)\s*::?(?!=)(?P<needs>[^\n]*)\n(?P<lines>(?:[\t ]+[^\n]*\n|\n)*)",
                     re.MULTILINE)  # fmt: skip


def scripts(
    command: str, names: Container[str], files: Files = no_files, *, scope: str = "project"
) -> tuple[str, ...]:
    """The repository's files that a gate command runs: `./check.sh`, `bash ci/test.sh`, make's Makefile.

    Tests named to a test runner are not among them: a story writes tests. A story's own verify command often runs
    the product (`python app.py | grep ok`): of those, only what is by its name a check is taken. A package manager's
    file that says which shell runs the scripts counts even when it is new.
    """
    found = dict.fromkeys(
        path for path in _named(command, files, "", 4) if path in names or _chooses_a_shell(path)
    )
    if scope == "story":
        return tuple(path for path in found if _CHECKS.search(path) or _chooses_a_shell(path))
    return tuple(found)


def _chooses_a_shell(path: str) -> bool:
    return path.rpartition("/")[2] in _CHOOSE_A_SHELL


def _named(line: str, files: Files, top: str, depth: int) -> Iterable[str]:
    if not depth:
        return
    for command in flattened(line):
        folder = within(top, command.folder)
        yield from _script(command, folder)
        if command.name in {"make", "gmake"}:
            yield from _make(command, files, folder, depth)
        elif command.name == "just":
            yield from (within(folder, name) for name in _JUSTFILES)
        else:
            yield from _package(command, files, folder, depth)


def _script(command: Command, folder: str) -> Iterable[str]:
    words = command.words
    first = words[0]
    if _INTERPRETERS.fullmatch(command.name):
        inline = {"-c"} if command.name.endswith("sh") else {"-m", "-c", "-e", "--eval", "--test"}
        for word in words[1:]:
            if word in inline:
                return
            if not word.startswith("-") and word != "run":
                if not _TESTS.search(word) and word.rsplit("/", 1)[-1] not in _PRODUCT:
                    yield within(folder, word)
                return
    elif "/" in first and not first.startswith("/"):
        yield within(folder, first)
    elif len(words) > 1 and command.name in {"uv", "poetry", "pdm", "pipenv", "hatch", "rye", "npx"}:
        rest = tuple(word for word in words[1:] if word not in {"run", "exec"} and not word.startswith("-"))
        if rest:
            yield from _script(Command(rest), folder)


def _make(command: Command, files: Files, folder: str, depth: int) -> Iterable[str]:
    words = command.words
    own = [words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-f", "--file", "--makefile"}]
    inside = [words[at + 1] for at, word in enumerate(words[:-1]) if word in {"-C", "--directory"}]
    folder = within(folder, inside[0]) if inside else folder
    targets = [
        word
        for word in words[1:]
        if not word.startswith("-") and "=" not in word and word not in own + inside
    ]
    for name in own or _MAKEFILES:
        path = within(folder, name)
        yield path
        text = (files(path) or b"").decode("utf-8", "replace")
        for line in _recipe_lines(text, targets):
            yield from _named(line, files, folder, depth - 1)


def _recipe_lines(text: str, targets: Sequence[str]) -> Iterable[str]:
    """The recipe lines of these targets and of what they need."""
    recipes = {name: found for found in _RECIPE.finditer(f"{text}\n") for name in found["target"].split()}
    wanted, seen = list(targets) or list(recipes)[:1], set[str]()
    while wanted:
        found = recipes.get(name := wanted.pop())
        if found is None or name in seen:
            continue
        seen.add(name)
        wanted.extend(found["needs"].split())
        yield from (line.strip().lstrip("@-+") for line in found["lines"].splitlines() if line.strip())


def _package(command: Command, files: Files, folder: str, depth: int) -> Iterable[str]:
    script = package_script(command.words)
    if script is None:
        return
    folder = within(folder, script.folder)
    yield from (within(place, name) for place in dict.fromkeys((folder, "")) for name in _CHOOSE_A_SHELL)
    text = scripts_of(files(within(folder, "package.json"))).get(script.name)
    if text:
        yield from _named(text, files, folder, depth - 1)


def overlay(names: Iterable[str], globs: Sequence[str]) -> tuple[str, ...]:
    """The paths of a tree that protected globs match: what is laid over a judged tree from the base."""
    return tuple(path for path in names if any(matches(path, glob) for glob in globs))


def violations(changed: Iterable[str], protected: Iterable[str], globs: Sequence[str] = ()) -> list[str]:
    """Changed paths that judge the story. A new makefile that would come before a protected one counts too."""
    paths = set(protected)
    for path in tuple(paths):
        folder, _, name = path.rpartition("/")
        if name in _MAKEFILES:
            paths.update(within(folder, other) for other in _MAKEFILES[: _MAKEFILES.index(name)])
    return [path for path in changed if path in paths or any(matches(path, glob) for glob in globs)]


def changes_settings(before: bytes | None, after: bytes | None) -> bool:
    """Whether another pyproject.toml changes the settings of runs; one that nobody can read has none."""
    return _settings(before) != _settings(after)


def _settings(pyproject: bytes | None) -> object:
    try:
        tables = tomllib.loads((pyproject or b"").decode("utf-8"))
    except ValueError:
        return {}
    tools = tables.get("tool")
    return tools.get("rad-engineer", {}) if isinstance(tools, dict) else {}


def changed_scripts(before: bytes | None, after: bytes | None, commands: Iterable[str]) -> list[str]:
    """Package scripts that these gate commands run, and whose text another package.json has changed."""
    old, new = scripts_of(before), scripts_of(after)
    reached: dict[str, None] = {}
    waiting = list(commands)
    while waiting:
        for command in flattened(waiting.pop()):
            script = package_script(command.words)
            if script is None or script.name in reached:
                continue
            for name in (script.name, f"pre{script.name}", f"post{script.name}"):
                if name in old or name in new:
                    reached[name] = None
                    waiting.append(old.get(name, ""))
    return [name for name in reached if old.get(name) != new.get(name)]
