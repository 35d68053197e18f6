"""Plans that list their stories in tables with an id, a title and a status column."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rad_engineer.core.prd import Finding, Story
from rad_engineer.importers import markdown_text, references
from rad_engineer.importers.done_words import state_of
from rad_engineer.importers.markdown_blocks import Cell, Document, Heading, Item, Mark, Table
from rad_engineer.importers.markdown_entries import Entry, Reading, merged
from rad_engineer.importers.markdown_sections import criterion, wave

_NAMES: dict[str, tuple[str, ...]] = {  # the better name of a column first
    "id": ("id", "taskid", "storyid", "issueid", "ticketid", "itemid", "key", "ticket", "storykey", "taskkey", "us"),
    "number": ("#", "no", "nr", "number", "task#", "story#", "num"),
    "title": ("title", "name", "taskname", "task", "story", "userstory", "summary", "description", "feature", "item", "what"),
    "status": ("status", "state", "done", "done?", "passes", "passed", "completed", "complete", "progress", "✓", "✅", "✔", "☑"),
    "needs": ("dependencies", "dependson", "depends", "deps", "blockedby", "requires", "needs", "prerequisites", "dependency"),
    "priority": ("priority", "prio", "p"),
    "points": ("points", "pts", "storypoints", "sp", "estimate", "effort", "size"),
    "agent": ("agent", "assignee", "owner", "role", "assignedto"),
    "wave": ("wave",),
    "group": ("epic", "milestone", "phase", "sprint", "group", "category"),
    "files": ("files", "file", "touches"),
    "criteria": ("acceptancecriteria", "acceptance", "criteria", "donewhen", "dod"),
    "notes": ("notes", "note", "comments", "remarks"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what."""

    places: dict[str, int]

    @classmethod
    def of(cls, header: Sequence[str]) -> "Columns":
        """Finds the columns by their headings."""
        names = [re.sub(r"[\s_*`/-]+", "", name).lower() for name in header]
        found = (
            (subject, next((names.index(n) for n in known if n in names), None))
            for subject, known in _NAMES.items()
        )
        return cls({subject: place for subject, place in found if place is not None})

    @property
    def lists_stories(self) -> bool:
        """Whether the table is a list of stories."""
        return {"id", "title", "status"} <= self.places.keys()

    def numbered(self) -> "Columns":
        """The same columns, with running numbers for ids where there is nothing better."""
        if "id" in self.places or "number" not in self.places:
            return self
        return Columns({**self.places, "id": self.places["number"]})

    def cell(self, row: Sequence[Cell], subject: str) -> Cell | None:
        """The cell of a row that says this."""
        place = self.places.get(subject)
        return row[place] if place is not None and place < len(row) else None

    def text(self, row: Sequence[Cell], subject: str) -> str:
        """What the row says of this, "" when it does not."""
        cell = self.cell(row, subject)
        return markdown_text.plain(cell.text) if cell is not None else ""


def read_tables(document: Document) -> Reading | None:
    """The rows of every table that lists stories; running numbers are ids only in a file without boxes."""
    findings: list[Finding] = []
    numbers = not any(
        isinstance(block, Heading | Item) and block.box is not None for block in document.blocks
    )
    entries = merged(_entries(document, numbers=numbers), document, findings)
    return Reading("table", entries, tuple(findings)) if entries else None


def _entries(document: Document, *, numbers: bool) -> Iterator[Entry]:
    group = ""
    for block in document.blocks:
        if isinstance(block, Heading):
            group = markdown_text.clean_title(block.text) if block.level > 1 else ""
        if not isinstance(block, Table):
            continue
        columns = Columns.of(block.header)
        columns = columns.numbered() if numbers else columns
        if columns.lists_stories:
            yield from (_entry(row, columns, group) for row in block.rows if _is_story(row, columns))


def _is_story(row: Sequence[Cell], columns: Columns) -> bool:
    """A row of totals or of dashes is none."""
    story_id, title = columns.text(row, "id"), columns.text(row, "title")
    return bool(re.search(r"\w", story_id)) and bool(title) and story_id.casefold() not in ("total", "sum")


def _entry(row: Sequence[Cell], columns: Columns, group: str) -> Entry:
    status = status_mark(row, columns)
    state = (state_of(status.value) if status else None) or "todo"
    criteria = re.split(r"<br\s*/?>|;\s", columns.text(row, "criteria"))
    story = Story(
        id=re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", columns.text(row, "id")),
        title=markdown_text.clean_title(columns.text(row, "title")),
        criteria=tuple(criterion(text) for text in criteria if text.strip()),
        state=state,
        reason=status.value if status and state in ("skipped", "blocked", "human") else "",
        priority=references.priority(columns.text(row, "priority")),
        points=references.points(columns.text(row, "points")),
        needs=markdown_text.references(columns.text(row, "needs")),
        wave=wave("wave " + columns.text(row, "wave")) if columns.text(row, "wave").isdecimal() else None,
        group=columns.text(row, "group") or group,
        files=markdown_text.file_names(re.split(r",\s*|<br\s*/?>", columns.text(row, "files"))),
        agent=columns.text(row, "agent") or None,
        notes=columns.text(row, "notes"),
        span=(row[0].start, row[-1].end),
    )
    return Entry(story, (status,) if status else (), told=True)


def status_mark(row: Sequence[Cell], columns: Columns) -> Mark | None:
    """The status cell of a row, without its padding."""
    cell = columns.cell(row, "status")
    return Mark(cell.start, cell.end, cell.text, box=False) if cell is not None else None
