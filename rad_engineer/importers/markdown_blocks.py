"""The blocks of a Markdown text with their places in it: headings, list items, paragraphs, fences and tables.

Only block structure is parsed (inline text stays as written), so a plan of thousands of lines costs
milliseconds, and every offset counts characters of the text as it was given, whatever its line ends.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LINE_END = re.compile(r"\r\n?|\n")
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*(?:\r\n?|\n)(.*?)(?:\r\n?|\n)---[ \t]*(?=[\r\n]|\Z)", re.DOTALL)
_BOX = re.compile(r"\[(?P<mark>[ xX~/\-✓✔✅☑]?)\](?=\s|$)")
_BACKSLASH_PIPE = re.compile(r"\\\|")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place that says whether something is done: the inside of a box, or a status word."""

    start: int
    end: int
    value: str
    box: bool


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; a box in front of its text is its own mark."""

    level: int
    text: str
    box: Mark | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Item:
    """A list item; `boxed_parent` is the place in `Document.blocks` of the item with a box that it is indented under."""

    text: str
    box: Mark | None
    boxed_parent: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text; `in_item` tells text that continues a list item from text between lists."""

    text: str
    in_item: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: `start` and `end` hold the content only."""

    language: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One table cell without its padding; `start` and `end` hold the padding too."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its header and its rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    start: int
    end: int


Block = Heading | Item | Paragraph | Fence | Table


@dataclass(frozen=True, slots=True)
class Document:
    """A Markdown text and its blocks in reading order."""

    text: str
    front_matter: str
    blocks: tuple[Block, ...]
    line_starts: tuple[int, ...]

    def line(self, offset: int) -> int:
        """Counts lines from 1."""
        return bisect_right(self.line_starts, offset)


def read_blocks(text: str) -> Document:
    """Splits a Markdown text into its blocks."""
    starts = (0, *(found.end() for found in _LINE_END.finditer(text)))
    front = _FRONT_MATTER.match(text)
    body = text
    if front is not None:  # markdown would read the lines between the rules as a heading
        body = re.sub(r"[^\r\n]", " ", front.group()) + text[front.end() :]
    blocks = tuple(_Reader(text, (*starts, len(text))).blocks(_parser().parse(body)))
    return Document(text, front.group(1) if front else "", blocks, starts)


@lru_cache(maxsize=1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # noqa: PLC0415 - 40 ms that a JSON PRD must not pay

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


class _Reader:
    """Turns markdown-it's token stream into blocks."""

    def __init__(self, text: str, starts: tuple[int, ...]) -> None:
        self.text = text
        self.starts = starts

    def blocks(self, tokens: Iterable["Token"]) -> Iterator[Block]:
        stream = iter(tokens)
        made = 0
        items: list[tuple[Token, int | None]] = []  # open list items, with the boxed item each one belongs to
        fresh = False  # the innermost open item has not shown its text yet
        for token in stream:
            if token.type == "list_item_open":
                items.append((token, items[-1][1] if items else None))
                fresh = True
                continue
            if token.type == "list_item_close":
                items.pop()
                fresh = False
                continue
            if token.type == "inline" and items and fresh and token.level == items[-1][0].level + 2:
                block: Block = self._item(items[-1][0], token, items[-1][1])
                fresh = False
                if isinstance(block, Item) and block.box is not None:
                    items[-1] = (items[-1][0], made)
            elif (found := self._block(token, stream, in_item=bool(items))) is not None:
                block = found
            else:
                continue
            made += 1
            yield block

    def _block(self, token: "Token", stream: Iterator["Token"], *, in_item: bool) -> Block | None:
        if token.type == "heading_open":
            return self._heading(token, next(stream))
        if token.type == "inline" and token.map is not None:
            return Paragraph(token.content, in_item, *self._span(token.map))
        if token.type == "fence" and token.map is not None:
            start, end = self.starts[token.map[0] + 1], self.starts[token.map[1]]
            if self._closes(token, token.map[1] - 1):
                end = self.starts[token.map[1] - 1]
            language = token.info.strip().split(" ")[0].lower()
            return Fence(language, self.text[start:end], start, end)
        if token.type == "table_open" and token.map is not None:
            return self._table(token, stream)
        return None

    def _closes(self, token: "Token", line: int) -> bool:
        if token.map is None or line <= token.map[0]:
            return False
        last = self.text[self.starts[line] : self.starts[line + 1]].strip().lstrip("> \t")
        return last.startswith(token.markup) and not last.strip(token.markup[0])

    def _span(self, lines: list[int]) -> tuple[int, int]:
        """Where these lines stand, without the line end and blank lines after them."""
        start, end = self.starts[lines[0]], self.starts[min(lines[1], len(self.starts) - 1)]
        while end > start and self.text[end - 1].isspace():
            end -= 1
        return start, end

    def _mark(self, content: str, line: int) -> Mark | None:
        """The box that `content`, the text of a block on this line, begins with."""
        found = _BOX.match(content)
        if found is None:
            return None
        first = content.split("\n", 1)[0]
        at = self.text.find(first, self.starts[line], self.starts[line + 1])
        return Mark(at + 1, at + 1 + len(found["mark"]), found["mark"], box=True) if at >= 0 else None

    def _heading(self, token: "Token", inline: "Token") -> Heading:
        lines = token.map or [0, 0]
        box = self._mark(inline.content, lines[0])
        text = inline.content[_box_length(inline.content) :] if box else inline.content
        return Heading(int(token.tag[1]), text.strip(), box, *self._span(lines))

    def _item(self, item: "Token", inline: "Token", parent: int | None) -> Item:
        lines = inline.map or [0, 0]
        box = self._mark(inline.content, lines[0])
        text = inline.content[_box_length(inline.content) :] if box else inline.content
        return Item(text.strip(), box, parent, *self._span(item.map or lines))

    def _table(self, token: "Token", stream: Iterator["Token"]) -> Table:
        header: tuple[str, ...] = ()
        rows: list[tuple[Cell, ...]] = []
        for inner in stream:
            if inner.type == "table_close":
                break
            if inner.type == "tr_open" and inner.map is not None:
                cells = self._cells(inner.map[0])
                if header:
                    rows.append(cells)
                else:
                    header = tuple(cell.text for cell in cells)
        return Table(header, tuple(rows), *self._span(token.map or [0, 0]))

    def _cells(self, line: int) -> tuple[Cell, ...]:
        start = self.starts[line]
        row = self.text[start : self.starts[line + 1]]
        left = len(row) - len(row.lstrip(" \t>"))
        right = len(row.rstrip())
        edges = [i for i in range(left, right) if row[i] == "|" and (i == 0 or row[i - 1] != "\\")]
        if not edges or edges[0] != left:
            edges.insert(0, left - 1)
        if edges[-1] != right - 1:
            edges.append(right)
        cells = []
        for before, after in pairwise(edges):
            text = _BACKSLASH_PIPE.sub("|", row[before + 1 : after]).strip()
            cells.append(Cell(text, start + before + 1, start + after))
        return tuple(cells)


def _box_length(content: str) -> int:
    found = _BOX.match(content)
    return found.end() if found else 0
