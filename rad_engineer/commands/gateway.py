"""gateway: the gateway alone, for any client that takes a base URL."""

import json
import os
import secrets
import select
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rad_engineer import settings, trust
from rad_engineer.errors import NoAgent
from rad_engineer.gateway import credentials, door, spend
from rad_engineer.gateway.configuration import ANTHROPIC, MICRO, GatewaySettings, configured
from rad_engineer.launch import gate_plan, ground, models
from rad_engineer.signals import Stop

_ALARMING = ("failed", "hung", "unwritable", "unrecorded")
_LOOK_MS = 1000  # that a gateway hangs is seen by looking


def gateway(*, port: int, idle: float, verbose: bool, flags: Mapping[str, object]) -> int:
    """Prints what a client needs, then serves until a signal comes; at the end it says what was spent."""
    key = credentials.find(credentials.take(), os.environ)
    place = ground.look(os.environ)
    found = models.with_folders(settings.with_flags(place.settings, flags), place.top)
    trust.require(place.id, gate_plan.of_models(found), yes=found.yes, stdin=sys.stdin, stderr=sys.stderr)
    models.check_models(found, ["fallback_model"])
    told = configured(found, port=port, idle_seconds=idle, cache_folder=str(place.cache / "answers"))
    told = replace(
        told, tenant=f"local {told.upstream}"
    )  # cached answers are those of one upstream, and of no run
    if key is None and told.upstream == ANTHROPIC and not told.offline:
        raise NoAgent(
            "there is no key for the upstream", hint="set ANTHROPIC_API_KEY, or: rad-engineer login"
        )
    credentials.harden()
    with tempfile.TemporaryDirectory(prefix="rad-gateway-") as folder, Stop() as stop:
        opened = door.open(told, Path(folder), secrets.token_bytes(32), key)
        try:
            print("\n".join(_introduction(opened, told, key)), flush=True)
            _serve(opened, stop, verbose=verbose)
        finally:
            opened.close()
            _tell(opened.poll(), verbose=verbose)
        print(_summary(spend.read(Path(folder) / "spend.jsonl").get("", spend.Spent())), file=sys.stderr)
    return 0


def _introduction(opened: door.Door, told: GatewaySettings, key: credentials.Credentials | None) -> list[str]:
    url, token = opened.session("", 0)
    cap = "none" if told.run_micro_usd is None else f"{told.run_micro_usd / MICRO:.2f} USD"
    return [
        f"# upstream {told.upstream}, key from {key.source if key else 'nowhere: none is sent'}, budget {cap}",
        f"export ANTHROPIC_BASE_URL={url}",
        f"export ANTHROPIC_AUTH_TOKEN={token}",
        "export NO_PROXY=127.0.0.1,localhost,::1",
    ]


def _serve(opened: door.Door, stop: Stop, *, verbose: bool) -> None:
    poller = select.poll()
    poller.register(opened.fileno(), select.POLLIN)
    poller.register(stop.fileno(), select.POLLIN)
    while not stop.received:
        poller.poll(_LOOK_MS)
        _tell(opened.poll(), verbose=verbose)


def _tell(events: Sequence[Mapping[str, Any]], *, verbose: bool) -> None:
    for event in events:
        if verbose:
            print(json.dumps(event), file=sys.stderr, flush=True)
        elif event["event"] in _ALARMING:
            print(f"{event['event']}: {event['why']}", file=sys.stderr, flush=True)


def _summary(spent: spend.Spent) -> str:
    unsure = (
        f"; {spent.uncertain_micro_usd / MICRO:.6f} USD of that are estimates, for {spent.uncertain_calls} calls whose"
        " end was not seen"
    )
    total = f"{spent.calls} calls, {spent.tokens} tokens, {spent.micro_usd / MICRO:.6f} USD"
    return total + unsure if spent.uncertain_calls else total
