"""Plans that are lists of boxes: a box is a story, boxes indented under it are its criteria, headings are groups."""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from textwrap import dedent

from rad_engineer.core.prd import Finding, Story, StoryState
from rad_engineer.importers import markdown_text
from rad_engineer.importers.markdown_blocks import Document, Heading, Item, Mark
from rad_engineer.importers.markdown_entries import SKIPPED_MARK, Entry, Reading, merged, ticked
from rad_engineer.importers.markdown_sections import criterion
from rad_engineer.importers.references import made_id

_DEPENDS = re.compile(
    r"\s*[-–—(\[]*\s*\b(?:depends(?: on)?|needs|requires|blocked by|after)\s*:?\s+(?P<ids>[^()\[\]]+?)[)\]]?\s*$",  # noqa: RUF001
    re.IGNORECASE,
)
_BOX_LINE = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+\[.?\]\s")


@dataclass(slots=True)
class _Task:
    block: Heading | Item
    box: Mark
    group: str
    criteria: list[str] = field(default_factory=list)


def read_checklist(document: Document) -> Reading | None:
    """Every outermost box with what is indented under it."""
    entries = [_entry(task, document) for task in _tasks(document)]
    if not entries:
        return None
    findings: list[Finding] = []
    entries = _named_apart(entries)
    known = {entry.story.id.casefold() for entry in entries}
    entries = [replace(entry, story=_with_needs(entry.story, known)) for entry in entries]
    return Reading("checklist", merged(entries, document, findings), tuple(findings))


def _tasks(document: Document) -> list[_Task]:
    group = ""
    tasks: list[_Task] = []
    owners: dict[int, _Task] = {}  # place of a box among the blocks -> the story it belongs to
    for place, block in enumerate(document.blocks):
        if isinstance(block, Heading):
            group = markdown_text.clean_title(block.text) if block.level > 1 else ""
        if not isinstance(block, Heading | Item) or block.box is None:
            continue
        owner = (
            owners.get(block.boxed_parent)
            if isinstance(block, Item) and block.boxed_parent is not None
            else None
        )
        if owner is None:
            owner = _Task(block, block.box, group)
            tasks.append(owner)
        else:
            owner.criteria.append(block.text)
        owners[place] = owner
    return tasks


def _entry(task: _Task, document: Document) -> Entry:
    named = markdown_text.item_id(task.block.text)
    title = named[1] if named else markdown_text.clean_title(task.block.text)
    story = Story(
        id=named[0] if named and title else made_id(title),
        id_generated=not (named and title),
        title=title,
        description=_below(task, document),
        criteria=tuple(criterion(text) for text in task.criteria),
        state=_state(task.box),
        reason="struck from the list" if task.box.value == SKIPPED_MARK else "",
        group=task.group,
        span=(task.block.start, task.block.end),
    )
    return Entry(story, (task.box,), told=True)


def _state(box: Mark) -> StoryState:
    if box.value == SKIPPED_MARK:
        return "skipped"
    return "done" if ticked(box) else "todo"


def _below(task: _Task, document: Document) -> str:
    """What is written under a box, without the boxes indented there."""
    lines = document.text[task.block.start : task.block.end].splitlines()[1:]
    return dedent("\n".join(line for line in lines if not _BOX_LINE.match(line))).strip()


def _named_apart(entries: list[Entry]) -> list[Entry]:
    """Boxes of one text under different headings are different stories: their ids take the heading in."""
    uses = Counter(entry.story.id for entry in entries if entry.story.id_generated)
    apart: list[Entry] = []
    seen: Counter[str] = Counter()
    for entry in entries:
        story = entry.story
        if story.id_generated and uses[story.id] > 1:
            story = replace(story, id=made_id(story.title, story.group))
        seen[story.id] += 1
        if story.id_generated and seen[story.id] > 1:
            story = replace(story, id=f"{story.id}#{seen[story.id]}")
        apart.append(replace(entry, story=story))
    return apart


def _with_needs(story: Story, known: set[str]) -> Story:
    """`… (depends: T1)` at the end of a line, when every name there is the id of a story."""
    found = _DEPENDS.search(story.title)
    if found is None:
        return story
    needs = markdown_text.references(found["ids"])
    if not needs or any(need.casefold() not in known for need in needs):
        return story
    return replace(story, title=story.title[: found.start()].rstrip() or story.title, needs=needs)
