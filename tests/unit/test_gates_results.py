"""Results of test runners: files that may lie, summaries that are only printed."""

import json
from pathlib import Path

import pytest

from rad_engineer.gates import junit, results, text


def xml(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "junit.xml"
    path.write_text(body)
    return path


def test_junit_names_tests_as_pytest_prints_them(tmp_path: Path) -> None:
    reading = junit.read(
        xml(
            tmp_path,
            '<?xml version="1.0"?><testsuites><testsuite>'
            '<testcase classname="tests.test_a.TestX" name="t[a.b]" file="tests/test_a.py"/>'
            '<testcase classname="tests.test_a" name="f" file="tests/test_a.py"><failure message="x">y</failure></testcase>'
            '<testcase classname="tests.test_a" name="s" file="tests/test_a.py"><skipped/></testcase>'
            '<testcase classname="" name="tests.test_b" file="tests/test_b.py"><error message="collection failure"/></testcase>'
            '<testcase classname="tests.test_a" name="twice" file="tests/test_a.py"/>'
            '<testcase classname="tests.test_a" name="twice" file="tests/test_a.py"><error message="teardown"/></testcase>'
            '<testcase classname="pkg.mod" name="old"/>'
            "</testsuite></testsuites>",
        )
    )
    assert reading.passed == ("tests/test_a.py::TestX::t[a.b]", "pkg.mod::old")
    assert reading.failed == ("tests/test_a.py::f", "error: tests/test_b.py", "tests/test_a.py::twice")
    assert reading.count == 2


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<testsuites><testsuite><testcase name='a'/>",
        "<html/>",
        "not xml at all",
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuites>&b;</testsuites>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuites/>',
    ],
)
def test_junit_that_cannot_be_believed(tmp_path: Path, body: str) -> None:
    reading = junit.read(xml(tmp_path, body))
    assert reading.problem
    assert reading.count == 0


def test_junit_must_be_a_file_of_a_sane_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = xml(tmp_path, "<testsuites/>")
    link = tmp_path / "link.xml"
    link.symlink_to(path)
    assert junit.read(path).problem == ""
    assert junit.read(link).problem
    assert junit.read(tmp_path).problem
    assert junit.read(tmp_path / "none").problem
    monkeypatch.setattr(junit, "MAX_BYTES", 5)
    assert "too large" in junit.read(path).problem


def test_jest() -> None:
    document = {
        "testResults": [
            {
                "name": "/w/a.test.js",
                "status": "failed",
                "assertionResults": [
                    {"ancestorTitles": ["suite"], "title": "adds", "status": "passed"},
                    {"ancestorTitles": [], "title": "breaks", "status": "failed"},
                    {"ancestorTitles": [], "title": "later", "status": "pending"},
                ],
            },
            {"name": "/w/b.test.js", "status": "failed", "assertionResults": []},
        ]
    }
    reading = results.read_jest(json.dumps(document).encode(), "/w")
    assert reading.passed == ("a.test.js > suite > adds",)
    assert reading.failed == ("a.test.js > breaks", "error: b.test.js")
    for odd in (None, b"", b"[]", b"{}", b'{"testResults": 3}', b'{"testResults": [3]}', b"[" * 100_000):
        assert results.read_jest(odd, "/w").problem, odd


def test_go() -> None:
    events = [
        {"Action": "output", "Package": "m/a", "Test": "TestX", "Output": "--- FAIL: TestX (0.00s)\n"},
        {"Action": "pass", "Package": "m/a", "Test": "TestOk"},
        {"Action": "fail", "Package": "m/a", "Test": "TestX"},
        {"Action": "skip", "Package": "m/a", "Test": "TestSkipped"},
        {"Action": "fail", "Package": "m/a"},
        {"Action": "fail", "Package": "m/b"},
    ]
    reading, plain = results.read_go(["# m/b", *map(json.dumps, events), '{"broken', '{"x":1}'])
    assert reading is not None
    assert reading.passed == ("m/a.TestOk",)
    assert reading.failed == ("m/a.TestX", "error: m/b")
    assert plain.startswith("# m/b\n--- FAIL: TestX")
    assert results.read_go(["go: cannot find main module"])[0] is None


def test_tap() -> None:
    lines = """TAP version 13
# Subtest: one
ok 1 - one
# Subtest: suite
    # Subtest: in
    ok 1 - in
    # Subtest: bad
    not ok 2 - bad
    1..2
not ok 2 - suite
# Subtest: sk
ok 3 - sk # SKIP
# Subtest: /w/test/c.test.js
ok 4 - /w/test/c.test.js
# Subtest: /w/test/d.test.js
not ok 5 - /w/test/d.test.js
"""
    reading = results.read_tap(lines.encode(), "/w")
    assert reading.passed == ("one", "suite > in")
    assert reading.failed == ("suite > bad", "error: test/d.test.js")
    assert results.read_tap(None, "/w").problem


SAMPLES = {
    "cargo": (
        ("running 3 tests\ntest a::good ... ok\ntest a::bad ... FAILED\ntest a::later ... ignored\n\nfailures:\n"
        "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"),
        1,
        ("a::bad",),
    ),
    "unittest": (
        "F.s\n======\nFAIL: test_b (m.T.test_b)\n-----\nRan 3 tests in 0.001s\n\nFAILED (failures=1, skipped=1)\n",
        1,
        ("test_b (m.T.test_b)",),
    ),
    "go": (
        ("--- FAIL: TestX (0.00s)\nFAIL\nFAIL\tm/a\t0.01s\nok  \tm/b\t0.003s\nok  \tm/c\t(cached)\n"
        "ok  \tm/d\t0.1s [no tests to run]\n?   \tm/e\t[no test files]\nFAIL\tm/f [build failed]\n"),
        2,
        ("error: m/f", "TestX"),
    ),
    "jest": (
        "FAIL ./a.test.js\n  ● suite \u203a breaks\n\n    expect\n\nTests:       1 failed, 2 passed, 3 total\n",
        2,
        ("./a.test.js > suite \u203a breaks",),
    ),
    "vitest": (
        " FAIL  a.test.ts > suite > breaks\n\n Test Files  1 failed (1)\n      Tests  1 failed | 3 passed (4)\n",
        3,
        ("a.test.ts > suite > breaks",),
    ),
    "mocha": ("\n  2 passing (5ms)\n  1 failing\n\n  1) suite\n       breaks:\n", 2, ("suite breaks",)),
    "node": ("✖ breaks (0.5ms)\n\u2139 tests 3\n\u2139 pass 2\n\u2139 fail 1\n\n✖ failing tests:\n", 2, ("breaks",)),
    "bun": ("(pass) good [0.10ms]\n(fail) bad [0.20ms]\n\n 1 pass\n 1 fail\n", 1, ("bad",)),
    "deno": ("good ... ok (1ms)\nbad ... FAILED (2ms)\n\nFAILED | 1 passed | 1 failed (5ms)\n", 1, ("bad",)),
    "mix": ("  1) test greets (AppTest)\n\nFinished in 0.03 seconds\n2 doctests, 3 tests, 1 failure\n", 2, ("greets (AppTest)",)),
    "rspec": ("4 examples, 1 failure, 1 pending\n\nrspec ./spec/a_spec.rb:3 # A breaks\n", 2, ("A breaks",)),
    "phpunit": ("1) Tests\\ATest::testB\n\nTests: 3, Assertions: 4, Failures: 1.\n", 2, ("Tests\\ATest::testB",)),
    "dotnet": ("  Failed N.C.M [3 ms]\nFailed!  - Failed:     1, Passed:     5, Skipped:     0, Total:     6\n", 5, ("N.C.M",)),
    "maven": ("[ERROR]   ATest.testB:12 expected\n[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1\n", 1, ("ATest.testB",)),
}  # fmt: skip


@pytest.mark.parametrize("runner", sorted(text.SHAPES))
def test_printed_summaries(runner: str) -> None:
    output, count, failed = SAMPLES[runner]
    reading = text.read(runner, output)
    assert reading is not None
    assert (reading.count, reading.failed, reading.problem) == (count, failed, "")
    assert text.read(runner, "Segmentation fault\n") is None


def test_jest_tells_files_and_tests_without_a_suite_apart() -> None:
    output = (
        " PASS  a/good-test.js (8.691s)\n FAIL  a/one-test.js\n  ● Console\n\n    console.log a\n\n  ● breaks\n\n    expect\n"
        " FAIL  shop a/two-test.js (1.2 s)\n  ● breaks\n\n FAIL  a/three-test.js\n  ● Test suite failed to run\n\n    no\n"
        "\nTests:       2 failed, 4 passed, 6 total\n"
    )
    reading = text.read("jest", output)
    assert reading is not None
    assert reading.failed == ("error: a/three-test.js", "a/one-test.js > breaks", "a/two-test.js > breaks")
    assert text.failed_names(output) == reading.failed


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("3 passed in 0.01s", {"passed": 3}),
        (
            "=== 1 failed, 2 passed, 1 warning in 12.01s (0:00:12) ===",
            {"failed": 1, "passed": 2, "warning": 1},
        ),
        ("== 2 passed, 3 errors, 1 xfailed in 0.1s ==", {"passed": 2, "error": 3, "xfailed": 1}),
        ("no tests ran in 0.01s", {}),
        ("3 passed", None),
        ("I say: 3 passed in 0.01s", None),
    ],
)
def test_pytest_summary(line: str, counts: dict[str, int] | None) -> None:
    assert text.pytest_summary(f"noise\n{line}\n") == counts


def test_failed_names_in_the_output_of_anything() -> None:
    output = "FAILED tests/test_a.py::test_b[x y] - assert 1\nERROR tests/test_c.py\nERROR: nothing to see\n--- FAIL: TestGo (0.00s)\ntest rust::one ... FAILED"
    assert set(text.failed_names(output)) == {
        "tests/test_a.py::test_b[x y]",
        "tests/test_c.py",
        "TestGo",
        "rust::one",
    }


JEST = "FAIL test/x.test.js\n  ● works\n\nTests:       1 failed, 2 passed, 3 total\n"
WORKSPACES = {
    "npm": f"\n> test\n> npm test --workspaces\n\n\n> a@1.0.0 test\n> jest\n\n{JEST}\n> @w/b@1.0.0 test\n> jest\n\n{JEST}",
    "yarn": f"yarn workspaces v1.22.22\n\n> a\nyarn run v1.22.22\n$ jest\n{JEST}\n> @w/b\nyarn run v1.22.22\n$ jest\n{JEST}",
    "pnpm": "Scope: 2 of 3 workspace projects\na test$ jest\n@w/b test$ jest\n"
    + "".join(f"a test: {line}\n@w/b test: {line}\n" for line in JEST.splitlines())
    + "a test: Failed\n",
}


@pytest.mark.parametrize("manager", sorted(WORKSPACES))
def test_packages_of_a_workspace_are_told_apart(manager: str) -> None:
    output = WORKSPACES[manager]
    assert text.failed_names(output) == ("a > test/x.test.js > works", "@w/b > test/x.test.js > works")
    assert text.printed_passes(output) == 4


def test_the_scripts_of_one_package_are_none() -> None:
    output = f"> a@1.0.0 pretest\n> eslint .\n\n> a@1.0.0 test\n> jest\n\n{JEST}"
    assert text.failed_names(output) == ("test/x.test.js > works",)
    assert text.printed_passes(output) == 2


def test_tests_of_node_that_another_command_starts() -> None:
    """`node test/index.js`, in TAP or, from node 23, in its own form; a linter's cross is no test."""
    tap = "# Subtest: breaks\nnot ok 2 - breaks\n  ---\n  duration_ms: 1\n1..2\n# pass 1\n# fail 1\n"
    for output in (f"TAP version 13\nok 1 - good\n{tap}", SAMPLES["node"][0]):
        assert text.failed_names(output) == ("breaks",)
    assert text.failed_names("✖ 3 problems (3 errors, 0 warnings)\n") == ()


@pytest.mark.parametrize("output", ["\n" * 300_000, "ok" + "\n" * 300_000, "FAIL" + " " * 300_000])
def test_blanks_are_read_in_one_go(output: str) -> None:
    assert text.failed_names(output) == ()  # held against each other they would take hours
    assert text.read("go", output) is None


@pytest.mark.parametrize(
    "printed",
    ["== {} passed in 0.10s ==", "test result: ok. {} passed; 0 failed", "Tests:       {} passed, 1 total"],
)
def test_digits_without_end_are_a_large_number(printed: str) -> None:
    assert text.printed_passes(printed.format("9" * 5_000)) >= 10**18
