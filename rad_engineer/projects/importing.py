"""A project that is there already: looked at, configured, known from now on, and judged once when its commands are trusted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import git, settings
from rad_engineer.errors import NoInput
from rad_engineer.gates import Gate, gate
from rad_engineer.launch import gate_plan, ground, sandboxed
from rad_engineer.projects import configuration, registry
from rad_engineer.projects.detection import Detected, detect
from rad_engineer.projects.proposal import Proposal, propose
from rad_engineer.projects.tree import Tree
from rad_engineer.sandbox import choose


@dataclass(frozen=True, slots=True)
class Imported:
    """What was found in a project, and what would be written into which file."""

    top: Path
    detected: Detected
    aim: configuration.Target
    proposal: Proposal

    @property
    def gates(self) -> dict[str, str]:
        """The gates it would have, by name."""
        return {
            entry.path[1]: str(entry.value)
            for entry in (*self.proposal.added, *(each for each, _ in self.proposal.kept))
            if entry.path[0] in {"gates", "final_gates"}
        }


def look(path: str, here: Path) -> Imported:
    """Reads the project around a folder; nothing is run and nothing is written. Raises NoInput and ConfigInvalid."""
    start = (here / path).resolve()  # a `..` that stays would lead over folders that are none of it
    if not start.is_dir():
        raise NoInput(f"{path}: no such folder", hint="name the folder of a project")
    top = ground.work_tree(start) or start
    found = detect(top)
    aim = configuration.target(top)
    proposal = propose(aim, found)
    configuration.check(top, aim, proposal.after)
    return Imported(top, found, aim, proposal)


def know(imported: Imported, env: Mapping[str, str]) -> None:
    """Registers it."""
    languages = [part.name for part in imported.detected.languages]
    registry.add(imported.top, languages, imported.gates, env)


def place(imported: Imported, env: Mapping[str, str]) -> ground.Ground:
    """The project as a place where commands can be run, with the settings as they would be."""
    top = imported.top
    found = settings.load(top, {}, env, {imported.aim.path: imported.proposal.after})
    repository = None
    if ground.work_tree(top) == top:
        repository = git.discover(top)
    name = repository.id if repository is not None else f"shared-{registry.identity(top)}"
    return ground.Ground(top, top, ground.cache_of(found, env, name), repository, found)


def commands(where: ground.Ground) -> list[tuple[str, str]]:
    """What would be run to judge it, and what that would be given: to be trusted first."""
    wanted = where.settings
    found = [(f"gate {name}", command) for name, command in wanted.gates.items()]
    found += [(f"final gate {name}", command) for name, command in wanted.final_gates.items()]
    if wanted.setup:
        found.append(("setup", wanted.setup))
    return [*found, *gate_plan.of_the_sandbox(wanted), *gate_plan.of_registries(wanted)]


def judge(where: ground.Ground, begins: Callable[[Gate], None]) -> Iterator[sandboxed.Judged]:
    """Runs every gate once, in the sandbox that runs have; each is told of when it begins."""
    level = choose(where.settings.sandbox).level
    yield from sandboxed.judge(where, level, _gates(where), begins)


def _gates(where: ground.Ground) -> Sequence[Gate]:
    tree = Tree(where.top)
    wanted = where.settings
    project = [gate(name, command, "project", tree) for name, command in wanted.gates.items()]
    final = [gate(name, command, "final", tree) for name, command in wanted.final_gates.items()]
    return [*project, *final]
