"""How far an attempt is behind its agent's own turn. Its checkpoint says so, and no turn that has ended is paid for twice."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rad_engineer import agents, git, process, story_files
from rad_engineer.outcome import Outcome
from rad_engineer.worker import commits, setup, verdict
from rad_engineer.worker.agent_turn import Took
from rad_engineer.worker.court import Cancelled, set_up_copy
from rad_engineer.worker.story_run import StoryRun

Made = tuple[str, tuple[str, ...]]
"""A commit, and the paths that it changes."""


@dataclass(slots=True)
class Progress:
    """What the checkpoint has behind the commit. `wrote`: who did the work, and what they said."""

    run: StoryRun
    made: Made
    wrote: Mapping[str, Any]
    reviews: int = 0  # that have ended
    must: tuple[str, ...] = ()  # what the last of them wants mended
    finished: str = ""  # a turn that has ended, and whose files lie uncommitted in the slot
    simpler: Made | None = None  # what simplifying has made of it
    simplified: bool = False  # nothing more is to be had from that
    at_hand: bool = field(default=True)  # the slot is as this process knows it

    @classmethod
    def again(cls, run: StoryRun, done: Mapping[str, Any]) -> "Progress":
        """As an earlier process has left it. What lies in a slot that was moved since, or was not synced, is lost."""
        simpler, repository = done.get("simpler"), run.place.repository
        lies_there = done.get("bound") == _prepared(run) and done["boot"] == process.boot_id()
        return cls(
            run,
            _made(done),
            done.get("wrote") or {},
            done.get("reviews", 0),
            tuple(done.get("must", ())),
            done.get("finished", "") if lies_there else "",
            _made(simpler) if simpler and git.whole(repository, simpler["commit"], run.job["base"]) else None,
            done.get("simplified", False),
            at_hand=False,
        )

    def write(self) -> None:
        """Writes it down, durably."""
        self.run.checkpoint(
            "policy", **_told(self.made), wrote=self.wrote, reviews=self.reviews, must=self.must, finished=self.finished,
            bound=_prepared(self.run) if self.finished else "", simplified=self.simplified,
            simpler=None if self.simpler is None else _told(self.simpler),
        )  # fmt: skip

    def ended(self, turn: str) -> None:
        """A turn that changes files has ended well: what it has done lies in the slot."""
        self.finished = turn
        self.write()

    def commit(self) -> Made | Outcome:
        """What the turn that has ended has left in the slot, as a commit."""
        committed = commits.commit(self.run)
        self.finished = ""
        return committed

    def take_back(self) -> None:
        """Takes the slot to what was committed of it."""
        back_to(self.run, self.made[0])

    def prepare(self, turn: str) -> Outcome | None:
        """Sees that the commit lies in the slot, where another process has left it there; what a turn has begun, stays.

        Files of a turn that cannot be gone on with are kept under the rescue ref.
        """
        if self.at_hand:
            return None
        self.at_hand = True
        run, slot = self.run, commits.slot_of(self.run)
        begun = story_files.begun_transcript(run.attempt_folder / turn)
        if begun is not None and begun["bound"] == _prepared(run):
            return None
        if (run.attempt_folder / turn).exists():
            commits.rescue(run, slot)
        self.take_back()
        court, base = verdict.court_of(run), run.job["base"]
        try:
            failed = set_up_copy(court, slot, self.made[0], base, run.place.rules.keep)
        except Cancelled:
            return Outcome("interrupted", commit=self.made[0])
        run.place.pool.copy_files(slot)
        return failed

    @property
    def writer(self) -> Took:
        """Who did the work."""
        said = self.wrote
        result = agents.AgentResult("finished", model=said.get("model", ""), session=said.get("session", ""))
        return Took(said.get("agent", ""), result)


def back_to(run: StoryRun, commit: str) -> None:
    """Takes the slot to what was committed of it."""
    slot = commits.slot_of(run)
    keep = (*run.place.rules.keep, *setup.kept(slot.git_dir).paths)
    run.place.pool.move(slot, commit, run.job["base"], keep=keep)
    run.place.pool.copy_files(slot)


def _prepared(run: StoryRun) -> str:
    return run.place.pool.prepared(commits.slot_of(run))


def _made(found: Mapping[str, Any]) -> Made:
    return found["commit"], tuple(found["changed"])


def _told(made: Made) -> dict[str, Any]:
    return {"commit": made[0], "changed": made[1][:200]}
