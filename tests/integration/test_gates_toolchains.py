"""Small projects of other languages, judged by their real tools; a tool that is not installed skips its test."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rad_engineer import gates
from tests.boxes import off

GO = 'package shop\n\nimport "testing"\n\nfunc TestOld(t *testing.T) { t.Fatal("red") }\n\nfunc TestGood(t *testing.T) {}\n'
CARGO = '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n'
RUST = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn works() {\n        assert_eq!(1, ONE);\n    }\n}\n"
BUN = 'import { expect, test } from "bun:test";\ntest("works", () => { expect(1).toBe(ONE); });\n'
DENO = 'Deno.test("works", () => { if (1 !== ONE) throw new Error("no"); });\n'


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    top = tmp_path / "project"
    top.mkdir()
    return top


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def seen(top: Path, command: str) -> tuple[Callable[[], gates.GateResult], gates.Baseline]:
    scratch = top.parent / "scratch"
    scratch.mkdir()
    gate = gates.gate(
        "test", command, files=lambda path: (top / path).read_bytes() if (top / path).exists() else None
    )
    env, log = dict(os.environ), top.parent / "test.log"
    before = gates.baseline(gate, box=off(), cwd=top, env=env, scratch=scratch)

    def judge() -> gates.GateResult:
        return gates.run(
            gate, box=off(), cwd=top, env=env, scratch=scratch, baseline=before, clock=time.time, log=log
        )

    return judge, before


@needs("go")
def test_go_is_told_in_words(project: Path) -> None:
    write(project, {"go.mod": "module example.com/shop\n", "shop_test.go": GO})
    judge, before = seen(project, "go test ./...")
    assert before.failures == ("example.com/shop.TestOld",)
    assert judge().verdict == "excused"
    write(project, {"more_test.go": GO.replace("Old", "New").replace("Good", "Fine")})
    red = judge()
    assert (red.verdict, red.blamed) == ("red", ("example.com/shop.TestNew",))
    for text in (red.output, (project.parent / "test.log").read_text()):
        assert "--- FAIL: TestNew" in text
        assert '"Action"' not in text


@needs("cargo")
def test_cargo_runs_what_is_behind_a_red_test_and_tells_crates_apart(project: Path) -> None:
    red, green = RUST.replace("ONE", "2"), RUST.replace("ONE", "1")
    write(project, {"Cargo.toml": CARGO, "src/lib.rs": red, "tests/whole.rs": green})
    judge, before = seen(project, "cargo test --offline")
    assert before.failures == ("src/lib.rs shop > tests::works",)
    assert before.passed_tests == ("tests/whole.rs whole > tests::works",)
    assert judge().verdict == "excused"
    write(project, {"tests/whole.rs": red})
    assert judge().blamed == ("tests/whole.rs whole > tests::works",)


@pytest.mark.parametrize(
    ("command", "source", "name"),
    [
        pytest.param("bun test", BUN, "{}.test.ts", marks=needs("bun")),
        pytest.param("deno test --no-check", DENO, "{}_test.ts", marks=needs("deno")),
    ],
)
def test_one_name_in_two_files(project: Path, command: str, source: str, name: str) -> None:
    red, green = source.replace("ONE", "2"), source.replace("ONE", "1")
    first, second = name.format("a"), name.format("b")
    write(project, {first: red, second: green})
    judge, before = seen(project, command)
    assert [failure.removeprefix("./") for failure in before.failures] == [f"{first} > works"]
    assert judge().verdict == "excused"
    write(project, {second: red})
    assert [failure.removeprefix("./") for failure in judge().blamed] == [f"{second} > works"]


@needs("npm", "node")
def test_options_of_ours_do_not_end_at_an_npm_in_between(project: Path) -> None:
    """A script that is itself `npm run` takes options for its own: the runner would leave no result."""
    runner = 'const said = process.argv.slice(2).join(" ");\nconsole.log(`options: [${said}]\\nTests:       1 passed, 1 total`);\n'
    script = '{"scripts": {"test": "npm run inner", "inner": "jest"}}'
    write(project, {"package.json": script, "node_modules/.bin/jest": f"#!/usr/bin/env node\n{runner}"})
    (project / "node_modules/.bin/jest").chmod(0o755)
    judge, before = seen(project, "npm test")
    assert before.green, before.detail
    result = judge()
    assert (result.verdict, result.passed) == ("green", 1)
    assert "options: []" in (project.parent / "test.log").read_text()


VITEST = """#!/usr/bin/env node
const result = process.argv.find((word) => word.startsWith("--outputFile.json="));
const tests = [{ title: "works", status: "passed" }];
const report = JSON.stringify({ testResults: [{ name: "a.test.js", assertionResults: tests }] });
if (result) require("fs").writeFileSync(result.split("=")[1], report);
console.log(" Test Files  1 passed (1)\\n      Tests  1 passed (1)");
"""


@needs("pnpm", "node")
@pytest.mark.parametrize(
    ("command", "names"), [("pnpm test", None), ("pnpm run test", ("a.test.js > works",))]
)
def test_options_of_ours_are_none_for_pnpm(
    project: Path, command: str, names: tuple[str, ...] | None
) -> None:
    """`pnpm test` refuses what it does not know: a suite that passes was red before the run."""
    write(project, {"package.json": '{"scripts": {"test": "vitest"}}', "node_modules/.bin/vitest": VITEST})
    (project / "node_modules/.bin/vitest").chmod(0o755)
    _, before = seen(project, command)
    assert before.green, before.detail
    assert (before.count, before.passed_tests) == (1, names)


@needs("npm")
def test_what_a_script_lacks_is_named(project: Path) -> None:
    write(project, {"package.json": '{"scripts": {"test": "no-such-linter && node --test"}}'})
    _, before = seen(project, "npm test")
    assert before.broken
    assert before.detail == "there is no no-such-linter"


@needs("pnpm")
@pytest.mark.parametrize("npmrc", ["", "shell-emulator=true"])
def test_what_a_script_of_pnpm_lacks_is_named(project: Path, npmrc: str) -> None:
    """pnpm ends with 1 where its shell ended with 127, and has a shell of its own."""
    write(project, {"package.json": '{"scripts": {"test": "vitest"}}', ".npmrc": npmrc})
    _, before = seen(project, "pnpm run test")
    assert before.broken
    assert before.detail == "there is no vitest"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("npm test --workspaces", marks=needs("npm")),
        pytest.param("pnpm -r --no-bail test", marks=needs("pnpm")),
        pytest.param("yarn workspaces run test", marks=needs("yarn")),
    ],
)
def test_what_is_red_in_one_package_excuses_nothing_in_another(project: Path, command: str) -> None:
    jest = (
        'echo "FAIL test/x.test.js"; echo "  ● works"; echo "Tests:       1 failed, 1 passed, 2 total"; exit '
    )
    package = '{"name": "NAME", "version": "1.0.0", "scripts": {"test": "sh test.sh"}}'
    top = '{"name": "shop", "version": "1.0.0", "private": true, "workspaces": ["packages/*"]}'
    write(project, {"package.json": top, "pnpm-workspace.yaml": "packages:\n  - packages/*\n"})
    for name in ("a", "b"):
        write(project, {f"packages/{name}/package.json": package.replace("NAME", name)})
    write(project, {"packages/a/test.sh": 'echo "Tests:       2 passed, 2 total"'})
    write(project, {"packages/b/test.sh": f"{jest}1"})
    judge, before = seen(project, command)
    assert [name.removeprefix("packages/") for name in before.failures] == ["b > test/x.test.js > works"]
    assert judge().verdict == "excused"
    write(project, {"packages/a/test.sh": f"{jest}1"})
    result = judge()
    assert result.verdict == "red"
    assert [name.removeprefix("packages/") for name in result.blamed] == ["a > test/x.test.js > works"]
