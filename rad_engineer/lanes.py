"""What workers are given: jobs, how many, a lane with a gate copy each, and the slots that stories work in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Limits:
    """When the run itself stops starting stories."""

    jobs: int
    max_stories: int | None = None
    once: bool = False
    deadline: float | None = None  # seconds from now
    grace: float = 30.0
    fail_fast: bool = False

    @property
    def most(self) -> int | None:
        """How many stories are begun at most."""
        return 1 if self.once else self.max_stories


@dataclass(slots=True)
class Running:
    """A job that a worker has."""

    kind: str
    lane: int
    job: Mapping[str, Any]
    story: int | None = None
    deaths: int = 0
    cancelled: bool = False
    slept: bool = (
        False  # its agent was ended because it only waited for a usage limit's end, or for an upstream
    )

    @property
    def identities(self) -> list[str]:
        """The stories it is for; none where it is for the whole branch."""
        stories = [self.job["story"]] if self.kind == "story" else self.job.get("stories", ())
        return [story["identity"] for story in stories]


@dataclass(slots=True)
class Lanes:
    """Numbers that are free: lanes (a gate copy each) and slots."""

    free: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    next_slot: int = 0
    held: dict[int, int] = field(default_factory=dict)  # story -> slot that is its own
    foreign: frozenset[int] = frozenset()  # slots that hold unfinished work of other runs

    def slot_for(self, story: int) -> int:
        """The slot of a story: the one it holds, else a free one, else a new one."""
        if story not in self.held:
            while not self.slots:
                if self.next_slot not in self.foreign:
                    self.slots.append(self.next_slot)
                self.next_slot += 1
            self.held[story] = self.slots.pop()
        return self.held[story]

    def release_slot(self, story: int) -> None:
        """Whatever is in the story's slot is not needed any more."""
        slot = self.held.pop(story, None)
        if slot is not None:
            self.slots.append(slot)

    def reserve(self, story: int, slot: int) -> None:
        """Keeps a slot for the story whose paid work lies in it."""
        if slot < 0:
            return
        self.held[story] = slot
        known = set(self.slots) | set(self.held.values()) | self.foreign
        self.slots.extend(n for n in range(self.next_slot, slot) if n not in known)
        self.next_slot = max(self.next_slot, slot + 1)
        if slot in self.slots:
            self.slots.remove(slot)
