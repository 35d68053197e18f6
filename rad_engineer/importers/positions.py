"""Where the stories of a JSON document stand in its text: found when asked, in one pass, element by element."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any

from rad_engineer.core.prd import Block

Span = tuple[int, int]


class _AllFoundError(Exception):
    """Ends the walk early."""


class _Node:
    """A place in the document on the way to stories."""

    __slots__ = ("children", "itself", "stories")

    def __init__(self) -> None:
        self.children: dict[str | int, _Node] = {}
        self.stories: dict[int, int] = {}  # element -> story
        self.itself: int | None = None  # the value is a story


def spans(
    text: str, start: int, blocks: Sequence[Block], *, only: Collection[int] | None = None
) -> dict[int, Span]:
    """Begin and end of the stories of `blocks` by their number, or of `only` these."""
    tree, wanted = _tree(blocks, only)
    search = _Search(wanted, _scanner())
    if wanted:
        with suppress(_AllFoundError):
            _walk(text, _skip(text, start), tree, search)
    return search.found


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    decoder = json.JSONDecoder(strict=False, parse_int=str, parse_float=str)
    scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once  # type: ignore[attr-defined]
    return scan


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


class _Search:
    __slots__ = ("found", "scan", "wanted")

    def __init__(self, wanted: int, scan: Callable[[str, int], tuple[Any, int]]) -> None:
        self.found: dict[int, Span] = {}
        self.wanted = wanted
        self.scan = scan

    def take(self, story: int, begin: int, end: int) -> None:
        self.found[story] = (begin, end)
        if len(self.found) == self.wanted:
            raise _AllFoundError


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
