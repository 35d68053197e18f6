"""The project's own test command, found in the files at the top of its tree."""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from rad_engineer.gates.judgement import Gate
from rad_engineer.gates.recognition import read_json, recognise, scripts_of
from rad_engineer.gates.shell import Files

_PYTHON_MARKS = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "conftest.py",
    "tox.ini",
    "Pipfile",
)
_TELLS_PYTHON = re.compile(
    r"test[^/]*\.py|[\w.-]*requirements[\w.-]*\.txt|noxfile\.py|Makefile|\.?pytest\.ini"
)
_MOST_TELLING = 20
_UNITTEST = re.compile(r"^\s*(?:import|from) unittest\b|-m unittest\b|\"-m\", \"unittest\"", re.MULTILINE)
_PYTHON_RUNS = (("uv.lock", "uv run "), ("poetry.lock", "poetry run "), ("pdm.lock", "pdm run "),
                ("Pipfile.lock", "pipenv run "))  # fmt: skip
_PACKAGE_LOCKS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
)
PLACEHOLDER = re.compile(r"no test specified|^\s*(?:exit [01]|echo\b[^&|;]*)?\s*$")
_PLAIN = (  # file, command, name: where the file itself is the answer
    ("Cargo.toml", "cargo test", "cargo"),
    ("go.mod", "go test ./...", "go"),
    ("mix.exs", "mix test", "mix"),
    ("Package.swift", "swift test", "swift"),
    ("gradlew", "./gradlew test", "gradle"),
    ("mvnw", "./mvnw -B test", "maven"),
    ("pubspec.yaml", "dart test", "dart"),
    ("dune-project", "dune test", "dune"),
    ("stack.yaml", "stack test", "stack"),
)
_FALLBACK_PLAIN = (("build.gradle", "gradle test", "gradle"), ("build.gradle.kts", "gradle test", "gradle"),
                   ("pom.xml", "mvn -B test", "maven"))  # fmt: skip
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_TEST_TARGET = re.compile(rb"^test\s*::?(?!=)", re.MULTILINE)
_JUST_TEST = re.compile(rb"^@?test(?:\s[^:=]*)?:(?!=)", re.MULTILINE)


def detect(files: Files, names: Collection[str]) -> list[Gate]:
    """The gates of a tree from the names at its top and a reader of its files; none where nothing tells.

    What a language's own files say comes first, several languages give several gates; `make test` and the like
    are asked only where no language answers.
    """
    found = [
        gate
        for finder in (_python, _package, _deno, _plain, _ruby, _php, _dotnet)
        for gate in finder(files, names)
    ]
    if found:
        return found
    for finder in (_make, _just, _python_tools):
        gates = finder(files, names)
        if gates:
            return gates
    return []


def _gate(name: str, command: str, source: str, files: Files) -> Gate:
    return Gate(name, command, "project", recognise(command, files).runner, source)


def _python(files: Files, names: Collection[str]) -> list[Gate]:
    prefix = python_prefix(names)
    python = "python" if prefix else "python3"
    if source := _unittest_source(files, names):
        loose = "tests" in names and files("tests/__init__.py") is None and not source.startswith("test")
        where = " discover -s tests" if loose else ""
        return [_gate("unittest", f"{prefix}{python} -m unittest{where}", source, files)]
    if source := _pytest_source(files, names):
        return [_gate("pytest", f"{prefix}{python} -m pytest -q", source, files)]
    return []


def python_prefix(names: Collection[str]) -> str:
    """What starts a program in the environment that the project's lock file is for; empty without one."""
    return next((run for lock, run in _PYTHON_RUNS if lock in names), "")


def _unittest_source(files: Files, names: Collection[str]) -> str:
    """What tells that a project tests with the standard library: it is named, and pytest nowhere is."""
    telling = [name for name in sorted(names) if name in _PYTHON_MARKS or _TELLS_PYTHON.fullmatch(name)]
    texts = {name: _text(files(name)) for name in telling[:_MOST_TELLING]}
    if "conftest.py" in names or any("pytest" in text for text in texts.values()):
        return ""
    return next((f"{name}, unittest" for name, text in texts.items() if _UNITTEST.search(text)), "")


def _pytest_source(files: Files, names: Collection[str]) -> str:
    for name, mark in (("pytest.ini", ""), (".pytest.ini", ""), ("pyproject.toml", "[tool.pytest"),
                       ("setup.cfg", "[tool:pytest]"), ("tox.ini", "[pytest]")):  # fmt: skip
        if name in names and mark in _text(files(name)):
            return f"{name}, {mark}" if mark else name
    if "conftest.py" in names:
        return "conftest.py"
    python = any(mark in names for mark in _PYTHON_MARKS) or any(name.endswith(".py") for name in names)
    folder = next((name for name in ("tests", "test") if name in names), "")
    if python and folder and not ("package.json" in names and not any(m in names for m in _PYTHON_MARKS)):
        return f"{folder}/"
    loose = next((name for name in sorted(names) if re.fullmatch(r"test_.*\.py|.*_test\.py", name)), "")
    return loose or _pytest_dependency(files, names)


def _pytest_dependency(files: Files, names: Collection[str]) -> str:
    if "pyproject.toml" not in names:
        return ""
    project = _toml(files("pyproject.toml"))
    return (
        "pyproject.toml, pytest among the dependencies" if _mentions(project, re.compile(r"pytest\b")) else ""
    )


def _mentions(value: Any, name: re.Pattern[str]) -> bool:
    """Whether a requirement with this name stands in a table of dependencies, wherever it is."""
    if not isinstance(value, dict):
        return False
    for key, inner in value.items():
        if "depend" in str(key) and _listed(inner, name):
            return True
        if isinstance(inner, dict) and _mentions(inner, name):
            return True
    return False


def _listed(value: Any, name: re.Pattern[str]) -> bool:
    if isinstance(value, dict):
        return any(name.match(str(key)) or _listed(inner, name) for key, inner in value.items())
    if isinstance(value, list):
        return any(isinstance(item, str) and name.match(item) for item in value)
    return False


def _package(files: Files, names: Collection[str]) -> list[Gate]:
    if "package.json" not in names:
        return []
    package = files("package.json")
    script = scripts_of(package).get("test", "")
    if not script.strip() or PLACEHOLDER.search(script):
        return []
    manager = package_manager(package, names)
    command = f"{manager} run test" if manager in {"bun", "pnpm"} else f"{manager} test"
    return [_gate(manager, command, "package.json, scripts.test", files)]


def package_manager(package: bytes | None, names: Collection[str]) -> str:
    """Who runs the scripts of a package.json."""
    named = str(read_json(package).get("packageManager", "")).split("@")[0]
    if named in {"npm", "pnpm", "yarn", "bun"}:
        return named
    return next((manager for lock, manager in _PACKAGE_LOCKS if lock in names), "npm")


def _deno(files: Files, names: Collection[str]) -> list[Gate]:
    name = next((name for name in ("deno.json", "deno.jsonc") if name in names), "")
    if not name or "package.json" in names:
        return []
    tasks = read_json(files(name)).get("tasks")
    if isinstance(tasks, dict) and "test" in tasks:
        return [_gate("deno", "deno task test", f"{name}, tasks.test", files)]
    return [_gate("deno", "deno test", name, files)]


def _plain(files: Files, names: Collection[str]) -> list[Gate]:
    found = [_gate(name, command, file, files) for file, command, name in _PLAIN if file in names]
    found = [_whole_workspace(gate, files) if gate.name == "cargo" else gate for gate in found]
    have = {gate.name for gate in found}
    found += [_gate(name, command, file, files) for file, command, name in _FALLBACK_PLAIN
              if file in names and name not in have][:1]  # fmt: skip
    return found


def _whole_workspace(gate: Gate, files: Files) -> Gate:
    """Where a package is the top of a workspace, cargo alone would test that package only."""
    top = _toml(files("Cargo.toml"))
    return replace(gate, command="cargo test --workspace") if {"package", "workspace"} <= top.keys() else gate


def _ruby(files: Files, names: Collection[str]) -> list[Gate]:
    if "Gemfile" not in names:
        return []
    if ".rspec" in names or "spec" in names:
        return [_gate("rspec", "bundle exec rspec", ".rspec" if ".rspec" in names else "spec/", files)]
    if "Rakefile" in names and "test" in names:
        return [_gate("rake", "bundle exec rake test", "Rakefile and test/", files)]
    return []


def _php(files: Files, names: Collection[str]) -> list[Gate]:
    if "composer.json" in names and "test" in scripts_of(files("composer.json")):
        return [_gate("composer", "composer test", "composer.json, scripts.test", files)]
    config = next((name for name in ("phpunit.xml", "phpunit.xml.dist") if name in names), "")
    return [_gate("phpunit", "vendor/bin/phpunit", config, files)] if config else []


def _dotnet(files: Files, names: Collection[str]) -> list[Gate]:
    found = next((name for name in sorted(names) if name.endswith((".sln", ".slnx"))), "")
    return [_gate("dotnet", "dotnet test", found, files)] if found else []


def _make(files: Files, names: Collection[str]) -> list[Gate]:
    name = next((name for name in _MAKEFILES if name in names), "")
    if not name or not _TEST_TARGET.search(files(name) or b""):
        return []
    return [_gate("make", "make test", f"{name}, target test", files)]


def _just(files: Files, names: Collection[str]) -> list[Gate]:
    name = next((name for name in ("justfile", "Justfile", ".justfile") if name in names), "")
    if not name or not _JUST_TEST.search(files(name) or b""):
        return []
    return [_gate("just", "just test", f"{name}, recipe test", files)]


def _python_tools(files: Files, names: Collection[str]) -> list[Gate]:
    for name, command in (("tox.ini", "tox"), ("noxfile.py", "nox")):
        if name in names:
            return [_gate(command, command, name, files)]
    return []


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _toml(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    import tomllib  # noqa: PLC0415 - only where there is such a file

    try:
        return tomllib.loads(_text(data))
    except tomllib.TOMLDecodeError:
        return {}
