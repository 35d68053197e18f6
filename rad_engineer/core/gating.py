"""Which barriers are open while a schedule is worked through."""

from collections.abc import Collection, Sequence

from rad_engineer.core.barriers import Barrier

_CLOSED, _OPEN, _DEAD = range(3)


class Gating:
    """Counts what can still run before each barrier; `leave`, `spoil` and `open_wave` say what that changes."""

    def __init__(
        self, barriers: Sequence[Barrier], stories: int, *, hold: bool, ungated: Collection[int]
    ) -> None:
        self.barriers = barriers
        self.completed: list[int] = []
        self.root: dict[int, int] = {}  # barrier that will not open -> the story it is due to
        self._hold = hold
        self._ungated = ungated
        self._before: list[tuple[int, ...]] = [()] * stories  # the barriers a story is a member of
        self._front: list[tuple[int, ...]] = [()] * stories  # the barriers a story stands behind
        self._children: list[list[int]] = [[] for _ in barriers]
        self._left = [0] * len(barriers)
        self._closed_parents = [len(barrier.parents) for barrier in barriers]
        self._state = bytearray(len(barriers))
        self._reported = bytearray(len(barriers))
        self._passed_gate = bytearray(len(barriers))
        self._started = False
        for number, barrier in enumerate(barriers):
            for story in barrier.members:
                self._before[story] += (number,)
            for story in barrier.behind:
                self._front[story] += (number,)
            for parent in barrier.parents:
                self._children[parent].append(number)

    def count_in_front(self, story: int) -> int:
        """How many barriers the story stands behind, open or not."""
        return len(self._front[story])

    def closed_in_front(self, story: int) -> list[int]:
        """The barriers that hold the story now, by number."""
        return [number for number in self._front[story] if self._state[number] != _OPEN]

    def waits_for_gate(self, number: int) -> bool:
        """Whether only the gate of its wave keeps this barrier closed."""
        return bool(self._reported[number]) and self._state[number] == _CLOSED

    def closed_parents(self, number: int) -> list[Barrier]:
        """What keeps a barrier closed that has no members of its own."""
        return [
            self.barriers[other] for other in self.barriers[number].parents if self._state[other] != _OPEN
        ]

    def dead_in_front(self, story: int) -> int | None:
        """The story due to which a barrier before this one will not open."""
        return next((self.root[number] for number in self._front[story] if number in self.root), None)

    def start(self) -> list[int]:
        """Opens what is open from the beginning; the stories behind that."""
        self._started = True
        freed: list[int] = []
        for number in range(len(self.barriers)):
            freed += self._settle(number)
        return freed

    def enter(self, story: int) -> None:
        """The story can run (again)."""
        for number in self._before[story]:
            self._left[number] += 1

    def leave(self, story: int) -> list[int]:
        """The story has ended or cannot run; the stories for which a barrier has opened by that."""
        freed: list[int] = []
        for number in self._before[story]:
            self._left[number] -= 1
            if not self._left[number]:
                freed += self._settle(number)
        return freed

    def spoil(self, story: int) -> list[int]:
        """The story failed: no barrier behind it will open; the stories behind those."""
        blocked: list[int] = []
        doomed = list(self._before[story])
        for number in doomed:  # grows while it is read
            if self._state[number] == _CLOSED:
                self._state[number] = _DEAD
                self.root[number] = story
                blocked += self.barriers[number].behind
                doomed += self._children[number]
        return blocked

    def open_wave(self, wave: int) -> list[int]:
        """The gate of this wave is green; the stories for which a barrier has opened by that."""
        freed: list[int] = []
        for number, barrier in enumerate(self.barriers):
            if barrier.wave == wave:
                self._passed_gate[number] = 1
                freed += self._settle(number)
        return freed

    def _settle(self, first: int) -> list[int]:
        """Opens the barrier, and those behind it, where nothing keeps them closed."""
        freed: list[int] = []
        if not self._started:
            return freed
        work = [first]
        for number in work:  # grows while it is read
            if self._left[number] or self._closed_parents[number] or self._state[number] != _CLOSED:
                continue
            wave = self.barriers[number].wave
            if wave >= 0 and wave not in self._ungated:
                if not self._reported[number]:
                    self._reported[number] = 1
                    self.completed.append(wave)
                if self._hold and not self._passed_gate[number]:
                    continue
            self._state[number] = _OPEN
            freed += self.barriers[number].behind
            for child in self._children[number]:
                self._closed_parents[child] -= 1
                work.append(child)
        return freed
