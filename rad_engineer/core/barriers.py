"""Barriers: what must be over before anything behind them starts, without an edge for every pair of stories."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rad_engineer.core.prd import Prd


@dataclass(slots=True)
class Barrier:
    """Opens when its members are over and its parents are open; the stories `behind` it wait for that."""

    label: str  # "Wave 1", or what the PRD is called in keys
    prd: int
    kind: str  # the end of a "wave", or "start" and "end" of a PRD
    members: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    wave: int = -1  # index in Graph.waves of the wave whose end it is


@dataclass(frozen=True, slots=True)
class Lane:
    """The declared waves of one track of a PRD, in order."""

    track: str
    waves: tuple[tuple[int, tuple[int, ...]], ...]  # (declared number, stories)


def lanes(prd: Prd, offset: int) -> list[Lane]:
    """The declared waves of a PRD, the main track first, the others as they appear."""
    tracks: dict[str, dict[int, list[int]]] = {}
    for position, story in enumerate(prd.stories, offset):
        if story.wave is not None:
            tracks.setdefault(story.wave.track, {}).setdefault(story.wave.number, []).append(position)
    return [
        Lane(track, tuple((number, tuple(waves[number])) for number in sorted(waves)))
        for track, waves in sorted(tracks.items(), key=lambda item: bool(item[0]))
    ]


def wave_label(track: str, number: int) -> str:
    """`Wave 1`, `UI Wave 1`."""
    return f"{track} Wave {number}" if track else f"Wave {number}"


def declared(
    prds: Sequence[Prd],
    names: Sequence[str],
    offsets: Sequence[int],
    prd_needs: Sequence[Collection[int]],
    tracks: Sequence[Sequence[Lane]],
) -> list[Barrier]:
    """The barriers between declared waves (`tracks`, per PRD) and between PRDs (`prd_needs`)."""
    barriers: list[Barrier] = []
    needed = {other for needs in prd_needs for other in needs}
    ends: dict[int, int] = {}
    for position, prd in enumerate(prds):
        first: list[int] = []
        if prd_needs[position]:
            parents = [ends[other] for other in prd_needs[position]]
            first = [len(barriers)]
            barriers.append(Barrier(names[position], position, "start", parents=parents))
        last = list(first)
        in_waves: set[int] = set()
        for lane in tracks[position]:
            front = list(first)
            for number, stories in lane.waves:
                for barrier in front:
                    barriers[barrier].behind += stories
                in_waves.update(stories)
                label = wave_label(lane.track, number)
                barriers.append(Barrier(label, position, "wave", list(stories), front))
                front = [len(barriers) - 1]
            last += front
        own = range(offsets[position], offsets[position] + len(prd.stories))
        loose = [story for story in own if story not in in_waves] if in_waves else list(own)
        for barrier in first:
            barriers[barrier].behind += loose
        if position in needed:
            ends[position] = len(barriers)
            barriers.append(Barrier(names[position], position, "end", loose, last))
    return barriers


def with_levels(
    declared: Sequence[Barrier], waves: Sequence[Sequence[int]], names: Sequence[str], levels: Sequence[int]
) -> list[Barrier]:
    """Makes barriers of the waves that no PRD declares too (`levels`): each stands before the next."""
    found = list(declared)
    last: list[int] = []
    for wave in levels:
        members = list(waves[wave])
        for barrier in last:
            found[barrier].behind = members
        found.append(Barrier(names[wave], -1, "wave", members, last, wave=wave))
        last = [len(found) - 1]
    return found
