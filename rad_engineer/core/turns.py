"""Whose turn it is in the files that are worked through in their order."""

from collections.abc import Sequence
from heapq import heappop, heappush

from rad_engineer.core.states import LIMITED, PENDING, RUNNING


class Turns:
    """One story of a file at a time: those that run already, those that came back from waiting, then the rest."""

    def __init__(self, sequences: Sequence[Sequence[int]], prd_of: Sequence[int]) -> None:
        self._sequences = sequences
        self._prd_of = prd_of
        self._place = {story: place for sequence in sequences for place, story in enumerate(sequence)}
        self._next = [0] * len(sequences)
        self._running: list[list[int]] = [[] for _ in sequences]
        self._back: list[list[int]] = [[] for _ in sequences]
        self.holder: list[int | None] = [None] * len(sequences)
        self.stopped: dict[int, int] = {}  # PRD -> the story that stopped it

    def __contains__(self, story: int) -> bool:
        return story in self._place

    def held_by(self, story: int) -> int | None:
        """The story whose turn it is in this story's file."""
        return self.holder[self._prd_of[story]]

    def before(self, story: int, state: Sequence[int]) -> int | None:
        """The nearest story before this one in its file that has not ended."""
        sequence = self._sequences[self._prd_of[story]]
        for place in range(self._place[story] - 1, -1, -1):
            if state[sequence[place]] in {PENDING, RUNNING, LIMITED}:
                return sequence[place]
        return self.held_by(story)

    def run(self, story: int) -> None:
        """The story ran before anybody had a turn."""
        if story in self._place:
            self._running[self._prd_of[story]].append(story)

    def stopper(self, story: int) -> int | None:
        """The story that stopped this story's file."""
        return self.stopped.get(self._prd_of[story]) if story in self._place else None

    def stop(self, story: int) -> list[int]:
        """Nothing more of this story's file is started; the others of the file."""
        prd = self._prd_of[story]
        self.stopped.setdefault(prd, story)
        self.holder[prd] = None
        return [other for other in self._sequences[prd] if other != story]

    def come_back(self, story: int) -> None:
        """The story may go on: it comes before all that stand behind it in the file."""
        prd, place = self._prd_of[story], self._place[story]
        if place < self._next[prd]:
            heappush(self._back[prd], place)

    def advance(self, prd: int, state: Sequence[int], selected: Sequence[int]) -> int | None:
        """Gives the turn to the next story of the file that can have it."""
        self.holder[prd] = None
        sequence, back = self._sequences[prd], self._back[prd]
        running = self._running[prd]
        while prd not in self.stopped:
            if running:
                story = running.pop()
                if state[story] not in {RUNNING, LIMITED}:
                    continue
            elif back:
                story = sequence[heappop(back)]
            elif self._next[prd] < len(sequence):
                story = sequence[self._next[prd]]
                self._next[prd] += 1
            else:
                return None
            if selected[story] and state[story] in {PENDING, RUNNING, LIMITED}:
                self.holder[prd] = story
                return story
        return None
