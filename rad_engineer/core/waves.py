"""Levels, waves and the critical path: how far a plan can be run side by side, and what sets its length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rad_engineer.core.barriers import Lane, wave_label
from rad_engineer.core.prd import Prd, Story
from rad_engineer.core.topology import Edges


@dataclass(frozen=True, slots=True)
class WaveKey:
    """Where a wave comes from: a PRD's declared wave, or (prd -1) a level of the graph."""

    prd: int
    track: str
    number: int


@dataclass(slots=True)
class Waves:
    """The waves in display order; `of` is 1-based, per story."""

    stories: list[list[int]]
    names: list[str]
    keys: list[WaveKey]
    of: list[int]


def weight(story: Story) -> float:
    """What a story counts on the critical path: its points, 1 without usable ones."""
    points = story.points
    return points if points is not None and 0 < points < math.inf else 1.0


def levels(ordered: Sequence[int], before: Edges, count: int) -> list[int]:
    """The level of every node, from 1: one more than the highest before it; barriers (from `count`) add none."""
    level = [0] * len(before)
    for node in ordered:
        highest = 0
        for other in before[node]:
            highest = max(highest, level[other])
        level[node] = highest + (node < count)
    return level


def tails(ordered: Sequence[int], before: Edges, weights: Sequence[float]) -> list[float]:
    """The weight of the longest path from each node to the end, itself included."""
    tail = [0.0] * len(before)
    for node in reversed(ordered):
        length = tail[node] = tail[node] + weights[node]
        for other in before[node]:
            tail[other] = max(tail[other], length)
    return tail


def critical_path(after: Edges, tail: Sequence[float], count: int) -> list[int]:
    """The longest path, as stories; the first story of several."""
    if not count:
        return []
    node = max(range(count), key=lambda story: (tail[story], -story))
    path = []
    while True:
        if node < count:
            path.append(node)
        if not after[node]:
            return path
        node = max(after[node], key=lambda other: (tail[other], -other))


def arrange(
    prds: Sequence[Prd],
    offsets: Sequence[int],
    prd_needs: Sequence[Sequence[int]],
    tracks: Sequence[Sequence[Lane]],
    level: Sequence[int],
    needs: Sequence[Sequence[int]],
) -> Waves:
    """Declared waves where a PRD declares them, levels for all other PRDs together, later PRDs after earlier."""
    depth = _depths(prd_needs)
    found: list[tuple[tuple[int, int, int], WaveKey, list[int]]] = []
    found += _by_level(offsets, tracks, level, depth)
    for prd, own in enumerate(tracks):
        if own:
            found += _by_declaration(prd, offsets, own, level, needs, depth[prd])
    found.sort(key=lambda entry: entry[0])
    of = [0] * offsets[-1]
    names = []
    for position, (_, key, members) in enumerate(found, 1):
        for story in members:
            of[story] = position
        label = wave_label(key.track, key.number) if key.prd >= 0 else f"Wave {position}"
        names.append(f"{prds[key.prd].stem} {label}" if key.prd >= 0 and len(prds) > 1 else label)
    return Waves([members for _, _, members in found], names, [key for _, key, _ in found], of)


def _depths(prd_needs: Sequence[Sequence[int]]) -> list[int]:
    """How many PRDs must come one after the other before each; PRDs come after those they need."""
    depth: list[int] = []
    for needs in prd_needs:
        depth.append(1 + max((depth[other] for other in needs), default=-1))
    return depth


def _by_level(
    offsets: Sequence[int], tracks: Sequence[Sequence[Lane]], level: Sequence[int], depth: Sequence[int]
) -> list[tuple[tuple[int, int, int], WaveKey, list[int]]]:
    """One wave per level of the stories of PRDs without declared waves."""
    by_level: dict[int, list[int]] = {}
    lowest: dict[int, int] = {}
    for prd, own in enumerate(tracks):
        if own:
            continue
        for story in range(offsets[prd], offsets[prd + 1]):
            by_level.setdefault(level[story], []).append(story)
            if depth[prd] < lowest.setdefault(level[story], depth[prd]):
                lowest[level[story]] = depth[prd]
    found = []
    shallow = max(depth, default=0)
    for number in sorted(by_level, reverse=True):  # a level never stands before a lower one
        shallow = min(shallow, lowest[number])
        found.append(((shallow, -1, number), WaveKey(-1, "", number), by_level[number]))
    return found


def _by_declaration(
    prd: int, offsets: Sequence[int], own: Sequence[Lane], level: Sequence[int],
    needs: Sequence[Sequence[int]], depth: int,
) -> list[tuple[tuple[int, int, int], WaveKey, list[int]]]:  # fmt: skip
    """The declared waves of a PRD; a story without one is shown in the first wave its needs allow."""
    members: list[list[int]] = []
    keys: list[WaveKey] = []
    placed: dict[int, int] = {}
    for lane in own:
        for number, stories in lane.waves:
            placed.update(dict.fromkeys(stories, len(members)))
            members.append(list(stories))
            keys.append(WaveKey(prd, lane.track, number))
    loose = [story for story in range(offsets[prd], offsets[prd + 1]) if story not in placed]
    last = len(own[0].waves) - 1
    for story in sorted(loose, key=lambda story: level[story]):
        placed[story] = min(last, max((placed.get(other, 0) for other in needs[story]), default=0))
        members[placed[story]].append(story)
    return [
        ((depth, prd, position), key, sorted(stories))
        for position, (key, stories) in enumerate(zip(keys, members, strict=True))
    ]
