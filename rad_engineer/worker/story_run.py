"""One attempt at a story: what the coordinator asked for, where it happens, and how its stages are written down."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rad_engineer import git, story_files, timings
from rad_engineer.core.fence import Marks, marks
from rad_engineer.engines.channel import Channel
from rad_engineer.outcome import Outcome
from rad_engineer.worker.workplace import Workplace

MAX_PATCH = 4_000_000
PATCH_LIES_IN = "What the last attempt changed is kept in "


@dataclass(frozen=True)
class StoryRun:
    """One attempt: what the coordinator asked for, and where it happens."""

    place: Workplace
    job: Mapping[str, Any]
    channel: Channel

    def say(self, event: dict[str, Any]) -> None:
        """Tells the coordinator what happens."""
        self.channel.send({"event": event})

    def name_child(self, pid: int) -> None:
        """Names the process whose good end is to be noted should this one not live to do it."""
        self.channel.send({"child": pid})

    @property
    def cancel(self) -> int:
        """The descriptor that becomes readable when the attempt should end."""
        return self.channel.fileno()

    @property
    def story(self) -> Mapping[str, Any]:
        """key, id, identity, title, criteria, checks, text."""
        found: Mapping[str, Any] = self.job["story"]
        return found

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return int(self.job["attempt"])

    @cached_property
    def folder(self) -> Path:
        """The story's folder in the run directory."""
        return self.place.rundir.story(self.story["id"], self.story["identity"])

    @cached_property
    def attempt_folder(self) -> Path:
        """The attempt's folder in there."""
        return self.folder / f"attempt-{self.attempt}"

    def checkpoint(self, stage: str, **content: Any) -> None:
        """Writes down, durably, that a stage has ended."""
        with timings.part("checkpoint"):
            story_files.write_stage(self.folder, self.job, stage, **content)

    def finished(self, stage: str, started: float, *, ok: bool = True, **more: Any) -> None:
        """Tells the coordinator that a stage has ended."""
        seconds = round(time.monotonic() - started, 3)
        self.say({"event": "stage_finished", "stage": stage, "ok": ok, "seconds": seconds, **more})


def marks_of(run: StoryRun, turn: str = "") -> Marks:
    """What stands around text of others in this run, and what ends this turn of the attempt."""
    return marks(run.place.rules.seed, run.story["identity"], run.attempt, turn)


def with_patch(place: Workplace, outcome: Outcome, base: str, path: Path) -> Outcome:
    """The outcome of work that does not land as it is: the next attempt finds it as a patch."""
    patch = git.diff(place.repository, base, str(outcome.commit))
    story_files.write_note(path.parent, path.name, patch[:MAX_PATCH])
    return replace(outcome, feedback=f"{outcome.feedback}\n\n{PATCH_LIES_IN}{path}")
