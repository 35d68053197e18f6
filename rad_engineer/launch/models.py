"""Who works in a run, and how they ask models: through a gateway that the run starts, where there is a way to pay."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import settings, store
from rad_engineer.errors import ConfigInvalid
from rad_engineer.gateway import listeners
from rad_engineer.ledger import Ledger
from rad_engineer.settings import AgentChoice, Settings
from rad_engineer.spending import MICRO

if TYPE_CHECKING:
    from rad_engineer.agents.choice import Choice
    from rad_engineer.gateway.credentials import Credentials
    from rad_engineer.gateway.door import Door
    from rad_engineer.launch.ground import Ground

FOLDER = listeners.FOLDER
REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class Access:
    """How models are reached: the credentials, if any, and what was set about it."""

    key: "Credentials | None"
    wanted: Settings

    @property
    def told(self) -> str:
        """For the screen: from where the key is, and how much may be spent."""
        if (self.wanted.upstream or "").startswith(REPLAY):
            return f"models: recorded exchanges in {str(self.wanted.upstream).removeprefix(REPLAY)}, nothing is spent"
        from rad_engineer.gateway.configuration import MICRO, configured  # noqa: PLC0415 - only with models

        cap = configured(self.wanted).run_micro_usd
        source = f"key from {self.key.source}" if self.key is not None else "no key"
        where = f" at {self.wanted.upstream}" if self.wanted.upstream else ""
        budget = "no budget" if cap is None else f"at most {cap / MICRO:.2f} USD"
        default = " (the default; --budget changes it)" if self.wanted.budget is None else ""
        return f"models: through the gateway{where}, {source}, {budget}{default}"


def settle(
    asked: AgentChoice, wanted: Settings, taken: Mapping[str, Any], env: Mapping[str, str]
) -> tuple["Choice", Access | None]:
    """Who works, and how models are reached. `taken` are the secrets that were in the environment.

    Raises NoAgent where nobody can work, Refused where a budget could not be kept, ConfigInvalid for a model without a
    price.
    """
    from rad_engineer.agents import choice  # noqa: PLC0415 - after what can refuse cheaply

    if wanted.origins.get("credentials") in (settings.FILE, settings.PYPROJECT):
        raise ConfigInvalid(
            f"{wanted.origins['credentials']}: grants.credentials: your logins are not a project's to grant",
            hint="say it yourself: --credentials AGENT, or RAD_CREDENTIALS",
        )
    asks = any(name not in ("command", "mock") for name in asked.chain)
    key = _key(taken, env) if asks or taken else None
    reachable = key is not None or wanted.upstream is not None
    readers = wanted.reviewer.split(",") if wanted.review and wanted.reviewer else ()
    logins = wanted.credentials if wanted.sandbox != "off" else None
    chosen = choice.choose(asked, env, key=reachable, readers=readers, logins=logins)
    choice.keep_budget(chosen, budget=_capped(wanted), allowed=wanted.allow_unmetered)
    passes = chosen.gateway or ("command" in chosen.agents and reachable)
    if not passes or chosen.rehearsal:
        return chosen, None
    reads = choice.OWN_LOOP in (readers or chosen.agents)
    named = {"model": choice.OWN_LOOP in chosen.agents, "review_model": wanted.review and reads}
    check_models(wanted, ["fallback_model", *(name for name, asked in named.items() if asked)])
    return chosen, Access(key, wanted)


def _key(taken: Mapping[str, Any], env: Mapping[str, str]) -> "Credentials | None":
    from rad_engineer.gateway import credentials  # noqa: PLC0415 - a run of any other command needs none

    return credentials.find(taken, env)


def _capped(wanted: Settings) -> bool:
    """Whether the user has set a budget; the default cap is for those who are counted."""
    return any((wanted.budget, wanted.story_budget, wanted.token_budget, wanted.story_token_budget))


def priced(names: Iterable[str], wanted: Settings) -> tuple[str, ...]:
    """Those of these models, as the API calls them, that have a price: calls to others are refused."""
    from rad_engineer.agents import choice  # noqa: PLC0415 - only where somebody has named a model
    from rad_engineer.gateway import priced as asked  # noqa: PLC0415

    return tuple(sorted(asked.known(map(choice.model_id, names), wanted.prices)))


def check_models(wanted: Settings, names: Iterable[str]) -> None:
    """Raises ConfigInvalid for the setting among these that names a model without a price."""
    from rad_engineer.agents import choice  # noqa: PLC0415 - only where somebody has named a model

    models = {name: getattr(wanted, name) for name in names if getattr(wanted, name)}
    if not models or wanted.offline or (wanted.upstream or "").startswith(REPLAY):
        return
    from rad_engineer.gateway import priced  # noqa: PLC0415

    models |= {name: choice.model_id(model) for name, model in models.items() if name != "fallback_model"}
    known = priced.known(models.values(), wanted.prices)
    for name, model in models.items():
        if model not in known:
            from rad_engineer.gateway.prices import GIVE_PRICE, UNPRICED  # noqa: PLC0415 - nothing else follows

            raise ConfigInvalid(
                f"{wanted.origins[name]}: {UNPRICED.format(model)}", hint=GIVE_PRICE.format(model)
            )


def open_door(access: Access, rundir: store.RunDir, place: "Ground", traced: Mapping[str, str]) -> "Door":
    """Starts the gateway of a run."""
    from rad_engineer.gateway import configuration, credentials, door  # noqa: PLC0415 - only with models

    wanted = with_folders(access.wanted, place.top)
    told = configuration.configured(
        wanted, tenant=rundir.run, cache_folder=str(place.cache / "answers"), traced=traced
    )
    opened = door.open(told, rundir.path / FOLDER, secrets.token_bytes(32), access.key)
    credentials.harden()  # nothing is forked from here any more that would have to be looked into
    return opened


def with_folders(wanted: Settings, top: Path) -> Settings:
    """Folders that a file of settings names lie in its project, those of a command line where it was given."""

    def whole(name: str, folder: str) -> str:
        base = top if wanted.origins.get(name, "").endswith(".toml") else Path.cwd()
        return str(base / folder)

    if wanted.record:
        wanted = replace(wanted, record=whole("record", wanted.record))
    if (wanted.upstream or "").startswith(REPLAY):
        folder = str(wanted.upstream).removeprefix(REPLAY)
        wanted = replace(wanted, upstream=REPLAY + whole("upstream", folder))
    return wanted


def reconcile(ledger: Ledger, folder: Path) -> None:
    """Writes down what the gateway has settled and nobody had heard of when the run was killed."""
    from rad_engineer.gateway import spend  # noqa: PLC0415 - only with models

    graph, path = ledger.graph, folder / FOLDER / "spend.jsonl"
    spend.settle_orphans(path)
    for identity, spent in spend.read(path).items():
        index = graph.by_identity.get(identity)
        if index is None:
            continue
        record = ledger.checkpoint.record(identity, graph.keys[index])
        money = spent.micro_usd - round(record.metered_usd * MICRO)
        tokens = spent.tokens - record.metered_tokens
        if money or tokens:
            ledger.record("story_spent", index, cost_usd=money / MICRO, tokens=tokens, recovered=True)
