"""The policy: what a change may not contain, what is only remarked, and what a project says of both.

Pure: a change and a policy in, violations out. `rad_engineer.core.policy_rules` has the rules one by one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from rad_engineer.core import policy_rules
from rad_engineer.core.globs import matches
from rad_engineer.core.policy_rules import Change, Limits, OwnRule
from rad_engineer.core.printable import one_line

Severity = Literal["block", "warn", "off"]
SEVERITIES = ("block", "warn", "off")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_HASH = re.compile(r"[0-9a-f]{8}")
_MOST_TOLD = 30


class BadPolicy(ValueError):
    """A policy cannot be understood; the message says what was expected, and where."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `says` is a sentence about what it is for, `advice` is what to do about a violation."""

    id: str
    severity: Severity
    says: str
    advice: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a change breaks, and where."""

    rule: str
    severity: Severity
    path: str
    line: int | None
    message: str

    @property
    def place(self) -> str:
        """path:line, as far as there is one."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        where = f"{one_line(self.place)}: " if self.path else ""
        return f"{where}{one_line(self.message)} [{self.rule}]"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a project wants: severities by rule, globs for which a rule does not hold, limits, and rules of its own."""

    severity: Mapping[str, Severity] = field(default_factory=dict)
    exceptions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    forbid: tuple[str, ...] = ()
    licence_header: str = ""
    baseline: frozenset[str] = frozenset()  # short hashes of secrets that are known and accepted
    own: tuple[OwnRule, ...] = ()


_RULES = (
    Rule("prd", "block", "the PRD is what the work is held against",
         "leave the PRD as it was: what is done in it is written by rad-engineer"),
    Rule("protected-path", "block", "a file that judges the work: a gate's script, a `protect` pattern, a setting of runs",
         "leave these files as they were"),
    Rule("forbidden-path", "block", "a file that the project's `forbid` names",
         "do without changes to this file"),
    Rule("secret", "block", "a key, token or password in an added line",
         "take it out and read it from the environment; when it is none, a person can add its hash to the baseline"),
    Rule("run-mark", "block", "a mark that only prompts have: it would let others pass off text as ours",
         "take it out: the marks around text of others, and the completion token, belong into no file"),
    Rule("tests-removed", "block", "a test that was there is gone, and none replaces it",
         "put the test back and mend the code; a test is only replaced by one that checks the same"),
    Rule("assertions-removed", "block", "a test that stays has lost an assertion, and none comes in its place",
         "put the assertion back and mend the code"),
    Rule("tests-skipped", "block", "a test that ran is skipped now, or expected to fail",
         "take the mark away and mend the code"),
    Rule("threshold-loosened", "block", "a number that tests or their settings are held to is easier to keep",
         "put the old number back and mend the code"),
    Rule("conflict-marker", "block", "a line that git leaves where two changes meet", "resolve the conflict"),
    Rule("tree-escape", "block", "a path or link that leads out of the repository, or into its .git",
         "use a relative path inside the repository"),
    Rule("tests-removed-with-code", "warn", "a test is gone together with the code that it names", ""),
    Rule("assertions-fewer", "warn", "a rewritten test asserts less often than before", ""),
    Rule("secret-in-tests", "warn", "a private key or signed token below a test folder",
         "make it while the test runs"),
    Rule("secret-allowed", "warn", "a secret beside which somebody wrote that it is none", ""),
    Rule("lock-file", "warn", "a lock file decides what is installed", ""),
    Rule("ci-file", "warn", "a file that tells a build server what to run", ""),
    Rule("licence-file", "warn", "a licence or copyright file", ""),
    Rule("licence-header", "warn", "a new source file without the header that `licence_header` asks for",
         "begin the file with the header"),
    Rule("new-dependency", "warn", "a package that the project did not need before", ""),
    Rule("large-file", "warn", "a file with more bytes than `file_bytes`", "keep it elsewhere, or make it smaller"),
    Rule("binary-file", "warn", "a file that nobody can read in a diff", ""),
    Rule("generated-file", "warn", "a file that a program has made", "add it to .gitignore and have it made"),
    Rule("vendored-file", "warn", "somebody else's code below a folder for that", "declare a dependency instead"),
    Rule("edits-of-file", "warn", "more changed lines in one file than `file_lines`", "split the change"),
    Rule("edits-of-story", "warn", "more lines, files or bytes than one story may change", "split the story"),
    Rule("change-rate", "warn", "more changed lines in a minute of work than `lines_per_minute`", ""),
    Rule("machine-path", "warn", "a path that exists on one machine only", "use a relative path"),
    Rule("unfinished", "warn", "a mark or stub that says that something is left to do", "do it, or say it elsewhere"),
    Rule("citation", "warn", "a report says that something is done, and where, and there is nothing there",
         "name a line that exists, as path:line"),
)  # fmt: skip

RULES: Mapping[str, Rule] = {rule.id: rule for rule in _RULES}
"""What is built in, by id."""


def rules(policy: Policy) -> dict[str, Rule]:
    """All rules in force: the built-in ones, with the project's severities, and the project's own."""
    own = {
        rule.id: Rule(rule.id, cast("Severity", rule.severity), rule.message, rule.message)
        for rule in policy.own
    }
    return {
        name: Rule(name, policy.severity.get(name, rule.severity), rule.says, rule.advice)
        for name, rule in {**RULES, **own}.items()
    }


def judge(change: Change, policy: Policy) -> list[Violation]:
    """Every violation, what blocks first, then by place."""
    known = rules(policy)
    found = []
    for hit in policy_rules.hits(change, policy.limits, policy.forbid, policy.licence_header, policy.own):
        severity = known[hit.rule].severity
        excepted = any(matches(hit.path, glob) for glob in policy.exceptions.get(hit.rule, ()))
        if severity != "off" and not excepted and hit.secret not in policy.baseline:
            found.append(Violation(hit.rule, severity, hit.path, hit.line, hit.message))
    return sorted(set(found), key=lambda one: (one.severity, one.path, one.line or 0, one.rule, one.message))


def blocking(violations: Sequence[Violation]) -> list[Violation]:
    """Those over which a story does not land."""
    return [one for one in violations if one.severity == "block"]


def feedback(violations: Sequence[Violation]) -> str:
    """What whoever wrote the change is told, so that it can be mended."""
    stop = blocking(violations)
    lines = [f"- {one}" for one in stop[:_MOST_TOLD]]
    if len(stop) > _MOST_TOLD:
        lines.append(f"- and {len(stop) - _MOST_TOLD} more")
    advice = dict.fromkeys(RULES[one.rule].advice for one in stop if one.rule in RULES)
    return "\n".join(
        ["The policy of this project does not allow this change:", *lines, "", "What to do:"]
        + [f"- {text}" for text in advice if text]
    )


def read(table: Mapping[str, Any]) -> Policy:
    """The policy that a `[policy]` table describes; raises BadPolicy."""
    unknown = table.keys() - _KEYS
    if unknown:
        raise BadPolicy(f"unknown key `{min(unknown)}`; there are {', '.join(sorted(_KEYS))}")
    own = tuple(_own(name, row) for name, row in _table(table, "rules").items())
    names = {*RULES, *(rule.id for rule in own)}
    return Policy(
        severity={_known(name, names): _severity(name, value) for name, value in _table(table, "severity").items()},
        exceptions={_known(name, names): _texts(f"except.{name}", value) for name, value in _table(table, "except").items()},
        limits=_limits(_table(table, "limits")),
        forbid=_texts("forbid", table.get("forbid", ())),
        licence_header=_text("licence_header", table.get("licence_header", "")),
        baseline=frozenset(_hashes(_texts("baseline", table.get("baseline", ())))),
        own=own,
    )  # fmt: skip


_KEYS = frozenset({"severity", "except", "limits", "forbid", "licence_header", "baseline", "rules"})


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two `[policy]` tables as one: tables and lists are put together, of single values the later one counts."""
    both = dict(one)
    for key, value in other.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            both[key] = {**old, **value}
        elif isinstance(old, list | tuple) and isinstance(value, list | tuple):
            both[key] = [*old, *value]
        else:
            both[key] = value
    return both


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, Mapping):
        raise BadPolicy(f"`{key}` is to be a table")
    return found


def _known(name: str, names: set[str]) -> str:
    if name not in names:
        raise BadPolicy(f"no rule is called `{name}`; `rad-engineer policy list` shows them")
    return name


def _severity(name: str, value: Any) -> Severity:
    if value not in SEVERITIES:
        raise BadPolicy(f"rule `{name}`: expected block, warn or off, found `{value}`")
    return cast("Severity", value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadPolicy(f"`{key}`: expected text, found `{value}`")
    return value


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise BadPolicy(f"`{key}`: expected a list of texts, found `{value}`")
    return tuple(value)


def _hashes(values: Sequence[str]) -> Sequence[str]:
    for value in values:
        if not _HASH.fullmatch(value):
            raise BadPolicy(f"`baseline`: expected hashes of eight digits, found `{value}`")
    return values


def _limits(table: Mapping[str, Any]) -> Limits:
    names = [entry.name for entry in fields(Limits)]
    for name, value in table.items():
        if name not in names:
            raise BadPolicy(f"unknown limit `{name}`; there are {', '.join(names)}")
        if type(value) is not int or value < 0:
            raise BadPolicy(f"limit `{name}`: expected a whole number, 0 for none; found `{value}`")
    return Limits(**table)


def _own(name: str, row: Any) -> OwnRule:
    if not _NAME.fullmatch(name) or name in RULES:
        raise BadPolicy(
            f"`{name}` cannot be the name of an own rule: small letters and dashes, and none that is taken"
        )
    if not isinstance(row, Mapping) or not row.keys() <= {"pattern", "paths", "severity", "message"}:
        raise BadPolicy(f"rule `{name}`: expected a table with pattern, paths, severity and message")
    pattern = _text(f"{name}.pattern", row.get("pattern", ""))
    paths = _texts(f"{name}.paths", row.get("paths", ()))
    if not pattern and not paths:
        raise BadPolicy(f"rule `{name}`: expected a pattern, paths, or both")
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadPolicy(f"rule `{name}`: the pattern is no regular expression: {error}") from None
    message = _text(f"{name}.message", row.get("message", f"rule {name} of this project"))
    return OwnRule(name, _severity(name, row.get("severity", "warn")), pattern, paths, message)
