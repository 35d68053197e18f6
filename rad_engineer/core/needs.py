"""Finds the stories and PRDs that a need, as somebody wrote it, means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rad_engineer.core.keys import endings, repeated_ids
from rad_engineer.core.prd import Prd
from rad_engineer.errors import PrdInvalid

NOTHING = frozenset({"", "none", "n/a", "na", "-", "\u2013", "\u2014", "null", "nil", "no", "nothing"})
"""What people write where they mean that nothing is needed."""

_KIND = re.compile(r"(?:story|task|issue|item|step|feature|ticket)[\s#:]+", re.IGNORECASE)
_LEADING = re.compile(r"[\s\"'`*#\[(]*([^\s,;:()\[\]\"'`*]+)")
_GROUP = re.compile(
    r"(?:(?:phase|wave|group|epic|milestone|sprint|stage|module|lane|etapa)[\s_#-]*)?(\d+)\b", re.IGNORECASE
)
_MOST_EDGES = 5_000_000


@dataclass(frozen=True, slots=True)
class Dangling:
    """A need of story `story` that no story answers to; `similar` are ids that may have been meant."""

    story: int
    need: str
    ambiguous: bool
    similar: tuple[str, ...] = ()


@dataclass(slots=True)
class Resolved:
    """The explicit edges: for every story the stories it needs."""

    needs: list[tuple[int, ...]]
    with_edges: list[bool]  # per PRD: does any of its stories name a need
    edges: int = 0
    dangling: list[Dangling] = field(default_factory=list)
    external_open: dict[int, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a need means: stories of the run, a story elsewhere, or nothing that is known."""

    stories: tuple[int, ...] = ()
    elsewhere: bool | None = None  # a story of a PRD that is not run: is it done?
    nothing: bool = False  # the text says that nothing is needed
    ambiguous: bool = False


class _Names:
    """The stories of one PRD by every spelling of their ids; rare spellings are looked up late."""

    def __init__(self, prd: Prd, ids: Sequence[str], offset: int) -> None:
        self.repeated = repeated_ids(prd)
        self.exact = dict(zip(ids, range(offset, offset + len(ids)), strict=True))
        for story_id in self.repeated:
            self.exact.pop(story_id, None)
        self._prd = prd
        self._offset = offset
        self._folded: dict[str, int] | None = None
        self._suffixes: dict[str, int] | None = None
        self._groups: dict[str, list[int]] | None = None

    def folded(self, text: str) -> int | None:
        """The story with this id when case does not count; -1 when there are several."""
        if self._folded is None:
            self._folded = {}
            for story_id, story in self.exact.items():
                name = story_id.casefold()
                self._folded[name] = -1 if name in self._folded else story
        return self._folded.get(text.casefold())

    def suffix(self, text: str) -> int | None:
        """The only story whose id ends in this text; -1 when there are several."""
        if self._suffixes is None:
            self._suffixes = {}
            for story_id, story in self.exact.items():
                for end in endings(story_id.casefold()):
                    self._suffixes[end] = -1 if end in self._suffixes else story
        return self._suffixes.get(text.casefold())

    def group(self, text: str) -> list[int]:
        """The stories of the group, phase or wave with this name or number."""
        if self._groups is None:
            self._groups = _groups(self._prd, self._offset)
        number = _GROUP.fullmatch(text)
        return self._groups.get(text.casefold()) or self._groups.get(number[1] if number else "", [])


def _groups(prd: Prd, offset: int) -> dict[str, list[int]]:
    """Group names, the numbers they begin with, and numbers of waves; names win over numbers."""
    named: dict[str, list[int]] = {}
    numbered: dict[str, list[int]] = {}
    waves: dict[str, list[int]] = {}
    for position, story in enumerate(prd.stories, offset):
        if story.group:
            named.setdefault(story.group.casefold(), []).append(position)
            number = _GROUP.match(story.group)
            if number:
                numbered.setdefault(number[1], []).append(position)
        if story.wave is not None and not story.wave.track:
            waves.setdefault(str(story.wave.number), []).append(position)
    return waves | numbered | named


class _Search:
    """Looks a need up: in its own PRD first, then in the others of the run, then among those read beside it."""

    def __init__(
        self,
        names: Sequence[_Names],
        labels: Sequence[str],
        prd_needs: Sequence[Sequence[int]],
        external: Mapping[str, bool],
    ) -> None:
        self._names = names
        self._labels = {label.casefold(): prd for prd, label in enumerate(labels)}
        self._prd_needs = prd_needs
        self._external = external
        self._folded_external = {name.casefold(): done for name, done in external.items()}
        self._known: dict[tuple[int, str], _Answer] = {}

    def answer(self, prd: int, text: str) -> _Answer:
        """What the text means in this PRD."""
        known = self._known.get((prd, text))
        if known is None:
            known = self._known[prd, text] = self._look(prd, text.strip())
        return known

    def _look(self, prd: int, text: str) -> _Answer:
        if text.casefold() in NOTHING:
            return _Answer(nothing=True)
        if text in self._names[prd].repeated:
            return _Answer(ambiguous=True)
        spellings = _spellings(text)
        for spelling in spellings:
            found = self._by_id(prd, spelling)
            if found is not None:
                return found
        ambiguous = False
        for spelling in spellings:
            found = self._among(prd, [names.suffix(spelling) for names in self._names])
            if found is not None and found.stories:
                return found
            ambiguous = ambiguous or found is not None
        for spelling in spellings:
            members = self._names[prd].group(spelling)
            if members:
                return _Answer(stories=tuple(members))
        return _Answer(ambiguous=ambiguous)

    def _by_id(self, prd: int, text: str) -> _Answer | None:
        found = self._among(prd, [names.exact.get(text) for names in self._names])
        if found is not None:
            return found
        if text in self._external:
            return _Answer(elsewhere=self._external[text])
        found = self._among(prd, [names.folded(text) for names in self._names])
        if found is not None:
            return found
        done = self._folded_external.get(text.casefold())
        return self._qualified(text) if done is None else _Answer(elsewhere=done)

    def _qualified(self, text: str) -> _Answer | None:
        """`phase1/US-001`, `phase1.json#US-001`, `phase1:US-001`."""
        for separator in ("/", "#", ":"):
            label, _, story_id = text.rpartition(separator)
            prd = self._labels.get(label.casefold().removesuffix(".json").removesuffix(".md"))
            if prd is not None:
                found = self._names[prd].exact.get(story_id, self._names[prd].folded(story_id))
                if found is not None and found >= 0:
                    return _Answer(stories=(found,))
        return None

    def _among(self, prd: int, found: Sequence[int | None]) -> _Answer | None:
        """The match of the own PRD, else of one it needs, else of any other; None when there is no match."""
        for circle in ([prd], self._prd_needs[prd], range(len(found))):
            matches = [found[other] for other in circle if found[other] is not None]
            if matches:
                first = matches[0]
                if len(matches) == 1 and first is not None and first >= 0:
                    return _Answer(stories=(first,))
                return _Answer(ambiguous=True)
        return None


def _spellings(text: str) -> list[str]:
    """The text itself, and the id it begins with: `US-015 for …`, `Story 3`."""
    found = [text]
    rest = _KIND.sub("", text, count=1) if _KIND.match(text) else text
    leading = _LEADING.match(rest)
    if leading and leading[1] != text:
        found.append(leading[1])
    return found


def resolve(
    prds: Sequence[Prd],
    ids: Sequence[Sequence[str]],
    labels: Sequence[str],
    prd_needs: Sequence[Sequence[int]],
    external: Mapping[str, bool],
) -> Resolved:
    """Turns every need into stories; what cannot be turned is in `dangling`."""
    offsets = [0]
    for prd in prds:
        offsets.append(offsets[-1] + len(prd.stories))
    names = [_Names(prd, own, offset) for prd, own, offset in zip(prds, ids, offsets, strict=False)]
    search = _Search(names, labels, prd_needs, external)
    found = Resolved(needs=[()] * offsets[-1], with_edges=[False] * len(prds))
    for position, prd in enumerate(prds):
        exact = names[position].exact
        for story, item in enumerate(prd.stories, offsets[position]):
            if item.needs:
                found.needs[story] = _needs_of(story, item.needs, exact, search, position, found)
    for missing in found.dangling[:10]:
        at = found.dangling.index(missing)
        found.dangling[at] = _with_similar(missing, ids, offsets)
    return found


def _needs_of(
    story: int, texts: Sequence[str], exact: Mapping[str, int], search: _Search, prd: int, found: Resolved
) -> tuple[int, ...]:
    """The stories one story needs, each once and in the order written."""
    targets: dict[int, None] = {}
    for text in texts:
        target = exact.get(text)
        if target is not None:
            targets[target] = None
            continue
        answer = search.answer(prd, text)
        if answer.stories:
            targets.update(dict.fromkeys(answer.stories))
        elif answer.elsewhere is not None:
            found.with_edges[prd] = True
            if not answer.elsewhere:
                found.external_open.setdefault(story, []).append(text)
        elif not answer.nothing:
            found.dangling.append(Dangling(story, text, answer.ambiguous))
    if targets:
        found.with_edges[prd] = True
        found.edges += len(targets)
        if found.edges > _MOST_EDGES:
            raise PrdInvalid(f"the needs name groups so large that they make more than {_MOST_EDGES} edges",
                             code="TOO-LARGE", hint="name stories, or declare waves")  # fmt: skip
    return tuple(targets)


def _with_similar(missing: Dangling, ids: Sequence[Sequence[str]], offsets: Sequence[int]) -> Dangling:
    """Adds the ids that look like the missing one: of its own PRD, and not of thousands."""
    import difflib  # noqa: PLC0415 - only for a mistake

    own = next(own for own, end in zip(ids, offsets[1:], strict=True) if missing.story < end)
    likely = [name for name in own if abs(len(name) - len(missing.need)) <= 3][:2000]
    similar = tuple(difflib.get_close_matches(missing.need, likely, n=2))
    return Dangling(missing.story, missing.need, missing.ambiguous, similar)
