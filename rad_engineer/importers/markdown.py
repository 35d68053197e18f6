"""Markdown plans as PRDs: stories in a JSON fence, under headings, in tables, or as a checklist."""

import re
from dataclasses import replace

from rad_engineer.core.prd import Prd, Story
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import markdown_text
from rad_engineer.importers.json_prd import load_json
from rad_engineer.importers.markdown_blocks import Document, Fence, Heading, Item, Paragraph, read_blocks
from rad_engineer.importers.markdown_checklist import read_checklist
from rad_engineer.importers.markdown_entries import Reading
from rad_engineer.importers.markdown_gates import read_gates
from rad_engineer.importers.markdown_headings import read_headings
from rad_engineer.importers.markdown_sections import wave
from rad_engineer.importers.markdown_tables import read_tables

_NOTES_LIMIT = 4000
_JSON_STORIES = re.compile(r'"(?:userStories|user_stories|stories|tasks)"\s*:\s*[\[{]')
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_SKETCH = re.compile(r"[\[{,:]\s*(?:\.\.\.|…)")
"""An ellipsis where a value belongs: what an answer of some server looks like, not a plan."""
_PRD_FILE = re.compile(r"\.(?:json|md|markdown)$", re.IGNORECASE)


def load_markdown(text: str, file: str, path: str) -> Prd:
    """Loads a Markdown plan in the first way of writing that fits it."""
    document = read_blocks(text)
    region = json_region(document)
    if region is not None:
        return replace(load_json(text, file, path, region=region), format="markdown")
    reading = read_stories(document)
    if reading is None:
        raise PrdInvalid(
            f"{file}: Markdown without tasks",
            code="MD_NO_TASKS",
            hint='write tasks as "- [ ] Title", or stories as "### US-001: Title" with "- [ ] criterion" under it',
        )
    return _prd(document, reading, file, path)


def read_stories(document: Document) -> Reading | None:
    """The stories with their marks: under headings, else in tables, else boxes."""
    return read_headings(document) or read_tables(document) or read_checklist(document)


def json_region(document: Document) -> tuple[int, int] | None:
    """Where the first JSON fence with stories stands."""
    for block in document.blocks:
        if (
            isinstance(block, Fence)
            and block.language in ("json", "jsonc", "json5")
            and _JSON_STORIES.search(block.text)
            and not _SKETCH.search(_STRING.sub('""', block.text))
        ):
            return block.start, block.end
    return None


def _prd(document: Document, reading: Reading, file: str, path: str) -> Prd:
    stories = tuple(replace(entry.story, done_field=bool(entry.marks)) for entry in reading.entries)
    gates = read_gates(document, [story.span for story in stories if story.span])
    title = next((b.text for b in document.blocks if isinstance(b, Heading) and b.level == 1), "")[:300]
    project = markdown_text.clean_title(re.sub(r"\s*\([^)]*\)\s*$", "", title))
    first = min(
        (entry.marks[0].start for entry in reading.entries if entry.marks), default=len(document.text)
    )
    said = _said_of_all(document, min([first, *(story.span[0] for story in stories if story.span)]))
    prd = Prd(
        file=file,
        path=path,
        format="markdown",
        container=reading.kind,
        name=said.get("name") or said.get("project") or project,
        project=said.get("project") or project,
        stories=_with_waves(stories) if any(story.wave for story in stories) else stories,
        text=document.text,
        branch=said.get("branch"),
        needs=tuple(n for n in markdown_text.references(said.get("depends on", "")) if _PRD_FILE.search(n)),
        gates=gates.story,
        wave_gates=gates.wave,
        final_gates=gates.final,
        notes=said.get("notes", ""),
        findings=reading.findings,
    )
    return prd if prd.name else replace(prd, name=prd.stem)


def _with_waves(stories: tuple[Story, ...]) -> tuple[Story, ...]:
    """In a plan with declared waves, a story without one belongs to the wave it stands under."""
    return tuple(replace(story, wave=story.wave or wave(story.group)) for story in stories)


def _said_of_all(document: Document, end: int) -> dict[str, str]:
    """The project's fields and notes: front matter, and what is written above the first story."""
    said: dict[str, str] = {}
    for line in document.front_matter.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            said[_name(name)] = value.strip().strip("\"'")
    notes: list[str] = []
    headings = 0
    for block in document.blocks:
        if block.start >= end:
            break
        headings += isinstance(block, Heading)
        if not isinstance(block, Paragraph | Item) or (isinstance(block, Item) and block.box):
            continue
        if headings <= 1:  # under the title; further down a `Branch:` may be about anything
            said.update(_fields(document, block.start, block.end))
        notes.append(f"- {block.text}" if isinstance(block, Item) else block.text)
    said["notes"] = "\n".join(notes)[:_NOTES_LIMIT]
    return said


def _fields(document: Document, start: int, end: int) -> dict[str, str]:
    return {
        _name(found.name): found.value
        for found in markdown_text.fields(document.text, start, end)
        if found.value
    }


def _name(written: str) -> str:
    """Names of project fields, without the spellings."""
    name = written.strip().lower().replace("_", " ")
    spellings = {"branchname": "branch", "branch name": "branch", "git branch": "branch", "title": "name",
                 "project name": "project", "dependencies": "depends on", "dependson": "depends on"}  # fmt: skip
    return spellings.get(name, name)
