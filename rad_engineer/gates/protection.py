"""What a story may not change because it judges the story: scripts that gates run, and protected globs."""

import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

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
_EVEN_NEW = "\0"  # behind a path: it counts where it does not exist yet
_CONFIGURED = {
    "tox": ("tox.ini", "tox.toml"), "nox": ("noxfile.py",), "pre-commit": (".pre-commit-config.yaml",), "rake": ("Rakefile", "rakefile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"), "invoke": ("tasks.py",), "inv": ("tasks.py",),
}  # fmt: skip
_KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time"})
_GLOB = re.compile(r"[*?\[]")
_UNKNOWN = re.compile(r"[$*?#\[]")
_WORDS = re.compile(r"[^\s<>|;&()'\"`]+")
_INCLUDE = re.compile(r"^[-s]?include[ \t]+(?P<files>.+)$", re.MULTILINE)
_SOMEWHERE = re.compile(r"^(?:\$\{?\w+\}?|\$\(.*\)|`.*`)/")
_LARGEST = 100_000  # bytes of a script that are looked at
_LINK = 1024  # bytes: a longer text names no file
_PRODUCT = frozenset({"manage.py", "setup.py"})
_RECIPE = re.compile(r"^(?P<target>[\w./-]+(?: [\w./-]+)*)\s*::?(?!=)(?P<needs>[^\n]*)\n(?P<lines>(?:[\t ]+[^\n]*\n|\n)*)",
                     re.MULTILINE)  # fmt: skip


def scripts(
    command: str, names: Collection[str], files: Files = no_files, *, scope: str = "project"
) -> tuple[str, ...]:
    """The repository's files that a gate command runs: `./check.sh`, `bash ci/test.sh`, make's Makefile.

    Links on the way to them count, and what shell scripts source. Tests named to a test runner are not among them: a
    story writes tests. A story's own verify command often runs the product (`python app.py | grep ok`): of those, only
    what is by its name a check is taken. A package manager's file that says which shell runs the scripts counts even
    when it is new.
    """
    files = lru_cache(maxsize=256)(files)
    found = dict.fromkeys(
        path for named in _named(command, files, "", 4) for path in _behind(named, names, files)
    )
    if scope == "story":
        return tuple(path for path in found if _CHECKS.search(path) or _chooses_a_shell(path))
    return tuple(found)


def _behind(path: str, names: Collection[str], files: Files, depth: int = 8) -> Iterable[str]:
    """The files that a path leads to: itself, those that match it, and links with what they lead to."""
    if _GLOB.search(path):
        yield from (name for name in names if matches(name, f"/{path}") and _CHECKS.search(name))
        return
    if path.endswith(_EVEN_NEW):
        path = path.removesuffix(_EVEN_NEW)
        yield path
    elif path in names or _chooses_a_shell(path):
        yield path
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        link = "/".join(parts[:end])
        if depth and link in names:
            target = (files(link) or b"\n")[:_LINK].decode("utf-8", "replace")
            real = within("/".join(parts[: end - 1]), target)
            if "\n" not in target and (end < len(parts) or real in names):
                yield link
                yield from _behind("/".join([real, *parts[end:]]), names, files, depth - 1)
            return


def _chooses_a_shell(path: str) -> bool:
    return path.rpartition("/")[2] in _CHOOSE_A_SHELL


def _named(line: str, files: Files, top: str, depth: int) -> Iterable[str]:
    if not depth:
        return
    for command in flattened(line):
        folder = within(top, command.folder)
        for path in _script(command, folder):
            yield path
            yield from _sourced(path, files, folder, set())
        if _reads_scripts(command):
            yield from (within(folder, word) for word in _WORDS.findall(line))
        if command.name in {"make", "gmake"}:
            yield from _make(command, files, folder, depth)
        elif command.name == "just":
            yield from (within(folder, name) for name in _JUSTFILES)
        else:
            yield from _package(command, files, folder, depth)


def _script(command: Command, folder: str) -> Iterable[str]:
    """What a command runs, also behind words that only say how (`stdbuf -o0 sh check.sh`, `if sh check.sh`)."""
    words = _plain(command)
    if not words:
        return
    yield from _started(words, folder)
    if len(words) > 1 and _base(words[0]) in {"uv", "uvx", "poetry", "pdm", "pipenv", "hatch", "rye", "npx"}:
        rest = tuple(word for word in words[1:] if word not in {"run", "exec"} and not word.startswith("-"))
        if rest:
            yield from _started(rest, folder)
    for at, word in enumerate(words[1:], 1):
        if _is_interpreter(word):
            yield from _started(words[at:], folder)


def _plain(command: Command) -> tuple[str, ...]:
    words = command.words
    while words and words[0] in _KEYWORDS:
        words = words[1:]
    return words


def _base(word: str) -> str:
    return word.rsplit("/", 1)[-1]


def _is_interpreter(word: str) -> bool:
    return word not in {".", "source"} and _INTERPRETERS.fullmatch(_base(word)) is not None


def _started(words: tuple[str, ...], folder: str) -> Iterable[str]:
    name, first = _base(words[0]), words[0]
    if _INTERPRETERS.fullmatch(name):
        script = _first_script(words)
        if script.startswith("-m "):
            module = script[3:]
            yield from (within(folder, path) for path in _CONFIGURED.get(module, ()))
            path = module.replace(".", "/")
            if _CHECKS.search(path):
                yield from (within(folder, f"{path}{end}") for end in (".py", "/__main__.py"))
        elif script and not _TESTS.search(script) and _base(script) not in _PRODUCT:
            yield within(folder, script)
    elif name in _CONFIGURED:
        yield from (within(folder, path) for path in _CONFIGURED[name])
    elif "/" in first and not first.startswith("/"):
        yield within(folder, first)


def _first_script(words: tuple[str, ...]) -> str:
    """The file that an interpreter is given, `-m MODULE`, or nothing where it is given text."""
    inline = {"-c"} if _base(words[0]).endswith("sh") else {"-c", "-e", "--eval", "--test"}
    for at, word in enumerate(words[1:], 1):
        if word in inline:
            return ""
        if word == "-m" and "-c" in inline and not _base(words[0]).endswith("sh"):
            return f"-m {words[at + 1]}" if at + 1 < len(words) else ""
        if not word.startswith("-") and word != "run":
            return word
    return ""


def _reads_scripts(command: Command) -> bool:
    """Whether a shell or the like gets what it runs from somewhere else: a pipe, a file, a list."""
    words = _plain(command)
    for at, word in enumerate(words):
        if _is_interpreter(word):
            rest = words[at + 1 :]
            script = _first_script(words[at:])
            inline = any(
                option in rest for option in ("-c", "-e", "-m", "--eval", "--test", "--version", "-V")
            )
            return not inline and (not script or "$" in script or script == "{}")
    return False


def _sourced(path: str, files: Files, folder: str, seen: set[str]) -> Iterable[str]:
    """What a shell script reads into itself, and the checks that it starts."""
    if path in seen:
        return
    seen.add(path)
    text = files(path) or b""
    if not (path.endswith((".sh", ".bash")) or text.startswith(b"#!")):
        return
    beside = path.rpartition("/")[0]
    for line in text[:_LARGEST].decode("utf-8", "replace").splitlines():
        for command in flattened(line):
            for place in _read_by(_plain(command), folder, beside):
                yield place
                yield from _sourced(place, files, folder, seen)


def _read_by(words: tuple[str, ...], *folders: str) -> Iterable[str]:
    """The files that a line of a script may mean, named from where it is run or from where it lies."""
    reads = words[:1] in {(".",), ("source",)}
    if len(words) > 1 and (reads or _is_interpreter(words[0])):
        named = _SOMEWHERE.sub("", words[1] if reads else _first_script(words))
        for place in dict.fromkeys(within(folder, named) for folder in folders):
            if reads or _CHECKS.search(place):
                yield place


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
        for included in _INCLUDE.finditer(text):
            literal = [
                word for word in included["files"].partition("#")[0].split() if not _UNKNOWN.search(word)
            ]
            yield from (f"{within(folder, word)}{_EVEN_NEW}" for word in literal)
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
