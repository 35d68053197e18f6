"""Which commands may be proposed as a gate: those of known programs, and none that installs, publishes or asks for rights."""

import re
from collections.abc import Callable

from rad_engineer.gates.recognition import scripts_of
from rad_engineer.gates.shell import flattened as simple_commands

PROGRAMS = frozenset({
    "bun", "bundle", "bunx", "cargo", "composer", "dart", "deno", "dotnet", "dune", "flake8", "go", "golangci-lint",
    "gradle", "gradlew", "just", "make", "mix", "mvn", "mvnw", "mypy", "npm", "npx", "pdm", "pipenv", "phpunit",
    "pnpm", "poetry", "pylint", "pyright", "python", "python3", "ruff", "stack", "swift", "ty", "uv", "yarn",
})  # fmt: skip
_NEVER = re.compile(
    r"""\$\{\{ | \b(?:sudo|doas|curl|wget|gh|ssh|scp|rsync|twine|aws|gcloud|kubectl)\b(?![\w.-]) | \bgit\s+(?:push|clone|fetch|pull)\b
    | \b(?:pip[\d.]*|pipx|gem|brew|apt|apt-get|dnf|yum|apk|choco|conda|poetry|pdm|rustup)\s+(?:-\S+\s+)*(?:install|add|sync|update)\b
    | \b(?:npm|pnpm|yarn|bun)\s+(?:install|i|ci|add|publish|dlx)\b | \b(?:npm|cargo|poetry|uv|pdm|hatch|yarn|pnpm)\s+publish\b
    | \bgo\s+(?:get|install)\b | \bcargo\s+install\b | \buv\s+(?:pip|sync|tool)\b | \bbundle\s+(?:install|update)\b
    | \bdocker\b(?![\w.-]) | \bnp\b(?![\w./-])""",
    re.VERBOSE,
)
_FIXES = re.compile(
    r"(?<![\w-])(?:--fix(?:-only)?|--write|--autocorrect(?:-all)?)(?![\w-])|\brubocop\b[^&|;]*\s-[aA]\b"
)
_WATCHES = re.compile(r"(?<![\w-])--watch(?:All)?(?![\w=-])|\bcargo watch\b")
_ELSEWHERE = re.compile(
    r"\s(?:-r|--recursive|--filter|-F|-C|--prefix|--workspaces?|-w|workspaces)\b"
)  # scripts of other packages
_DEPTH = 6

Files = Callable[[str], bytes | None]


def refusal(command: str, files: Files, *, rewriting: bool = False) -> str:
    """Why a command is no gate; empty where it may be one. Scripts of package.json and recipes of make are looked into.

    With `rewriting`, one that changes the files it looks at may be a gate all the same.
    """
    first = next(iter(simple_commands(command)), None)
    last = simple_commands(command)[-1:]
    if first is None or not last or last[0].name not in PROGRAMS:
        return "it starts a program that is not known as a gate"
    return _refusal(command, files, _DEPTH, rewriting=rewriting)


def _refusal(line: str, files: Files, depth: int, *, rewriting: bool) -> str:
    found = _NEVER.search(line)
    if found:
        return f"it runs `{found[0].strip()}`"
    if not rewriting and (found := _FIXES.search(line)):
        return f"it changes files (`{found[0].strip()}`)"
    if found := _WATCHES.search(line):
        return f"it does not end (`{found[0].strip()}`)"
    if not depth:
        return "it leads too far to be followed"
    for inner in _inner(line, files):
        if why := _refusal(inner, files, depth - 1, rewriting=rewriting):
            return why
    return ""


def _inner(line: str, files: Files) -> list[str]:
    """What a line starts that is written in files: package scripts, recipes and those they need."""
    found: list[str] = []
    scripts = scripts_of(files("package.json"))
    for command in simple_commands(line):
        words = [word for word in command.words[1:] if not word.startswith("-")]
        if command.name in {"npm", "pnpm", "yarn", "bun"} and not _ELSEWHERE.search(" ".join(command.words)):
            names = [word for word in words if word not in {"run", "run-script"}][:1]
            found += [scripts[name] for name in names if name in scripts and not command.folder]
        elif command.name == "make":
            found += [text for name in words[:1] for text in recipe(files, name)]
    return found


def recipe(files: Files, target: str) -> list[str]:
    """The lines that make runs for a target, with those it needs first; none where there is no such target."""
    name = next((name for name in ("GNUmakefile", "makefile", "Makefile") if files(name)), "")
    text = (files(name) or b"").decode("utf-8", "replace") if name else ""
    rules: dict[str, tuple[list[str], list[str]]] = {}
    for found in re.finditer(
        r"^([\w.-]+)[ \t]*::?(?!=)([^\n#]*)\n((?:\t[^\n]*\n?|[ \t]*\n)*)", f"{text}\n", re.MULTILINE
    ):
        needs, lines = rules.setdefault(found[1], ([], []))
        needs += found[2].split()
        lines += [line.strip().lstrip("@-+") for line in found[3].split("\n") if line.strip()]
    wanted, seen, lines = [target], set(), []
    while wanted:
        each = wanted.pop()
        if each in rules and each not in seen:
            seen.add(each)
            lines += rules[each][1]
            wanted += rules[each][0]
    return lines
