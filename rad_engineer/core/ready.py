"""Stories that may start, the best first; those whose declared files are held stand aside."""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from rad_engineer.core.graph import Graph
from rad_engineer.core.overlap import Claims

_PATIENCE = 5_000
"""How many declared files one call looks at before it says that nothing can start; the next call goes on there."""


class Ready:
    """A queue by priority, then the longest way behind a story, then the order of the files.

    A story that lost its place stays in it and is dropped when it comes up.
    """

    def __init__(self, graph: Graph) -> None:
        self.claims = Claims()
        self._stories = graph.stories
        self._by_rank = _ranking(graph)
        self._rank = [0] * len(self._by_rank)
        for rank, story in enumerate(self._by_rank):
            self._rank[story] = rank
        self._heap: list[int] = []
        self._empty_handed: set[int] = set()  # run without holding their files
        self._queued = bytearray(len(self._by_rank))  # in the heap, or parked for a file

    def add(self, story: int) -> None:
        """The story may start."""
        if not self._queued[story]:
            self._queued[story] = 1
            heappush(self._heap, self._rank[story])

    def best(self, startable: Callable[[int], bool]) -> int | None:
        """The best story that may start, still in its place."""
        patience = _PATIENCE
        while self._heap and patience > 0:
            rank = self._heap[0]
            story = self._by_rank[rank]
            files = self._stories[story].files
            if not startable(story):
                self._queued[story] = 0
            elif not files or self.claims.conflict(files) is None:
                return story
            else:
                self.claims.park(files, rank)
            heappop(self._heap)
            if files:
                patience -= len(files)
                self._wake(self.claims.tried(rank))
        return None

    def start(self, story: int) -> None:
        """The best story starts: it leaves the queue and holds its files."""
        heappop(self._heap)
        self._queued[story] = 0
        files = self._stories[story].files
        if files:
            self.claims.claim(story, files)
            self._wake(self.claims.tried(self._rank[story]))

    def hold(self, story: int) -> None:
        """The story runs already and holds its files, unless another that runs holds one of them.

        Stories whose work was done one after another may wait together to land.
        """
        files = self._stories[story].files
        if self.claims.conflict(files) is None:
            self.claims.claim(story, files)
        else:
            self._empty_handed.add(story)

    def stop(self, story: int) -> None:
        """The story runs no more: its files are free."""
        files = self._stories[story].files
        if story in self._empty_handed:
            self._empty_handed.discard(story)
        elif files:
            self._wake(self.claims.release(files))

    def _wake(self, ranks: Iterable[int]) -> None:
        for rank in ranks:
            heappush(self._heap, rank)


def _ranking(graph: Graph) -> list[int]:
    """All stories, the best first."""
    tail = graph.tail
    keys = [
        (story.priority is None, story.priority or 0, -tail[position])
        for position, story in enumerate(graph.stories)
    ]
    return sorted(range(len(keys)), key=keys.__getitem__)
