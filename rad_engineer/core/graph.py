"""The graph of a run: which story needs which, what stands in order, and how long the longest way is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from rad_engineer.core import barriers as walls
from rad_engineer.core import keys as naming
from rad_engineer.core import needs as references
from rad_engineer.core import prd_order, topology
from rad_engineer.core import waves as layout
from rad_engineer.core.barriers import Barrier, Lane
from rad_engineer.core.prd import Finding, Prd, Story, identity
from rad_engineer.core.waves import WaveKey
from rad_engineer.errors import PrdInvalid

_NOTHING: Mapping[str, bool] = MappingProxyType({})
_SHOWN = 20


@dataclass(slots=True)
class Graph:
    """All stories of a run, in run order, by index; `needs` are the edges that the PRDs write down."""

    prds: tuple[Prd, ...]
    labels: list[str]  # what each PRD is called in keys
    stories: tuple[Story, ...]
    keys: tuple[str, ...]
    offsets: list[int]  # where each PRD's stories begin, and the end
    prd_of: list[int]
    by_key: dict[str, int]
    needs: list[tuple[int, ...]]
    dependents: list[tuple[int, ...]]
    edges: int
    prd_needs: list[tuple[int, ...]]
    prds_elsewhere: list[tuple[int, str]]  # (PRD, a PRD it needs that is not part of the run, as written)
    external_open: dict[int, list[str]]
    sequential: list[bool]
    sequences: list[list[int]]  # per PRD the order of its stories, where it is sequential
    barriers: list[Barrier]
    waves: list[list[int]]
    wave_of: list[int]  # 1-based
    wave_names: list[str]
    wave_keys: list[WaveKey]
    tail: list[float]  # weight of the longest path from a story to the end, itself included
    critical_path: list[int]
    findings: tuple[Finding, ...]
    _identities: tuple[str, ...] = field(default=(), repr=False)
    _by_identity: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def identities(self) -> tuple[str, ...]:
        """The identity of every story, made when it is first asked for."""
        if len(self._identities) != len(self.stories):
            self._identities = tuple(
                identity(self.prds[prd].project, story)
                for prd, story in zip(self.prd_of, self.stories, strict=True)
            )
        return self._identities

    @property
    def by_identity(self) -> dict[str, int]:
        """The story with an identity."""
        if len(self._by_identity) != len(self.stories):
            self._by_identity = {name: story for story, name in enumerate(self.identities)}
        return self._by_identity

    def find(self, name: str) -> int | None:
        """The story that somebody means: by key, id, in another case, or by the end of the id."""
        found = self.by_key.get(name)
        return naming.find(name, self.keys, self.stories) if found is None else found

    def select_wave(self, number: int) -> int | None:
        """The index in `waves` of wave `number`: as a lone PRD declares it, else as the plan counts."""
        if len(self.prds) == 1:
            for position, key in enumerate(self.wave_keys):
                if key == WaveKey(0, "", number):
                    return position
        return number - 1 if 0 < number <= len(self.waves) else None


@dataclass(frozen=True, slots=True)
class Lint:
    """What a look at the edges alone says; cycles are the shortest of each tangle."""

    edges: int  # needs as written, those that name no story included
    dangling: tuple[str, ...]
    cycles: tuple[str, ...]


def build(
    prds: Sequence[Prd],
    *,
    parallel: bool = False,
    allow_dangling: bool = False,
    external: Mapping[str, bool] = _NOTHING,
    external_prds: Mapping[str, bool] = _NOTHING,
) -> Graph:
    """The graph of these PRDs; raises PrdInvalid where it cannot be run.

    `external` are ids of PRDs that were read but are not run, `external_prds` the references to such PRDs
    (as written in `Prd.needs`): true where the story, or all of the PRD, is done.
    """
    prds = prd_order.in_order(prds)
    ids = [naming.unique_ids(prd) for prd in prds]
    names = naming.labels(prds)
    keys = naming.story_keys(ids, names)
    prd_needs, missing = prd_order.needs_between(prds)
    _refuse_same_stories(prds, ids)
    resolved = references.resolve(prds, ids, names, prd_needs, external)
    findings = _judge_dangling(prds, keys, resolved, allow_dangling=allow_dangling)
    offsets = _offsets(prds)
    for prd, text in missing:
        if not external_prds.get(text, True):
            for story in range(offsets[prd], offsets[prd + 1]):
                resolved.external_open.setdefault(story, []).append(text)
    shape = _Shape(prds, names, offsets, resolved.needs, prd_needs)
    shape.order_files(resolved.with_edges, parallel=parallel)
    shape.settle(keys)
    return _finish(shape, resolved, keys, (prd_needs, missing), [*findings, *shape.findings])


def lint(prds: Sequence[Prd], *, external: Mapping[str, bool] = _NOTHING) -> Lint:
    """Counts edges, dangling needs and cycles; raises only where a story is there twice."""
    ids = [naming.unique_ids(prd) for prd in prds]
    names = naming.labels(prds)
    keys = naming.story_keys(ids, names)
    prd_needs, _ = prd_order.needs_between(prds)
    resolved = references.resolve(prds, ids, names, prd_needs, external)
    return Lint(
        resolved.edges + len(resolved.dangling),
        tuple(f"{keys[missing.story]} needs {missing.need}" for missing in resolved.dangling),
        tuple(
            _circle([keys[story] for story in topology.shortest_cycle(resolved.needs, [members])])
            for members in topology.tangles(resolved.needs)
        ),
    )


def missing_prds(prds: Sequence[Prd]) -> list[tuple[Prd, str]]:
    """The PRDs that these name in `depends_on` and that are not among them, with the reference as written."""
    return [(prds[prd], text) for prd, text in prd_order.needs_between(prds)[1]]


def _circle(keys: Sequence[str]) -> str:
    """`a -> b -> a`; of a long one both ends."""
    if len(keys) > _SHOWN:
        keys = [*keys[: _SHOWN // 2], f"… ({len(keys) - _SHOWN} more)", *keys[-_SHOWN // 2 :]]
    return " -> ".join(keys)


def _offsets(prds: Sequence[Prd]) -> list[int]:
    offsets = [0]
    for prd in prds:
        offsets.append(offsets[-1] + len(prd.stories))
    return offsets


def _refuse_same_stories(prds: Sequence[Prd], ids: Sequence[Sequence[str]]) -> None:
    """The same story in two files would be done twice, or be done in one and open in the other."""
    if len(prds) < 2:
        return
    first: dict[str, tuple[Prd, Story]] = {}
    for prd, own in zip(prds, ids, strict=True):
        for story_id, story in zip(own, prd.stories, strict=True):
            other, twin = first.setdefault(story_id, (prd, story))
            if other is not prd and identity(other.project, twin) == identity(prd.project, story):
                raise PrdInvalid(
                    f"{other.file} and {prd.file} both contain {story.id} “{story.title}”",
                    code="DUPLICATE",
                    hint="give one of the two files, or remove the story from one of them",
                )


def _judge_dangling(
    prds: Sequence[Prd],
    keys: Sequence[str],
    resolved: references.Resolved,
    *,
    allow_dangling: bool,
) -> list[Finding]:
    """Refuses needs that name no story, or makes findings of them."""
    if not resolved.dangling:
        return []
    lines = []
    for missing in resolved.dangling[: None if allow_dangling else _SHOWN]:
        problem = "which more than one story answers to" if missing.ambiguous else "which no story answers to"
        meant = f" (did you mean {' or '.join(missing.similar)}?)" if missing.similar else ""
        lines.append(f"{keys[missing.story]} needs {missing.need}, {problem}{meant}")
    if allow_dangling:
        return [Finding("dangling", line) for line in lines]
    more = len(resolved.dangling) - len(lines)
    if more:
        lines.append(f"and {more} more")
    files = ", ".join(prd.file for prd in prds[:3]) + (", …" if len(prds) > 3 else "")
    raise PrdInvalid(
        f"{files}: " + (lines[0] if len(lines) == 1 else "needs that name no story\n  " + "\n  ".join(lines)),
        code="DANGLING",
        hint="correct them, or ignore them with --allow-dangling",
    )


class _Shape:
    """What holds stories back besides their needs: the order of a file, waves and other PRDs."""

    def __init__(
        self,
        prds: Sequence[Prd],
        names: list[str],
        offsets: list[int],
        needs: list[tuple[int, ...]],
        prd_needs: list[tuple[int, ...]],
    ) -> None:
        self.prds = prds
        self.names = names
        self.offsets = offsets
        self.needs = needs
        self.dependents = topology.reverse(needs)
        self.prd_needs = list(prd_needs)
        self.tracks: list[list[Lane]] = [
            walls.lanes(prd, offset) for prd, offset in zip(prds, offsets, strict=False)
        ]
        self.sequences: list[list[int]] = [[] for _ in prds]
        self.barriers: list[Barrier] = []
        self.before: list[Sequence[int]] = []
        self.after: list[Sequence[int]] = []
        self.ordered: list[int] = []
        self.findings: list[Finding] = []

    def order_files(self, with_edges: Sequence[bool], *, parallel: bool) -> None:
        """A file that says nothing of needs or waves is worked through in its order: it is all there is to go by."""
        for prd, stories in enumerate(self.prds):
            if not (parallel or with_edges[prd] or self.tracks[prd]):
                numbered = [(story.priority is None, story.priority or 0) for story in stories.stories]
                self.sequences[prd] = [
                    self.offsets[prd] + position
                    for position in sorted(range(len(numbered)), key=numbered.__getitem__)
                ]

    def settle(self, keys: Sequence[str]) -> None:
        """Finds an order that keeps everything; barriers that make that impossible give way to needs."""
        while True:
            self.barriers = walls.declared(self.prds, self.names, self.offsets, self.prd_needs, self.tracks)
            self._constrain()
            self.ordered = topology.order(self.before, self.after)
            if len(self.ordered) == len(self.before):
                return
            cycle = topology.shortest_cycle(self.needs, topology.tangles(self.needs))
            if cycle:
                raise PrdInvalid(
                    f"stories need each other: {_circle([keys[story] for story in cycle])}",
                    code="CYCLE",
                    hint="remove one of these needs",
                )
            self._give_way()

    def _constrain(self) -> None:
        """Needs, file order and barriers as one graph; barriers are its nodes behind the stories."""
        count = len(self.needs)
        before: list[Sequence[int]] = list(self.needs)
        after: list[Sequence[int]] = list(self.dependents)
        for sequence in self.sequences:
            for story, following in pairwise(sequence):
                before[following] = (*before[following], story)
                after[story] = (*after[story], following)
        for node, barrier in enumerate(self.barriers, count):
            before.append([*barrier.members, *(count + parent for parent in barrier.parents)])
            after.append(list(barrier.behind))
            for story in barrier.behind:
                before[story] = (*before[story], node)
            for other in before[node]:
                after[other] = (*after[other], node)
        self.before, self.after = before, after

    def _give_way(self) -> None:
        """Drops the waves in the way of needs, or the order of PRDs where no wave is in the way."""
        count = len(self.needs)
        tangled = [
            self.barriers[node - count]
            for members in topology.tangles(self.before)
            for node in members
            if node >= count
        ]
        for prd in sorted({barrier.prd for barrier in tangled if barrier.kind == "wave"}):
            self.tracks[prd] = []
            message = f"{self.prds[prd].file}: its waves contradict its needs; the needs count"
            self.findings.append(Finding("waves-contradict-needs", message))
        if any(barrier.kind == "wave" for barrier in tangled):
            return
        for prd in sorted({barrier.prd for barrier in tangled if barrier.kind == "start"}):
            self.prd_needs[prd] = ()
            message = (
                f"{self.prds[prd].file}: the PRDs it depends on need stories of it; the stories' needs count"
            )
            self.findings.append(Finding("prd-order-contradicts-needs", message))


def _finish(
    shape: _Shape,
    resolved: references.Resolved,
    keys: list[str],
    needed_prds: tuple[list[tuple[int, ...]], list[tuple[int, str]]],
    findings: list[Finding],
) -> Graph:
    """Measures the settled shape: levels, waves, tails and the critical path."""
    stories = tuple(story for prd in shape.prds for story in prd.stories)
    weights = [layout.weight(story) for story in stories] + [0.0] * len(shape.barriers)
    level = layout.levels(shape.ordered, shape.before, len(stories))
    tail = layout.tails(shape.ordered, shape.before, weights)
    waves = layout.arrange(shape.prds, shape.offsets, shape.prd_needs, shape.tracks, level, shape.needs)
    for barrier in shape.barriers:
        if barrier.kind == "wave":
            barrier.wave = waves.of[barrier.members[0]] - 1
    return Graph(
        prds=tuple(shape.prds),
        labels=shape.names,
        stories=stories,
        keys=tuple(keys),
        offsets=shape.offsets,
        prd_of=[position for position, prd in enumerate(shape.prds) for _ in prd.stories],
        by_key={key: story for story, key in enumerate(keys)},
        needs=shape.needs,
        dependents=[tuple(followers) for followers in shape.dependents],
        edges=resolved.edges,
        prd_needs=needed_prds[0],
        prds_elsewhere=needed_prds[1],
        external_open=resolved.external_open,
        sequential=[bool(sequence) for sequence in shape.sequences],
        sequences=shape.sequences,
        barriers=shape.barriers,
        waves=waves.stories,
        wave_of=waves.of,
        wave_names=waves.names,
        wave_keys=waves.keys,
        tail=tail[: len(stories)],
        critical_path=layout.critical_path(shape.after, tail, len(stories)),
        findings=tuple(findings),
    )
