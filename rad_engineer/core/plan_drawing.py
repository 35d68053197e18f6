"""A plan as a drawing: Mermaid and Graphviz."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rad_engineer.core.graph import Graph
from rad_engineer.core.plan import Plan
from rad_engineer.core.printable import cut, one_line

_TITLE = 60
_COLOURS = {
    "already-done": "#c8e6c9",
    "skipped": "#e0e0e0",
    "waiting": "#fff3c4",
    "blocked": "#ffcdd2",
    "first": "#bbdefb",
}


@dataclass(frozen=True, slots=True)
class _Box:
    """Stories that are drawn together; all of `after` comes before any of them."""

    name: str
    stories: tuple[int, ...]
    after: tuple[int, ...]  # boxes


def mermaid(plan: Plan) -> Iterator[str]:
    """The plan as a Mermaid flowchart."""
    graph = plan.graph
    boxes = _boxes(graph)
    yield "flowchart TD"
    for number, box in enumerate(boxes):
        yield f'  subgraph b{number}["{_entities(box.name)}"]'
        yield from (f'    s{story}["{_entities(_label(graph, story, ": "))}"]' for story in box.stories)
        yield "  end"
    boxed = {story for box in boxes for story in box.stories}
    for story in range(len(graph.stories)):
        if story not in boxed:
            yield f'  s{story}["{_entities(_label(graph, story, ": "))}"]'
    for story, needs in enumerate(graph.needs):
        yield from (f"  s{need} --> s{story}" for need in needs)
    for sequence in graph.sequences:
        yield from (f"  s{story} -.-> s{following}" for story, following in pairwise(sequence))
    for number, box in enumerate(boxes):
        yield from (f"  b{other} ==> b{number}" for other in box.after)
    for name, colour in _COLOURS.items():
        members = [f"s{story}" for story in range(len(graph.stories)) if _look(plan, story) == name]
        if members:
            style = name.replace("-", "")
            yield f"  classDef {style} fill:{colour},color:#000"
            yield f"  class {','.join(members)} {style}"


def dot(plan: Plan) -> Iterator[str]:
    """The plan for Graphviz."""
    graph = plan.graph
    boxes = _boxes(graph)
    yield "digraph plan {"
    yield "  compound=true; rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor=white];'
    for number, box in enumerate(boxes):
        yield f"  subgraph cluster_{number} {{"
        yield f'    label="{_escaped(box.name)}";'
        yield from (f"    {_node(plan, story)}" for story in box.stories)
        yield "  }"
    boxed = {story for box in boxes for story in box.stories}
    yield from (f"  {_node(plan, story)}" for story in range(len(graph.stories)) if story not in boxed)
    for story, needs in enumerate(graph.needs):
        yield from (f"  s{need} -> s{story};" for need in needs)
    for sequence in graph.sequences:
        yield from (f"  s{story} -> s{following} [style=dashed];" for story, following in pairwise(sequence))
    for number, box in enumerate(boxes):
        for other in box.after:
            ends = f"ltail=cluster_{other}, lhead=cluster_{number}, style=bold"
            yield f"  s{boxes[other].stories[-1]} -> s{box.stories[0]} [{ends}];"
    yield "}"


def _boxes(graph: Graph) -> list[_Box]:
    """Declared waves where there are any, else PRDs where there are several."""
    if any(key.prd >= 0 for key in graph.wave_keys):
        boxes: list[_Box] = []
        before: dict[tuple[int, str], int] = {}
        for key, name, stories in zip(graph.wave_keys, graph.wave_names, graph.waves, strict=True):
            if key.prd >= 0:
                after = before.get((key.prd, key.track))
                before[key.prd, key.track] = len(boxes)
                boxes.append(_Box(name, tuple(stories), () if after is None else (after,)))
        return boxes
    if len(graph.prds) < 2:
        return []
    filled = [prd for prd in range(len(graph.prds)) if graph.offsets[prd] < graph.offsets[prd + 1]]
    number = {prd: position for position, prd in enumerate(filled)}
    return [
        _Box(
            one_line(graph.prds[prd].name),
            tuple(range(graph.offsets[prd], graph.offsets[prd + 1])),
            tuple(number[other] for other in graph.prd_needs[prd] if other in number),
        )
        for prd in filled
    ]


def _label(graph: Graph, story: int, separator: str) -> str:
    return f"{one_line(graph.keys[story])}{separator}{cut(one_line(graph.stories[story].title), _TITLE)}"


def _look(plan: Plan, story: int) -> str:
    return "first" if plan.why[story] == "starts at once" else plan.states[story]


def _node(plan: Plan, story: int) -> str:
    colour = _COLOURS.get(_look(plan, story))
    fill = f', fillcolor="{colour}"' if colour else ""
    key, title = (_escaped(part) for part in _label(plan.graph, story, "\n").split("\n"))
    return f's{story} [label="{key}\\n{title}"{fill}];'


def _entities(text: str) -> str:
    """Mermaid has no escapes but entities."""
    text = text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
    return text.replace("`", "#96;").replace("\\", "#92;")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
