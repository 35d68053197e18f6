"""Which files tools may touch: those below the slot, named relatively; and what stands for the slot in what a model reads."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rad_engineer.agents.anthropic.seam import ToolFailed

ROOT = "$PROJECT_ROOT"
"""What a model sees in place of the slot; a variable of that name holds its true path in the shell."""

_SHOWN = 300  # characters of a name that cannot be used
_LONG = 16  # characters that nothing else in a text begins or ends with


def inside(slot: Path, name: str) -> Path:
    """The true path of a name below the slot; raises ToolFailed where it is absolute or leads out of it."""
    plain = name.removeprefix(ROOT).lstrip("/") or "." if name.startswith(ROOT) else name
    if plain.startswith(("/", "~")) or "\0" in plain or not plain:
        raise ToolFailed(f"{name!r}: give a path relative to the project's root, such as src/app.py")
    top = os.path.realpath(slot)
    found = os.path.realpath(os.path.join(top, plain))  # noqa: PTH118 - realpath wants a string
    if found != top and not found.startswith(top + os.sep):
        raise ToolFailed(f"{name!r} leads out of the project")
    try:
        os.lstat(found)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a folder that nobody may enter
        raise ToolFailed(f"{name[:_SHOWN]}: {error.strerror}") from None
    return Path(found)


def shown(slot: Path, path: Path) -> str:
    """A true path as the model knows it."""
    return os.path.relpath(path, os.path.realpath(slot))


def mask(slot: Path, hidden: Mapping[str, str]) -> Callable[[str], str]:
    """Takes out of a text what is different on another machine or in another run, as far as we know it.

    A path is one as a whole: `/slots/1` is not the beginning of `/slots/10`. A short one, such as `/app`, is not the
    end of `src/app` either.
    """
    stand_ins = {**hidden, str(slot): ROOT, os.path.realpath(slot): ROOT}
    longest_first = sorted(
        (name for name in stand_ins if name.strip("/")), key=lambda name: (-len(name), name)
    )
    if not longest_first:
        return lambda text: text
    found = re.compile("|".join(_as_a_whole(name) for name in longest_first))
    return lambda text: found.sub(lambda match: stand_ins[match[0]], text)


def _as_a_whole(name: str) -> str:
    before = r"(?<![\w.-])" if len(name) < _LONG else ""
    return before + re.escape(name) + r"(?![\w-]|\.\w)"
