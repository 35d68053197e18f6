"""Plans that give each story a heading (`### US-001: Title`, `## Story 4: Title` with `**ID**: W2-S1`)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rad_engineer.core.prd import Finding, StoryState
from rad_engineer.importers import markdown_text
from rad_engineer.importers.done_words import state_of
from rad_engineer.importers.markdown_blocks import (
    Block,
    Document,
    Fence,
    Heading,
    Item,
    Mark,
    Paragraph,
    Table,
)
from rad_engineer.importers.markdown_entries import Entry, Reading, merged, ticked
from rad_engineer.importers.markdown_sections import Section, read_section, topic
from rad_engineer.importers.markdown_tables import Columns, status_mark

_TRACKER = re.compile(
    r"^[ \t>]*(?:[-*+]\s+|\d+[.)]\s+)?\[(?P<mark>[ xX✓✔✅~-]?)\][ \t]+\W*(?P<id>\w[\w.#-]*\w|\w)(?P<rest>[^\r\n]*)",
    re.MULTILINE,
)
_DEPENDS = re.compile(
    r"\b(?:depends(?: on)?|needs|requires|blocked by)\s*:?\s*(?P<ids>[^()\[\]]+)", re.IGNORECASE
)
_COUNTED = re.compile(
    r"\W*(?:user[ -])?(?:story|task|issue|ticket|feature|item|requirement)\s+#?\d", re.IGNORECASE
)
_TELLING = frozenset({"criteria", "needs", "id", "points"})
_FAMILY = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class _Tracker:
    """A line or table row elsewhere in the file that says whether a story is done."""

    id: str
    mark: Mark
    done: bool
    needs: tuple[str, ...]


def read_headings(document: Document) -> Reading | None:
    """The heading stories, if their boxes are at least half of all boxes."""
    sections = list(_sections(document))
    findings: list[Finding] = []
    entries: list[Entry] = []
    aliases: dict[str, str] = {}
    for section in sections:
        entry, found = read_section(section, document)
        aliases[section.id.casefold()] = entry.story.id
        entries.append(entry)
        findings.extend(found)
    if not entries:
        return None
    together = merged(entries, document, findings)
    trackers = _trackers(
        document, {entry.story.id.casefold(): entry.story.id for entry in together}, sections
    )
    if not _covers(document, together, trackers):
        return None
    tracked = tuple(
        _tracked(entry, trackers.get(entry.story.id, []), aliases, findings) for entry in together
    )
    return Reading("headings", tracked, tuple(findings))


def _sections(document: Document) -> Iterator[Section]:
    """Each story heading with what stands under it; a heading that only gathers story headings is a group."""
    blocks = document.blocks
    named = {
        i: found
        for i, block in enumerate(blocks)
        if isinstance(block, Heading) and (found := markdown_text.heading_id(block.text)) is not None
    }
    named = _stories_only(blocks, named)
    group, i = "", 0
    while i < len(blocks):
        block = blocks[i]
        if not isinstance(block, Heading):
            i += 1
            continue
        end = _section_end(blocks, i, named) if i in named else i + 1
        if i not in named or _only_gathers(blocks, i, end, named):
            group = markdown_text.clean_title(block.text) if block.level > 1 else group
        else:
            inside = blocks[i + 1 : end]
            last = max([block.end, *(inner.end for inner in inside)])
            yield Section(*named[i], block, inside, last, group)
        i = end


def _stories_only(
    blocks: Sequence[Block], named: Mapping[int, tuple[str, str]]
) -> dict[int, tuple[str, str]]:
    """Without `Task 1` headings inside of stories, and without families of ids that never have a box or a criterion."""
    headings = {i: block for i, block in enumerate(blocks) if i in named and isinstance(block, Heading)}
    counted = {i for i, heading in headings.items() if _COUNTED.match(heading.text)}
    top = min((heading.level for i, heading in headings.items() if i not in counted), default=7)
    kept = {i: name for i, name in named.items() if i not in counted or headings[i].level <= top}
    any_box = _has_box(blocks)
    families = {
        _family(name)
        for i, (name, _) in kept.items()
        if _says_enough(blocks[i : _section_end(blocks, i, kept)], any_box=any_box)
    }
    return {i: n for i, n in kept.items() if _family(n[0]) in families}


def _family(name: str) -> str:
    found = _FAMILY.match(name)
    return found.group().casefold() if found else ""


def _has_box(blocks: Sequence[Block]) -> bool:
    return any(isinstance(block, Heading | Item) and block.box is not None for block in blocks)


def _says_enough(section: Sequence[Block], *, any_box: bool) -> bool:
    """In a file with boxes a story family has some; without any, it has acceptance criteria or the fields of a story."""
    if any_box:
        return _has_box(section)
    lines = [
        block.text.split("\n")[0] for block in section[1:] if isinstance(block, Heading | Item | Paragraph)
    ]
    return any(topic(line.split(":")[0]) in _TELLING for line in lines if len(line) < 80)


def _section_end(blocks: Sequence[Block], start: int, named: Mapping[int, object]) -> int:
    heading = blocks[start]
    level = heading.level if isinstance(heading, Heading) else 0
    for i in range(start + 1, len(blocks)):
        block = blocks[i]
        if isinstance(block, Heading) and (
            block.level <= level
            or i in named
            or (markdown_text.GROUP.match(block.text) and not _is_part(block))
        ):
            return i
    return len(blocks)


def _is_part(heading: Heading) -> bool:
    """`Wave Assignment` is a part of a story, `Wave 2: Core` begins the next group."""
    return re.search(r"\d", heading.text) is None


def _only_gathers(blocks: Sequence[Block], start: int, end: int, named: Mapping[int, object]) -> bool:
    heading, following = blocks[start], blocks[end] if end < len(blocks) else None
    deeper = (
        isinstance(heading, Heading) and isinstance(following, Heading) and following.level > heading.level
    )
    return deeper and end in named and not _has_box(blocks[start:end])


def _trackers(
    document: Document, known: Mapping[str, str], sections: Sequence[Section]
) -> dict[str, list[_Tracker]]:
    """Lines `[ ] W1-S1: …` and table rows with a status, by story id; a list item in a story's section is its own."""
    inside = {id(block) for section in sections for block in section.blocks if isinstance(block, Item)}
    found: dict[str, list[_Tracker]] = {}
    for block in document.blocks:
        if id(block) in inside:
            continue
        for tracker in (
            _tracker_lines(block, document) if isinstance(block, Fence | Item) else _tracker_rows(block)
        ):
            story_id = known.get(tracker.id.casefold())
            if story_id is not None:
                found.setdefault(story_id, []).append(tracker)
    return found


def _tracker_lines(block: Fence | Item, document: Document) -> Iterator[_Tracker]:
    if isinstance(block, Fence):
        lines: Iterator[re.Match[str]] = _TRACKER.finditer(document.text, block.start, block.end)
    else:
        line = _TRACKER.match(document.text, block.start, block.end)
        lines = iter([line] if line else [])
    for line in lines:
        mark = Mark(line.start("mark"), line.end("mark"), line["mark"], box=True)
        depends = _DEPENDS.search(line["rest"])
        needs = markdown_text.references(depends["ids"]) if depends else ()
        yield _Tracker(line["id"], mark, ticked(mark), needs)


def _tracker_rows(block: Block) -> Iterator[_Tracker]:
    columns = Columns.of(block.header) if isinstance(block, Table) else Columns({})
    if not isinstance(block, Table) or not {"id", "status"} <= columns.places.keys():
        return
    for row in block.rows:
        mark = status_mark(row, columns)
        if mark is not None:
            needs = markdown_text.references(columns.text(row, "needs"))
            yield _Tracker(columns.text(row, "id"), mark, state_of(mark.value) == "done", needs)


def _covers(document: Document, entries: Sequence[Entry], trackers: Mapping[str, Sequence[_Tracker]]) -> bool:
    """Heading stories are the plan when at least half of the boxes are theirs."""
    boxes = {b.box for b in document.blocks if isinstance(b, Heading | Item) and b.box is not None}
    own = {mark for entry in entries for mark in entry.marks if mark.box}
    own |= {tracker.mark for tracked in trackers.values() for tracker in tracked}
    return 2 * len(boxes & own) >= len(boxes)


def _tracked(
    entry: Entry, trackers: Sequence[_Tracker], aliases: Mapping[str, str], findings: list[Finding]
) -> Entry:
    """The story with what its trackers say; one that is ticked is enough."""
    story = entry.story
    needs = [aliases.get(re.sub(r"\s+", "-", need).casefold(), need) for need in story.needs]
    needs += [need for tracker in trackers for need in tracker.needs]
    state = story.state
    if trackers:
        done = any(tracker.done for tracker in trackers) or (entry.told and state == "done")
        if state == "done" and not done:
            findings.append(
                Finding("done-contradicts", f"{story.id}: every box is ticked, but its tracker says open")
            )
        state = _agreed(state, done=done)
    story = replace(story, needs=tuple(dict.fromkeys(needs)), state=state)
    return replace(entry, story=story, marks=(*entry.marks, *(tracker.mark for tracker in trackers)))


def _agreed(state: StoryState, *, done: bool) -> StoryState:
    if done:
        return "done"
    return "todo" if state == "done" else state
