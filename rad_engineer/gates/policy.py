"""The policy at work: from two trees to a diff as values, and from a project's files to what it wants."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rad_engineer import durable, git
from rad_engineer.core import diff as patches
from rad_engineer.core.diff import Diff, FileDiff
from rad_engineer.core.languages import family_of
from rad_engineer.core.policy import BadPolicy, Policy, merged, read
from rad_engineer.errors import ConfigInvalid
from rad_engineer.git.repository import Repository

FOLDER = "policy"
BASELINE = "policy/baseline.txt"
_LARGEST = 1_000_000  # bytes of a file that is looked into although it is called binary; of code, all
_MOST = 20_000_000  # bytes of a file of a policy
_OF_POLICY = re.compile(r"policy/[^/]+\.toml")


def load(top: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """What a project wants: `[policy]` of its settings, with `policy/*.toml` and the baseline; raises ConfigInvalid."""
    found = dict(table)
    folder = top / FOLDER
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        own = _own_table(path)
        if own:
            _checked(own, str(path))
            found = merged(found, own)
    known = _baseline(top / BASELINE)
    if known:
        found = merged({"baseline": []}, merged(found, {"baseline": known}))
    _checked(found, "[policy]")
    return found


def policy_of(table: Mapping[str, Any], *, allow_missing_tests: bool = False) -> Policy:
    """The policy that a table describes; where tests may go, their going is only remarked."""
    policy = read(table)
    if allow_missing_tests:
        return replace(policy, severity={"tests-removed": "warn", **policy.severity})
    return policy


def _own_table(path: Path) -> dict[str, Any]:
    """The `[policy]` of a file; other people's TOML, which has none, says nothing to us."""
    try:
        tables = tomllib.loads(durable.read_regular(path, _MOST).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigInvalid(f"{path}: {why}", hint="mend the file, or remove it") from error
    own = tables.get("policy", {})
    if not isinstance(own, dict):
        raise ConfigInvalid(f"{path}: `policy` is not a table", hint="write [policy] on a line of its own")
    return own


def _checked(table: Mapping[str, Any], place: str) -> None:
    try:
        read(table)
    except BadPolicy as error:
        raise ConfigInvalid(f"{place}: {error}", hint="docs/policy.md shows what there is") from None


def _baseline(path: Path) -> list[str]:
    try:
        lines = durable.read_regular(path, _MOST).decode("utf-8", "replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}", hint="mend the file, or remove it") from error
    return [words[0] for line in lines if (words := line.partition("#")[0].split())]


Contents = Callable[[str], tuple[bytes | None, bytes | None]]
"""A file before and after a change."""


def changes(changed: Iterable[str], contents: Contents) -> list[str]:
    """Which changed paths make another policy: the baseline, and files with a `[policy]` that is not what it was."""
    found = []
    for path in changed:
        if path == BASELINE:
            found.append(path)
        elif _OF_POLICY.fullmatch(path):
            before, after = contents(path)
            if _table_in(before) != _table_in(after):
                found.append(path)
    return found


def _table_in(content: bytes | None) -> object:
    try:
        return tomllib.loads((content or b"").decode("utf-8-sig")).get("policy", {})
    except ValueError:
        return content  # nobody knows what it says: any change of it counts


def diff(repository: Repository, old: str, new: str, env: Mapping[str, str] | None = None) -> Diff:
    """What differs between two commits or trees.

    What attributes only call binary is looked into as well: who may write them could hide a file that way.
    """
    found = patches.parse(git.patch(repository, old, new, env))
    opaque = [file for file in found if file.binary and not file.gone]
    if opaque:
        sizes = git.sizes(repository, [f"{new}:{file.path}" for file in opaque], env)
        known = {file.path: size for file, size in zip(opaque, sizes, strict=False)}
        small = [path for path, size in known.items() if size <= _LARGEST or family_of(path) is not None]
        seen = (
            {file.path: file for file in patches.parse(git.patch(repository, old, new, env, paths=small))}
            if small
            else {}
        )
        found = tuple(replace(seen.get(file.path, file), size=known.get(file.path)) for file in found)
    return tuple(_measured(file) for file in found)


def _measured(file: FileDiff) -> FileDiff:
    """A new text has the size of its lines."""
    if file.size is not None or file.status != "A":
        return file
    return replace(file, size=sum(len(line.text.encode("utf-8", "replace")) + 1 for line in file.added))


def reader(
    repository: Repository, tree: str, env: Mapping[str, str] | None = None
) -> Callable[[str], str | None]:
    """Reads files of a tree as text."""

    def text(path: str) -> str | None:
        content = git.show(repository, tree, path, env)
        return None if content is None else content.decode("utf-8", "replace")

    return text
