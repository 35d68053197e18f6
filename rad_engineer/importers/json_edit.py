"""Changes the done fields of stories inside a JSON text, and not one character beside them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]
from typing import Any

from rad_engineer.core.prd import Prd, same_work
from rad_engineer.errors import PrdInvalid
from rad_engineer.importers import json_prd, json_text, positions
from rad_engineer.importers.done_words import say, state_of
from rad_engineer.importers.fields import StoryReader
from rad_engineer.importers.keys import FIELDS, plain
from rad_engineer.importers.states import of_flag
from rad_engineer.importers.tally import Tally
from rad_engineer.importers.work_items import Found

_FLAGS = frozenset(FIELDS["passes"])
_WORDS = frozenset(FIELDS["status"])
_BROKEN = (StopIteration, IndexError, KeyError, ValueError, RecursionError)
"""What a scan of a text that is not the JSON it was taken for may end with."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Member:
    """One `"key": value` of an object."""

    key: str
    start: int
    value_start: int
    value_end: int
    value: Any


@dataclass(slots=True)
class _File:
    """The text as it is now, with blanks for comments, and the words its stories use."""

    content: str
    strings: dict[str, Counter[str]] = field(default_factory=dict)

    def words(self, key: str) -> Counter[str]:
        """How often each text stands behind this key, as it is escaped in the file."""
        if key not in self.strings:
            pattern = re.compile(
                rf'{re.escape(json.dumps(key, ensure_ascii=False))}\s*:\s*"((?:[^"\\]|\\.)*)"'
            )
            self.strings[key] = Counter(pattern.findall(self.content))
        return self.strings[key]

    def has_booleans(self, key: str) -> bool:
        """Whether true or false stands behind this key anywhere."""
        return (
            re.search(
                rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:\s*(?:true|false)\b", self.content
            )
            is not None
        )


def edits(
    text: str, prd: Prd, changes: Mapping[str, bool], *, region: Span | None = None
) -> tuple[list[Edit], list[str]]:
    """What to change in `text`, the file as it is now, and the stories it does not have any more."""
    found = _as_before(text, prd, changes, region) or _anew(text, prd, changes, region)
    if found is None:
        return [], list(changes)
    content, places = found
    file = _File(content)
    before = _before(prd, [story_id for story_id, done in changes.items() if not done])
    made: list[Edit] = []
    lacking: list[list[_Member]] = []
    for story_id, span in places.items():
        members = list(_members(content, span[0]))
        fields = _done_fields(members)
        for member in fields:
            if (_state(member) == "done") != changes[story_id]:
                old = before.get(story_id, {}).get(member.key)
                new = old or _value(file, member, done=changes[story_id])
                made.append(Edit(member.value_start, member.value_end, new))
        if not fields and members and changes[story_id]:
            lacking.append(members)
    if lacking and (said := _usual_field(text, prd, region, file)):
        made += [_insertion(content, members, *said) for members in lacking]
    return made, [story_id for story_id in changes if story_id not in places]


def _as_before(
    text: str, prd: Prd, changes: Mapping[str, bool], region: Span | None
) -> tuple[str, dict[str, Span]] | None:
    """The stories where they stood when the file was loaded, if each is still there: no parse of the whole file."""
    start = region[0] if region else prd.start
    wanted = {index: story.id for index, story in enumerate(prd.stories) if story.id in changes}
    if len(wanted) != len(changes):
        return None
    tolerant = any(finding.code in json_text.BLANKED for finding in prd.findings)
    content = json_text.masked(text, start) if tolerant else text
    reader, decode = StoryReader(Tally()), json_text.decoder(strict=False).raw_decode
    try:
        places = positions.spans(content, start, prd.blocks, only=wanted.keys())
        for index, span in places.items():
            raw = decode(content, span[0])[0]
            if not same_work(reader.read(raw, index), prd.stories[index]):
                return None
    except _BROKEN:
        return None
    if len(places) != len(wanted):
        return None
    return content, {wanted[index]: span for index, span in places.items()}


def _anew(
    text: str, prd: Prd, changes: Mapping[str, bool], region: Span | None
) -> tuple[str, dict[str, Span]] | None:
    """The stories by their ids in a file that has been edited; None when it cannot be read any more."""
    try:
        parsed, found = _find(text, prd, region)
        now = json_prd.build(parsed, found, text, prd.file, prd.path)
    except (PrdInvalid, RecursionError):
        return None
    before = {story.id: story for story in prd.stories if story.id in changes}
    wanted = {
        index: story.id
        for index, story in enumerate(now.stories)
        if story.id in before and same_work(story, before[story.id])
    }
    places = positions.spans(parsed.text, parsed.start, now.blocks, only=wanted.keys())
    return parsed.text, {wanted[index]: span for index, span in places.items()}


def _find(text: str, prd: Prd, region: Span | None) -> tuple[json_text.Parsed, Found]:
    """The work items of the container that the PRD was loaded from."""
    parsed = json_text.parse(text, prd.file, region=region)
    found = None
    steps = prd.container.strip(".").split(".")
    for stories_path, tag in ((None, None), (None, steps[0]), (prd.container.removesuffix("{}"), None)):
        try:
            found = json_prd.find(parsed, prd.file, stories_path=stories_path, tag=tag)
        except PrdInvalid:
            continue
        if found.container.removesuffix("{}") == prd.container.removesuffix("{}"):
            return parsed, found
    return parsed, found or json_prd.find(parsed, prd.file, stories_path=None, tag=None)


def _before(prd: Prd, stories: list[str]) -> dict[str, dict[str, str]]:
    """What the done fields of stories that were open said when the file was loaded: unmarking puts that back."""
    wanted = {
        index: story.id
        for index, story in enumerate(prd.stories)
        if story.id in stories and story.state != "done"
    }
    if not wanted or not prd.blocks:
        return {}
    tolerant = any(finding.code in json_text.BLANKED for finding in prd.findings)
    content = json_text.masked(prd.text, prd.start) if tolerant else prd.text
    places = positions.spans(content, prd.start, prd.blocks, only=wanted.keys())
    return {
        wanted[index]: {
            member.key: content[member.value_start : member.value_end]
            for member in _done_fields(list(_members(content, span[0])))
        }
        for index, span in places.items()
    }


def _members(content: str, start: int) -> Iterator[_Member]:
    """The members of the object that begins here."""
    scan = json.JSONDecoder(strict=False).raw_decode
    at = _skip(content, start + 1)
    while content[at] == '"':
        key, key_end = scanstring(content, at + 1, False)
        value_start = _skip(content, _skip(content, key_end) + 1)
        value, end = scan(content, value_start)
        yield _Member(key, at, value_start, end, value)
        at = _skip(content, end)
        if content[at] == ",":
            at = _skip(content, at + 1)


def _skip(text: str, at: int) -> int:
    end: int = WHITESPACE.match(text, at).end()
    return end


def _done_fields(members: Sequence[_Member]) -> list[_Member]:
    """Every member that says how far the story is; a text nobody knows counts only where there is nothing else."""
    said = [member for member in members if _says(member)]
    known = [member for member in said if _state(member) is not None]
    return known or said


def _says(member: _Member) -> bool:
    name = plain(member.key)
    if name in _FLAGS:
        return not isinstance(member.value, dict) and not (isinstance(member.value, list) and member.value)
    return name in _WORDS and (member.value is None or isinstance(member.value, str))


def _state(member: _Member) -> str | None:
    if plain(member.key) in _FLAGS:
        return of_flag(str(member.value) if isinstance(member.value, float) else member.value)
    return state_of(member.value) if member.value else "todo"


def _value(file: _File, member: _Member, *, done: bool) -> str:
    """The new value in the member's own way of speaking."""
    value, word = member.value, "true" if done else "false"
    if isinstance(value, str):
        flag = plain(member.key) in _FLAGS
        if flag and re.match(r"\d{4}-\d\d-\d\d", value) and not done:
            return "null"  # the day it was done
        if (
            flag
            and file.has_booleans(member.key)
            and value.strip().casefold() not in ("true", "false", "yes", "no")
        ):
            return word
        return f'"{say(value, file.words(member.key), done=done)}"'
    if isinstance(value, bool):
        return word
    if isinstance(value, int | float):
        return str(int(done))
    words = file.words(member.key)
    if words and not file.has_booleans(member.key):
        return f'"{say("", words, done=done)}"'
    return word if plain(member.key) in _FLAGS else ('"done"' if done else '"pending"')


def _usual_field(text: str, prd: Prd, region: Span | None, file: _File) -> tuple[str, str] | None:
    """The done field most stories of the file have, and its value for a finished one; None where no story has any."""
    _, found = _find(text, prd, region)
    items = [item for batch in found.batches for item in batch.items]
    for names in (_FLAGS, _WORDS):
        counted = Counter(key for item in items for key in item if plain(key) in names)
        for key, _ in counted.most_common(1):
            sample = next(
                item[key] for item in items if (key in item and item[key] is not None) or key in item
            )
            model = _Member(key, 0, 0, 0, sample)
            return key, _value(file, model, done=True)
    return None


def _insertion(content: str, members: Sequence[_Member], key: str, value: str) -> Edit:
    """A last member, set off from the one before as that one is from its own neighbour."""
    last = members[-1]
    gap_start = members[-2].value_end if len(members) > 1 else content.rindex("{", 0, last.start)
    gap = content[gap_start : last.start].lstrip("{,")
    newline = max(gap.rfind("\n"), gap.rfind("\r"))
    if newline >= 0:
        gap = ("\r\n" if "\r\n" in gap else gap[newline]) + gap[newline + 1 :]
    between = content[content.index('"', last.start) + len(_raw_key(content, last)) : last.value_start]
    return Edit(
        last.value_end, last.value_end, f",{gap}{json.dumps(key, ensure_ascii=False)}{between}{value}"
    )


def _raw_key(content: str, member: _Member) -> str:
    end = scanstring(content, member.start + 1, False)[1]
    return content[member.start : end]
