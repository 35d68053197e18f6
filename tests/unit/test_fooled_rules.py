"""Changes that want the rules for tests to look elsewhere: none of these is a replacement, and none hides anything."""

import pytest

from rad_engineer.core import diff, secret_rules
from rad_engineer.core.policy import Policy, judge
from rad_engineer.core.policy_rules import Change
from rad_engineer.core.weakened_tests import weakened
from tests.patches import changes

PATH = "tests/test_a.py"
BEFORE = "import app\n\n\ndef test_base():\n    assert app.ANSWER == 42\n\n\ndef test_two():\n    x = app.two()\n    assert x == 2\n"
ANSWER = "    assert app.ANSWER == 42\n"
KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
MANY = 6_000  # lines; whatever is held against each of the others would take hours


def patch(path, before, after):
    """All lines of a file in the place of all that there were."""
    old, new = before.splitlines(), after.splitlines()
    head = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,{len(old)} +1,{len(new)} @@\n"
    return (head + "".join([f"-{line}\n" for line in old] + [f"+{line}\n" for line in new])).encode()


def kinds(after, before=BEFORE, path=PATH):
    return [one.kind for one in weakened(changes((path, before, after)))]


@pytest.mark.parametrize(
    "instead",
    [
        "for _ in ():\n        pass", "for _ in range(1):\n        print(app)", "for x in []:\n        check(x)", "for x in range(0):\n        check(x)",
        "assert app.ANSWER == 42 or True", "assert 'ok'", "assert f'{app}'", "assert (app.ANSWER == 42, 'it is')", "assert [app.ANSWER == 42]",
        "assert app.ANSWER == app.ANSWER", "assert app.two() == app.two()", "assert not 0", "assert not []", "assert 2 > 1", "assert 7",
        "assert len(str(app.ANSWER)) >= 0", "assert (True), 'said'", "assert lambda: app",
    ],
)  # fmt: skip
def test_what_replaces_no_assertion(instead):
    assert kinds(BEFORE.replace("assert app.ANSWER == 42", instead)) == ["assertions-removed"]


@pytest.mark.parametrize(
    "instead",
    [
        "assert app.ANSWER == 43", "assert app.ANSWER", "assert (app.ANSWER, 42) == app.PAIR", "assert app.TWO[0] == app.TWO[1]", "assert not app.BAD",
        "assert len(app.ALL) >= 1", "assert (f(app, 'x'))", "assert app.a.b == app.a.c", "assert app.NAME in ('a', 'b')", "assert [*app.ALL] == [1]",
        "for a, b in PAIRS:\n        check(a, b)", "for a in PAIRS:\n        assert a",
    ],
)  # fmt: skip
def test_what_replaces_one(instead):
    assert kinds(BEFORE.replace("assert app.ANSWER == 42", instead)) == []


def test_a_loop_that_tests_nothing_replaces_no_test():
    assert kinds(BEFORE.partition("def test_two")[0] + "for x in ():\n    pass\n") == ["tests-removed"]


@pytest.mark.parametrize(
    "line",
    [
        "@ pytest.mark.skip", "@pytest.mark.parametrize('a', [pytest.param(1, marks=pytest.mark.xfail)])", "slow = pytest.mark.xfail",
        "import pytest; pytest.skip('x', allow_module_level=True)", "    request.node.add_marker(pytest.mark.xfail)", "    rep.outcome = 'passed'",
        "    session.exitstatus = 0", "x = 1; raise unittest.SkipTest",
    ],
)  # fmt: skip
def test_tests_are_skipped_in_many_words(line):
    assert kinds(BEFORE.replace("def test_base", f"{line}\ndef test_base")) == ["tests-skipped"]


@pytest.mark.parametrize(
    "line", ["slow = pytest.mark.slow", "    assert rep.outcome == 'passed'", "    exitstatus == 0"]
)
def test_other_words_skip_nothing(line):
    assert kinds(BEFORE.replace("def test_base", f"{line}\ndef test_base")) == []


def test_a_byte_that_is_no_text_hides_nothing():
    [file] = diff.parse(patch(PATH, BEFORE, BEFORE.replace(ANSWER, "    app  # \0\n")))
    assert file.binary
    assert [one.kind for one in weakened((file,))] == ["assertions-removed"]
    wide = "\0".join(f"k = '{KEY}'\n")
    hits = judge(Change(diff.parse(patch("a.env", "x\n", wide)), read=lambda _path: None), Policy())
    assert [one.rule for one in hits] == ["secret"]


def test_lines_of_what_is_no_text_are_not_counted():
    picture = "".join(f"\0{number}\n" for number in range(1_500))
    hits = judge(Change(diff.parse(patch("a.png", "x\n", picture))), Policy())
    assert [one.rule for one in hits] == []


def test_a_place_that_no_file_has_is_passed_over():
    text = patch("a.py", "x\n", "y\n").replace(b"@@ -1", b"@@ -" + b"9" * 5_000)
    assert [list(file.added) for file in diff.parse(text)] == [[]]


LONG = {
    "numbers": ("tests/data.csv", "{0},{0}\n" * 3, "{0},1{0}\n" * 3, []),
    "one number": ("tests/data.csv", "1" * 30, "2" * 30, []),
    "tests that go": (PATH, "def test_{0}():\n    assert f({0})\n", "x\n", ["tests-removed"] * MANY),
    "tests with other names": (PATH, "def test_a{0}():\n    assert f({0})\n", "def test_b{0}():\n    assert g({0})\n", []),
    "skips": (
        PATH, "@pytest.mark.skip\ndef test_{0}():\n    f()\n", "@pytest.mark.skipif({0})\ndef test_{0}():\n    f()\n", [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LONG)
def test_long_changes_are_judged_in_one_go(case):
    path, before, after, rules = LONG[case]
    texts = ["".join(each.format(number) for number in range(MANY)) for each in (before, after)]
    hits = judge(Change(diff.parse(patch(path, *texts))), Policy())
    assert [one.rule for one in hits if one.severity == "block"] == rules


def test_many_secrets_are_found_in_one_go():
    text = "".join(
        f"AKIA{number:016d} password='{number}aB3dE6gH9kL2x'\n" for number in range(10_000, 10_000 + MANY)
    )
    found = secret_rules.in_code(text, "a.env")
    assert [one.start for one in found] == sorted({one.start for one in found})
    assert len(found) == MANY
    assert secret_rules.redacted(text).count("[redacted: ") == MANY


def test_one_new_test_stands_for_one_that_is_gone():
    part = "def test_part():\n    assert part() == 'bye'\n"
    late = "def test_part_late():\n    assert part(1) == 'bye'\n"
    both = changes(
        ("tests/test_a.py", part, "x = 1\n"),
        ("tests/test_b.py", "def test_sum():\n    assert add() == 3\n", late),
    )
    assert [one.what for one in weakened(both) if one.kind == "tests-removed"] == ["test_sum"]


@pytest.mark.parametrize("text", ["marks= add_marker( ", "marks= ", "pytestmark = ", "assert or True "])
def test_a_long_line_is_read_in_one_go(text):
    assert kinds(BEFORE + f"    x({text * 20_000})\n") == []
