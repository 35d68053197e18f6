"""A JSON document to a Prd: its work items, then what it says about the project."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import Any, NamedTuple

from rad_engineer.core.prd import Block, Check, Prd, Story, Wave
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import containers, json_text, positions, references
from rad_engineer.importers.criteria import checks
from rad_engineer.importers.fields import StoryReader
from rad_engineer.importers.keys import PROJECT, pick, ranked
from rad_engineer.importers.stories_path import at, refuse
from rad_engineer.importers.tally import Tally
from rad_engineer.importers.work_items import Found

_NOTES_LIMIT = 12_000
_NOTE_LIMIT = 4_000


def load_json(
    text: str,
    file: str,
    path: str,
    *,
    stories_path: str | None = None,
    tag: str | None = None,
    region: tuple[int, int] | None = None,
) -> Prd:
    """The Prd a JSON text describes; `region` bounds the value when other text surrounds it."""
    parsed = json_text.parse(text, file, region=region)
    return from_parsed(parsed, text, file, path, stories_path=stories_path, tag=tag)


def from_parsed(
    parsed: json_text.Parsed, text: str, file: str, path: str, *, stories_path: str | None, tag: str | None
) -> Prd:
    """As `load_json`, for a value that has been parsed."""
    try:
        found = find(parsed, file, stories_path=stories_path, tag=tag)
        return build(parsed, found, text, file, path)
    except RecursionError:
        raise json_text.too_deep(file) from None


def find(parsed: json_text.Parsed, file: str, *, stories_path: str | None, tag: str | None) -> Found:
    """Where the work items are; refuses a document without any."""
    if stories_path is not None:
        return at(parsed.value, stories_path, file)
    found = containers.find(parsed.value, file, tag=tag)
    if found is None:
        raise refuse(parsed.value, file)
    return found


def build(parsed: json_text.Parsed, found: Found, text: str, file: str, path: str) -> Prd:
    """Stories, project fields and warnings in one Prd."""
    tally = Tally()
    blocks = tuple(Block(batch.path, batch.elements) for batch in found.batches)
    stories = _unique(_stories(found, StoryReader(tally)), tally, _Places(parsed, blocks, file))
    stories = _with_barriers(found, _through_subtasks(found, stories), tally)
    firsts = tally.firsts()
    places = positions.spans(parsed.text, parsed.start, blocks, only=firsts) if firsts else {}
    project = Project(found.projects)
    gates, prose = project.checks("gates")
    findings = [*parsed.findings, *found.findings]
    findings += tally.findings(
        lambda index: json_text.position(text, places[index][0]) if index in places else None
    )
    name = project.text("project") or project.text("name")
    return Prd(
        file=file,
        path=path,
        format="json",
        container=found.container,
        name=name or _stem(file),
        project=name,
        stories=tuple(stories),
        text=text,
        branch=project.branch(),
        needs=project.needs(),
        gates=gates,
        wave_gates=project.checks("wave_gates")[0],
        final_gates=project.checks("final_gates")[0],
        notes=project.notes(prose),
        findings=tuple(findings),
        start=parsed.start,
        blocks=blocks,
    )


class _Places(NamedTuple):
    """Finds the place of a story for a refusal."""

    parsed: json_text.Parsed
    blocks: tuple[Block, ...]
    file: str

    def refuse_twice(self, first: int, second: int, name: str) -> PrdInvalid:
        found = positions.spans(self.parsed.text, self.parsed.start, self.blocks, only={first, second})
        line, _ = json_text.position(self.parsed.text, found[first][0])
        return json_text.refusal(
            f"the story {name} stands twice, here and in line {line}",
            self.parsed.text,
            found[second][0],
            self.file,
            code="DUPLICATE",
            hint="remove one of the two (a merge may have made the other)",
        )


def _stories(found: Found, reader: StoryReader) -> list[Story]:
    stories: list[Story] = []
    read = reader.read
    for batch in found.batches:
        ids = batch.keys or repeat("")
        for raw, key in zip(batch.items, ids, strict=False):
            stories.append(read(raw, len(stories), key=key, group=batch.group))
    return stories


def _unique(stories: list[Story], tally: Tally, places: _Places) -> list[Story]:
    """Every id once: the same id and title is damage, the same id for another story is renamed."""
    first: dict[str, int] = {}
    for index, story in enumerate(stories):
        first.setdefault(story.id, index)
    if len(first) == len(stories):
        return stories
    renamed: set[str] = set()
    for index, story in enumerate(stories):
        original = first[story.id]
        if original == index:
            continue
        if not story.id_generated and story.title.casefold() == stories[original].title.casefold():
            raise places.refuse_twice(original, index, story.id)
        number = 2
        while f"{story.id}#{number}" in first:
            number += 1
        tally.add("same-twice" if story.id_generated else "duplicate-id", index, story.id)
        renamed.add(story.id)
        stories[index] = replace(story, id=f"{story.id}#{number}")
        first[stories[index].id] = index
    for story in stories:
        for name in renamed.intersection(story.needs):
            raise PrdInvalid(
                f"{places.file}: {story.id} needs {name}, an id that several stories have",
                code="DUPLICATE",
                hint="give each story an id of its own",
            )
    return stories


def _through_subtasks(found: Found, stories: list[Story]) -> list[Story]:
    """Who needs the sub-task `5.1` needs the story 5, for sub-tasks are done with their story."""
    owner: dict[str, str] = {}
    raws = (raw for batch in found.batches for raw in batch.items)
    for story, raw in zip(stories, raws, strict=False):
        for subtask in raw["subtasks"] if isinstance(raw.get("subtasks"), list) else ():
            if isinstance(subtask, dict) and isinstance(subtask.get("id"), int | str):
                name = str(subtask["id"])
                owner[name if name.startswith(f"{story.id}.") else f"{story.id}.{name}"] = story.id
    if not owner:
        return stories
    for story in stories:
        owner.pop(story.id, None)
    return [
        replace(story, needs=_with_owners(story, owner)) if owner.keys() & set(story.needs) else story
        for story in stories
    ]


def _with_owners(story: Story, owner: dict[str, str]) -> tuple[str, ...]:
    needs = dict.fromkeys(owner.get(name, name) for name in story.needs)
    needs.pop(story.id, None)  # its own sub-task
    return tuple(needs)


def _with_barriers(found: Found, stories: list[Story], tally: Tally) -> list[Story]:
    """Phases, waves and sprints hold later stories back, but only where needs let anything run side by side."""
    if all(batch.wave is None for batch in found.batches) or not any(story.needs for story in stories):
        return stories
    numbers = [batch.wave for batch in found.batches for _ in batch.items]
    wave_of = {story.id: number or 0 for story, number in zip(stories, numbers, strict=True)}
    for index, story in enumerate(stories):
        if any(wave_of.get(name, 0) > wave_of[story.id] for name in story.needs):
            tally.add("waves-contradict", index, story.id)
            return stories
    return [
        story if number is None or story.wave is not None else replace(story, wave=Wave("", number))
        for story, number in zip(stories, numbers, strict=True)
    ]


class Project:
    """What the objects around the stories say about the project, the innermost first."""

    __slots__ = ("_outer", "_scopes")

    def __init__(self, projects: list[dict[str, Any]]) -> None:
        self._outer = len(projects)
        scopes = list(projects)
        for project in projects:
            for name in ("project", "meta", "metadata", "document", "product"):
                key = pick(project, name)
                if key is not None and isinstance(project[key], dict) and project[key] not in scopes:
                    scopes.append(project[key])
        self._scopes = [(scope, ranked(scope, PROJECT)) for scope in scopes]

    def _values(self, field: str) -> Iterator[tuple[str, Any]]:
        for scope, plan in self._scopes:
            for key in plan.get(field, ()):
                yield key, scope[key]

    def text(self, field: str) -> str:
        """The first value of a field that is text."""
        for _, value in self._values(field):
            found: Any = value
            if isinstance(value, dict):
                key = pick(value, "name", "title")
                found = value[key] if key else None
            if isinstance(found, str) and (line := references.line(found)):
                return line[:300]
        return ""

    def branch(self) -> str | None:
        """The branch the file itself names; one in its metadata is where it came from."""
        named = [scope[key] for scope, plan in self._scopes[: self._outer] for key in plan.get("branch", ())]
        return next(
            (references.line(name)[:200] for name in named if isinstance(name, str) and name.strip()), None
        )

    def needs(self) -> tuple[str, ...]:
        """Other PRDs this one depends on, as written."""
        found: dict[str, None] = {}
        for _, value in self._values("needs"):
            for name in references.needs(value):
                found[references.line(name.split(" (")[0])] = None
        return tuple(found)

    def checks(self, field: str) -> tuple[tuple[Check, ...], list[str]]:
        """Commands of a field under their names, and its prose."""
        found: list[Check] = []
        prose: list[str] = []
        for key, value in self._values(field):
            commands, texts = checks(value, key)
            found += [check for check in commands if check.command not in {other.command for other in found}]
            prose += texts
        return tuple(found), prose

    def notes(self, prose: list[str]) -> str:
        """What every agent should know: description, context, rules; bounded."""
        parts: list[str] = []
        for key, value in self._values("notes"):
            text = _rendered(value)
            if text and text not in parts:
                parts.append(text if key.lower() == "description" else f"{key}:\n{text}")
        if prose:
            parts.append("Checks:\n" + "\n".join(f"- {line}" for line in prose))
        text = "\n\n".join(parts)
        return text if len(text) <= _NOTES_LIMIT else text[:_NOTES_LIMIT] + " …"


def _rendered(value: Any) -> str:
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = "\n".join(f"- {item}" for item in value)
    elif isinstance(value, list | dict) and value:
        text = json.dumps(value, ensure_ascii=False, indent=1)
    else:
        return ""
    return text if len(text) <= _NOTE_LIMIT else text[:_NOTE_LIMIT] + " …"


def _stem(file: str) -> str:
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] if "." in name.lstrip(".") else name
