"""Foreign plans into a Prd: every JSON dialect, Task Master, Markdown, pointers and manifests."""

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rad_engineer.core.prd import Prd
from rad_engineer.errors import PrdInvalid, RadError
from rad_engineer.importers import json_prd, json_text, manifest, positions, text

_MARKDOWN = re.compile(r"^(?:#{1,6} \S|\s*(?:[-*+]|\d+\.) \[[ xX]\]|```)", re.MULTILINE)
_DEPTH = 4


def load(
    path: str | Path, *, stories_path: str | None = None, tag: str | None = None, root: Path | None = None
) -> list[Prd]:
    """The PRDs a file stands for: itself, what it points to, or all that a manifest lists.

    Raises PrdInvalid (code, line and column where known) and NoInput; a file without stories is no error.
    """
    shown = os.fspath(path)
    with _no_collection():
        return _load(Path(shown), shown, _Reading(root, stories_path, tag, set()))


def parses(data: bytes, file: str) -> bool:
    """Whether a version of a file could be read as a PRD; links and manifests are not followed."""
    try:
        decoded = text.decode(data, shown=file)
        _parse(decoded.text, file, file, stories_path=None, tag=None)
    except RadError:
        return False
    return True


def spans(prd: Prd) -> dict[int, tuple[int, int]]:
    """The place of every story in the text, by its position in the PRD; those who want all of them need no copy."""
    if not prd.blocks:
        return {number: story.span for number, story in enumerate(prd.stories) if story.span}
    return _spans(prd)


def _spans(prd: Prd) -> dict[int, tuple[int, int]]:
    tolerant = any(finding.code in json_text.BLANKED for finding in prd.findings)
    content = json_text.masked(prd.text, prd.start) if tolerant else prd.text
    return positions.spans(content, prd.start, prd.blocks)


class _Reading(NamedTuple):
    """How one `load` reads, and the files it has read: a manifest that leads to a file again adds nothing."""

    root: Path | None
    stories_path: str | None
    tag: str | None
    seen: set[Path]


def _load(path: Path, shown: str, reading: _Reading, above: tuple[Path, ...] = ()) -> list[Prd]:
    real, decoded = text.resolve(path, root=reading.root, shown=shown)
    if real in above:
        raise PrdInvalid(
            f"{shown}: PRDs list each other in a circle", code="POINTER", hint="name the PRDs themselves"
        )
    if real in reading.seen:
        return []
    reading.seen.add(real)
    parsed = _parse(decoded.text, shown, str(real), stories_path=reading.stories_path, tag=reading.tag)
    if isinstance(parsed, Prd):
        return [
            replace(parsed, findings=(*decoded.findings, *parsed.findings)) if decoded.findings else parsed
        ]
    if len(above) >= _DEPTH:
        raise PrdInvalid(
            f"{shown}: lists of PRDs that list PRDs, {_DEPTH} deep",
            code="POINTER",
            hint="name the PRDs themselves",
        )
    prds: list[Prd] = []
    for child in parsed:
        child_path = text.inside(real, child.file, root=reading.root or path.parent, shown=shown)
        child_shown = str(Path(shown).parent / child.file)
        loaded = _load(child_path, child_shown, reading, (*above, real))
        prds += [replace(prd, needs=tuple(dict.fromkeys((*prd.needs, *child.needs)))) for prd in loaded]
    return prds


def _parse(
    content: str, shown: str, path: str, *, stories_path: str | None, tag: str | None
) -> Prd | list[manifest.Child]:
    """A Prd, or the children of a manifest."""
    if not content.strip():
        raise PrdInvalid(
            f"{shown}: the file is empty",
            code="EMPTY",
            line=1,
            column=1,
            hint="restore it, or write a PRD into it",
        )
    if _is_markdown(content, shown):
        from rad_engineer.importers.markdown import load_markdown  # noqa: PLC0415  (loads a parser)

        return load_markdown(content, shown, path)
    parsed = json_text.parse(content, shown)
    if stories_path is None and (children := manifest.children(parsed.value)):
        return children
    return json_prd.from_parsed(parsed, content, shown, path, stories_path=stories_path, tag=tag)


def _is_markdown(content: str, shown: str) -> bool:
    if shown.lower().endswith((".md", ".markdown", ".mdx")):
        return True
    if re.match(r"\s*(?:[\[{]|```)", content):
        return bool(re.match(r"\s*\[[ xX]\] ", content))
    return bool(_MARKDOWN.search(content))


@contextmanager
def _no_collection() -> Iterator[None]:
    """A parse makes a hundred thousand objects that all live: collecting garbage meanwhile doubles its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
