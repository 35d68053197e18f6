"""Every rule on a change that breaks it and on one that does not."""

import pytest

from rad_engineer.core.diff import FileDiff, Hunk, Line
from rad_engineer.core.policy import RULES, Policy, judge
from rad_engineer.core.policy_rules import Change, Claim, Limits, OwnRule
from tests.marks import MARKS
from tests.patches import changes, patch
from tests.secret_samples import samples

KEY = samples()["github-token"]
PEM = samples()["private-key"]
TEST = "def test_a():\n    value = compute_it()\n    assert value == 1\n    assert compute_it() == value\n"
OURS, THEIRS = "<" * 7 + " HEAD", ">" * 7 + " theirs"
TO_DO = "TO" + "DO"


def told(change, policy=None):
    """Rule, severity and place of every violation."""
    return [(one.rule, one.severity, one.place) for one in judge(change, policy or Policy())]


def of(*files, mode="100644", **more):
    return Change(changes(*files, mode=mode), **more)


def lines(number, text="x = {}\n"):
    return "".join(text.format(at) for at in range(number))


def link(target):
    return of(("docs/link", None, f"{target}\n"), mode="120000")


# A rule: a change that breaks it with the place that is named, and one that is as near to it as can be.
CASES = {
    "prd": (of(("prd.json", "{}\n", '{"a": 1}\n'), prds=("prd.json",)), "prd.json", of(("prd2.json", "{}\n", "[]\n"), prds=("prd.json",))),
    "protected-path": (of(("check.sh", "a\n", "b\n"), judging=("check.sh",)), "check.sh", of(("check.sh", "a\n", "b\n"))),
    "forbidden-path": (of(("infra/main.tf", None, "a\n")), "infra/main.tf", of(("src/main.tf", None, "a\n"))),
    "secret": (of(("src/a.py", "", f"x = 1\nkey = '{KEY}'\n")), "src/a.py:2", of(("src/a.py", f"key = '{KEY}'\n", ""))),
    "run-mark": (
        of(("a.py", "", f"x = 1\nmark = '{MARKS.nonce[:8]}\n{MARKS.nonce[8:]}'\n"), marks=MARKS), "a.py:2",
        of(("a.py", "", f"mark = '{MARKS.nonce[:-1]}'\n"), marks=MARKS),
    ),
    "tests-removed": (of(("tests/test_a.py", TEST, None)), "tests/test_a.py:1", of(("tests/test_a.py", TEST, TEST.replace("test_a", "test_b")))),
    "assertions-removed": (
        of(("tests/test_a.py", TEST, TEST.replace("    assert value == 1\n", ""))), "tests/test_a.py:3",
        of(("tests/test_a.py", TEST, TEST.replace("value == 1", "value == 2"))),
    ),
    "tests-skipped": (
        of(("tests/test_a.py", TEST, "@pytest.mark.xfail\n" + TEST)), "tests/test_a.py:1",
        of(("tests/test_a.py", TEST, "@pytest.mark.slow\n" + TEST)),
    ),
    "threshold-loosened": (
        of(("pyproject.toml", "fail_under = 90\n", "fail_under = 10\n")), "pyproject.toml:1",
        of(("pyproject.toml", "fail_under = 10\n", "fail_under = 90\n")),
    ),
    "conflict-marker": (of(("a.md", "", f"{OURS}\nx\n{THEIRS}\n")), "a.md:1", of(("a.rst", "", "Title\n=======\n<<<<<<<\n"))),
    "tree-escape": (link("/etc/passwd"), "docs/link:1", link("../src/a.py")),
    "tests-removed-with-code": (
        of(("tests/test_a.py", TEST, None), ("src/a.py", "def compute_it():\n    return 1\n", None)), "tests/test_a.py:1",
        of(("src/a.py", "def compute_it():\n    return 1\n", None)),
    ),
    "assertions-fewer": (
        of(("tests/test_a.py", TEST, "def test_a():\n    assert compute_all() == [1, 1]\n")), "tests/test_a.py:3",
        of(("tests/test_a.py", TEST, "def test_a():\n    assert compute_all() == [1]\n    assert more()\n")),
    ),
    "secret-in-tests": (of(("tests/server.pem", None, f"{PEM}\n")), "tests/server.pem:1", of(("tests/server.crt", None, "x\n"))),
    "secret-allowed": (
        of(("src/a.py", "", f"key = '{KEY}'  # pragma: allowlist secret\n")), "src/a.py:1",
        of(("src/a.py", "", "key = load()  # pragma: allowlist secret\n")),
    ),
    "lock-file": (of(("web/package-lock.json", "{}\n", "[]\n")), "web/package-lock.json", of(("web/lock.json", "{}\n", "[]\n"))),
    "ci-file": (of((".github/workflows/ci.yml", "a\n", "b\n")), ".github/workflows/ci.yml", of((".github/CODEOWNERS", "a\n", "b\n"))),
    "licence-file": (of(("LICENSE.md", "a\n", "b\n")), "LICENSE.md", of(("docs/licensing.md", "a\n", "b\n"))),
    "licence-header": (of(("src/b.py", None, "x = 1\n")), "src/b.py:1", of(("src/b.py", None, "# (c) The Authors\nx = 1\n"))),
    "new-dependency": (
        of(("pyproject.toml", "dependencies = [\n]\n", 'dependencies = [\n  "requests>=2",\n]\n')), "pyproject.toml:2",
        of(("pyproject.toml", 'dependencies = [\n  "requests>=2",\n]\n', 'dependencies = [\n  "requests>=3",\n]\n')),
    ),
    "large-file": (Change((FileDiff("a.csv", "A", size=2_000_000),)), "a.csv", Change((FileDiff("a.csv", "A", size=2_000),))),
    "binary-file": (of(("a.bin", None, "a\0b\n")), "a.bin", of(("a.bin", "a\0b\n", "a\0c\n"))),
    "generated-file": (of(("api/x_pb2.py", None, "x\n")), "api/x_pb2.py", of(("api/pb2.py", None, "x\n"))),
    "vendored-file": (of(("vendor/x/a.py", None, "x\n")), "vendor/x/a.py", of(("src/vendor.py", None, "x\n"))),
    "edits-of-file": (of(("src/a.py", None, lines(1_001))), "src/a.py", of(("src/a.py", None, lines(1_000)))),
    "edits-of-story": (of(*((f"src/a{at}.py", None, lines(900)) for at in range(5))), "", of(*((f"src/a{at}.py", None, lines(900)) for at in range(4)))),
    "change-rate": (of(("src/a.py", None, lines(901)), ("src/b.py", None, lines(900)), seconds=60), "", of(("src/a.py", None, lines(900)), seconds=1)),
    "machine-path": (of(("src/a.py", "", "p = '/ho" + "me/jane/project/x'\n")), "src/a.py:1", of(("src/a.py", "", "p = '/ho" + "me/user/project/x'\n"))),
    "unfinished": (of(("src/a.py", "", f"# {TO_DO}: later\n")), "src/a.py:1", of(("src/a.py", "", f"kind = '{TO_DO.lower()}'\n"))),
    "citation": (
        of(("src/a.py", None, "x\n"), read=lambda _path: None, claims=(Claim("works", ("src/b.py:1",)),)), "",
        of(("src/a.py", None, "x\n"), read=lambda _path: "x\n", claims=(Claim("works", ("src/a.py:1",)),)),
    ),
}  # fmt: skip
POLICY = Policy(forbid=("infra/",), licence_header="(c) The Authors")


def test_there_is_a_case_for_every_rule():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_each_rule(rule):
    breaks, place, keeps = CASES[rule]
    policy = POLICY if rule in ("forbidden-path", "licence-header") else Policy()
    assert (rule, RULES[rule].severity, place) in told(breaks, policy)
    assert rule not in [name for name, _severity, _place in told(keeps, policy)]


def test_what_blocks_by_default():
    assert [name for name, rule in RULES.items() if rule.severity == "block"] == [
        "prd", "protected-path", "forbidden-path", "secret", "run-mark", "tests-removed", "assertions-removed",
        "tests-skipped",        "threshold-loosened", "conflict-marker", "tree-escape",
    ]  # fmt: skip


def test_a_name_of_a_file_may_have_no_mark_of_the_run():
    change = of((f"a/{MARKS.nonce}.py", None, ""), marks=MARKS)
    assert [rule for rule, _severity, _place in told(change)] == ["run-mark"]


def test_a_secret_that_only_moves_was_there_before():
    assert told(of(("a.py", f"k = '{KEY}'\n", ""), ("b.py", "", f"k = '{KEY}'\n"))) == []


def test_a_secret_is_never_shown():
    [violation] = judge(of(("a.py", "", f"k = '{KEY}'\n")), Policy())
    assert KEY[4:] not in repr(violation)
    assert violation.message.startswith("github-token ")


def test_a_key_over_several_lines_is_found_where_it_begins():
    assert told(of(("src/a.py", "", f"x = 1\n{PEM}\n"))) == [("secret", "block", "src/a.py:2")]


@pytest.mark.parametrize("path", ["../x.py", "/etc/x", "src/.git/config", "a/.GIT/hooks/x"])
def test_paths_out_of_the_repository(path):
    assert ("tree-escape", "block", path) in told(Change((FileDiff(path, "A"),)))


@pytest.mark.parametrize(
    ("target", "leads_out"),
    [("..", False), ("../..", True), ("../../x", True), ("../.git", True), ("x/../../y", False)],
)
def test_links(target, leads_out):
    assert bool(told(link(target))) == leads_out


def test_a_link_that_goes_and_a_submodule_that_comes():
    gone = Change(changes(("docs/link", "/etc\n", None), mode="120000"))
    assert told(gone) == []
    module = FileDiff("lib", "A", new_mode="160000", hunks=(Hunk((), (Line(1, "Subproject commit 1"),)),))
    assert told(Change((module,))) == [("new-dependency", "warn", "lib")]


def test_a_renamed_prd_counts():
    moved = FileDiff("plan.json", "R", old_path="prd.json")
    assert told(Change((moved,), prds=("prd.json",))) == [("prd", "block", "plan.json")]


@pytest.mark.parametrize(
    ("path", "line", "name"),
    [
        ("package.json", '    "left-pad": "^1.0.0",', "left-pad"),
        ("requirements.txt", "requests==2.31", "requests"),
        ("requirements/dev.in", "pytest", "pytest"),
        ("pyproject.toml", 'httpx = "^0.27"', "httpx"),
        ("Cargo.toml", 'serde = { version = "1" }', "serde"),
        ("go.mod", "\tgithub.com/a/b v1.2.3", "github.com/a/b"),
        ("Gemfile", "gem 'rails'", "rails"),
        ("build.gradle.kts", '  implementation("com.x:y:1")', "com.x:y"),
        ("mix.exs", '      {:plug, "~> 1.0"},', "plug"),
        ("composer.json", '    "monolog/monolog": "^3.0"', "monolog/monolog"),
    ],
)
def test_dependencies_of_each_kind_of_manifest(path, line, name):
    [found] = judge(of((path, "", f"{line}\n{line}\n")), Policy())
    assert (found.rule, found.message) == ("new-dependency", f"`{name}` was not needed before")


def test_what_is_no_dependency():
    assert told(of(("package.json", "", '  "version": "1.2.3",\n  "private": true\n'))) == []
    assert told(of(("src/deps.json", "", '  "left-pad": "^1.0.0"\n'))) == []


def test_files_that_say_that_they_are_generated():
    assert ("generated-file", "warn", "src/a.go:1") in told(
        of(("src/a.go", "", "// Code generated by x. DO NOT EDIT.\n"))
    )
    assert told(of(("src/a.go", lines(9), lines(9) + "// Code generated by x. DO NOT EDIT.\n"))) == []
    assert told(of(("src/a.go", "// Code generated by x. DO NOT EDIT.\n", None))) == []


def test_lock_files_do_not_count_as_edits():
    assert told(of(("uv.lock", None, lines(9_000)))) == [("lock-file", "warn", "uv.lock")]


def test_limits_of_a_story():
    many = Change(tuple(FileDiff(f"a{at}.md", "M") for at in range(101)))
    assert told(many) == [("edits-of-story", "warn", "")]
    big = Change(tuple(FileDiff(f"a{at}.md", "A", size=900_000) for at in range(6)))
    assert told(big) == [("edits-of-story", "warn", "")]
    none = Policy(limits=Limits(0, 0, 0, 0, 0, 0))
    assert (
        told(many, none) == told(big, none) == told(of(("a.md", None, lines(5_000)), seconds=1), none) == []
    )
    assert told(Change((FileDiff("a.csv", "A", size=2_000_000),)), none) == []


@pytest.mark.parametrize(
    "line",
    [
        f"x = 1  # {TO_DO} later",
        "raise NotImplementedError",
        "    unimplemented!()",
        "throw new Error('not implemented')",
    ],
)
def test_what_is_unfinished(line):
    path = {"unimpl": "a.rs", "throw n": "a.ts"}.get(line.strip()[:7].rstrip("e")[:7], "a.py")
    assert [
        rule
        for rule, _severity, _place in told(
            of((path if path != "a.py" else ("a.rs" if "!" in line else "a.py"), "", f"{line}\n"))
        )
    ] == ["unfinished"]


def test_what_is_only_called_so():
    assert told(of(("a.py", "", f"{TO_DO} = 1\n"), ("notes.md", "", f"{TO_DO}: x\n"))) == []


def test_the_header_is_looked_for_in_the_file_itself():
    new = of(("src/b.py", None, "x = 1\n"), read=lambda _path: "# (c) The Authors\nx = 1\n")
    assert told(new, POLICY) == []
    assert told(
        of(("notes.md", None, "x\n"), ("src/a.py", "x\n", "y\n"), ("src/b.py", None, "a\0b\n")), POLICY
    ) == [("binary-file", "warn", "src/b.py")]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("src/a.py:2", ""), ("src/a.py:1-2", ""), ("src/a.py:3", "which has 2 lines"), ("src/a.py:0", "which has 2 lines"),
        ("src/a.py:2-1", "which has 2 lines"), ("src/none.py:1", "does not exist"), ("src/a.py", "is no path:line"),
        ("/etc/passwd:1", "is no path:line"),
    ],
)  # fmt: skip
def test_citations(place, wrong):
    change = Change((), read={"src/a.py": "one\ntwo"}.get, claims=(Claim("works", (place,)),))
    found = judge(change, Policy())
    assert ([wrong in one.message for one in found] == [True]) if wrong else found == []


def test_a_claim_without_a_place_and_an_agent_without_a_report():
    assert [one.message for one in judge(Change((), claims=(Claim("works", ()),)), Policy())] == [
        "no place is named for: works"
    ]
    assert judge(Change((), claims=None), Policy()) == judge(Change((), claims=()), Policy()) == []
    empty = Change((), read=lambda _path: "", claims=(Claim("works", ("a:1",)),))
    assert "0 lines" in judge(empty, Policy())[0].message


def test_own_rules():
    own = (
        OwnRule("no-print", "block", r"\bprint\(", ("src/**",), "use the log"),
        OwnRule("frozen", "warn", "", ("legacy/",), "nobody touches this"),
        OwnRule("no-eval", "warn", r"\beval\(", (), "no eval"),
    )
    change = of(
        ("src/a.py", "", "print(1)\n"),
        ("tools/a.py", "", "print(1)\neval('1')\n"),
        ("legacy/x", "a\n", "b\n"),
    )
    assert told(change, Policy(own=own)) == [
        ("no-print", "block", "src/a.py:1"), ("frozen", "warn", "legacy/x"), ("no-eval", "warn", "tools/a.py:2"),
    ]  # fmt: skip


def test_a_patch_of_nothing_breaks_nothing():
    assert told(Change(())) == []
    assert patch("a", "x\n", "x\n").count("\n") == 2
