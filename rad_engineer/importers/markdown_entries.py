"""Stories read from Markdown, each with the marks that say whether it is done."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rad_engineer.core.prd import Finding, Story
from rad_engineer.importers.markdown_blocks import Document, Mark

DONE_MARKS = frozenset("xX✓✔✅☑")
SKIPPED_MARK = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """A story and every place of the file that says whether it is done."""

    story: Story
    marks: tuple[Mark, ...] = ()
    told: bool = False  # the state was said of the story itself, not gathered from its criteria


@dataclass(frozen=True, slots=True)
class Reading:
    """What one way of writing plans found in a document."""

    kind: str
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()


def ticked(mark: Mark) -> bool:
    """Whether a box is ticked."""
    return mark.value in DONE_MARKS


def merged(entries: Iterable[Entry], document: Document, findings: list[Finding]) -> tuple[Entry, ...]:
    """Joins what says more about a story told before; another story under a used id becomes `id#2`."""
    by_id: dict[str, Entry] = {}
    for entry in entries:
        known = by_id.get(entry.story.id)
        if known is None:
            by_id[entry.story.id] = entry
        elif _same(known.story, entry.story):
            by_id[entry.story.id] = Entry(
                _joined(known.story, entry.story), _marks(known, entry), known.told or entry.told
            )
        else:
            second = _free(entry.story.id, by_id)
            line = document.line(entry.story.span[0]) if entry.story.span else None
            findings.append(
                Finding(
                    "duplicate-id",
                    f'a second story has the id "{entry.story.id}": it is read as "{second}"',
                    line,
                )
            )
            by_id[second] = replace(entry, story=replace(entry.story, id=second))
    return tuple(by_id.values())


def _same(one: Story, other: Story) -> bool:
    """One title may be a short form of the other."""
    a, b = one.title.casefold(), other.title.casefold()
    return not a or not b or a == b or a.startswith(b) or b.startswith(a)


def _free(story_id: str, taken: dict[str, Entry]) -> str:
    number = 2
    while f"{story_id}#{number}" in taken:
        number += 1
    return f"{story_id}#{number}"


def _marks(first: Entry, later: Entry) -> tuple[Mark, ...]:
    return tuple(dict.fromkeys([*first.marks, *later.marks]))


def _joined(first: Story, later: Story) -> Story:
    """Lists grow, single values are those said last."""
    both_done = "done" in (first.state, later.state)
    return replace(
        first,
        title=first.title or later.title,
        description="\n\n".join(
            dict.fromkeys(part for part in (first.description, later.description) if part)
        ),
        criteria=tuple(
            {criterion.text: criterion for criterion in (*first.criteria, *later.criteria)}.values()
        ),
        state="done" if both_done else (later.state if later.state != "todo" else first.state),
        reason=later.reason or first.reason,
        priority=later.priority if later.priority is not None else first.priority,
        points=later.points if later.points is not None else first.points,
        needs=tuple(dict.fromkeys([*first.needs, *later.needs])),
        wave=later.wave or first.wave,
        group=first.group or later.group,
        files=tuple(dict.fromkeys([*first.files, *later.files])),
        checks=tuple({check.command: check for check in (*first.checks, *later.checks)}.values()),
        agent=later.agent or first.agent,
        model=later.model or first.model,
        notes="\n".join(dict.fromkeys(part for part in (first.notes, later.notes) if part)),
    )
