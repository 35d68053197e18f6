"""Cycles, levels and tails against walking every path, on random graphs."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import prd, story

from rad_engineer.core import graph
from rad_engineer.core.graph import Graph
from rad_engineer.errors import PrdInvalid


def named(plan: Graph) -> tuple[dict[str, set[str]], dict[str, set[str]], dict[str, float]]:
    """Needs, waves and tails by key."""
    keys = plan.keys
    return (
        {keys[i]: {keys[need] for need in found} for i, found in enumerate(plan.needs)},
        {name: {keys[i] for i in wave} for name, wave in zip(plan.wave_names, plan.waves, strict=True)},
        dict(zip(keys, plan.tail, strict=True)),
    )


@st.composite
def edge_lists(draw: Any) -> list[list[int]]:
    count = draw(st.integers(1, 9))
    return [draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True)) for _ in range(count)]


@settings(max_examples=200, deadline=None)
@given(edge_lists())
def test_cycles_levels_and_tails_agree_with_walking_every_path(edges: list[list[int]]) -> None:
    item = prd(*[story(f"S{i}x", *[f"S{j}x" for j in found]) for i, found in enumerate(edges)])

    def paths(node: int, seen: tuple[int, ...]) -> list[tuple[int, ...]]:
        if node in seen:
            return [(*seen, node)]
        return [path for need in edges[node] for path in paths(need, (*seen, node))] or [(*seen, node)]

    every = [path for node in range(len(edges)) for path in paths(node, ())]
    cycles = [path for path in every if path[0] == path[-1] and len(path) > 1]
    if cycles:
        with pytest.raises(PrdInvalid) as refusal:
            graph.build([item])
        shown = re.findall(r"S\dx", str(refusal.value))
        assert len(shown) == min(map(len, cycles))
        assert shown[0] == shown[-1]
        assert all(int(b[1]) in edges[int(a[1])] for a, b in pairwise(shown))
        return
    plan = graph.build([item], parallel=True)
    assert plan.wave_of == [max(len(path) for path in every if path[0] == node) for node in range(len(edges))]
    ends = [
        max(len(path[: path.index(node) + 1]) for path in every if node in path) for node in range(len(edges))
    ]
    assert plan.tail == ends
    assert len(plan.critical_path) == max(ends)


@settings(max_examples=100, deadline=None)
@given(edge_lists(), st.data())
def test_the_order_of_files_changes_nothing_but_ties(edges: list[list[int]], data: Any) -> None:
    prds = [
        prd(story(f"S{i}x", *[f"S{j}x" for j in found if j < i], priority=i), file=f"{i}.json")
        for i, found in enumerate(edges)
    ]
    assert named(graph.build(prds)) == named(graph.build(data.draw(st.permutations(prds))))
