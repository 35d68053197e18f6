"""Which agents do the work: what `auto` means here, who of a chain is there, who counts, what stories ask for."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from rad_engineer.agents.adapters import ADAPTERS, account, granted
from rad_engineer.agents.cli_agents import Installed, lacking, probe
from rad_engineer.core.prd import Story
from rad_engineer.errors import NoAgent, Refused, UsageError
from rad_engineer.settings import AgentChoice

OWN_LOOP = "anthropic"
REHEARSAL = "mock"
_MODEL = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,99}")
_ALIASES = {"opus": "claude-opus-5-5", "sonnet": "claude-sonnet-5-5", "haiku": "claude-haiku-5-5"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is asked, in this order. `unmetered` are those of them that nobody counts; nobody at all is a rehearsal."""

    agents: tuple[str, ...]
    command: str
    origin: str
    unmetered: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    priced: tuple[str, ...] = ()  # the models that stories may ask for: the gateway refuses others

    @property
    def rehearsal(self) -> bool:
        """Whether nobody works for real."""
        return self.agents in ((), (REHEARSAL,))

    @property
    def gateway(self) -> bool:
        """Whether somebody asks models through the gateway."""
        return any(name in (OWN_LOOP, *ADAPTERS) and name not in self.unmetered for name in self.agents)

    def sentence(self) -> str:
        """Who works, for the first line of a run."""
        versions = dict(self.versions)
        parts = [
            name
            + (f" ({self.command})" if name == "command" else "")
            + (f" ({versions[name]})" if versions.get(name) else "")
            + (" [unmetered]" if name in self.unmetered else "")
            for name in self.agents
        ]
        return f"{', else '.join(parts)}, from {self.origin}"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a story asks for, as far as it can be had; what cannot is in `told`."""

    agent: str = ""
    model: str = ""
    role: str = ""
    told: tuple[str, ...] = ()


def has_key(env: Mapping[str, str]) -> bool:
    """Whether the gateway has something to ask models with."""
    from rad_engineer.gateway import credentials  # noqa: PLC0415 - not every run asks models

    return any(env.get(name) for name in (credentials.KEY, credentials.TOKEN)) or bool(
        credentials.find({}, env)
    )


def choose(
    wanted: AgentChoice,
    env: Mapping[str, str],
    *,
    key: bool,
    readers: Iterable[str] = (),
    logins: Collection[str] | None = None,
) -> Choice:
    """Who works, of those that the settings name; `key` says whether the gateway can ask models.

    `readers` only review: what they spend is to be counted as well. `logins` are those that may be seen in a box; None
    where there is none. Raises NoAgent where nobody can work.
    """
    if wanted.name is None:
        return Choice((), "", wanted.origin)
    if REHEARSAL in wanted.chain and len(wanted.chain) > 1:
        raise UsageError(
            f"{wanted.origin}: `{REHEARSAL}` only rehearses, and nobody works before or after it",
            hint=f"--agent {REHEARSAL}",
        )
    names = [
        name for asked in wanted.chain for name in (_auto(env, key=key) if asked == "auto" else (asked,))
    ]
    readers = tuple(name for name in readers if name not in names)
    found = {
        name: probe(ADAPTERS[name], env) for name in (*dict.fromkeys(names), *readers) if name in ADAPTERS
    }
    missing = {
        name: why for name in dict.fromkeys(names) if (why := _lacking(name, found, key=key, logins=logins))
    }
    present = tuple(name for name in dict.fromkeys(names) if name not in missing)
    if len(present) > 1:  # where `auto` finds nobody it rehearses: not instead of somebody who works
        present = tuple(name for name in present if name != REHEARSAL)
    if not present:
        raise NoAgent(
            f"no agent can work (from {wanted.origin}): {'; '.join(missing.values())}",
            hint="`rad-engineer agents` shows what is installed; `rad-engineer login` stores a key",
        )
    return Choice(
        present,
        wanted.command,
        wanted.origin,
        tuple(name for name in (*present, *readers) if unmetered(name, key=key)),
        (
            *missing.values(),
            *(why for name in readers if (why := _lacking(name, found, key=key, logins=logins))),
            *(warning for name, one in found.items() if name not in missing for warning in one.warnings),
        ),
        tuple((name, found[name].version) for name in present if name in found),
    )


def _auto(env: Mapping[str, str], *, key: bool) -> tuple[str, ...]:
    if key:
        return (OWN_LOOP,)
    own = (row for row in ADAPTERS.values() if not row.acp)
    return next(((row.name,) for row in own if probe(row, env).path), (REHEARSAL,))


def _lacking(name: str, found: Mapping[str, Installed], *, key: bool, logins: Collection[str] | None) -> str:
    if name == OWN_LOOP and not key:
        return "anthropic: there is no key for it"
    if name in found and not found[name].path:
        return f"{name}: `{ADAPTERS[name].program}` is not installed"
    if logins is not None and (why := ungranted(name, logins, key=key)):
        return why
    return lacking(ADAPTERS[name]) if name in found else ""


def unmetered(name: str, *, key: bool) -> bool:
    """Whether nobody counts what this agent spends: its calls cannot pass the gateway, or it has no key to ask with."""
    return name in ADAPTERS and not (key and ADAPTERS[name].metered)


def ungranted(name: str, logins: Collection[str], *, key: bool) -> str:
    """What to do where an agent works on a login of its own, and that may not be seen in a box; empty where it may."""
    if not unmetered(name, key=key) or granted(name, logins):
        return ""
    login = name.partition(":")[0]
    return (
        f"{name}: agent-unavailable: it needs its own login ({account(ADAPTERS[name])}), which no box shows without "
        f"your leave: --credentials {login}, or RAD_CREDENTIALS={login}"
    )


def keep_budget(choice: Choice, *, budget: bool, allowed: bool) -> None:
    """Raises Refused where a configured budget could not be kept, because nobody counts what an agent spends."""
    if budget and choice.unmetered and not allowed:
        raise Refused(
            f"nobody counts what {', '.join(choice.unmetered)} would spend, so the budget could not be kept",
            hint="choose a metered agent (`rad-engineer agents`), or say --allow-unmetered",
        )


def grants(choice: Choice, *, boxed: bool) -> list[tuple[str, str]]:
    """The logins that agents would be lent, to be trusted like commands: kind, and what it is, with hosts in a box."""
    return [
        (f"login {name}", account(ADAPTERS[name]) + (f"; {', '.join(ADAPTERS[name].hosts)}" if boxed else ""))
        for name in choice.unmetered
    ]


def hint(story: Story, choice: Choice, roles: Collection[str], *, key: bool) -> Hint:
    """What a story's agent and model mean here: a role, an agent that may work, a model that it takes."""
    found = _who(story, choice, roles, key=key)
    if story.model is None:
        return found
    agent = found.agent or next(iter(choice.agents), "")
    model = _model(story.model, agent, choice, key=key)
    if model:
        return replace(found, model=model)
    return replace(
        found, told=(*found.told, f"{story.id}: model `{story.model}` is only told to {agent or 'nobody'}")
    )


def _who(story: Story, choice: Choice, roles: Collection[str], *, key: bool) -> Hint:
    name = (story.agent or "").strip()
    if not name:
        return Hint()
    if name in roles:
        return Hint(role=name)
    if name in choice.agents or (name in (OWN_LOOP, *ADAPTERS) and key and not unmetered(name, key=key)):
        return Hint(agent=name)
    why = "may not work in this run" if name in (OWN_LOOP, *ADAPTERS) else "is not known here"
    return Hint(told=(f"{story.id}: agent `{name}` {why}; it is only told to whoever works",))


def model_id(name: str) -> str:
    """A model as the API calls it."""
    return _ALIASES.get(name.lower(), name)


def _model(wanted: str, agent: str, choice: Choice, *, key: bool) -> str:
    """The model as that agent has to be told it; empty where it takes none, or not this one."""
    if not _MODEL.fullmatch(wanted) or agent in ("", "command", REHEARSAL):
        return ""
    if agent in ADAPTERS and not (ADAPTERS[agent].model or ADAPTERS[agent].acp):
        return ""
    if unmetered(agent, key=key):
        return wanted
    known = model_id(wanted)
    return known if known in choice.priced else ""


def hints(stories: Iterable[Story], choice: Choice, roles: Collection[str], *, key: bool) -> list[str]:
    """What stories ask for and cannot have, a line each."""
    return [line for story in stories for line in hint(story, choice, roles, key=key).told]
