"""Changes the boxes and status words of stories inside a Markdown text, and not one character beside them."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rad_engineer.core.prd import Prd, same_work
from rad_engineer.importers.done_words import say, state_of
from rad_engineer.importers.json_edit import Edit
from rad_engineer.importers.markdown import read_stories
from rad_engineer.importers.markdown_blocks import Document, Mark, read_blocks
from rad_engineer.importers.markdown_entries import SKIPPED_MARK, Entry, ticked


def edits(document: Document, prd: Prd, changes: Mapping[str, bool]) -> tuple[list[Edit], list[str]]:
    """What to change in the document, and the stories it does not have any more."""
    reading = read_stories(document)
    then = {story.id: story for story in prd.stories}
    entries = {
        entry.story.id: entry
        for entry in (reading.entries if reading else ())
        if entry.story.id in then and same_work(entry.story, then[entry.story.id])
    }
    marks = [mark for entry in entries.values() for mark in entry.marks]
    words = Counter(mark.value for mark in marks if not mark.box)
    ticks = Counter(mark.value for mark in marks if mark.box and ticked(mark))
    tick = ticks.most_common(1)[0][0] if ticks else "x"
    before = _before(document, prd, [story_id for story_id, done in changes.items() if not done])
    made: list[Edit] = []
    for story_id, done in changes.items():
        if story_id not in entries or (not done and entries[story_id].story.state != "done"):
            continue
        meant = _meant(entries[story_id].marks)
        old = before.get(story_id, [])
        for number, mark in enumerate(meant):
            if (_state(mark) == "done") != done:
                new = old[number] if len(old) == len(meant) else _said(document, mark, words, tick, done=done)
                made.append(Edit(mark.start, mark.end, new))
    return made, [story_id for story_id in changes if story_id not in entries]


def _before(document: Document, prd: Prd, stories: Sequence[str]) -> dict[str, list[str]]:
    """What the marks of stories that were open said when the file was loaded: unmarking puts that back."""
    open_then = {story.id for story in prd.stories if story.id in stories and story.state != "done"}
    if not open_then or prd.text == document.text:
        return {}
    reading = read_stories(read_blocks(prd.text))
    entries: Sequence[Entry] = reading.entries if reading else ()
    return {
        e.story.id: [prd.text[mark.start : mark.end] for mark in _meant(e.marks)]
        for e in entries
        if e.story.id in open_then
    }


def _meant(marks: Sequence[Mark]) -> list[Mark]:
    """The marks to change: struck boxes and texts nobody knows only where there is nothing else."""
    known = [
        mark
        for mark in marks
        if (mark.value != SKIPPED_MARK if mark.box else state_of(mark.value) is not None)
    ]
    return known or list(marks)


def _state(mark: Mark) -> str | None:
    if mark.box:
        return "done" if ticked(mark) else "todo"
    return state_of(mark.value)


def _said(document: Document, mark: Mark, words: Mapping[str, int], tick: str, *, done: bool) -> str:
    if mark.box:
        return tick if done else " "
    return _padded(document.text, mark, say(mark.value, words, done=done))


def _padded(text: str, mark: Mark, new: str) -> str:
    """A status in the room its cell has, so that columns stay aligned; at least one blank stays at the end."""
    old = text[mark.start : mark.end]
    if old == mark.value and old:
        return new
    left = old[: len(old) - len(old.lstrip())] or " "
    right = old[len(old.rstrip()) :] if old.strip() else " "
    room = len(old) - len(left) - len(new)
    return left + new + " " * max(room, min(len(right), 1))
