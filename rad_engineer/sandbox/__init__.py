"""Where a stranger's commands run: a box with the slot in it and next to nothing else.

    box = open_box(level, place, grants)
    box.run(argv, cwd=…, env=…) -> process.Completed

One box for each stage: agents' tools, command agents, setup and gates all use it. `choose` finds out which level
works on this machine; there is no fallback that nobody is told of.
"""

from collections.abc import Mapping

from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox.seam import (
    HOME,
    LEVELS,
    Box,
    Chosen,
    Grants,
    Lasting,
    Level,
    Mount,
    Place,
    Wanted,
)

__all__ = [
    "HOME",
    "LEVELS",
    "Box",
    "Chosen",
    "Grants",
    "Lasting",
    "Level",
    "Mount",
    "Place",
    "Wanted",
    "choose",
    "environment",
    "open_box",
]

_KEPT = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "COLORTERM", "NO_COLOR", "CI", "SHELL",
     "SOURCE_DATE_EPOCH"}
)  # fmt: skip


def open_box(level: Level, place: Place, grants: Grants = Grants()) -> Box:  # noqa: ARG001, B008
    """A box for one stage; starting it may go on until its first command. Not from a thread of a pool."""
    if level == "off":
        from rad_engineer.sandbox.off import Unconfined  # noqa: PLC0415 -- each run needs one of them

        return Unconfined(place)
    raise ConfigInvalid(f"there is no sandbox called {level} yet", hint="use --sandbox off")


def choose(wanted: Wanted) -> Chosen:
    """The level asked for, or the strongest that passes its self-test; ConfigInvalid when it does not work here."""
    if wanted == "off":
        return Chosen("off", "sandbox: off, commands run with all your rights")
    raise ConfigInvalid(f"there is no sandbox called {wanted} yet", hint="use --sandbox off")


def environment(user: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Variables for a command in a box: the few of the user's that are harmless, and ours. The box adds HOME."""
    kept = {name: value for name, value in user.items() if name in _KEPT or name.startswith("LC_")}
    return {**kept, **extra}
