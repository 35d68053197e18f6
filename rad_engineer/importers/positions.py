"""Where the stories of a JSON document stand in its text: found when asked, in one pass, element by element."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any

from rad_engineer.core.prd import Block

type_Span = tuple[int, int]


class _AllFound(Exception):  # noqa: N818  (no error: it ends the walk early)
    pass


@dataclass(slots=True)
class _Node:
    """A place in the document on the way to stories."""

    children: dict[str | int, "_Node"] = field(default_factory=dict)
    stories: dict[int, int] = field(default_factory=dict)  # element -> story
    itself: int | None = None  # the value is a story


def spans(
    text: str, start: int, blocks: Sequence[Block], *, only: Collection[int] | None = None
) -> dict[int, type_Span]:
    """Begin and end of the stories of `blocks` by their number, or of `only` these."""
    tree, wanted = _tree(blocks, only)
    found: dict[int, type_Span] = {}
    if wanted:
        scan = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).scan_once
        try:
            _walk(text, _skip(text, start), tree, _Search(found, wanted, scan))
        except _AllFound:
            pass
    return found


def _tree(blocks: Sequence[Block], only: Collection[int] | None) -> tuple[_Node, int]:
    tree, wanted, total = _Node(), 0, 0
    for block in blocks:
        node = tree
        for step in block.path:
            node = node.children.setdefault(step, _Node())
        for story, element in enumerate(block.elements, total):
            if only is None or story in only:
                node.stories[element] = story
                wanted += 1
        if not block.elements:
            node.itself = total
            wanted += 1
        total += len(block.elements) or 1
    return tree, wanted


@dataclass(slots=True)
class _Search:
    found: dict[int, type_Span]
    wanted: int
    scan: Callable[[str, int], tuple[Any, int]]

    def take(self, story: int, begin: int, end: int) -> None:
        self.found[story] = (begin, end)
        if len(self.found) == self.wanted:
            raise _AllFound


def _walk(text: str, at: int, node: _Node, search: _Search) -> int:
    """Passes over one value, noting the stories in it; returns where it ends."""
    begin, is_object = at, text[at] == "{"
    if node.itself is not None or text[at] not in "{[":
        end = search.scan(text, at)[1]
        if node.itself is not None:
            search.take(node.itself, begin, end)
        return end
    close = "}" if is_object else "]"
    at, index = _skip(text, at + 1), 0
    while text[at] != close:
        step: str | int = index
        if is_object:
            step, at = scanstring(text, at + 1, False)
            at = _skip(text, _skip(text, at) + 1)
        child = node.children.get(step)
        end = search.scan(text, at)[1] if child is None else _walk(text, at, child, search)
        if index in node.stories:
            search.take(node.stories[index], at, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
        index += 1
    return at + 1


def _skip(text: str, at: int) -> int:
    end: int = WHITESPACE.match(text, at).end()
    return end
