"""Orders the nodes of a graph and finds its cycles, on plain lists of integers."""

from collections import deque
from collections.abc import Sequence

Edges = Sequence[Sequence[int]]
"""For every node the nodes it points to."""

_STEPS = 500_000
"""About how many steps the search for the shortest cycle takes; a larger tangle gets a short one."""


def reverse(edges: Edges) -> list[list[int]]:
    """The same graph with every arrow turned round."""
    turned: list[list[int]] = [[] for _ in edges]
    for node, targets in enumerate(edges):
        for target in targets:
            turned[target].append(node)
    return turned


def order(before: Edges, after: Edges) -> list[int]:
    """The nodes so that each comes after those in `before`; nodes on or behind a cycle are missing."""
    missing = [len(nodes) for nodes in before]
    done = [node for node, count in enumerate(missing) if not count]
    for node in done:  # grows while it is read
        for follower in after[node]:
            missing[follower] -= 1
            if not missing[follower]:
                done.append(follower)
    return done


def tangles(edges: Edges) -> list[list[int]]:
    """The strongly connected components that hold a cycle (Tarjan, without recursion)."""
    index = [0] * len(edges)  # 0 = not seen; later the order of discovery, from 1
    low = [0] * len(edges)
    on_stack = bytearray(len(edges))
    stack: list[int] = []
    found: list[list[int]] = []
    count = 0
    for root in range(len(edges)):
        if index[root]:
            continue
        work = [(root, 0)]
        while work:
            node, position = work.pop()
            if not position:
                count += 1
                index[node] = low[node] = count
                stack.append(node)
                on_stack[node] = 1
            targets = edges[node]
            if position:
                low[node] = min(low[node], low[targets[position - 1]])
            while position < len(targets):
                target = targets[position]
                position += 1
                if not index[target]:
                    work += ((node, position), (target, 0))
                    break
                if on_stack[target]:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    found += _component(node, edges, stack, on_stack)
    return found


def _component(root: int, edges: Edges, stack: list[int], on_stack: bytearray) -> list[list[int]]:
    """Takes the finished component of `root` off the stack; nothing when it holds no cycle."""
    members: list[int] = []
    while True:
        member = stack.pop()
        on_stack[member] = 0
        members.append(member)
        if member == root:
            break
    if len(members) > 1 or root in edges[root]:
        return [sorted(members)]
    return []


def shortest_cycle(edges: Edges, components: Sequence[Sequence[int]]) -> list[int]:
    """The shortest cycle in these components, its first node repeated at the end."""
    best: list[int] = []
    for members in sorted(components, key=len):
        inside = set(members)
        for start in members[: max(1, _STEPS // len(members))]:
            found = _cycle_through(start, edges, inside, len(best) or len(inside) + 2)
            if found:
                best = found
            if len(best) == 2:
                return best
    return best


def _cycle_through(start: int, edges: Edges, inside: set[int], limit: int) -> list[int]:
    """The shortest cycle through `start`, which is on one; empty when it is not shorter than `limit` nodes."""
    parent = {start: start}
    depth = {start: 1}
    queue = deque([start])
    while True:
        node = queue.popleft()
        if depth[node] + 1 >= limit:
            return []
        for target in edges[node]:
            if target == start:
                path = [start, node] if node != start else [start]
                while node != start:
                    node = parent[node]
                    path.append(node)
                return path[::-1] if len(path) > 1 else [start, start]
            if target in inside and target not in parent:
                parent[target] = node
                depth[target] = depth[node] + 1
                queue.append(target)
