"""New projects: their files appear all at once, in a folder that held nothing, with a first commit."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import durable
from rad_engineer.errors import UsageError
from rad_engineer.git import beginning
from rad_engineer.projects import names, templates

_HOLDER = "the authors of {name}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    name: str
    template: templates.Template
    licence: str
    git: bool
    parent: Path


@dataclass(frozen=True, slots=True)
class Made:
    """What has come of it."""

    target: Path
    files: tuple[str, ...]
    first: beginning.First | None


def place(name: str, parent: Path) -> Path:
    """Where the project will lie; UsageError where something lies there, or where nothing can."""
    names.package(name)
    if not parent.is_dir():
        raise UsageError(f"there is no folder {parent}", hint="make it first, or name another with --into")
    target = parent.resolve() / name
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(
            f"{target} is there already", hint="nothing is overwritten: choose another --name or --into"
        )
    return target


def create(wish: Wish, year: int) -> Made:
    """Makes the project; what goes wrong leaves nothing behind."""
    target = place(wish.name, wish.parent)
    author = beginning.author(wish.parent) if wish.git else None
    holder = author.name if author is not None and author.configured else _HOLDER.format(name=wish.name)
    facts = templates.Facts(wish.name, names.package(wish.name), wish.licence, holder, year)
    files = templates.render(wish.template, facts)
    with durable.writing(target, of_run=False), ExitStack() as until_end:
        staging = Path(
            until_end.enter_context(tempfile.TemporaryDirectory(prefix=".rad-engineer-", dir=target.parent))
        )
        whole = staging / wish.name
        _write(whole, files)
        first = None if author is None else beginning.begin(whole, author, _message(wish))
        try:
            os.rename(whole, target)  # noqa: PTH104 - never onto a folder that somebody has meanwhile put something into
        except OSError as error:
            raise UsageError(
                f"{target}: {error.strerror}", hint="nothing was made; choose another --name"
            ) from None
    return Made(target, tuple(files), first)


def _message(wish: Wish) -> str:
    return f"Begin {wish.name} from the {wish.template.language} {wish.template.name} template"


def _write(top: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write(text)
