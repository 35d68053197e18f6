"""Which known test runner a gate's command line starts, also behind launchers and package scripts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rad_engineer.gates.shell import Command, Files, flattened, no_files, within

OPAQUE = "opaque"

_LAUNCHERS = frozenset(
    {"uv", "uvx", "poetry", "pdm", "pipenv", "hatch", "rye", "npx", "pnpx", "bunx", "bundle", "coverage", "dotenv", "doppler"}
)  # fmt: skip
_PROGRAMS = {
    "pytest": "pytest", "py.test": "pytest", "jest": "jest", "vitest": "vitest", "mocha": "mocha",
    "rspec": "rspec", "phpunit": "phpunit",
}  # fmt: skip
_VERBS = {
    ("go", "test"): "go", ("cargo", "test"): "cargo", ("cargo", "t"): "cargo", ("bun", "test"): "bun",
    ("deno", "test"): "deno", ("mix", "test"): "mix", ("dotnet", "test"): "dotnet", ("react-scripts", "test"): "jest",
    ("mvn", "test"): "maven", ("mvn", "verify"): "maven", ("mvnw", "test"): "maven", ("mvnw", "verify"): "maven",
}  # fmt: skip
_PACKAGE_MANAGERS = frozenset({"npm", "pnpm", "yarn", "bun"})
_EXECUTES = frozenset({"exec", "dlx", "x"})
_RUNS = frozenset({"run", "run-script", "rum", "urn"})
_TESTS = frozenset({"t", "tst", "test"})
_OWN_VERBS = frozenset(
    {"install", "i", "ci", "add", "exec", "dlx", "x", "audit", "publish", "pack", "config"}
)


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a command line starts: a runner, how often, and how options of ours can be added behind it."""

    runner: str = OPAQUE
    times: int = 0
    append: Literal["", "plain", "dashes"] = ""  # options can be added behind the line (npm wants `--` first)
    alone: bool = False  # nothing but `cd` stands beside it, nothing is piped or redirected
    quiet: bool = False  # its summary may be silenced or go elsewhere


def recognise(line: str, files: Files = no_files) -> Recognised:
    """Finds the runner of a command line; `files` reads package.json for `npm test` and the like."""
    return _recognise(line, files, "", 3)


def _recognise(line: str, files: Files, top: str, depth: int) -> Recognised:
    parts = flattened(line)
    hits = [(part, _runner_of(part, files, top, depth)) for part in parts]
    known = [(part, hit) for part, hit in hits if hit.runner != OPAQUE]
    if not known:
        return Recognised()
    part, hit = known[-1]
    same = [other for _, other in known if other.runner == hit.runner]
    beside = [other for other, _ in hits if other is not part and other.words[0] != "cd"]
    alone = not beside and not part.redirected
    piped = any(other.join.startswith("|") and other.join != "||" for other, _ in hits)
    return Recognised(
        hit.runner,
        sum(other.times for other in same),
        hit.append if alone and hit.alone else "",
        alone and hit.alone,
        hit.quiet or part.redirected or piped,
    )


def _runner_of(command: Command, files: Files, top: str, depth: int) -> Recognised:
    words = command.words
    if command.name in _PACKAGE_MANAGERS and depth:
        script = package_script(words)
        if script is not None:
            folder = within(within(top, command.folder), script.folder)
            text = scripts_of(files(within(folder, "package.json"))).get(script.name)
            if text is not None:
                found = _recognise(text, files, folder, depth - 1)
                return Recognised(
                    found.runner,
                    found.times,
                    _handed_on(words, found.append),
                    found.alone,
                    found.quiet,
                )
    runner = _program(words)
    return Recognised(runner, 1, "plain", alone=True, quiet=_quiet(runner, words)) if runner else Recognised()


def _handed_on(words: Sequence[str], inner: str) -> Literal["", "plain", "dashes"]:
    """How options reach the runner through a script: npm wants `--`, and a script that is itself npm takes none.

    `pnpm test` takes them for its own up to pnpm 9, and hands `--` itself on from 10; `pnpm run test` is always plain.
    """
    manager = words[0].rsplit("/", 1)[-1]
    if inner != "plain" or (
        manager == "pnpm" and not _RUNS.intersection(words) and _TESTS.intersection(words)
    ):
        return ""
    return "dashes" if manager == "npm" else "plain"


def _program(words: Sequence[str], depth: int = 4) -> str:
    """The runner that these words start, "" for none."""
    if not words or not depth:
        return ""
    name = words[0].rsplit("/", 1)[-1].removesuffix(".js").removesuffix(".cmd")
    if name in _PROGRAMS:
        return _PROGRAMS[name]
    if name.startswith("python") or name in {"py", "pypy", "pypy3"}:
        return _python(words, depth)
    if name in {"node", "tsx"}:
        return _node(words, depth)
    verb = next((word for word in words[1:] if not word.startswith(("-", "+"))), "")
    if (name, verb) in _VERBS:
        return _VERBS[name, verb]
    if name in _LAUNCHERS or (
        name in _PACKAGE_MANAGERS and len(words) > 1 and words[1] not in _OWN_VERBS - _EXECUTES
    ):
        return _launched(words[1:], depth - 1)
    return ""


def _python(words: Sequence[str], depth: int) -> str:
    for at, word in enumerate(words[1:-1], start=1):
        if word == "-m":
            module = words[at + 1]
            if module == "unittest":
                return "unittest"
            return _program([module, *words[at + 2 :]], depth - 1)
        if word.endswith("manage.py") and words[at + 1] == "test":
            return "unittest"
        if word.endswith(("/pytest", "/py.test")):
            return "pytest"
    return ""


def _node(words: Sequence[str], depth: int) -> str:
    if any(word == "--test" or word.startswith("--test=") for word in words[1:]):
        return "node"
    script = next((word for word in words[1:] if not word.startswith("-")), "")
    return _program([script], depth - 1) if "node_modules/" in script else ""


def _launched(words: Sequence[str], depth: int) -> str:
    """Behind a launcher's own options: the first word that starts a known runner."""
    for at, word in enumerate(words):
        if word == "-m" and at + 1 < len(words):
            return _program(["python", *words[at:]], depth)
        found = "" if word.startswith("-") else _program(words[at:], depth)
        if found:
            return found
    return ""


def _quiet(runner: str, words: Sequence[str]) -> bool:
    if runner != "pytest":
        return False
    lowered = sum(word.count("q") for word in words if word.startswith("-q") and set(word[1:]) == {"q"})
    return lowered + words.count("--quiet") >= 2 or "no:terminal" in words


@dataclass(frozen=True, slots=True)
class PackageScript:
    """A script of a package.json that a command runs, and the folder of that file."""

    name: str
    folder: str = ""


def package_script(words: Sequence[str]) -> PackageScript | None:
    """The package script that `npm test`, `pnpm run check`, `yarn test` … start."""
    manager = words[0].rsplit("/", 1)[-1]
    if manager not in _PACKAGE_MANAGERS:
        return None
    folder, rest = "", list(words[1:])
    for at, word in enumerate(rest[:-1]):
        if word in {"--prefix", "-C", "--dir", "--cwd"}:
            folder = rest[at + 1]
            del rest[at : at + 2]
            break
    plain = [word for word in rest if not word.startswith("-")]
    if not plain or plain[0] in _OWN_VERBS:
        return None
    if plain[0] in _RUNS:
        return PackageScript(plain[1], folder) if len(plain) > 1 else None
    if plain[0] in _TESTS:
        return None if manager == "bun" else PackageScript("test", folder)
    return None if manager == "npm" else PackageScript(plain[0], folder)


def scripts_of(package: bytes | None) -> dict[str, str]:
    """The script table of a package.json; empty where there is none to be read."""
    scripts = read_json(package).get("scripts")
    if not isinstance(scripts, dict):
        return {}
    return {name: text for name, text in scripts.items() if isinstance(text, str)}


def read_json(data: bytes | None) -> dict[str, Any]:
    """A JSON object, or an empty one where the bytes are none."""
    try:
        value = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
