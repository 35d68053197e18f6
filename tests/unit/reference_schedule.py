"""A schedule that works everything out anew at every step: slow, short, and the judge of the quick one."""

from dataclasses import dataclass, field

from rad_engineer.core.graph import Graph
from rad_engineer.core.overlap import normal, overlap

GOOD = {"passed", "already-done"}
BAD = {"failed", "done-unverified"}
BY_FILE = {
    "todo": "pending",
    "done": "already-done",
    "skipped": "skipped",
    "blocked": "skipped",
    "human": "waiting",
}
KEPT = {*GOOD, *BAD, "skipped", "waiting"}


@dataclass
class Reference:
    graph: Graph
    statuses: dict[int, str]
    keep_going: bool = False
    only: frozenset[int] | None = None
    state: list[str] = field(default_factory=list)
    opened: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    stopped: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.graph
        self.state = [BY_FILE[story.state] for story in graph.stories]
        for story, status in self.statuses.items():
            self.state[story] = "running" if status == "landing" else status if status in KEPT else "pending"
        for story, state in enumerate(self.state):
            if state in BAD:
                self._doom(story)
        self._settle()

    def selected(self, story: int) -> bool:
        return self.only is None or story in self.only

    def fronts(self, story: int) -> list[int]:
        return [number for number, wall in enumerate(self.graph.barriers) if story in wall.behind]

    def held(self, story: int) -> bool:
        """Hangs on a person, or on a story that is not selected."""
        return any(
            self.state[need] == "waiting"
            or (self.state[need] == "pending" and (not self.selected(need) or self.held(need)))
            for need in self.graph.needs[story]
        )

    def can_run(self, story: int) -> bool:
        if not self.selected(story):
            return False
        return self.state[story] in {"running", "limited"} or (
            self.state[story] == "pending" and not self.held(story)
        )

    def startable(self) -> list[int]:
        """All that may start, the best first."""
        graph = self.graph
        running = [path for story, state in enumerate(self.state) if state == "running"
                   for path in map(normal, graph.stories[story].files)]  # fmt: skip
        found = []
        for story, state in enumerate(self.state):
            if state != "pending" or not self.selected(story):
                continue
            if any(self.state[need] not in GOOD for need in graph.needs[story]):
                continue
            if any(number not in self.opened for number in self.fronts(story)):
                continue
            if not self._has_turn(story):
                continue
            files = map(normal, graph.stories[story].files)
            if any(overlap(path, other) for path in files for other in running):
                continue
            found.append(story)

        def rank(story: int) -> tuple[bool, int, float, int]:
            priority = graph.stories[story].priority
            return priority is None, priority or 0, -graph.tail[story], story

        return sorted(found, key=rank)

    def _has_turn(self, story: int) -> bool:
        sequence = self.graph.sequences[self.graph.prd_of[story]]
        for other in sequence:
            if self.state[other] in {"running", "limited"} and self.selected(other):
                return False
        for other in sequence:
            if other == story:
                return True
            if self.state[other] == "pending" and self.selected(other):
                return False
        return True

    def set(self, story: int, state: str) -> None:
        self.state[story] = state
        if state in BAD:
            self._doom(story)
        self._settle()

    def _doom(self, story: int) -> None:
        for number, wall in enumerate(self.graph.barriers):
            if number not in self.opened and story in wall.members:
                self.dead.add(number)
        if not self.keep_going and self.graph.sequences[self.graph.prd_of[story]]:
            self.stopped.add(self.graph.prd_of[story])

    def _settle(self) -> None:
        changed = True
        while changed:
            changed = False
            for number, wall in enumerate(self.graph.barriers):
                if number not in self.dead and any(parent in self.dead for parent in wall.parents):
                    self.dead.add(number)
                    changed = True
            for story, state in enumerate(self.state):
                if state == "pending" and self.selected(story) and self._spoiled(story):
                    self.state[story] = "blocked"
                    changed = True
        changed = True
        while changed:
            changed = False
            for number, wall in enumerate(self.graph.barriers):
                if number in self.opened or number in self.dead:
                    continue
                if all(parent in self.opened for parent in wall.parents) and not any(
                    map(self.can_run, wall.members)
                ):
                    self.opened.add(number)
                    changed = True

    def _spoiled(self, story: int) -> bool:
        return (
            story in self.graph.external_open
            or self.graph.prd_of[story] in self.stopped
            or any(self.state[need] in {*BAD, "skipped", "blocked"} for need in self.graph.needs[story])
            or any(number in self.dead for number in self.fronts(story))
        )
