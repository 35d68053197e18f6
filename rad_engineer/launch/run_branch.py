"""Where a run lands: one base, one branch, never one that somebody has checked out."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rad_engineer import git
from rad_engineer.core.prd import Prd
from rad_engineer.errors import ConfigInvalid, Refused, UsageError
from rad_engineer.git.repository import Repository

PROTECTED = frozenset({"main", "master", "develop"})


@dataclass(frozen=True, slots=True)
class RunBranch:
    """The run branch, the commit the run is measured from, the tip it goes on from, and what to tell the user."""

    name: str
    base: str
    tip: str
    exists: bool
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user said about the branch."""

    branch: str | None = None
    origin: str = "--branch"
    base: str | None = None
    allow_protected: bool = False


def choose(
    repository: Repository,
    prds: Sequence[Prd],
    outside: Sequence[Prd],
    wish: Wish,
    identities: Collection[str],
) -> RunBranch:
    """Decides branch and base (core rules, section 2); raises UsageError or Refused."""
    notes: list[str] = []
    base = git.resolve(repository, wish.base or "HEAD")
    base = _start_of_needs(repository, base, outside, notes)
    heads = git.refs(repository, "refs/heads/")
    name = _usable(repository, heads, wanted(prds, wish.branch), wish, notes)
    tip = heads.get(f"refs/heads/{name}")
    if tip is None:
        return RunBranch(name, base, base, exists=False, notes=tuple(notes))
    if not git.is_ancestor(repository, base, tip):
        mine = [entry for entry in git.landings(repository, base, tip) if entry.identity in identities]
        if not mine:
            raise Refused(
                f"branch {name} exists and is something else: it neither contains {base[:10]} nor stories of this PRD",
                hint=f"choose another one: --branch {name}-2",
            )
        notes.append(
            f"{name} carries earlier stories of this PRD; HEAD has moved on since, and is not part of it"
        )
    return RunBranch(name, base, tip, exists=True, notes=tuple(notes))


def wanted(prds: Sequence[Prd], flag: str | None) -> str:
    """The branch that flag or PRDs ask for, before looking at the repository."""
    if flag:
        return flag
    named = {prd.branch for prd in prds if prd.branch}
    if len(named) > 1:
        raise UsageError(
            f"the PRDs name different branches: {', '.join(sorted(named))}",
            hint="say where to land: --branch NAME",
        )
    if named:
        return named.pop()
    stems = [prd.name if prd.stem.casefold() in ("prd", "tasks") else prd.stem for prd in prds]
    return "rad/" + _name("-".join(dict.fromkeys(stems)))


def _name(text: str) -> str:
    plain = re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", text))
    return re.sub(r"(\.|\.lock)+$", "", plain.strip("-.")[:60]) or "prd"


def _usable(repository: Repository, heads: Mapping[str, str], name: str, wish: Wish, notes: list[str]) -> str:
    if not git.valid_branch(name):
        if wish.branch:
            error = UsageError if wish.origin.startswith("--") else ConfigInvalid
            raise error(
                f"{wish.origin}: `{name}` cannot be the name of a branch",
                hint="see git help check-ref-format",
            )
        clean = "/".join(_name(part) for part in name.split("/") if part)
        if not git.valid_branch(clean):
            clean = f"rad/{_name(clean)}"
        notes.append(f"the PRD's branch `{name}` cannot be a git branch; using {clean}")
        name = clean
    busy = git.checked_out(repository)
    if f"refs/heads/{name}" in busy:
        free = _free(heads, busy, f"rad/{name}")
        notes.append(
            f"{name} is checked out in {busy[f'refs/heads/{name}']}: the run lands on {free} instead"
        )
        return free
    if name in PROTECTED | {git.default_branch(repository)} and not wish.allow_protected:
        raise Refused(
            f"{name} is a protected branch",
            hint=f"choose another one with --branch rad/{name}, or allow it with --allow-protected-branch",
        )
    return _free(heads, busy, name)


def _free(heads: Mapping[str, str], busy: Mapping[str, object], name: str) -> str:
    """The name itself, or the nearest that can exist beside the refs there are and is not checked out."""
    full = f"refs/heads/{name}"
    folders = {full.rsplit("/", n)[0] for n in range(1, full.count("/") - 1)}
    if folders & heads.keys() or any(ref.startswith(full + "/") for ref in heads):
        name = name.replace("/", "-")
    plain, number = name, 1
    while f"refs/heads/{name}" in busy:
        number += 1
        name = f"{plain}-{number}"
    return name


def _start_of_needs(repository: Repository, base: str, outside: Sequence[Prd], notes: list[str]) -> str:
    """Goes on from the run branch of a needed PRD whose landed stories are not in the base yet."""
    for prd in outside:
        name = wanted([prd], None)
        tip = git.tip(repository, name) if git.valid_branch(name) else None
        if tip is None or git.is_ancestor(repository, tip, base):
            continue
        if not git.landings(repository, base, tip):
            continue
        if not git.is_ancestor(repository, base, tip):
            raise Refused(
                f"{prd.file} has landed on {name}, which is neither in {base[:10]} nor contains it",
                hint=f"git merge {name}",
            )
        notes.append(f"starting from {name}: it holds what {prd.stem} landed")
        base = tip
    return base
