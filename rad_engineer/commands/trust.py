"""trust: lets the commands that PRDs and configuration bring along run from now on, lists them, forgets them."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rad_engineer import gates, git, inputs, settings
from rad_engineer import trust as book
from rad_engineer.core.printable import several
from rad_engineer.errors import UsageError


def trust(*, prds: Sequence[str], flags: Mapping[str, object], listing: bool, revoke: bool, yes: bool) -> int:
    """Trusts what these PRDs would run; or lists or forgets what is trusted in this repository."""
    if listing and revoke:
        raise UsageError("--list and --revoke exclude each other")
    repository = git.discover(Path.cwd())
    if revoke:
        print(f"forgot {several(book.revoke(repository.id), 'list')} of commands")
    elif listing:
        _list(repository.id)
    else:
        commands = _commands(repository, prds, flags)
        if not commands:
            print("there are no commands to trust")
        else:
            book.ask(commands, yes=yes, stdin=sys.stdin, stderr=sys.stderr)
            book.remember(repository.id, commands)
            print(f"trusted {several(len(commands), 'command')}")
    return 0


def _list(repo_id: str) -> None:
    entries = book.trusted(repo_id)
    if not entries:
        print("nothing is trusted in this repository")
    for entry in entries:
        print(f"{entry.fingerprint[:12]}  {time.strftime('%Y-%m-%d %H:%M', time.localtime(entry.at))}")
        print("\n".join(book.shown(entry.commands)))


def _commands(
    repository: git.Repository, prds: Sequence[str], flags: Mapping[str, object]
) -> list[tuple[str, str]]:
    found = settings.load(repository.top, flags, os.environ)
    reading = inputs.Reading(
        repository.top, found.stories_path, found.tag, parallel=True, allow_dangling=True
    )
    loaded = inputs.read(prds, reading).prds if prds else ()
    names = git.run(repository, "ls-tree", "--name-only", "-z", "HEAD").decode("utf-8", "surrogateescape")
    detected = gates.detect(lambda name: git.show(repository, "HEAD", name), names.split("\0")[:-1])
    return book.gather(found, loaded, [(gate.name, gate.command) for gate in detected])
