"""Where a stranger's commands run: a box with the slot in it and next to nothing else.

    box = open_box(level, place, grants)
    box.run(argv, cwd=…, env=…) -> process.Completed

One box for each stage: agents' tools, command agents, setup and gates all use it. `choose` finds out which level
works on this machine; there is no fallback that nobody is told of.
"""

from collections.abc import Mapping
from pathlib import Path

from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox.ownership import admit, hand_over, owner
from rad_engineer.sandbox.seam import (
    HOME,
    HOST_NETWORK,
    LEVELS,
    Box,
    Chosen,
    Grants,
    Lasting,
    Level,
    Listener,
    Mount,
    Place,
    Wanted,
)

__all__ = [
    "HOME",
    "HOST_NETWORK",
    "LEVELS",
    "Box",
    "Chosen",
    "Grants",
    "Lasting",
    "Level",
    "Listener",
    "Mount",
    "Place",
    "Wanted",
    "admit",
    "choose",
    "environment",
    "hand_over",
    "open_box",
    "owner",
    "program",
    "shown",
]

_KEPT = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TERM", "COLUMNS", "LINES", "COLORTERM", "NO_COLOR", "CI", "SHELL",
     "SOURCE_DATE_EPOCH"}
)  # fmt: skip

_TRIED: tuple[Level, ...] = ("bubblewrap", "landlock")
_LACKS: dict[Level, str] = {
    "landlock": "weaker: names and sizes of files, and names of processes, can be asked for; modes of your own files can be "
    "changed; gates can change what setup made; no own servers, ptys or /dev/shm"
}
_HINT = (
    "install bubblewrap (e.g. `sudo apt-get install bubblewrap`) where user namespaces are allowed; "
    "`--sandbox off` runs without, with all your rights"
)


def open_box(level: Level, place: Place, grants: Grants = Grants()) -> Box:  # noqa: B008 -- frozen
    """A box for one stage; starting it may go on until its first command. Not from a thread of a pool."""
    if level == "off":
        from rad_engineer.sandbox.off import Unconfined  # noqa: PLC0415 -- each run needs one of them

        return Unconfined(place)
    if level == "bubblewrap":
        from rad_engineer.sandbox.bubblewrap import Bubblewrap  # noqa: PLC0415 -- the same

        return Bubblewrap(place, grants)
    from rad_engineer.sandbox.landlock import Landlock  # noqa: PLC0415 -- the same

    return Landlock(place, grants)


def choose(wanted: Wanted) -> Chosen:
    """The level asked for, or the strongest that passes its self-test; ConfigInvalid when it does not work here."""
    if wanted == "off":
        return Chosen("off", "sandbox: off, commands run with all your rights")
    from rad_engineer.sandbox.self_test import why_not  # noqa: PLC0415 -- only where it is not off

    tried: tuple[Level, ...] = _TRIED if wanted == "auto" else (wanted,)
    reasons: list[str] = []
    for level in tried:
        reason = why_not(level)
        if not reason:
            told = "; ".join([*reasons, *filter(None, [_LACKS.get(level)])])
            return Chosen(level, f"sandbox: {level}{f' ({told})' if told else ''}")
        reasons.append(f"{level}: {reason}")
    raise ConfigInvalid(f"no sandbox works here: {'; '.join(reasons)}", hint=_HINT)


def shown(path: Path, env: Mapping[str, str]) -> bool:
    """Whether every box shows what is at this path, under the same name: it is part of the system or of a toolchain."""
    from rad_engineer.sandbox import toolchains  # noqa: PLC0415 -- only where there are boxes

    folders = (mount.inner for mount in toolchains.resolve(env).mounts)
    return toolchains.in_system(str(path)) or any(path.is_relative_to(folder) for folder in folders)


def program(path: str, env: Mapping[str, str]) -> tuple[str, tuple[Mount, ...]]:
    """How a program of the host is called in a box that shows it, and what a box has to be given for that."""
    from rad_engineer.sandbox import programs  # noqa: PLC0415 -- only where there are boxes

    return programs.visible(path, env)


def environment(user: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Variables for a command in a box: the few of the user's that are harmless, and ours. The box adds HOME."""
    kept = {name: value for name, value in user.items() if name in _KEPT or name.startswith("LC_")}
    return {**kept, **extra}
