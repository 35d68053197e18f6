"""The part of a Markdown plan that stands under one story's heading, read into a story."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rad_engineer.core.prd import Check, Criterion, Finding, Story, StoryState, Wave
from rad_engineer.importers import markdown_text, references
from rad_engineer.importers.command_text import is_command, proving
from rad_engineer.importers.done_words import state_of
from rad_engineer.importers.markdown_blocks import Block, Document, Fence, Heading, Item, Mark, Paragraph
from rad_engineer.importers.markdown_commands import SHELLS, commands
from rad_engineer.importers.markdown_entries import SKIPPED_MARK, Entry, ticked

# What a sub-heading, a bold label or a field is about: the first pattern that its name matches.
_TOPICS = (
    ("checks", re.compile(r"^verif|^validation$|commands?$|\bchecks?\b|how to test|quality gate")),
    (
        "criteria",
        re.compile(r"accept|criteri|\btests?\b|definition of done|\bdod\b|done when|requirements?$"),
    ),
    ("needs", re.compile(r"depend|blocked by|requires\b|prerequisite|\bneeds\b")),
    ("files", re.compile(r"\bfiles?\b|scope paths|touches")),
    ("wave", re.compile(r"wave|parallel group")),
    ("id", re.compile(r"^(?:story |task )?id$|^key$")),
    ("points", re.compile(r"points?$|^estimate|^effort|^size|^complexity")),
    ("priority", re.compile(r"^prio")),
    ("status", re.compile(r"^status$|^state$|^progress$|^passes$|^done$|^completed?$")),
    ("agent", re.compile(r"^agent|^assignee|^owner|^role$")),
    ("model", re.compile(r"^model$")),
    ("group", re.compile(r"^epic$|^milestone$|^group$|^phase$|^sprint$")),
    ("notes", re.compile(r"notes?$|^context$|constraint|security consideration")),
    ("tasks", re.compile(r"tasks?$|steps?$|implementation|^what to do|^work$|deliverable|sub-?tasks?")),
    (
        "description",
        re.compile(r"descri|^story$|^user story$|^summary$|^goal$|^why$|^overview$|^objective$|^title$"),
    ),
)
_WAVE = re.compile(r"(?P<track>[\w &/-]*?)\s*\bwave\s+(?P<number>\d+)", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Section:
    """A story's heading and the blocks up to the next story, group or heading of its rank."""

    id: str
    title: str
    heading: Heading
    blocks: tuple[Block, ...]
    end: int
    group: str = ""


@dataclass(slots=True)
class _Notes:
    """What has been read of a section so far."""

    lines: dict[str, list[str]] = field(default_factory=dict)  # topic -> what was said about it
    boxes: list[Item] = field(default_factory=list)
    status: list[Mark] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    def add(self, topic: str, text: str) -> None:
        if text.strip():
            self.lines.setdefault(topic, []).append(text.strip())

    def last(self, topic: str) -> str:
        return self.lines.get(topic, [""])[-1]


def topic(name: str) -> str | None:
    """What a heading or label announces, None when it is none of the known subjects."""
    name = name.strip(" *:`#").lower()
    return next((subject for subject, pattern in _TOPICS if pattern.search(name)), None)


def wave(text: str) -> Wave | None:
    """`UI Wave 1, Agent 1` is wave 1 of the track `UI`."""
    found = _WAVE.search(text)
    return Wave(found["track"].strip(), int(found["number"])) if found else None


def read_section(section: Section, document: Document) -> tuple[Entry, list[Finding]]:
    """One story with its marks: the heading's own box, a status line, and every box in the section."""
    notes = _read(section, document)
    line = document.line(section.heading.start)
    story_id = notes.last("id") or section.id
    findings = [
        Finding("placeholder-command", f'{story_id}: not a command but its form: "{form}"', line)
        for form in notes.forms
    ]
    own = [section.heading.box] if section.heading.box else []
    boxes = [item.box for item in notes.boxes if item.box is not None]
    said = _said(own, notes.status)
    state, reason = said or (_gathered(section, boxes), "")
    checks = _checks(notes.checks)
    story = Story(
        id=story_id,
        title=section.title,
        description=_description(notes),
        criteria=_criteria(notes, checks),
        state=state,
        reason=reason,
        priority=references.priority(notes.last("priority")),
        points=references.points(notes.last("points")),
        needs=tuple(n for text in notes.lines.get("needs", []) for n in markdown_text.references(text)),
        wave=wave(notes.last("wave")),
        group=notes.last("group") or section.group,
        files=markdown_text.file_names(notes.lines.get("files", [])),
        checks=checks,
        agent=notes.last("agent") or None,
        model=notes.last("model") or None,
        notes="\n".join(notes.lines.get("notes", [])),
        span=(section.heading.start, section.end),
    )
    return Entry(story, (*own, *notes.status, *boxes), told=said is not None), findings


def _read(section: Section, document: Document) -> _Notes:
    notes = _Notes()
    about = ""  # the sub-heading or label that the blocks stand under
    for block in section.blocks:
        if isinstance(block, Heading):
            about = topic(block.text) or "other"
            if block.box is not None:
                notes.boxes.append(Item(block.text, block.box, None, block.start, block.end))
        elif isinstance(block, Fence):
            if about in ("checks", "criteria") and block.language in SHELLS:
                real, forms = commands(block.text)
                notes.checks.extend(real)
                notes.forms.extend(forms)
        elif isinstance(block, Item) and block.box is not None:
            notes.boxes.append(block)
        elif isinstance(block, Paragraph | Item):
            label = _take_fields(block, document, notes)
            if label is None:
                notes.add(about or "description", block.text)
            elif label:
                about = label
    return notes


def _take_fields(block: Paragraph | Item, document: Document, notes: _Notes) -> str | None:
    """Notes the `**Name**: value` lines of a block; the topic of a label without value, None for plain text."""
    label: str | None = None
    for found in markdown_text.fields(document.text, block.start, block.end):
        subject = topic(found.name)
        if subject is None:
            continue
        label = label or ""
        if not found.value:
            label = subject
        elif subject == "status":
            notes.status.append(
                Mark(found.start, found.end, document.text[found.start : found.end], box=False)
            )
        elif subject == "checks":
            quoted = re.findall(r"`([^`\n]+)`", document.text[found.start : found.end]) or [found.value]
            notes.checks.extend(text for text in quoted if is_command(text))
        else:
            notes.add(subject, found.value)
    return label


def _said(own: Sequence[Mark], status: Sequence[Mark]) -> tuple[StoryState, str] | None:
    """What the heading's own box, or else a status line, says of the story."""
    if own:
        return ("done" if ticked(own[0]) else "todo"), ""
    for mark in reversed(status):
        said = state_of(mark.value)
        if said is not None:
            return said, mark.value if said in ("skipped", "blocked", "human") else ""
    return None


def _gathered(section: Section, boxes: Sequence[Mark]) -> StoryState:
    """Without a word about the story itself: done when every criterion that is not struck is ticked."""
    if boxes:
        counted = [box for box in boxes if box.value != SKIPPED_MARK]
        return "done" if counted and all(ticked(box) for box in counted) else "todo"
    return "done" if markdown_text.shows_done(section.heading.text) else "todo"


def _description(notes: _Notes) -> str:
    parts = ["\n\n".join(notes.lines.get("description", []))]
    if tasks := notes.lines.get("tasks"):
        parts.append("Tasks:\n" + "\n".join(f"- {task}" for task in tasks))
    return "\n\n".join(part for part in parts if part)


def _criteria(notes: _Notes, checks: tuple[Check, ...]) -> tuple[Criterion, ...]:
    """Every box is a criterion; without boxes, the list under "Acceptance criteria" or "Tests"."""
    texts = [item.text for item in notes.boxes] or notes.lines.get("criteria", [])
    return tuple(criterion(text, checks) for text in texts)


def criterion(text: str, checks: Sequence[Check] = ()) -> Criterion:
    """A criterion, and the check that proves it where it quotes the command of one."""
    quoted = [quote.strip() for quote in re.findall(r"`([^`\n]+)`", text)]
    proof = next(
        (c.command for c in checks for quote in quoted if c.command.split(" && ")[-1] == quote), None
    )
    return Criterion(_SPACE.sub(" ", text).strip(), proof or proving(text))


def _checks(found: Sequence[str]) -> tuple[Check, ...]:
    made: dict[str, Check] = {}
    for command in found:
        if command not in made:
            made[command] = Check(f"verify-{len(made) + 1}", command)
    if len(made) == 1:
        return (Check("verify", next(iter(made))),)
    return tuple(made.values())
