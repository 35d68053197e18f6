"""Command lines taken apart, runners recognised, masked exit codes seen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer import gates
from rad_engineer.gates.recognition import recognise
from rad_engineer.gates.shell import commands, flattened, shown_exit, shows_exit, within


def reader(**files: str):
    table = {name.replace("__", "/").replace("_json", ".json"): text.encode() for name, text in files.items()}
    return table.get


@pytest.mark.parametrize(
    ("line", "runner"),
    [
        ("pytest", "pytest"),
        ("python -m pytest -q", "pytest"),
        ("python3.11 -X dev -W error -m pytest tests", "pytest"),
        (".venv/bin/pytest -x", "pytest"),
        ("./.venv/bin/python -m pytest", "pytest"),
        ("uv run pytest", "pytest"),
        ("uv run --frozen --extra dev python -m pytest -q", "pytest"),
        ("poetry run pytest", "pytest"),
        ("coverage run -m pytest", "pytest"),
        ("python -m coverage run -m pytest", "pytest"),
        ("FOO=1 BAR='a b' pytest", "pytest"),
        ("env FOO=1 timeout 60 pytest", "pytest"),
        ("cd backend && pytest -q", "pytest"),
        ("ruff check . && pytest && mypy .", "pytest"),
        ("(cd a; pytest)", "pytest"),
        ("bash -c 'cd x && pytest -q'", "pytest"),
        ("bash -lc 'pytest'", "pytest"),
        ("pytest 2>&1 | tail -20; echo EXIT:$?", "pytest"),
        ("python -m unittest discover -v", "unittest"),
        ("python manage.py test app", "unittest"),
        ("npx jest --ci", "jest"),
        ("npx --no-install vitest run", "vitest"),
        ("pnpm exec vitest run", "vitest"),
        ("yarn jest", "jest"),
        ("node_modules/.bin/mocha", "mocha"),
        ("node --experimental-vm-modules node_modules/jest/bin/jest.js", "jest"),
        ("node --test test/", "node"),
        ("go test ./...", "go"),
        ("go vet ./... && go test -race ./...", "go"),
        ("cargo test --workspace", "cargo"),
        ("cargo +nightly test", "cargo"),
        ("cargo build", "opaque"),
        ("bun test", "bun"),
        ("bundle exec rspec", "rspec"),
        ("./mvnw -B test", "maven"),
        ("make test", "opaque"),
        ("grep -q pytest setup.cfg", "opaque"),
        ("echo pytest", "opaque"),
        ("test -f tests/test_a.py", "opaque"),
        ("npm ci", "opaque"),
        ("npm test", "opaque"),
        ("'unbalanced", "opaque"),
        ("", "opaque"),
    ],
)
def test_runners(line: str, runner: str) -> None:
    assert recognise(line).runner == runner


@pytest.mark.parametrize(
    ("line", "runner", "append"),
    [
        ("npm test", "jest", "dashes"),
        ("npm run test", "jest", "dashes"),
        ("npm t", "jest", "dashes"),
        ("pnpm test", "jest", ""),
        ("pnpm -C . t", "jest", ""),
        ("pnpm run test", "jest", "plain"),
        ("yarn test", "jest", "plain"),
        ("bun run test", "jest", "plain"),
        ("npm run all", "jest", ""),
        ("npm run loop", "opaque", ""),
        ("npm run nothing", "opaque", ""),
        ("npm --prefix web test", "vitest", "dashes"),
        ("cd web && npm test", "vitest", "dashes"),
        ("npm test && npm run loop", "jest", ""),
        ("npm test | tee log", "jest", ""),
    ],
)
def test_package_scripts(line: str, runner: str, append: str) -> None:
    scripts = {"test": "jest --ci", "all": "eslint . && npm test", "loop": "npm run loop"}
    files = reader(
        package_json=json.dumps({"scripts": scripts}),
        web__package_json=json.dumps({"scripts": {"test": "vitest run"}}),
    )
    found = recognise(line, files)
    assert (found.runner, found.append) == (runner, append)


@pytest.mark.parametrize(
    "package", ["", "[]", "{", '{"scripts": 3}', '{"scripts": {"test": 3}}', "[" * 100_000]
)
def test_odd_package_files(package: str) -> None:
    assert recognise("npm test", reader(package_json=package)).runner == "opaque"


def test_several_runs_and_silenced_ones_are_counted() -> None:
    assert recognise("pytest a && pytest b").times == 2
    assert recognise("pytest -qq").quiet
    assert recognise("pytest -q -q").quiet
    assert recognise("pytest > out.txt").quiet
    assert recognise("pytest 2>&1").alone
    assert not recognise("pytest 2>&1").quiet
    assert not recognise("pytest 2>errors").alone
    assert not recognise("pytest -q").quiet


def test_simple_commands_know_their_folder() -> None:
    found = commands("cd a && cd b; FOO=1 ./run.sh 2>/dev/null | tail -1 || ../x")
    assert [(c.words[0], c.join, c.folder) for c in found] == [
        ("cd", "", ""),
        ("cd", "&&", "a"),
        ("./run.sh", ";", "a/b"),
        ("tail", "|", "a/b"),
        ("../x", "||", "a/b"),
    ]
    assert [c.words for c in flattened("sh -c \"bash -c 'pytest -q; ls'\"")] == [("pytest", "-q"), ("ls",)]
    assert within("a/b", "../c/./d") == "a/c/d"
    assert within("", "../c") == "../c"


@pytest.mark.parametrize(
    ("line", "plainly", "with_pipefail"),
    [
        ("cargo test 2>&1 | tail -20; echo EXIT:$?", True, True),
        ("make test || true", True, True),
        ("make test || :", True, True),
        ("make test; exit 0", True, True),
        ("make test &", True, True),
        ("make test | tail -5", True, False),
        ("make test 2>&1 | tee log", True, False),
        ("make test", False, False),
        ("make a && echo fine", False, False),
        ("make test || exit 1", False, False),
        ("curl -s localhost | grep ok", False, False),
        ("echo hello", False, False),
        ("cd x; make test", False, False),
        ("make test 2>&1", False, False),
        ("a && b & wait", False, False),
    ],
)
def test_masked_exit_codes(line: str, plainly: bool, with_pipefail: bool) -> None:
    assert gates.masks_exit(line) is plainly
    assert gates.masks_exit(line, pipefail=True) is with_pipefail


def test_shown_exit_codes() -> None:
    assert shows_exit("pytest | tail; echo EXIT:$?")
    assert not shows_exit("pytest | tail; echo done")
    assert not shows_exit("echo $?")
    assert [shown_exit(line) for line in ("EXIT:1", "exit code 0", "0", "done", "12345")] == [
        1,
        0,
        0,
        None,
        None,
    ]


WORDS = st.sampled_from(
    [
        *"|&;<>()'\"$`\\\n #!=-",
        "&&",
        "||",
        "cd",
        "..",
        "pytest",
        "npm",
        "run",
        "test",
        "bash",
        "-c",
        "make",
        "env",
        "timeout",
        "2>&1",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=5))).map(" ".join))
def test_no_line_is_too_odd(line: str) -> None:
    recognise(line, reader(package_json='{"scripts": {"test": "npm run test"}}'))
    gates.masks_exit(line)
    gates.masks_exit(line, pipefail=True)
    gates.scripts(line, {"x"}, reader(Makefile=f"test:\n\t{line}\n"))
    gates.changed_scripts(b"{}", b"{}", [line])
    shows_exit(line)
