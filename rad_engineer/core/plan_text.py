"""A plan for people: waves with their stories, what each waits for, and what sets the pace."""

from collections.abc import Iterable, Iterator, Sequence

from rad_engineer.core.graph import Graph
from rad_engineer.core.plan import Plan
from rad_engineer.core.printable import cut, one_line, pad, several, width, wrap

_NARROWEST = 20
_WIDEST_KEY = 16
_SHOWN = 30


def lines(plan: Plan, columns: int) -> Iterator[str]:
    """The plan in lines of at most so many columns, where keys allow it."""
    graph = plan.graph
    columns = max(columns, _NARROWEST)
    yield from _fit(_headline(plan), columns, "")
    if not graph.stories:
        return
    if len(graph.prds) > 1:
        yield from _prds(graph, columns)
    yield from _waves(plan, columns)
    yield ""
    points = _amount(plan.length)
    path = [one_line(graph.keys[story]) for story in graph.critical_path]
    if not _in_order(graph) and plan.first:
        yield from _fit(f"Longest way ({points}): {_listed(path, ' -> ')}", columns, "  ")
    first = [one_line(graph.keys[story]) for story in plan.first]
    yield from _fit(f"Starts at once: {_listed(first, ', ')}" if first else _nothing(plan), columns, "  ")


def _headline(plan: Plan) -> str:
    graph = plan.graph
    if not graph.stories:
        return "Nothing to do: there are no stories"
    done = plan.states.count("already-done")
    parts = [several(len(graph.stories), "story")]
    if len(graph.prds) > 1:
        parts[0] += f" in {len(graph.prds)} PRDs"
    parts.append(f"{done} done")
    states = ("skipped", "waiting", "blocked")
    parts += [f"{plan.states.count(state)} {state}" for state in states if state in plan.states]
    parts.append(f"{plan.left} to do")
    return ", ".join(parts)


def _nothing(plan: Plan) -> str:
    if all(state in {"already-done", "skipped"} for state in plan.states):
        return "Nothing to do: everything is done or skipped"
    return "Nothing can start now" if plan.left else "Nothing to do among the selected stories"


def _prds(graph: Graph, columns: int) -> Iterator[str]:
    for position, prd in enumerate(graph.prds):
        count = several(graph.offsets[position + 1] - graph.offsets[position], "story")
        count += " in order" if graph.sequential[position] else ""
        after = [graph.labels[other] for other in graph.prd_needs[position]]
        after += [one_line(text) for other, text in graph.prds_elsewhere if other == position]
        text = f"{graph.labels[position]}: {one_line(prd.name)}, {count}"
        yield from _fit(text + (f", after {', '.join(after)}" if after else ""), columns, "  ")


def _in_order(graph: Graph) -> bool:
    return all(len(wave) < 2 for wave in graph.waves)


def _waves(plan: Plan, columns: int) -> Iterator[str]:
    graph = plan.graph
    one_by_one = _in_order(graph)
    keys = [one_line(key) for key in graph.keys]
    indent = 2 + min(max(map(width, keys)), _WIDEST_KEY, columns // 3) + 2
    if one_by_one:
        yield ""
        yield "In this order"
    for wave, name in zip(graph.waves, graph.wave_names, strict=True):
        if not one_by_one:
            yield ""
            yield cut(one_line(name), columns)
        for story in wave:
            yield from _story(plan, story, keys[story], indent, columns)


def _story(plan: Plan, story: int, key: str, indent: int, columns: int) -> Iterator[str]:
    """The key and the title, and below it what the story is waiting for."""
    blank = " " * indent
    start = f"  {key}  " if width(key) > indent - 4 else f"  {pad(key, indent - 4)}  "
    if width(start) > indent:
        yield start.rstrip()
        start = blank
    item = plan.graph.stories[story]
    title = one_line(item.title) or "(no title)"
    yield from _fit(title, columns - indent, "", start, blank)
    points = "" if item.points is None else f"{_amount(item.points)}; "
    yield from _fit(one_line(points + plan.why[story]), columns - indent, "", blank, blank)


def _fit(text: str, columns: int, indent: str, first: str = "", rest: str = "") -> Iterable[str]:
    """The text wrapped; `first` and `rest` are put before its lines and do not count."""
    if width(text) <= columns:
        return (first + text,)
    wrapped = [part for line in wrap(text, columns, indent) for part in _pieces(line, columns)]
    return [(rest if position else first) + line for position, line in enumerate(wrapped)]


def _pieces(line: str, columns: int) -> Iterator[str]:
    """A line that has a word wider than the screen, cut into pieces."""
    while width(line) > columns:
        at = next(at for at in range(1, len(line)) if width(line[: at + 1]) > columns)
        yield line[:at]
        line = line[at:]
    yield line


def _listed(names: Sequence[str], separator: str) -> str:
    more = len(names) - _SHOWN
    return separator.join(names[:_SHOWN]) + (f"{separator}… ({more} more)" if more > 0 else "")


def _amount(points: float) -> str:
    return several(round(points), "point") if points == round(points) else f"{points:g} points"
