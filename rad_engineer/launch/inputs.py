"""The PRDs of a run: those that were named, those they depend on, and the graph of their stories."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rad_engineer import importers
from rad_engineer.core import graph as graphs
from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import Prd
from rad_engineer.errors import NoInput, PrdInvalid
from rad_engineer.launch.file_history import last_good


@dataclass(frozen=True, slots=True)
class Reading:
    """How PRD files are read."""

    root: Path | None = None  # links and pointers may not lead out of it
    stories_path: str | None = None
    tag: str | None = None
    parallel: bool = False
    allow_dangling: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run is about. `outside` are PRDs that others depend on, read for what is done in them."""

    prds: tuple[Prd, ...]
    outside: tuple[Prd, ...]
    graph: Graph


def read(files: Sequence[str], reading: Reading) -> Inputs:
    """Loads everything; raises PrdInvalid or NoInput before anything has happened."""
    once = {os.path.realpath(file): file for file in reversed(files)}  # the same file twice is one PRD
    prds = tuple(prd for file in reversed(once.values()) for prd in _load(file, reading))
    outside = tuple(_outside(prds, reading))
    external = {story.id: story.state == "done" for prd in outside for story in prd.stories}
    graph = graphs.build(
        prds,
        parallel=reading.parallel,
        allow_dangling=reading.allow_dangling,
        external=external,
        external_prds=_outside_done(prds, outside),
    )
    return Inputs(prds, outside, graph)


def _load(file: str, reading: Reading) -> list[Prd]:
    try:
        return importers.load(file, stories_path=reading.stories_path, tag=reading.tag, root=reading.root)
    except PrdInvalid as error:
        before = last_good(file)
        if before is not None:
            advice = f"it could last be read here: git show {before}"
            error.hint = f"{error.hint}\n{advice}" if error.hint else advice
        raise


def names(prd: Prd) -> set[str]:
    """What `depends_on` may call a PRD: file name, stem, or its name."""
    return {Path(prd.file).name.casefold(), prd.stem.casefold(), prd.name.casefold(), prd.file.casefold()}


def _outside(prds: Sequence[Prd], reading: Reading) -> list[Prd]:
    known = {name for prd in prds for name in names(prd)}
    found: list[Prd] = []
    for prd in prds:
        for need in prd.needs:
            if need.casefold() in known or Path(need).name.casefold() in known:
                continue
            path = _beside(prd, need)
            if path is None:
                if reading.allow_dangling or not need.casefold().endswith((".json", ".md")):
                    continue  # prose is no file
                raise PrdInvalid(
                    f"{prd.file} depends on the PRD `{need}`, which is not there",
                    code="DANGLING",
                    hint="correct depends_on, or run with --allow-dangling",
                )
            loaded = _load(str(path), reading)
            found.extend(loaded)
            known.update(name for other in loaded for name in names(other))
            known.add(need.casefold())
    return found


def _beside(prd: Prd, need: str) -> Path | None:
    folder = Path(prd.path).parent
    for name in (need, f"{need}.json", f"{need}.md"):
        try:
            if (folder / name).is_file():
                return folder / name
        except (OSError, ValueError):
            return None
    return None


def _outside_done(prds: Sequence[Prd], outside: Sequence[Prd]) -> dict[str, bool]:
    """For every reference to a PRD that is not part of the run: whether all of it is done."""
    found = {}
    for need in {need for prd in prds for need in prd.needs}:
        wanted = {need.casefold(), Path(need).name.casefold()}
        others = [other for other in outside if names(other) & wanted]
        if others:
            found[need] = all(s.state in ("done", "skipped") for other in others for s in other.stories)
    return found


def notes_beside(prd: str) -> Path | None:
    """The progress notes that lie beside a PRD; a link that leads to another folder is not ours to read or to write."""
    path = Path(prd).parent / "progress.txt"
    return path if path.is_file() and path.resolve().is_relative_to(path.parent.resolve()) else None


def find_story(graph: Graph, name: str) -> int:
    """A story by what a user calls it; raises NoInput with what is near."""
    found = graph.find(name)
    if found is None:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a typo

        same = [key for key in graph.keys if key.casefold().endswith(f"/{name.casefold()}")]
        near = same[:3] or get_close_matches(name, graph.keys, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see `rad-engineer plan PRD` for the keys"
        raise NoInput(f"there is no story {name}", hint=hint)
    return found
