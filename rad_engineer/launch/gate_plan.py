"""Which gates judge a run, which files they protect, and which commands a user must trust before it starts."""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import durable, gates, git, roles, settings
from rad_engineer.gates import Gate
from rad_engineer.git.repository import Repository
from rad_engineer.launch import models
from rad_engineer.launch.ground import Ground
from rad_engineer.launch.inputs import Inputs
from rad_engineer.launch.run_branch import RunBranch
from rad_engineer.rules import GRANTS, NETWORKS, REGISTRIES, GateRule, Level, Rules
from rad_engineer.sandbox import HOST_NETWORK
from rad_engineer.settings import Settings
from rad_engineer.settings_schema import SETTINGS

if TYPE_CHECKING:
    from rad_engineer.agents.choice import Choice
    from rad_engineer.core.prd import Check
    from rad_engineer.launch.registries import Registry

_NO_HOSTS = (HOST_NETWORK, *REGISTRIES)
_LARGEST = 10_000_000  # bytes of a file that may tell of gates
Files = Callable[[str], bytes | None]


def rules(
    ground: Ground,
    inputs: Inputs,
    wanted: Settings,
    agent: "Choice",
    branch: RunBranch | None,
    name: str,
    level: Level,
) -> Rules:
    """The rules of a new run, confined by that level of sandbox."""
    base = branch.base if branch is not None else None
    files, names = _tree(ground, base)
    project = project_gates(inputs, wanted, files, names)
    return Rules(
        run=name,
        kind="rehearsal" if agent.rehearsal else "real",
        workspace=wanted.workspace,
        **place(ground),
        branch=branch.name if branch is not None else None,
        base=base,
        agent=",".join(agent.agents) or "mock",
        agent_command=agent.command,
        seed=os.urandom(16).hex(),
        model=wanted.model or "",
        priced=_priced(inputs, wanted, agent),
        **reading(ground, wanted),
        agent_settings=_agent_settings(wanted),
        gates=_rules(project),
        wave_gates=_rules(_named(wanted.wave_gates, "wave", files, inputs, "wave_gates")),
        final_gates=_rules(_named(wanted.final_gates, "final", files, inputs, "final_gates")),
        protected=_protected(ground, base, project, inputs, files),
        protect=wanted.protect,
        injection_warn=wanted.injection_warn,
        injection_quarantine=wanted.injection_quarantine,
        dropped=dropped(ground, inputs),
        **walls(wanted, level),
        setup=wanted.setup,
        keep=wanted.keep,
        copy=wanted.copy,
        history=wanted.history,
        attempts=wanted.attempts,
        story_timeout=wanted.story_timeout,
        idle_timeout=wanted.idle_timeout,
        gate_timeout=wanted.gate_timeout,
        grace=min(wanted.grace, 10.0),
        allow_unverified=wanted.allow_unverified,
        allow_missing_tests=wanted.allow_missing_tests,
    )


def _agent_settings(wanted: Settings) -> dict[str, Any]:
    return {
        "effort": wanted.effort,
        "thinking": wanted.thinking,
        "max_turns": wanted.max_turns,
        "max_tokens": wanted.max_tokens,
        "context_tokens": wanted.context_tokens,
    }


def _policy(ground: Ground, wanted: Settings) -> Mapping[str, Any]:
    """What the project says of the policy; nothing is loaded for one that says nothing."""
    if not wanted.policy and not (ground.top / "policy").is_dir():
        return {}
    from rad_engineer.gates import policy  # noqa: PLC0415 - 40 ms that few projects need

    return policy.load(ground.top, wanted.policy)


def _priced(inputs: Inputs, wanted: Settings, agent: "Choice") -> tuple[str, ...]:
    """The models of stories that the gateway would not refuse."""
    asked = {
        story.model for story in inputs.graph.stories if story.model and story.state in ("todo", "human")
    }
    return models.priced(asked, wanted) if asked and not agent.rehearsal else ()


def reading(ground: Ground, wanted: Settings) -> dict[str, Any]:
    """What of the rules says in which roles agents work, and who else reads what they wrote."""
    texts = roles.load(ground.top, ground.home, wanted.roles)
    return {
        "role": "developer" if roles.replaced(texts, "developer") else "",
        "roles": texts,
        "review": wanted.review,
        "reviewer": wanted.reviewer or "",
        "review_model": wanted.review_model or "",
        "review_rounds": wanted.review_rounds,
        "simplify": wanted.simplify,
        "policy": _policy(ground, wanted),
    }


def walls(wanted: Settings, level: Level) -> dict[str, Any]:
    """What of the rules says how commands are confined, and what is open to them all the same."""
    granted = {name: getattr(wanted, name) for name in GRANTS}
    _check_hosts(granted)
    found = {name: registry.to_json() for name, registry in _registries(wanted).items()}
    own = {name: getattr(wanted, name) for name in ("private_network", "credentials")}
    return {"sandbox": level, **granted, **own, "registries": found}


def _registries(wanted: Settings) -> dict[str, "Registry"]:
    """Those that a stage of this run may reach, as the user's clients know them."""
    names = dict.fromkeys(
        each
        for name in NETWORKS
        for each in getattr(wanted, name)
        if each in REGISTRIES and (name != "setup_network" or wanted.setup)
    )
    if not names or wanted.sandbox == "off":
        return {}
    from rad_engineer.launch import registries  # noqa: PLC0415 - only where something is to be fetched

    return {name: registries.find(name, os.environ) for name in names}


def _check_hosts(granted: Mapping[str, tuple[str, ...]]) -> None:
    """Raises ConfigInvalid for a grant that names no host."""
    named = [
        (SETTINGS[name].key, each) for name in NETWORKS for each in granted[name] if each not in _NO_HOSTS
    ]
    if named:
        from rad_engineer.sandbox import hosts  # noqa: PLC0415 - only where somebody grants one

        for key, each in named:
            hosts.rule(each, str(key))


def place(ground: Ground) -> dict[str, Any]:
    """What of the rules says where everything lies: it changes when the repository is moved."""
    return {
        "top": str(ground.top),
        "home": str(ground.home),
        "cache": str(ground.cache),
        "repository": ground.repository.to_json() if ground.repository is not None else None,
    }


def project_gates(inputs: Inputs, wanted: Settings, files: Files, names: Iterable[str]) -> list[Gate]:
    """The gates every story must pass: configured, else the PRDs' own, else what the project's files tell."""
    found = [gates.gate(name, command, "project", files) for name, command in wanted.gates.items()]
    taken = {gate.command for gate in found}
    for prd in inputs.prds:
        for check in prd.gates:
            if check.command not in taken:
                taken.add(check.command)
                found.append(gates.gate(_unique(check.name, found), check.command, "project", files))
    at_top = list(names)
    if not found and wanted.detect_gates:
        found = gates.detect(files, at_top)
    if wanted.detect_gates:
        found += gates.installed_scanners(at_top, [gate.command for gate in found], shutil.which)
    return found


def _unique(name: str, found: Iterable[Gate]) -> str:
    taken, number, plain = {gate.name for gate in found}, 1, name
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    return name


def commands(ground: Ground, inputs: Inputs, wanted: Settings, agent: "Choice") -> list[tuple[str, str]]:
    """Everything that files, and not the command line, want to have run: kind and command."""
    base = git.resolve(ground.repository, wanted.base or "HEAD") if ground.repository is not None else None
    files, names = _tree(ground, base)
    found = [(f"gate {gate.name}", gate.command) for gate in project_gates(inputs, wanted, files, names)]
    found += [
        (f"wave gate {g.name}", g.command)
        for g in _named(wanted.wave_gates, "wave", files, inputs, "wave_gates")
    ]
    found += [
        (f"final gate {g.name}", g.command)
        for g in _named(wanted.final_gates, "final", files, inputs, "final_gates")
    ]
    if wanted.setup:
        found.append(("setup", wanted.setup))
    found += of_the_deployment(wanted)
    if wanted.origins.get("agent_command", "").endswith(".toml"):
        found.append(("agent", agent.command))
    found += [*of_models(wanted), *of_the_sandbox(wanted), *of_registries(wanted)]
    if agent.unmetered:
        from rad_engineer.agents.choice import grants  # noqa: PLC0415 - only where somebody is lent a login

        found += grants(agent, boxed=wanted.sandbox != "off")
    for story in inputs.graph.stories:
        if story.state in ("todo", "human"):  # what waits for a person runs once it is approved
            found += [(f"verify {story.id}", check.command) for check in story.checks]
    return found


def of_the_deployment(wanted: Settings) -> list[tuple[str, str]]:
    """What deploys, and says whether that went well."""
    named = {
        "deploy": wanted.deploy_command,
        "deploy health": wanted.deploy_health,
        "deploy rollback": wanted.deploy_rollback,
    }
    return [(kind, command) for kind, command in named.items() if command and wanted.deploy_command]


def of_models(wanted: Settings) -> list[tuple[str, str]]:
    """Whom a file of the project wants to have asked with the user's key, how much spent, and at which prices."""
    from_file = {name for name, origin in wanted.origins.items() if origin.endswith(".toml")}
    found = []
    if "upstream" in from_file and not str(wanted.upstream).startswith("replay:"):
        found.append(("models", str(wanted.upstream)))
    if "budget" in from_file:
        found.append(("budget", f"{wanted.budget:.2f} USD" if wanted.budget else "none"))
    for model, price in sorted(wanted.prices.items()):
        if f"prices.{model}" in from_file:
            parts = ", ".join(f"{name} {value:g}" for name, value in price.items())
            found.append(("price", f"{model}: {parts} USD for a million tokens"))
    return found


def of_the_sandbox(wanted: Settings) -> Iterator[tuple[str, str]]:
    """What a file of the project wants to have opened of the walls around commands."""
    from_file = {name for name, origin in wanted.origins.items() if origin.endswith(".toml")}
    if "audit" in from_file and wanted.audit == "off":
        yield "audit log", wanted.audit
    for name in ("injection_warn", "injection_quarantine"):
        if name in from_file and getattr(wanted, name) != SETTINGS[name].default:
            yield name.replace("_", "."), str(getattr(wanted, name))
    if "sandbox" in from_file and wanted.sandbox == "off":
        yield "sandbox", wanted.sandbox
    for name in GRANTS:
        if name in from_file:
            yield from ((f"grant {SETTINGS[name].key}", value) for value in getattr(wanted, name))


def of_registries(wanted: Settings) -> Iterator[tuple[str, str]]:
    """Where setup, or whoever it was granted to, may fetch packages."""
    for name, registry in _registries(wanted).items():
        yield f"registry {name}", registry.told


def _named(table: Mapping[str, str], scope: str, files: Files, inputs: Inputs, of_prd: str) -> list[Gate]:
    found = [gates.gate(name, command, scope, files) for name, command in table.items()]
    taken = {gate.command for gate in found}
    checks: list[Check] = [check for prd in inputs.prds for check in getattr(prd, of_prd)]
    for check in checks:
        if check.command not in taken:
            taken.add(check.command)
            found.append(gates.gate(_unique(check.name, found), check.command, scope, files))
    return found


def _rules(found: Iterable[Gate]) -> tuple[GateRule, ...]:
    return tuple(GateRule(gate.name, gate.command, gate.scope, gate.runner) for gate in found)


def _tree(ground: Ground, base: str | None) -> tuple[Files, list[str]]:
    """A reader of the files to be judged, and the names at their top."""
    if ground.repository is not None and base is not None:
        repository = ground.repository
        return (lambda path: git.show(repository, base, path)), list(_names_at(repository, base))
    return (lambda path: _read(ground.top, path)), _names(ground.top)


@lru_cache(maxsize=1)
def _names_at(repository: Repository, base: str) -> tuple[str, ...]:
    """The same commit is asked for what to trust, and for what to run."""
    return tuple(git.top_names(repository, base))


def _names(top: Path) -> list[str]:
    with os.scandir(top) as entries:
        return sorted(entry.name for entry in entries if entry.is_file() or entry.is_dir())


def _read(top: Path, path: str) -> bytes | None:
    try:
        return durable.read_regular(top / path, _LARGEST)
    except OSError:
        return None


class _Paths(Collection[str]):
    """All paths of the start commit, listed when the first one is asked for."""

    def __init__(self, repository: Repository, base: str) -> None:
        self.repository, self.base = repository, base
        self._found: frozenset[str] | None = None

    def _all(self) -> frozenset[str]:
        if self._found is None:
            self._found = frozenset(git.paths(self.repository, self.base))
        return self._found

    def __contains__(self, path: object) -> bool:
        return path in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def _protected(
    ground: Ground, base: str | None, project: Iterable[Gate], inputs: Inputs, files: Files
) -> tuple[str, ...]:
    if ground.repository is None or base is None:
        return ()
    known, found = _Paths(ground.repository, base), {settings.FILE: None}
    for gate in project:
        found.update(dict.fromkeys(gates.scripts(gate.command, known, files)))
    for story in inputs.graph.stories:
        for check in story.checks:
            found.update(dict.fromkeys(gates.scripts(check.command, known, files, scope="story")))
    return tuple(found)


def dropped(ground: Ground, inputs: Inputs) -> tuple[str, ...]:
    """PRDs, progress notes and our own folder, as paths of the repository: agents tick boxes in them."""
    found = {".rad-engineer": None}
    for prd in inputs.prds:
        for path in (Path(prd.path), Path(prd.path).parent / "progress.txt", Path(prd.file).absolute()):
            try:
                found[str(path.relative_to(ground.top))] = None
            except ValueError:
                continue
    return tuple(found)
