"""policy: the rules that changes are held against, one of them explained, and what they say of a change."""

import os
import sys
from json import dumps
from pathlib import Path

from rad_engineer.core import injection
from rad_engineer.core.policy import RULES, Policy, Rule, rules
from rad_engineer.core.printable import one_line
from rad_engineer.errors import ExitCode, NoInput
from rad_engineer.launch import ground, policy_check
from rad_engineer.launch.policy_check import Checked


def show_rules(*, json: bool) -> int:
    """Prints every rule with its severity here."""
    policy = _here()
    rows = list(rules(policy).values())
    if json:
        print(dumps({"schema_version": 1, "rules": [_row(rule, policy) for rule in rows]}, indent=2))
        return ExitCode.OK
    width = max(len(rule.id) for rule in rows)
    for rule in rows:
        changed = " (as configured)" if _configured(rule, policy) else ""
        print(f"{rule.severity:5}  {rule.id:{width}}  {one_line(rule.says)}{changed}")
    return ExitCode.OK


def explain_rule(rule: str, *, json: bool) -> int:
    """Prints what one rule is for, what it does here, and what to do about a violation."""
    policy = _here()
    found = rules(policy).get(rule)
    if found is None:
        raise NoInput(f"no rule is called {rule!r}", hint="rad-engineer policy list")
    row = _row(found, policy)
    if json:
        print(dumps({"schema_version": 1, **row}, indent=2))
        return ExitCode.OK
    print(f"{found.id}: {one_line(found.says)}")
    default = "" if row["default"] == found.severity else f" (by default {row['default']})"
    print(f"severity:  {found.severity}{default}")
    if found.advice:
        print(f"advice:    {one_line(found.advice)}")
    if globs := policy.exceptions.get(rule):
        print(f"except:    {', '.join(globs)}")
    print(f'configure: [policy.severity] {found.id} = "block", "warn" or "off"')
    return ExitCode.OK


def try_change(change: str | None, *, json: bool) -> int:
    """Prints what the policy says of a patch, a commit or a range; exit code 1 when something would not land."""
    place = ground.look(os.environ)
    what = change or "HEAD"
    file = policy_check.patch_file(what)
    if what == "-":
        found = [policy_check.of_patch(place, "the diff on standard input", sys.stdin.buffer.read())]
    elif file is not None:
        found = [policy_check.of_patch(place, what, file.read_bytes())]
    else:
        found = list(policy_check.of_commits(place, what))
    stopped = sum(one.stopped for one in found)
    if json:
        told = {"schema_version": 1, "checked": [one.to_json() for one in found], "stopped": stopped}
        print(dumps(told, indent=2))
    else:
        _tell(found, stopped)
    return ExitCode.FAILED if stopped else ExitCode.OK


def look_into(file: str, *, json: bool) -> int:
    """Prints what in a text may be meant to steer an agent; exit code 1 when a story with this text would wait."""
    settings = ground.look(os.environ).settings
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8", "replace")
    except OSError as error:
        raise NoInput(f"{file}: {error.strerror}") from error
    found = injection.look(text)
    score = injection.score(found)
    waits = 0 < settings.injection_quarantine <= score
    verdict = (
        "its story would wait"
        if waits
        else "told of"
        if 0 < settings.injection_warn <= score
        else "nothing follows"
    )
    if json:
        rows = [{name: getattr(one, name) for name in one.__slots__} for one in found]
        print(
            dumps(
                {"schema_version": 1, "file": file, "score": score, "waits": waits, "found": rows}, indent=2
            )
        )
    else:
        for one in found:
            print(f"{file}:{one_line(str(one))}")
        print(f"score {score}: {verdict}")
    return ExitCode.FAILED if waits else ExitCode.OK


def _tell(found: list[Checked], stopped: int) -> None:
    for one in found:
        if one.violations or len(found) == 1:
            print(
                f"{one.name[:12] if one.subject else one.name}: {one_line(one.subject) or f'{one.files} files'}"
            )
        for violation in one.violations:
            print(f"  {violation.severity:5}  {violation}")
    warned = sum(one.severity == "warn" for checked in found for one in checked.violations)
    print(f"{len(found)} checked, {stopped} would be stopped, {warned} warnings")


def _here() -> Policy:
    return policy_check.policy_of(ground.look(os.environ))


def _row(rule: Rule, policy: Policy) -> dict[str, object]:
    default = RULES[rule.id].severity if rule.id in RULES else rule.severity
    return {
        "rule": rule.id,
        "severity": rule.severity,
        "default": default,
        "says": rule.says,
        "advice": rule.advice,
        "except": list(policy.exceptions.get(rule.id, ())),
    }


def _configured(rule: Rule, policy: Policy) -> bool:
    return rule.id not in RULES or rule.id in policy.severity
