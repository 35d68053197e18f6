"""Boxes that lack one defence each: the arguments that they would have had, without it."""

import os
from collections.abc import Callable
from pathlib import Path

from rad_engineer.sandbox import Box, Grants, Level, Mount, Place, confined, open_box
from rad_engineer.sandbox import bubblewrap as real
from rad_engineer.sandbox.profile import HOST_NETWORK, Argument
from tests.escapes.world import World

INNER = "/src/demo"
Arguments = list[Argument]


class Weakened(real.Bubblewrap):
    """A real box but for its arguments, or for what the program inside does not give up."""

    def __init__(self, place: Place, grants: Grants, without: str) -> None:
        self._without = without
        super().__init__(place, grants)

    def _arguments(self) -> Arguments:
        return ARGUMENTS.get(self._without, lambda given: given)(super()._arguments())

    def _executor(self) -> bytes:
        if self._without not in EXECUTOR:
            return super()._executor()
        source = Path(real.__file__).with_name("executor.py").read_text()
        had, has = EXECUTOR[self._without]
        assert had in source
        return confined.compiled(source.replace(had, has).encode())


def _less(*options: tuple[str, int]) -> Callable[[Arguments], Arguments]:
    """Without these options and so many words after each."""

    def changed(given: Arguments) -> Arguments:
        found, count, known = [], 0, dict(options)
        taken = set()
        for word in given:
            if count:
                count -= 1
            elif isinstance(word, str) and word in known:
                count = known[word]
                taken.add(word)
            else:
                found.append(word)
        assert taken == set(known)
        return found

    return changed


def _shows_processes(given: Arguments) -> Arguments:
    """/proc is the one outside, for no other may be mounted."""
    left = _less(("--unshare-pid", 0), ("--as-pid-1", 0))(given)
    at = left.index("--proc")
    return [*left[:at], "--dev-bind", "/proc", *left[at + 1 :]]


def _shows_accounts(given: Arguments) -> Arguments:
    at = given.index("/etc/passwd")
    return [*given[: at - 4], "--ro-bind", "/etc/passwd", "/etc/passwd", *given[at + 1 :]]


ARGUMENTS: dict[str, Callable[[Arguments], Arguments]] = {
    "filter": _less(("--seccomp", 1)),
    "processes": _shows_processes,
    "ipc": _less(("--unshare-ipc", 0)),
    "names": _less(("--unshare-uts", 0), ("--hostname", 1)),
    "accounts": _shows_accounts,
}
SHOWN = {"tmp": "/tmp", "shm": "/dev/shm", "sys": "/sys", "machine": "/etc/machine-id"}
EXECUTOR = {
    "dumpable": ("(_SET_DUMPABLE, 0, 0, 0, 0)", "(_SET_DUMPABLE, 1, 0, 0, 0)"),
    "descriptors": ("os.closerange", "max"),
}
"""What the program inside has, and what it has instead."""
WITHOUT = (*ARGUMENTS, *SHOWN, *EXECUTOR, "mounts", "network", "read-only", "environment", "input")
"""What can be taken out. The user cannot: without that, root's box does not open."""


def place_in(world: World, without: str = "") -> Place:
    mounts = [Mount(world.folder / "store", "/store", writable=without == "read-only")]
    if without == "mounts":
        mounts.append(Mount(world.folder, str(world.folder), writable=True))
    elif without in SHOWN:
        mounts.append(Mount(Path(SHOWN[without]), SHOWN[without], writable=True))
    made = () if without == "read-only" else ("node_modules",)
    return Place(world.slot, INNER, tuple(mounts), made, world.owner)


def weakened(world: World, without: str) -> Box:
    network = (HOST_NETWORK,) if without == "network" else ()
    return Weakened(place_in(world, without), Grants(network=network), without)


def whole(world: World, level: Level) -> Box:
    return open_box(level, place_in(world))


def environment(world: World) -> dict[str, str]:
    """What a user has in theirs."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(world.home), "API_KEY": world.secrets["key"],
        "SSH_AUTH_SOCK": str(world.folder / "u"),
    }  # fmt: skip
