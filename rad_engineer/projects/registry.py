"""The projects of this user that rad-engineer knows: where they are, and what was found in them.

$XDG_STATE_HOME/rad-engineer/projects.json
{"schema_version": 1, "projects": {PATH: {"name": …, "added": seconds, "languages": [...], "gates": {NAME: COMMAND}}}}
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.errors import NoInput
from rad_engineer.settings import state_home
from rad_engineer.shared_file import SharedFile


@dataclass(frozen=True, slots=True)
class Project:
    """One project."""

    path: Path
    name: str
    added: float
    languages: tuple[str, ...]
    gates: Mapping[str, str]

    @property
    def there(self) -> bool:
        """Whether its folder still exists."""
        return self.path.is_dir()


def file(env: Mapping[str, str]) -> Path:
    """The file that keeps them."""
    return state_home(env) / "projects.json"


def projects(env: Mapping[str, str]) -> list[Project]:
    """All of them, by name."""
    found = [
        Project(Path(path), row["name"], row["added"], tuple(row["languages"]), dict(row["gates"]))
        for path, row in _kept(env).read().items()
    ]
    return sorted(found, key=lambda each: (each.name, each.path))


def add(top: Path, languages: Sequence[str], gates: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Knows this project from now on; one that was known keeps its date."""
    with _kept(env).changed() as rows:
        before = rows.get(str(top), {})
        rows[str(top)] = {
            "name": top.name,
            "added": before.get("added", time.time()),
            "languages": list(languages),
            "gates": dict(gates),
        }


def remove(which: str, here: Path, env: Mapping[str, str]) -> Project:
    """Forgets one, by its path or its name; its files stay. Raises NoInput where there is none, or more than one."""
    known = projects(env)
    path = here / which
    found = [each for each in known if each.path in {path, Path(os.path.normpath(path)), path.resolve()}]
    found = found or [each for each in known if each.name == which]
    if len(found) != 1:
        listed = ", ".join(str(each.path) for each in found)
        problem = f"several projects are called `{which}`: {listed}" if found else f"no project `{which}`"
        raise NoInput(problem, hint="`rad-engineer projects list` shows their paths")
    with _kept(env).changed() as rows:
        rows.pop(str(found[0].path), None)
    return found[0]


def identity(top: Path) -> str:
    """What the caches of a folder that is no repository are filed under."""
    return hashlib.sha256(os.fsencode(top)).hexdigest()[:16]


def _kept(env: Mapping[str, str]) -> SharedFile:
    return SharedFile(file(env), "projects", hint="remove it; `rad-engineer import` adds projects again")
