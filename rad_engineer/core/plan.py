"""A plan: what would run first, in which waves, and why everything else comes later."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from rad_engineer.core import reasons
from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import Finding
from rad_engineer.core.schedule import Schedule

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph with the state and the reason of every story before anything has run."""

    graph: Graph
    states: tuple[str, ...]
    why: tuple[str, ...]
    first: tuple[int, ...]  # what would start at once if there were workers enough, the best first
    left: int  # stories that would be run

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is worth a warning in the PRDs and in how they fit together."""
        return (*(finding for prd in self.graph.prds for finding in prd.findings), *self.graph.findings)

    @property
    def length(self) -> float:
        """The weight of the critical path."""
        path = self.graph.critical_path
        return self.graph.tail[path[0]] if path else 0.0


def make(graph: Graph, *, only: frozenset[int] | None = None, wave: int | None = None) -> Plan:
    """The plan of a run of this graph, or of the selected stories."""
    schedule = Schedule(graph, {}, only=only, wave=wave)
    left = schedule.open_count()
    first = []
    while (story := schedule.take()) is not None:
        first.append(story)
    started = frozenset(first)
    return Plan(
        graph,
        tuple(_state(schedule, story) for story in range(len(graph.stories))),
        tuple(
            "starts at once" if story in started else reasons.why(schedule, story)
            for story in range(len(graph.stories))
        ),
        tuple(first),
        left,
    )


def _state(schedule: Schedule, story: int) -> str:
    if schedule.is_held(story):
        return "waiting"
    status = schedule.status(story)
    if status == "running":
        return "pending"
    return "blocked" if schedule.graph.stories[story].state == "blocked" and status == "skipped" else status


def json_lines(plan: Plan) -> Iterator[str]:
    """The plan as one JSON document, a line per PRD, story and wave."""
    graph = plan.graph
    prds = (_prd(graph, position) for position in range(len(graph.prds)))
    stories = (_story(plan, story) for story in range(len(graph.stories)))
    yield f'{{"schema_version":{SCHEMA_VERSION},'
    yield from _array("prds", prds, ",")
    yield from _array("stories", stories, ",")
    yield from _array("waves", (_keys(graph, wave) for wave in graph.waves), ",")
    yield f'"wave_names":{_texts(graph.wave_names)},'
    yield f'"critical_path":{_keys(graph, graph.critical_path)},'
    yield f'"critical_path_length":{_number(plan.length)},'
    yield f'"starts":{_keys(graph, plan.first)},'
    yield f'"edges":{graph.edges},'
    warnings = (f'{{"code":{_text(one.code)},"message":{_text(one.message)}}}' for one in plan.findings)
    yield from _array("warnings", warnings, "")
    yield "}"


def _array(name: str, items: Iterable[str], end: str) -> Iterator[str]:
    yield f'"{name}":['
    last = None
    for item in items:
        if last is not None:
            yield f" {last},"
        last = item
    if last is not None:
        yield f" {last}"
    yield f"]{end}"


def _prd(graph: Graph, position: int) -> str:
    prd = graph.prds[position]
    needs = [graph.prds[other].file for other in graph.prd_needs[position]]
    needs += [text for other, text in graph.prds_elsewhere if other == position]
    branch = "null" if prd.branch is None else _text(prd.branch)
    stories = _keys(graph, range(graph.offsets[position], graph.offsets[position + 1]))
    return (
        f'{{"file":{_text(prd.file)},"name":{_text(prd.name)},"branch":{branch},'
        f'"needs":{_texts(needs)},"sequential":{_bool(graph.sequential[position])},"stories":{stories}}}'
    )


def _story(plan: Plan, story: int) -> str:
    """Written by hand: a hundred thousand of these through a dict each would take longer than all the rest."""
    graph = plan.graph
    item = graph.stories[story]
    priority = "null" if item.priority is None else str(item.priority)
    return (
        f'{{"key":{_text(graph.keys[story])},"id":{_text(item.id)},'
        f'"prd":{_text(graph.prds[graph.prd_of[story]].file)},"title":{_text(item.title)},'
        f'"needs":{_keys(graph, graph.needs[story])},"wave":{graph.wave_of[story]},"priority":{priority},'
        f'"points":{_number(item.points)},"files":{_texts(item.files)},"done":{_bool(item.state == "done")},'
        f'"state":"{plan.states[story]}","why":{_text(plan.why[story])}}}'
    )


def _keys(graph: Graph, stories: Iterable[int]) -> str:
    keys = graph.keys
    return f"[{','.join([_text(keys[story]) for story in stories])}]"


def _texts(texts: Iterable[str]) -> str:
    return f"[{','.join([_text(text) for text in texts])}]"


def _text(text: str) -> str:
    encoded = encode_basestring(text)
    return encoded if encoded.isprintable() else _escaped(encoded)


def _escaped(encoded: str) -> str:
    """Keeps what cannot be encoded or would break a line or a terminal as an escape."""
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in encoded)


def _escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 | code >> 10:04x}\\u{0xDC00 | code & 0x3FF:04x}"


def _bool(value: Any) -> str:
    return "true" if value else "false"


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "null"
    return str(int(value)) if value == int(value) else repr(value)
