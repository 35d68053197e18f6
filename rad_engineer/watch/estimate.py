"""How long the rest will take: the mean pace of finished stories, the longest remaining way, the workers at hand."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rad_engineer.core.waves import weight

if TYPE_CHECKING:
    from rad_engineer.core.graph import Graph

_OPEN = frozenset({"pending", "running", "landing", "interrupted"})
_REFRESH = 2.0  # seconds between two looks at the whole graph


class Estimate:
    """Says nothing before a story has finished: a guess without a measurement is noise."""

    def __init__(self, graph: "Graph", jobs: int) -> None:
        self._graph = graph
        self._jobs = max(1, jobs)
        self._weights = [weight(story) for story in graph.stories]
        self._seconds = 0.0
        self._weight = 0.0
        self._looked_at = float("-inf")
        self._rest = (0.0, 0.0)  # weight of all open stories, weight of the longest way through them

    def finished(self, index: int, seconds: float) -> None:
        """A story has landed after so many seconds of work."""
        self._seconds += seconds
        self._weight += self._weights[index]

    def left(self, status: Sequence[str], now: float, running: Mapping[int, float]) -> float | None:
        """Seconds until the last open story is expected to land; None while nothing is known."""
        if not self._weight or not self._seconds:
            return None
        if now - self._looked_at >= _REFRESH:
            self._looked_at = now
            open_ones = [index for index, word in enumerate(status) if word in _OPEN]
            work = sum(self._weights[index] for index in open_ones)
            self._rest = (work, max((self._graph.tail[index] for index in open_ones), default=0.0))
        work, longest = self._rest
        if not work:
            return None
        pace = self._seconds / self._weight
        done = sum(
            min(now - since, pace * self._weights[index]) for index, since in running.items()
        )  # work of running stories that is behind us
        return max(pace * longest - done / max(1, len(running)), (pace * work - done) / self._jobs, 0.0)
