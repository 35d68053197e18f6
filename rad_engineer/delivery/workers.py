"""Who would work: is there an agent for real, and does its program answer."""

from rad_engineer import settings
from rad_engineer.delivery import prerequisites
from rad_engineer.delivery.api import LOGIN
from rad_engineer.delivery.finding import Seen, failed, passed, skipped, warned
from rad_engineer.delivery.scene import Scene
from rad_engineer.errors import RadError

_ADVICE = "see `rad-engineer agents`; set `name` or `command` under [agent] in rad-engineer.toml"


def chosen(scene: Scene) -> Seen:
    """Somebody works for real: no rehearsal, nobody missing, a budget that can be kept."""
    if isinstance(scene.settings, RadError):
        return skipped("the settings cannot be read", because="security.settings")
    if isinstance(scene.key, RadError):
        return skipped("the key is not used as it lies there", because="security.key-storage")
    found = scene.agents
    if isinstance(found, RadError):
        return failed(str(found), LOGIN if _lacks_key(scene) else None, found.hint or _ADVICE)
    choice, _ = found
    if choice.rehearsal:
        asked = settings.resolve_agent(scene.wanted, scene.env)
        if asked.name is not None:
            evidence = f"{asked.name} (from {asked.origin}): `run` would only rehearse"
            return failed(evidence, scene.unset(asked.origin), _ADVICE)
        return failed(
            "nobody is configured: `run` would only rehearse", LOGIN if _lacks_key(scene) else None, _ADVICE
        )
    if choice.warnings:
        return warned(f"{choice.sentence()}; {'; '.join(choice.warnings)}")
    return passed(choice.sentence())


def _lacks_key(scene: Scene) -> bool:
    asked = settings.resolve_agent(scene.wanted, scene.env)
    return scene.key is None and any(name in ("auto", "anthropic") for name in asked.chain)


def program(scene: Scene) -> Seen:
    """The program of an agent that is a command line, found on PATH."""
    if isinstance(scene.agents, RadError):
        return skipped("nobody can work", because="agents.chosen")
    asked = settings.resolve_agent(scene.wanted, scene.env)
    if "command" not in scene.agents[0].agents:
        versions = [f"{name} {version}" for name, version in scene.agents[0].versions]
        return passed(", ".join(versions) or "built in")
    found = prerequisites.agent_of(asked, scene.env)
    return failed(found.detail, advice=found.hint) if found.hint else passed(found.detail)
