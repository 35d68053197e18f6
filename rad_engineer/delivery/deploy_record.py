"""What is remembered of a project's deployment: its name, its port, its generations, and what has been done to it.

$XDG_STATE_HOME/rad-engineer/deployments/NAME/
    record.json     ports, images and volumes of the current and the previous generation: what is believed
    history.jsonl   a line for each deployment, rollback and removal
    token           the secret of the service, readable by its owner only
    door/targets    where the door sends connections: follows the record
"""

import hashlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.errors import UsageError
from rad_engineer.settings import state_home

FIRST_PORT = 9090
PORT_INSIDE = 9090
_PORTS_TRIED = 200


@dataclass(frozen=True, slots=True)
class Generation:
    """One start of the service with an image and a volume of its own."""

    number: int
    image: str
    volume: str


@dataclass(frozen=True, slots=True)
class Record:
    """A deployment as it is remembered; nothing in it is read back from the engine."""

    port: int
    door_image: str = ""
    door_version: int = 0
    current: Generation | None = None
    previous: Generation | None = None
    last: int = 0  # the highest number that was ever given, also to candidates that failed
    prometheus_port: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a deployment, and the name that everything of it carries."""

    name: str
    folder: Path
    runs: Path
    lock: Path = field(compare=False)

    @property
    def token(self) -> Path:
        """The file with the secret."""
        return self.folder / "token"

    @property
    def door(self) -> Path:
        """The folder that the door sees."""
        return self.folder / "door"

    @property
    def context(self) -> Path:
        """Where an image is built."""
        return self.folder / "context"


def place(top: Path, home: Path, identity: str, env: Mapping[str, str]) -> Place:
    """The deployment of a project; its name says which project, and is one for engines."""
    slug = re.sub(r"[^a-z0-9]+", "-", top.name.lower()).strip("-")[:24] or "project"
    name = f"rad-{slug}-{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    folder = state_home(env) / "deployments"
    return Place(name, folder / name, home / ".rad-engineer" / "runs", folder / "lock")


def read(where: Place) -> Record | None:
    """What is remembered; None where nothing was ever deployed. Raises StateDamaged."""
    hint = "`rad-engineer deploy local --down --purge` removes the deployment with its record"
    try:
        data = durable.read_sealed(where.folder / "record.json", hint)
    except FileNotFoundError:
        return None
    made: dict[str, Any] = {name: data[name] for name in Record.__slots__}
    for name in ("current", "previous"):
        made[name] = None if made[name] is None else Generation(**made[name])
    return Record(**made)


def write(where: Place, record: Record) -> None:
    """Remembers it, whole and durably."""
    where.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.write_sealed(where.folder / "record.json", asdict(record), mode=0o600)


def with_ports(record: Record | None, port: int | None, prometheus: int | None) -> Record:
    """The record with the ports asked for; else those of before; else the first that is free, chosen once."""
    if record is None:
        record = Record(port or free_port(FIRST_PORT))
    elif port is not None and port != record.port:
        if record.current is not None:
            raise UsageError(
                f"this deployment is published on port {record.port}",
                hint="take it down first: rad-engineer deploy local --down --purge",
            )
        record = replace(record, port=port)
    if prometheus is not None:
        record = replace(record, prometheus_port=prometheus or free_port(record.port + 1))
    return record


def free_port(first: int) -> int:
    """The first port of 127.0.0.1 from here on that nobody listens on."""
    for port in range(first, first + _PORTS_TRIED):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise UsageError(f"no port from {first} on is free", hint="name one with --port")


def token(where: Place) -> Path:
    """The file with the token, made once."""
    where.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not where.token.exists():
        durable.replace(where.token, secrets.token_urlsafe(32).encode() + b"\n", 0o600)
    return where.token


def make_runs(where: Place) -> None:
    """Makes the folder of runs before an engine makes it as root; git does not see it."""
    with durable.writing(where.runs, of_run=False):
        where.runs.mkdir(parents=True, exist_ok=True)
        ignore = where.runs.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")


def aim(where: Place, *numbers: int) -> None:
    """Tells the door where to send connections, best first."""
    where.door.mkdir(parents=True, exist_ok=True, mode=0o755)
    lines = "".join(f"generation-{number}:{PORT_INSIDE}\n" for number in numbers)
    durable.replace(where.door / "targets", lines.encode())


def note(where: Place, what: str, **more: Any) -> None:
    """Adds a line to the history."""
    line = durable.dump(
        {"schema_version": durable.SCHEMA_VERSION, "at": round(time.time(), 3), "what": what, **more}
    )
    with durable.writing(where.folder, of_run=False):
        handle = os.open(
            where.folder / "history.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            durable.write_all(handle, line + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)


def history(where: Place) -> list[dict[str, Any]]:
    """What has been done, oldest first; a line that a crash cut off is passed over."""
    try:
        lines = (where.folder / "history.jsonl").read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
