"""trust: lets the commands that PRDs and configuration bring along run from now on, lists them, forgets them."""

import os
import sys
import time
from collections.abc import Mapping, Sequence

from rad_engineer import settings
from rad_engineer import trust as book
from rad_engineer.core.printable import several
from rad_engineer.errors import UsageError
from rad_engineer.launch import gate_plan, ground, inputs, models, records


def trust(*, prds: Sequence[str], flags: Mapping[str, object], listing: bool, revoke: bool, yes: bool) -> int:
    """Trusts what these PRDs would run; or lists or forgets what is trusted in this repository."""
    if listing and revoke:
        raise UsageError("--list and --revoke exclude each other")
    place = ground.find(prds, flags, os.environ)
    if revoke:
        print(f"forgot {several(book.revoke(place.id), 'list')} of commands")
    elif listing:
        _list(place.id)
    else:
        records.require_own(place, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
        commands = _commands(place, prds)
        if not commands:
            print("there are no commands to trust")
        else:
            book.ask(commands, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
            book.remember(place.id, commands)
            print(f"trusted {several(len(commands), 'command')}")
    return 0


def _list(repo_id: str) -> None:
    entries = book.trusted(repo_id)
    if not entries:
        print("nothing is trusted in this repository")
    for entry in entries:
        print(f"{entry.fingerprint[:12]}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(entry.at))}")
        print("\n".join(book.shown(entry.commands)))


def _commands(place: ground.Ground, prds: Sequence[str]) -> list[tuple[str, str]]:
    wanted = place.settings
    root = place.top if place.repository is not None else None
    reading = inputs.Reading(root, wanted.stories_path, wanted.tag, parallel=True, allow_dangling=True)
    agent, _access = models.settle(settings.resolve_agent(wanted, os.environ), wanted, {}, os.environ)
    return gate_plan.commands(place, inputs.read(prds, reading), wanted, agent)
