"""The policy: what a project may say of it, and what people and agents are told."""

import re

import pytest

from rad_engineer.core import policy
from rad_engineer.core.policy import BadPolicy, Policy, Violation
from rad_engineer.core.policy_rules import Change, Limits
from tests.patches import changes
from tests.secret_samples import samples

KEY = samples()["github-token"]
SECRET = Change(changes(("src/a.py", "", f"k = '{KEY}'\n")))
LOCK = Change(changes(("uv.lock", "a\n", "b\n")))


def told(change, table):
    return [(one.rule, one.severity) for one in policy.judge(change, policy.read(table))]


def test_severities_are_the_projects():
    assert told(LOCK, {}) == [("lock-file", "warn")]
    assert told(LOCK, {"severity": {"lock-file": "block"}}) == [("lock-file", "block")]
    assert told(LOCK, {"severity": {"lock-file": "off"}}) == []
    assert told(SECRET, {"severity": {"secret": "warn"}}) == [("secret", "warn")]


def test_exceptions_are_by_rule_and_glob():
    assert told(SECRET, {"except": {"secret": ["src/*.py"]}}) == []
    assert told(SECRET, {"except": {"secret": ["docs/"], "lock-file": ["src/"]}}) == [("secret", "block")]


def test_a_secret_in_the_baseline_is_known():
    [found] = policy.judge(SECRET, Policy())
    assert told(SECRET, {"baseline": [found.message.split()[-1]]}) == []
    assert told(SECRET, {"baseline": ["0" * 8]}) == [("secret", "block")]


def test_a_whole_table():
    read = policy.read(
        {
            "severity": {"ci-file": "block", "no-print": "warn"},
            "limits": {"file_lines": 0, "story_files": 7},
            "forbid": ["infra/"],
            "licence_header": "(c)",
            "rules": {"no-print": {"pattern": "print", "severity": "block", "message": "use the log"}},
        }
    )
    assert read.limits == Limits(file_lines=0, story_files=7)
    assert (read.forbid, read.licence_header) == (("infra/",), "(c)")
    known = policy.rules(read)
    assert (known["ci-file"].severity, known["no-print"].severity, known["no-print"].says) == (
        "block",
        "warn",
        "use the log",
    )
    assert policy.rules(Policy()) == dict(policy.RULES)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"severities": {}}, "unknown key `severities`"),
        ({"severity": []}, "`severity` is to be a table"),
        ({"severity": {"secrets": "warn"}}, "no rule is called `secrets`"),
        ({"severity": {"secret": "error"}}, "expected block, warn or off, found `error`"),
        ({"except": {"secret": "src/"}}, "`except.secret`: expected a list of texts"),
        ({"except": {"nothing": []}}, "no rule is called `nothing`"),
        ({"forbid": [1]}, "`forbid`: expected a list of texts"),
        ({"licence_header": 1}, "`licence_header`: expected text"),
        ({"limits": {"lines": 1}}, "unknown limit `lines`"),
        ({"limits": {"file_lines": True}}, "expected a whole number"),
        ({"limits": {"file_lines": -1}}, "expected a whole number"),
        ({"baseline": ["secret"]}, "expected hashes of eight digits"),
        ({"rules": {"secret": {"pattern": "x"}}}, "cannot be the name"),
        ({"rules": {"No Print": {"pattern": "x"}}}, "cannot be the name"),
        ({"rules": {"x": "y"}}, "expected a table with pattern"),
        ({"rules": {"x": {"regex": "y"}}}, "expected a table with pattern"),
        ({"rules": {"x": {}}}, "expected a pattern, paths, or both"),
        ({"rules": {"x": {"pattern": "("}}}, "no regular expression"),
        ({"rules": {"x": {"pattern": "y", "severity": "stop"}}}, "expected block, warn or off"),
    ],
)
def test_what_cannot_be_understood(table, said):
    with pytest.raises(BadPolicy, match=re.escape(said)):
        policy.read(table)


def test_tables_are_put_together():
    one = {"severity": {"secret": "warn"}, "forbid": ["a"], "licence_header": "x"}
    other = {"severity": {"prd": "warn"}, "forbid": ["b"], "licence_header": "y", "limits": {"file_lines": 1}}
    assert policy.merged(one, other) == {
        "severity": {"secret": "warn", "prd": "warn"}, "forbid": ["a", "b"], "licence_header": "y", "limits": {"file_lines": 1},
    }  # fmt: skip


def test_what_blocks_comes_first_and_nothing_twice():
    change = Change(changes(("uv.lock", "a\n", "b\n"), ("z.py", "", f"k = '{KEY}'; j = '{KEY}'\n")))
    assert told(change, {}) == [("secret", "block"), ("lock-file", "warn")]


def violation(number, severity="block", rule="secret"):
    return Violation(rule, severity, f"src/{number}.py", number or None, "github-token 12345678")


def test_feedback_names_what_blocks_and_what_to_do():
    text = policy.feedback([violation(1), violation(2, "warn"), violation(3, rule="own")])
    assert "src/1.py:1: github-token 12345678 [secret]" in text
    assert "src/2.py" not in text
    assert text.endswith("What to do:\n- " + policy.RULES["secret"].advice)


def test_long_feedback_is_cut():
    text = policy.feedback([violation(number) for number in range(1, 41)])
    assert "src/30.py" in text
    assert "src/31.py" not in text
    assert "- and 10 more" in text


def test_a_violation_as_text_and_as_json():
    assert str(violation(7)) == "src/7.py:7: github-token 12345678 [secret]"
    assert str(violation(0)) == "src/0.py: github-token 12345678 [secret]"
    assert str(Violation("edits-of-story", "warn", "", None, "9 files")) == "9 files [edits-of-story]"
    assert violation(7).to_json() == {
        "rule": "secret", "severity": "block", "path": "src/7.py", "line": 7, "message": "github-token 12345678",
    }  # fmt: skip
    assert policy.blocking([violation(1, "warn"), violation(2)]) == [violation(2)]
