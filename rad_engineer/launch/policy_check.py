"""The policy held against commits and patches, outside a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rad_engineer import gates, git, settings
from rad_engineer.core import diff as patches
from rad_engineer.core.policy import Policy, Violation, blocking, judge
from rad_engineer.core.policy_rules import Change
from rad_engineer.errors import ConfigInvalid, NoInput
from rad_engineer.gates import policy as policy_gate
from rad_engineer.git.repository import Repository
from rad_engineer.launch.ground import Ground


@dataclass(frozen=True, slots=True)
class Checked:
    """One change and what the policy says of it."""

    name: str  # a commit, or where a patch was read
    subject: str
    files: int
    added: int
    violations: tuple[Violation, ...]

    @property
    def stopped(self) -> bool:
        """Whether it would not land."""
        return bool(blocking(self.violations))

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        told = {name: getattr(self, name) for name in ("name", "subject", "files", "added", "stopped")}
        return {**told, "violations": [one.to_json() for one in self.violations]}


def policy_of(place: Ground) -> Policy:
    """The policy of the project in the current folder."""
    return policy_gate.policy_of(
        policy_gate.load(place.top, place.settings.policy),
        allow_missing_tests=place.settings.allow_missing_tests,
    )


def of_patch(place: Ground, name: str, patch: bytes) -> Checked:
    """What the policy says of a patch; of the files around it nothing is known."""
    found = patches.parse(patch)
    if patch.strip() and not found:
        raise NoInput(f"{name} has no unified diff in it", hint="git diff | rad-engineer policy test -")
    judging = gates.violations(_changed(found), (settings.FILE,), place.settings.protect)
    return _checked(name, "", found, judge(Change(found, tuple(judging)), policy_of(place)))


def of_commits(place: Ground, revisions: str) -> Iterator[Checked]:
    """What the policy says of each commit of a range, or of one."""
    repository = place.repository
    if repository is None:
        raise ConfigInvalid("there is no git repository here", hint="go to one, or give a file with a diff")
    policy = policy_of(place)
    for commit, parent, subject in git.commits(repository, revisions):
        found = policy_gate.diff(repository, parent, commit)
        judging = _judging(place, repository, parent, commit, _changed(found))
        change = Change(found, judging, read=policy_gate.reader(repository, commit))
        yield _checked(commit, subject, found, judge(change, policy))


def _checked(name: str, subject: str, found: patches.Diff, violations: Sequence[Violation]) -> Checked:
    added = sum(len(hunk.added) for file in found for hunk in file.hunks)
    return Checked(name, subject, len(found), added, tuple(violations))


def _changed(found: patches.Diff) -> list[str]:
    return list(dict.fromkeys(path for file in found for path in (file.path, file.old_path) if path))


def _judging(
    place: Ground, repository: Repository, parent: str, commit: str, changed: list[str]
) -> tuple[str, ...]:
    """Changed paths that judge the work: settings, `protect`, the policy, scripts of the configured gates."""
    commands = list(place.settings.gates.values())
    protected = [settings.FILE]
    if commands:
        names = frozenset(git.paths(repository, parent))
        for command in commands:
            protected += gates.scripts(command, names, lambda path: git.show(repository, parent, path))
    broken = gates.violations(changed, protected, place.settings.protect)
    return (
        *broken,
        *policy_gate.changes(
            changed, lambda path: (git.show(repository, parent, path), git.show(repository, commit, path))
        ),
    )


def patch_file(what: str) -> Path | None:
    """The file that is meant, if it is one."""
    path = Path(what)
    return path if path.is_file() else None
