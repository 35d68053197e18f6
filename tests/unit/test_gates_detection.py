"""The project's own test command, found in its files."""

import json

import pytest

from rad_engineer import gates

NPM_PLACEHOLDER = 'echo "Error: no test specified" && exit 1'


def detected(folders: str = "", **files: str) -> list[tuple[str, str]]:
    table = {name if "/" in name else name.replace("__", "."): text.encode() for name, text in files.items()}
    names = {*table, *folders.split()}
    return [(gate.command, gate.runner) for gate in gates.detect(table.get, names)]


def package(script: str | None, **more: str) -> str:
    return json.dumps({"name": "x", **({"scripts": {"test": script}} if script is not None else {}), **more})


def test_nothing() -> None:
    assert detected() == []
    assert detected("src docs", README__md="make test") == []
    assert detected("tests", README__md="") == []


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        ("", {"pytest__ini": ""}),
        ("", {"pyproject__toml": "[tool.pytest.ini_options]\n"}),
        ("", {"setup__cfg": "[tool:pytest]\n"}),
        ("", {"tox__ini": "[pytest]\n"}),
        ("", {"conftest__py": ""}),
        ("tests", {"pyproject__toml": "[project]\n"}),
        ("tests src", {"requirements__txt": ""}),
        ("tests", {"hello__py": ""}),
        ("", {"test_it__py": ""}),
        ("", {"pyproject__toml": '[dependency-groups]\ndev = ["pytest>=8"]\n'}),
        ("", {"pyproject__toml": '[project.optional-dependencies]\ntest = ["pytest"]\n'}),
        ("", {"pyproject__toml": '[tool.poetry.group.dev.dependencies]\npytest = "^8"\n'}),
    ],
)
def test_pytest(folders: str, files: dict[str, str]) -> None:
    assert detected(folders, **files) == [("python3 -m pytest -q", "pytest")]


@pytest.mark.parametrize(
    ("folders", "files", "where"),
    [
        ("", {"test__py": "import unittest\n"}, ""),
        ("", {"test_it__py": "from unittest import TestCase\n"}, ""),
        (
            "tests",
            {"pyproject__toml": 'commands = [["python", "-m", "unittest"]]', "tests/__init__.py": ""},
            "",
        ),
        ("tests", {"tox__ini": "commands = python -m unittest"}, " discover -s tests"),
        ("tests", {"Makefile": "test:\n\tpython3 -m unittest\n", "setup__py": ""}, " discover -s tests"),
    ],
)
def test_unittest_where_it_is_named_and_pytest_is_not(
    folders: str, files: dict[str, str], where: str
) -> None:
    assert detected(folders, **files) == [(f"python3 -m unittest{where}", "unittest")]
    named = {**files, "requirements-dev__txt": "pytest\n"}
    assert ("python3 -m unittest", "unittest") not in detected(folders, **named)


@pytest.mark.parametrize(
    ("lock", "command"),
    [("uv__lock", "uv run python -m pytest -q"), ("poetry__lock", "poetry run python -m pytest -q")],
)
def test_lock_files_choose_the_launcher(lock: str, command: str) -> None:
    assert detected("tests", pyproject__toml="", **{lock: ""}) == [(command, "pytest")]


def test_broken_files_are_no_answer() -> None:
    assert detected(pyproject__toml="[[[") == []
    assert detected(package__json="{") == []
    assert detected(deno__json="{") == [("deno test", "deno")]


@pytest.mark.parametrize(
    ("files", "command", "runner"),
    [
        ({"package__json": package("jest")}, "npm test", "jest"),
        ({"package__json": package("vitest run"), "pnpm-lock__yaml": ""}, "pnpm run test", "vitest"),
        ({"package__json": package("mocha"), "yarn__lock": ""}, "yarn test", "mocha"),
        ({"package__json": package("bun test"), "bun__lockb": ""}, "bun run test", "bun"),
        ({"package__json": package("node --test"), "package-lock__json": ""}, "npm test", "node"),
        (
            {"package__json": package("x", packageManager="pnpm@9.1.0"), "yarn__lock": ""},
            "pnpm run test",
            "opaque",
        ),
    ],
)
def test_package_scripts(files: dict[str, str], command: str, runner: str) -> None:
    assert detected(**files) == [(command, runner)]


@pytest.mark.parametrize("script", [None, "", NPM_PLACEHOLDER, "exit 0", "echo 'nothing yet'"])
def test_placeholders_are_no_tests(script: str | None) -> None:
    assert detected(package__json=package(script)) == []


@pytest.mark.parametrize(
    ("folders", "files", "command"),
    [
        ("src", {"Cargo__toml": ""}, "cargo test"),
        ("", {"go__mod": ""}, "go test ./..."),
        ("", {"mix__exs": ""}, "mix test"),
        ("", {"gradlew": "", "build__gradle": ""}, "./gradlew test"),
        ("", {"build__gradle__kts": ""}, "gradle test"),
        ("", {"pom__xml": ""}, "mvn -B test"),
        ("", {"pom__xml": "", "mvnw": ""}, "./mvnw -B test"),
        ("spec", {"Gemfile": ""}, "bundle exec rspec"),
        ("", {"composer__json": '{"scripts": {"test": "phpunit"}}'}, "composer test"),
        ("", {"phpunit__xml": ""}, "vendor/bin/phpunit"),
        ("", {"App__sln": ""}, "dotnet test"),
        ("", {"deno__json": '{"tasks": {"test": "deno test -A"}}'}, "deno task test"),
        ("", {"Makefile": "all:\n\techo\ntest: all\n\tsh check.sh\n"}, "make test"),
        ("", {"Makefile": ".PHONY: test\ntest:\n\techo\n"}, "make test"),
        ("", {"justfile": "test *args:\n  cargo test\n"}, "just test"),
        ("", {"tox__ini": "[tox]\n"}, "tox"),
        ("", {"noxfile__py": ""}, "nox"),
    ],
)
def test_others(folders: str, files: dict[str, str], command: str) -> None:
    assert [found for found, _ in detected(folders, **files)] == [command]


@pytest.mark.parametrize("text", ["tests:\n\techo\n", "test := 3\n", "test = 3\n", "# test:\n"])
def test_makefiles_without_the_target(text: str) -> None:
    assert detected(Makefile=text) == []


def test_languages_come_before_make_and_add_up() -> None:
    found = detected(
        "tests", pyproject__toml="", package__json=package("jest"), Makefile="test:\n\techo\n", tox__ini=""
    )
    assert [command for command, _ in found] == ["python3 -m pytest -q", "npm test"]


def test_every_gate_says_where_it_comes_from() -> None:
    table = {"Cargo.toml": b"", "package.json": package("jest").encode()}
    assert [(gate.name, gate.source, gate.scope) for gate in gates.detect(table.get, table)] == [
        ("npm", "package.json, scripts.test", "project"),
        ("cargo", "Cargo.toml", "project"),
    ]
