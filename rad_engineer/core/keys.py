"""Gives every story of a run the shortest name that no other has."""

from collections import Counter
from collections.abc import Callable, Sequence

from rad_engineer.core.prd import Prd, Story
from rad_engineer.errors import PrdInvalid


def unique_ids(prd: Prd) -> list[str]:
    """The ids of a PRD's stories; a reused id becomes `id#2`, the same story twice is refused.

    Two stories with the same id and title are what a bad merge leaves behind, and nobody can say which counts.
    """
    ids = [story.id for story in prd.stories]
    if len(set(ids)) == len(ids):
        return ids
    taken = set(ids)
    first: dict[str, dict[str, int]] = {}
    for position, story in enumerate(prd.stories):
        titles = first.setdefault(story.id, {})
        if story.title in titles and not story.id_generated:
            raise _doubled(prd, story, titles[story.title], position)
        if titles:
            ids[position] = _numbered(story.id, taken)
            taken.add(ids[position])
        titles.setdefault(story.title, position)
    return ids


def repeated_ids(prd: Prd) -> frozenset[str]:
    """The ids that more than one story of the PRD carries: nothing can be meant by naming one."""
    ids = [story.id for story in prd.stories]
    if len(set(ids)) == len(ids):
        return frozenset()
    return frozenset(story_id for story_id, count in Counter(ids).items() if count > 1)


def _doubled(prd: Prd, story: Story, first: int, second: int) -> PrdInvalid:
    return PrdInvalid(
        f"{prd.file}: story {second + 1} repeats story {first + 1}: {story.id} “{story.title}”",
        code="DUPLICATE",
        hint="a merge may have doubled it: remove one of the two, or give it another id",
    )


def _numbered(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def labels(prds: Sequence[Prd]) -> list[str]:
    """What each PRD is called in keys: its stem, with as many folders before it as it takes to tell them apart."""
    folders = [prd.file.replace("\\", "/").split("/")[:-1] for prd in prds]
    depth = [0] * len(prds)
    names = [prd.stem for prd in prds]
    while True:
        count = Counter(names)
        longer = [i for i, name in enumerate(names) if count[name] > 1 and depth[i] < len(folders[i])]
        if not longer:
            break
        for i in longer:
            depth[i] += 1
            names[i] = "/".join([*folders[i][-depth[i] :], prds[i].stem])
    taken: set[str] = set()
    for i, name in enumerate(names):
        names[i] = _numbered(name, taken) if name in taken else name
        taken.add(names[i])
    return names


def story_keys(ids: Sequence[Sequence[str]], names: Sequence[str]) -> list[str]:
    """The keys of all stories in order: the id, with the PRD's name before it only where two PRDs share the id."""
    if len(ids) == 1:
        return list(ids[0])
    count = Counter(story_id for own in ids for story_id in own)
    found: list[str] = []
    taken = {story_id for story_id, times in count.items() if times == 1}
    for own, name in zip(ids, names, strict=True):
        for story_id in own:
            key = story_id
            if count[story_id] > 1:
                key = f"{name}/{story_id}"
                key = _numbered(key, taken) if key in taken else key
                taken.add(key)
            found.append(key)
    return found


def find(name: str, keys: Sequence[str], stories: Sequence[Story]) -> int | None:
    """The one story that somebody may mean by this name: key, id, either in another case, the end of an id."""
    folded = name.strip().casefold()
    if not folded:
        return None
    tests: tuple[Callable[[int], bool], ...] = (
        lambda position: stories[position].id == name,
        lambda position: folded in (keys[position].casefold(), stories[position].id.casefold()),
        lambda position: _ends_in(stories[position].id.casefold(), folded),
    )
    for test in tests:
        matches = [position for position in range(len(keys)) if test(position)]
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def endings(story_id: str) -> list[str]:
    """The ends of an id that begin a word or a number of it: `001` of `MIXA-001`."""
    return [story_id[at:] for at in range(1, len(story_id)) if _begins_part(story_id, at)]


def _ends_in(story_id: str, end: str) -> bool:
    at = len(story_id) - len(end)
    return at > 0 and story_id.endswith(end) and _begins_part(story_id, at)


def _begins_part(story_id: str, at: int) -> bool:
    before, first = story_id[at - 1], story_id[at]
    if not first.isalnum() or before in ".#":  # 1 is not the end of 2.1, nor 2 that of US-001#2
        return False
    return not before.isalnum() or (before.isalpha() and first.isdigit())
