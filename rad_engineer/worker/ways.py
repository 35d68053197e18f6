"""The ways out of a box: the gateway for whoever asks models, a proxy to hosts that are granted, the whole network."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import sandbox
from rad_engineer.gateway import listeners
from rad_engineer.rules import REGISTRIES
from rad_engineer.sandbox import HOST_NETWORK, Grants, Listener, Mount
from rad_engineer.settings_schema import SETTINGS
from rad_engineer.worker.workplace import Say, Workplace

if TYPE_CHECKING:
    from rad_engineer.sandbox.proxy import Decision

_NONE = Grants()
_UNKNOWN: Mapping[str, Any] = {"hosts": (), "variables": {}, "read": (), "proxy": ""}


@dataclass(frozen=True, slots=True)
class Models:
    """Where an agent that is metered asks models; in a network of its own that is a listener in there."""

    url: str = ""
    token: str = ""
    grants: Grants = _NONE


UNMETERED = Models()


def models_for(place: Workplace, account: Mapping[str, str]) -> Models:
    """What an agent that asks models itself needs for that, with the account of its attempt."""
    if not account:
        return UNMETERED
    url, token = account["url"], account["token"]
    if not place.walled or HOST_NETWORK in place.rules.network:
        return Models(url, token, Grants(gateway=url))
    folder = place.rundir.path / listeners.FOLDER
    listener = Listener(listeners.PORT, functools.partial(listeners.hand_over, folder, token))
    return Models(listeners.base_url(), account["inner_token"], Grants(gateway=url, listeners=(listener,)))


@dataclass(frozen=True, slots=True)
class Asked:
    """Hears for which hosts somebody in a box has asked: all of it goes into the journal."""

    say: Say
    stage: str
    denied: list[str] = field(default_factory=list)
    """Why something was not let through, in words that name the host and the grant."""

    def hear(self, decision: "Decision") -> None:
        """One host, once for each box; called by whoever closes the box."""
        about = {"stage": self.stage, "host": decision.host, "port": decision.port, "why": decision.why}
        self.say({"event": "network_asked", "allowed": not decision.why, **about})
        if decision.why and decision.why not in self.denied:
            self.denied.append(decision.why)

    @property
    def told(self) -> str:
        """What was denied, to be put behind a reason."""
        return "".join(f"; {why}" for why in self.denied[:3])


@contextmanager
def ended_by_a_denial() -> Iterator[tuple[int, Callable[[], None]]]:
    """A descriptor for the limits of a command that cannot do without what it asks for, and what makes it readable.

    Package clients are told no and do not always believe it: npm waits for ever once a dozen requests were refused.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def ring() -> None:
        with suppress(BlockingIOError):
            os.write(writing, b"!")

    try:
        yield reading, ring
    finally:
        os.close(reading)
        os.close(writing)


def with_network(
    place: Workplace,
    grants: Grants,
    name: str,
    hear: "Callable[[Decision], None]",
    more: Sequence[str] = (),
    denied: Callable[[], None] = lambda: None,
) -> Grants:
    """These grants with what the setting of this name says that may be reached, and more; told of denials at once."""
    wanted: Sequence[str] = (*getattr(place.rules, name), *more)
    if HOST_NETWORK in wanted:
        return replace(grants, network=(HOST_NETWORK,))
    if place.rules.sandbox == "landlock":
        named = tuple(each for each in wanted if each not in REGISTRIES)  # those are granted to everybody
        return replace(grants, network=named)  # which refuses them by their names
    if not (wanted and place.walled):
        return grants
    from rad_engineer.sandbox import hosts, proxy  # noqa: PLC0415 -- few boxes have one

    key = SETTINGS[name].key or name
    registries = [place.rules.registries.get(each, _UNKNOWN) for each in wanted if each in REGISTRIES]
    names = [each for each in wanted if each not in REGISTRIES]
    names += [host for registry in registries for host in registry["hosts"]]
    rules = tuple(hosts.rule(each, key) for each in names)
    ways = proxy.Ways(rules, key, private=place.rules.private_network, by=_proxies(place, registries))
    listener = Listener(proxy.PORT, proxy.Proxy(ways, hear, denied=denied).serve)
    variables = {**proxy.variables(), **grants.variables}
    for registry in registries:
        variables |= registry["variables"]
    paths = dict.fromkeys(Path(each) for registry in registries for each in registry["read"])
    shown = tuple(Mount(path, str(path)) for path in paths if not sandbox.shown(path, place.user))
    grants = replace(grants, read=(*grants.read, *shown), variables=variables)
    return replace(grants, listeners=(*grants.listeners, listener))


def _proxies(place: Workplace, registries: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """The user's variables; where they name no proxy, the one that the user's package clients are told of."""
    told = next((registry["proxy"] for registry in registries if registry["proxy"]), "")
    return {"https_proxy": told, **place.user} if told else place.user
