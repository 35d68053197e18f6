"""The values of the seam between whoever runs a stranger's command and what confines it."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, Self

from rad_engineer.process import Completed, Limits
from rad_engineer.process.child import Running

Level = Literal["bubblewrap", "landlock", "off"]
"""How a command is confined, the strongest first."""

Wanted = Literal["auto", "bubblewrap", "landlock", "off"]

LEVELS: tuple[Level, ...] = ("bubblewrap", "landlock", "off")
HOME = "/home/agent"
"""The home folder inside a box that has its own file system."""
HOST_NETWORK = "host"
"""Among the grants of a stage: the network of this machine, all of it."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host, and where it appears inside."""

    host: Path
    inner: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of 127.0.0.1 in a network of its own, which somebody out here serves.

    `serve` is given what listens there, each time that the box has to be made; what it returns ends that service.
    """

    port: int
    serve: Callable[[socket.socket], Callable[[], None]]


@dataclass(frozen=True, slots=True)
class Grants:
    """What a stage may have beyond its slot.

    `network` is "host" or nothing; `gateway` the address, out here, at which models are asked; `listeners` are the
    ways out of a network of its own, of which `variables` tell clients; `home` is a home folder that is kept; `read`
    what else can be read.
    """

    network: tuple[str, ...] = ()
    gateway: str = ""
    home: Path | None = None
    read: tuple[Mount, ...] = ()
    listeners: tuple[Listener, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage works: the slot, what it is called inside, and what else of ours is seen there.

    `read_only` are paths within the slot that setup made: judged code cannot write to them. `owner` is the user and
    group that everything runs as when we are root; the slot has to belong to them. `ending` is a file of ours to which
    the exit status of a command is added by the box itself, should nobody be left to ask for it: for commands whose
    start is told.
    """

    slot: Path
    inner: str
    mounts: tuple[Mount, ...] = ()
    read_only: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None
    ending: Path | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The level that is in force, and a sentence that says so."""

    level: Level
    told: str


class Lasting(Running, Protocol):
    """A program that was started in a box and goes on; `pid` is the one it has on the host."""

    def kill(self) -> None:
        """Ends it, everything below it, and what has detached itself from it."""


class Box(Protocol):
    """What a stage runs its commands in. One command at a time, by one thread; closed when the stage is over."""

    level: Level

    def inside(self, path: Path | str) -> str:
        """What a path of the host is called inside."""

    def outside(self, text: str) -> str:
        """The text without the names of folders that only this machine has."""

    def run(  # noqa: PLR0913 -- as process.run
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Path | bytes | None = None,
        log: Path | None = None,
        limits: Limits = ...,
        cancel: int | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        on_exit: Callable[[int], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
        keep: bool = False,
    ) -> Completed:
        """Runs a command to its end as `process.run` does; unless `keep`, nothing of it is left afterwards."""

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> Lasting:
        """Starts a program that outlives the call; raises OSError when it cannot be started."""

    def ready(self) -> None:
        """Waits until it has been opened; raises BoxFailed where that has failed. Whoever does not ask waits later."""

    def close(self) -> None:
        """Ends everything in the box; when it returns, no process of it is left."""

    def __enter__(self) -> Self:
        """A box is closed by its `with` block."""

    def __exit__(self, *_exception: object) -> None:
        """Closes the box."""
