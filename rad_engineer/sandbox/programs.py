"""What a program that is installed anywhere brings along into a box: its package, read-only, and never a home folder.

Toolchains show what PATH leads to. Programs of people are often links in there to a package that lies elsewhere, such
as a `node_modules` below the home folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from rad_engineer.sandbox import toolchains
from rad_engineer.sandbox.seam import Mount

_PACKAGES = ("node_modules", ".pnpm")


def visible(path: str, env: Mapping[str, str]) -> tuple[str, tuple[Mount, ...]]:
    """How a program of the host is called in a box, and what has to be bound for it; nothing where it is seen anyway."""
    real = os.path.realpath(path)
    shown = tuple(mount.inner for mount in toolchains.resolve(env).mounts)
    folder = os.path.dirname(path)  # noqa: PTH120 -- strings throughout
    name = path if _is_shown(folder, shown) else real
    if _is_shown(real, shown):
        return name, ()
    top = _package(real, os.path.realpath(env.get("HOME") or "/nonexistent"))
    return name, (Mount(Path(top), top),)


def _is_shown(path: str, shown: tuple[str, ...]) -> bool:
    return toolchains.in_system(path) or any(path == one or path.startswith(f"{one}/") for one in shown)


def _package(real: str, home: str) -> str:
    """The outermost folder of packages that it lies in; else, for a script, what lies beside it; else itself."""
    parts = real.split("/")
    for position, part in enumerate(parts[:-1]):
        top = "/".join(parts[: position + 1])
        if part in _PACKAGES and not toolchains.is_private(top, home):
            return top
    folder = "/".join(parts[:-1])
    return folder if _is_script(real) and not toolchains.is_private(folder, home) else real


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as handle:  # noqa: PTH123 -- a string
            return handle.read(2) == b"#!"
    except OSError:
        return False
