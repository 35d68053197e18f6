"""What may start now: needs met, barriers open, files free; kept up to date by what has ended."""

from collections.abc import Iterable, Mapping

from rad_engineer.core import barriers
from rad_engineer.core.gating import Gating
from rad_engineer.core.graph import Graph
from rad_engineer.core.ready import Ready
from rad_engineer.core.states import (
    ALREADY_DONE,
    BLOCKED,
    BY_FILE,
    BY_STATUS,
    FAILED,
    LIMITED,
    NAMES,
    OPEN,
    PASSED,
    PENDING,
    RUNNING,
    SKIPPED,
    UNVERIFIED,
    WAITING,
)
from rad_engineer.core.turns import Turns


class Schedule:
    """Hands out stories; every call costs what it changes, never a look at all stories.

    `statuses` say what has happened before, by story index; a story that is not in it is as its file says.
    One that is `landing` counts as running: it holds its files, and its turn in its file.
    Stories outside `only` and `wave` are left alone: needs on them stay unmet, barriers do not wait for them.
    """

    def __init__(
        self,
        graph: Graph,
        statuses: Mapping[int, str],
        *,
        keep_going: bool = False,
        fail_fast: bool = False,
        only: frozenset[int] | None = None,
        wave: int | None = None,
        hold_waves: bool = False,
    ) -> None:
        count = len(graph.stories)
        self.graph = graph
        self.stopped_by: int | None = None  # the failure that stops everything, with fail_fast
        self._keep_going = keep_going
        self._fail_fast = fail_fast
        self.state = bytearray(BY_FILE[story.state] for story in graph.stories)
        for story, status in statuses.items():
            self.state[story] = BY_STATUS.get(status, PENDING)
        self.selected = _selection(graph, only, wave)
        self.turns = Turns(graph.sequences, graph.prd_of)
        self.gating = self._gates(hold_waves)
        self.ready = Ready(graph)
        self._held = [0] * count  # needs that wait for a person or are not selected, or hang on such
        self._holding = bytearray(count)  # counts in _held of its dependents
        self._live = bytearray(count)  # counts in the barriers it is a member of
        self._root: dict[int, int] = {}  # blocked story -> the story it is due to
        self._newly_blocked: list[int] = []
        self._open = sum(map(self._is_open, range(count)))
        self.unmet = self._count_unmet()
        self._begin()

    # -- what may run ------------------------------------------------------------------------------------

    def take(self) -> int | None:
        """The best story that may start, marked as running; None when there is none now."""
        story = self._best()
        if story is not None:
            self.ready.start(story)
            self.state[story] = RUNNING
        return story

    def could_start(self) -> bool:
        """Whether a story could start right now, if a worker were free."""
        return self._best() is not None

    def open_count(self) -> int:
        """How many of the selected stories have not ended: pending, running or waiting."""
        return self._open

    def completed_waves(self) -> list[int]:
        """Waves (indexes into `Graph.waves`) that have come to a good end since the last call.

        Declared waves; with `hold_waves` the levels of PRDs that declare none as well.
        """
        completed, self.gating.completed = self.gating.completed, []
        return completed

    def newly_blocked(self) -> list[tuple[int, tuple[int, ...]]]:
        """Stories that can no longer run, and by whom, since the last call."""
        stories, self._newly_blocked = self._newly_blocked, []
        return [(story, self.blocked(story)) for story in stories]

    def is_blocked(self, story: int) -> bool:
        """Whether the story cannot run because of others."""
        return self.state[story] == BLOCKED

    def blocked(self, story: int) -> tuple[int, ...]:
        """The stories that keep this one from running; () when it is not blocked, or by another PRD only."""
        if self.state[story] != BLOCKED:
            return ()
        roots = {self._root[story]: None}
        for need in self.graph.needs[story]:
            if self.state[need] in {FAILED, UNVERIFIED, SKIPPED}:
                roots[need] = None
            elif self.state[need] == BLOCKED:
                roots[self._root[need]] = None
        roots.pop(story, None)
        return tuple(roots)

    def is_held(self, story: int) -> bool:
        """Whether it needs, directly or not, a story that waits for a person or is not selected."""
        return self._held[story] > 0 and self.state[story] == PENDING

    def status(self, story: int) -> str:
        """The story's status, in the words of a report."""
        return NAMES[self.state[story]]

    # -- what has happened -------------------------------------------------------------------------------

    def landed(self, story: int) -> None:
        """The story's work is on the branch."""
        if self.state[story] in {PASSED, ALREADY_DONE}:
            return
        self._change(story, PASSED)
        unmet = self.unmet
        for follower in self.graph.dependents[story]:
            unmet[follower] -= 1
            if not unmet[follower]:
                self._push(follower)
        self._refresh(story)
        self._end_turn(story)

    def failed(self, story: int) -> None:
        """The story has failed for good."""
        self._change(story, FAILED)
        if self._fail_fast and self.stopped_by is None:
            self.stopped_by = story
        self._spoil(story)

    def unverified(self, story: int) -> None:
        """The story is finished, but nothing could judge it."""
        self._change(story, UNVERIFIED)
        self._spoil(story)

    def waiting(self, story: int, *, holds: bool = False) -> None:
        """The story waits for a person; with `holds` for a limit, and what comes after it waits as well."""
        self._change(story, LIMITED if holds else WAITING)
        self._refresh(story)
        if not holds and story in self.turns and self.turns.held_by(story) == story:
            self.unmet[story] += 1
            self._end_turn(story)

    def released(self, story: int) -> None:
        """The story waits no more."""
        before = self.state[story]
        if before not in {WAITING, LIMITED}:
            return
        self.again(story)

    def again(self, story: int) -> None:
        """The attempt is over; the story gets another, unless what it stands behind has failed meanwhile."""
        self._change(story, PENDING)
        root = self._spoiled_by(story)
        if root is not None:
            self._block([story], root)
        self._refresh(story)
        if root is None and story in self.turns:
            self._line_up(story)
        self._push(story)

    def open_wave(self, wave: int) -> None:
        """The gate of this wave is green: what is behind it may go on."""
        self._meet(self.gating.open_wave(wave))

    # -- how it is kept ----------------------------------------------------------------------------------

    def _gates(self, hold: bool) -> Gating:
        graph = self.graph
        walls = graph.barriers
        if hold:
            levels = [wave for wave, key in enumerate(graph.wave_keys) if key.prd < 0]
            walls = barriers.with_levels(walls, graph.waves, graph.wave_names, levels)
        left_out = {
            graph.wave_of[story] - 1
            for story in range(len(graph.stories))
            if not self.selected[story] and self.state[story] == PENDING
        }
        return Gating(walls, len(graph.stories), hold=hold, ungated=left_out)

    def _is_open(self, story: int) -> bool:
        return bool(self.selected[story]) and OPEN[self.state[story]]

    def _count_unmet(self) -> list[int]:
        """What each story waits for: needs that have not landed, barriers, its turn."""
        state = self.state
        unmet = []
        for story, needs in enumerate(self.graph.needs):
            count = self.gating.count_in_front(story) + (story in self.turns)
            for need in needs:
                count += state[need] not in {PASSED, ALREADY_DONE}
            unmet.append(count)
        return unmet

    def _begin(self) -> None:
        """Brings everything in line with the states at the start, the worst news first."""
        graph, state = self.graph, self.state
        for story, selected in enumerate(self.selected):
            if selected and state[story] in {PENDING, RUNNING}:
                self._live[story] = 1
                self.gating.enter(story)
            if state[story] == RUNNING:
                self.ready.hold(story)
                self.turns.run(story)
        for story, live in enumerate(self._live):
            if live:
                self._push(story)
        self._begin_blocking()
        for story in range(len(state)):
            if state[story] == WAITING or not self.selected[story]:
                self._refresh(story)
        for prd, sequence in enumerate(graph.sequences):
            if sequence:
                self._advance(prd)
        self._meet(self.gating.start())

    def _begin_blocking(self) -> None:
        """Blocks what earlier failures, the PRDs themselves and PRDs elsewhere stand in the way of."""
        state = self.state
        for story in range(len(state)):
            if state[story] in {FAILED, UNVERIFIED}:
                if state[story] == FAILED and self._fail_fast and self.stopped_by is None:
                    self.stopped_by = story
                self._spoil(story)
            elif state[story] == SKIPPED:
                self._block(self.graph.dependents[story], story)
        for story in self.graph.external_open:
            self._block([story], story)

    def _best(self) -> int | None:
        return None if self.stopped_by is not None else self.ready.best(self._startable)

    def _startable(self, story: int) -> bool:
        return not self.unmet[story] and self.state[story] == PENDING

    def _push(self, story: int) -> None:
        if not self.unmet[story] and self.state[story] == PENDING and self.selected[story]:
            self.ready.add(story)

    def _meet(self, stories: Iterable[int]) -> None:
        """One thing less to wait for."""
        for story in stories:
            self.unmet[story] -= 1
            self._push(story)

    def _change(self, story: int, state: int) -> None:
        before = self.state[story]
        self.state[story] = state
        if self.selected[story]:
            self._open += OPEN[state] - OPEN[before]
        if before == RUNNING:
            self.ready.stop(story)

    def _refresh(self, changed: int) -> None:
        """Tells barriers and dependents whether the story can still run, and so on down."""
        work = [changed]
        while work:
            story = work.pop()
            state, selected, held = self.state[story], self.selected[story], self._held[story]
            holding = state == WAITING or (state == PENDING and (held > 0 or not selected))
            if holding != self._holding[story]:
                self._holding[story] = holding
                for follower in self.graph.dependents[story]:
                    self._held[follower] += 1 if holding else -1
                    work.append(follower)
            live = bool(selected) and (state in {RUNNING, LIMITED} or (state == PENDING and not held))
            if live != self._live[story]:
                self._live[story] = live
                if live:
                    self.gating.enter(story)
                else:
                    self._meet(self.gating.leave(story))

    def _spoil(self, story: int) -> None:
        """Blocks everything that needs the story, stands behind its barriers, or comes after it in its file."""
        blocked = [*self.graph.dependents[story], *self.gating.spoil(story)]
        self._refresh(story)
        if story in self.turns and not self._keep_going:
            blocked += self.turns.stop(story)
        self._block(blocked, story)
        self._end_turn(story)

    def _spoiled_by(self, story: int) -> int | None:
        """The story due to which this one cannot run; itself where a PRD elsewhere is the reason."""
        if story in self.graph.external_open:
            return story
        for need in self.graph.needs[story]:
            if self.state[need] in {FAILED, UNVERIFIED, SKIPPED}:
                return need
            if self.state[need] == BLOCKED:
                return self._root[need]
        dead = self.gating.dead_in_front(story)
        return self.turns.stopper(story) if dead is None else dead

    def _block(self, stories: Iterable[int], root: int) -> None:
        """These stories, and all that need them, cannot run."""
        work = list(stories)
        while work:
            story = work.pop()
            if self.state[story] != PENDING or not self.selected[story]:
                continue
            self._change(story, BLOCKED)
            self._root[story] = root
            self._newly_blocked.append(story)
            self._refresh(story)
            work += self.graph.dependents[story]

    def _end_turn(self, story: int) -> None:
        if story in self.turns and self.turns.held_by(story) == story:
            self._advance(self.graph.prd_of[story])

    def _line_up(self, story: int) -> None:
        """The story is back in the order of its file, which counts as long as none of it runs."""
        holder = self.turns.held_by(story)
        if holder != story:
            self.turns.come_back(story)
        if holder is not None:
            if self.state[holder] != PENDING:
                return
            self.unmet[holder] += 1
            self.turns.come_back(holder)
        self._advance(self.graph.prd_of[story])

    def _advance(self, prd: int) -> None:
        story = self.turns.advance(prd, self.state, self.selected)
        if story is not None:
            self._meet([story])


def _selection(graph: Graph, only: frozenset[int] | None, wave: int | None) -> bytearray:
    """1 for every story that may be run."""
    selected = bytearray(b"\1" * len(graph.stories))
    if only is not None:
        selected = bytearray(story in only for story in range(len(graph.stories)))
    if wave is not None:
        position = graph.select_wave(wave)
        members = frozenset(() if position is None else graph.waves[position])
        selected = bytearray(chosen and story in members for story, chosen in enumerate(selected))
    return selected
