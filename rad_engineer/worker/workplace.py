"""Where a worker works: the rules of the run, its directory, the repository and the pool of working copies."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import process, sandbox, store
from rad_engineer.rules import Rules
from rad_engineer.worker.ahead import Ahead

if TYPE_CHECKING:
    from rad_engineer.git.repository import Repository
    from rad_engineer.slots.pool import Pool

Say = Callable[[dict[str, Any]], None]
"""Sends an event of the running job to the coordinator."""

OBJECTS = "/rad/objects"
"""Where a box shows the objects of the run."""

_PYTHON_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")
_SECRET_ENDINGS = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_ACCESS_KEY")


@dataclass(frozen=True)
class Workplace:
    """One run as a worker sees it. Opened once and kept between jobs."""

    rundir: store.RunDir
    rules: Rules
    environment: Mapping[str, str] = field(default_factory=dict)  # of every command
    user: Mapping[str, str] = field(default_factory=dict)  # of the user, credentials and all

    @classmethod
    def open(cls, path: Path) -> "Workplace":
        """Reads the rules from the run directory."""
        rundir = store.RunDir(path)
        rules = Rules.from_json(rundir.read_run()["rules"])
        user = child_environment(rules.run)
        return cls(rundir, rules, user if rules.sandbox == "off" else _scrubbed(user, rules), user)

    @cached_property
    def repository(self) -> "Repository":
        """The user's repository; only in runs with slots."""
        from rad_engineer.git.repository import Repository  # noqa: PLC0415 - shared workspaces have none

        if self.rules.repository is None:
            raise AssertionError("a shared workspace has no repository")
        return Repository.from_json(self.rules.repository)

    @cached_property
    def pool(self) -> "Pool":
        """The slots and gate copies of the run."""
        from rad_engineer.slots.pool import Pool  # noqa: PLC0415 - shared workspaces have none

        rules = self.rules
        return Pool(self.repository, Path(rules.cache), rules.run, history=rules.history, copy=rules.copy,
                    owner=self.owner_of, objects_at=OBJECTS if self.walled else "")  # fmt: skip

    @cached_property
    def ahead(self) -> Ahead:
        """The boxes that this worker has opened before their stages come; closed with each job."""
        return Ahead()

    @property
    def walled(self) -> bool:
        """Whether commands see a file system of their own, in which ours has other names."""
        return self.rules.sandbox == "bubblewrap"

    @property
    def confined(self) -> bool:
        """Whether commands see and may do less than the user."""
        return self.rules.sandbox != "off"

    def owner_of(self, copy: Path) -> tuple[int, int] | None:
        """As whom commands run in a copy where root runs us, and to whom it belongs: nobody has another one's."""
        if self.rules.sandbox == "off":
            return None
        number = int(copy.name) if copy.name.isdecimal() else 0
        return sandbox.owner(2 * number + (copy.parent.name == "gates"))


def _scrubbed(user: Mapping[str, str], rules: Rules) -> dict[str, str]:
    """What a box shows of the user's environment: what says nothing, and what was granted."""
    granted = {name: user[name] for name in rules.variables if name in user}
    return sandbox.environment(user, {process.MARK: rules.run, **granted})


def child_environment(run: str) -> dict[str, str]:
    """The environment of agents: the user's, without what belongs to a git hook or to ourselves."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "RAD_")) and "\0" not in v}
    env.setdefault("HOME", "/")
    return {**env, "RAD_RUN_MARK": run}


def gate_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of gates and setup commands: they judge, so they get no credentials.

    A search path with `.` in it would find programs in the tree that is judged.
    """
    kept = {name: value for name, value in env.items() if not name.upper().endswith(_SECRET_ENDINGS)}
    return {**kept, "PATH": process.absolute_path(env.get("PATH", os.defpath))}


def judging_environment(place: Workplace, copy: Path) -> dict[str, str]:
    """The environment of a gate in a copy: without a setup the modules of that copy come before installed ones.

    People work with an editable install: the Python that they have activated would take the modules of their
    checkout, and judge those. A setup command makes its own installation, which may have more than the sources.
    """
    env = gate_environment(place.environment)
    if place.rules.setup or not any((copy / mark).is_file() for mark in _PYTHON_PROJECT):
        return env
    paths = [str(folder) for folder in (copy / "src", copy) if folder.is_dir()]
    return {**env, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [env.get("PYTHONPATH")])])}
