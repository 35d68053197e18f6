"""What follows from the end of an attempt: the story waits to land, is tried again, has failed, or lies there unproved."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rad_engineer import store, story_files
from rad_engineer.core import failures
from rad_engineer.core.schedule import Schedule
from rad_engineer.lanes import Lanes
from rad_engineer.ledger import Ledger
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.outcome import Outcome
from rad_engineer.rules import Rules


class Aftermath:
    """Writes down what has become of stories, and tells schedule and queue."""

    def __init__(
        self,
        rundir: store.RunDir,
        rules: Rules,
        ledger: Ledger,
        schedule: Schedule,
        lanes: Lanes,
        queue: MergeQueue | None,
        on_landed: Callable[[int], None],
    ) -> None:
        self.rundir = rundir
        self.rules = rules
        self.ledger = ledger
        self.graph = ledger.graph
        self.schedule = schedule
        self.lanes = lanes
        self.queue = queue
        self.on_landed = on_landed
        self.feedback: dict[int, str] = {}  # what the next attempt is told
        self.again: Callable[[int], None] = schedule.again
        self.failed = False  # any story

    def ended(self, story: int, outcome: Outcome) -> None:
        """An attempt has ended."""
        if outcome.kind == "interrupted":
            self.ledger.record("story_interrupted", story)
            return
        if outcome.kind == "later" and outcome.reason == "human":
            self.lanes.release_slot(story)
            self.ledger.record("story_waiting", story, reason="human")
            self.schedule.waiting(story)
            return
        if outcome.kind == "later":
            self.ledger.record("story_waiting", story, reason=outcome.reason, until=outcome.until)
            self.schedule.waiting(story, holds=True)
            return  # its slot stays its own: the attempt goes on in there
        self.lanes.release_slot(story)
        if outcome.kind == "failed":
            self._failed_attempt(story, outcome)
        elif outcome.kind == "unchanged":
            self.landed(story, outcome.commit, outcome.gates, unverified=False)
        elif outcome.kind == "unverified":
            self._unverified(story, outcome)
        elif self.queue is not None:
            self._verified(story, outcome)

    def _verified(self, story: int, outcome: Outcome) -> None:
        self.ledger.record(
            "story_verified", story, commit=outcome.commit, tip=outcome.tip, candidate=outcome.candidate,
            unverified=outcome.unverified, gates=outcome.gates, learnings=outcome.learnings, changed=outcome.changed,
        )  # fmt: skip
        if self.queue is not None:
            self.queue.add(story, outcome)

    def _unverified(self, story: int, outcome: Outcome) -> None:
        self.ledger.record(
            "story_unverified", story, commit=outcome.commit, reason=outcome.reason, gates=outcome.gates,
            learnings=outcome.learnings,
        )  # fmt: skip
        # Where nothing can land, finished is all there is to wait for.
        if self.queue is None or self.rules.kind == "rehearsal":
            self.schedule.landed(story)
            if self.rules.allow_unverified and self.rules.kind == "real":
                self.on_landed(story)
        else:
            self.schedule.unverified(story)

    def _failed_attempt(self, story: int, outcome: Outcome) -> None:
        record = self.ledger.checkpoint.record(self.graph.identities[story])
        same = outcome.fingerprint is not None and outcome.fingerprint == record.fingerprint
        if outcome.final or record.attempts >= self.rules.attempts:
            self.fail(story, outcome)
        elif same:
            reason = failures.find(outcome.reason)
            detail = outcome.detail or (reason.sentence if reason else "")
            self.fail(story, Outcome("failed", "plateau", detail, outcome.feedback, commit=outcome.commit,
                                      gates=outcome.gates))  # fmt: skip
        else:
            self.feedback[story] = outcome.feedback
            self._keep_feedback(story, record.attempts, outcome.feedback)
            self.ledger.record(
                "attempt_failed", story, reason=outcome.reason, detail=outcome.detail,
                fingerprint=outcome.fingerprint, gates=outcome.gates, commit=outcome.commit,
            )  # fmt: skip
            self.again(story)

    def fail(self, story: int, outcome: Outcome) -> None:
        """A story has failed for good, and blocks those that need it."""
        self.failed = True
        self._keep_feedback(
            story, self.ledger.checkpoint.record(self.graph.identities[story]).attempts, outcome.feedback
        )
        self.ledger.record(
            "story_failed", story, reason=outcome.reason, detail=outcome.detail, commit=outcome.commit,
            gates=outcome.gates,
        )  # fmt: skip
        self.lanes.release_slot(story)
        self.schedule.failed(story)
        self.tell_blocked()

    def tell_blocked(self) -> None:
        """Writes down who is blocked by what has just failed."""
        for story, by in self.schedule.newly_blocked():
            self.ledger.record("story_blocked", story, by=[self.graph.keys[i] for i in by])

    def _keep_feedback(self, story: int, attempt: int, feedback: str) -> None:
        """For `explain`, and for the next attempt after a crash."""
        if feedback:
            text = feedback.encode("utf-8", "replace")
            story_files.write_note(self.folder(story) / f"attempt-{attempt}", "feedback.txt", text)

    def folder(self, story: int) -> Path:
        """The story's folder in the run directory."""
        return self.rundir.story(self.graph.stories[story].id, self.graph.identities[story])

    def landed(self, story: int, commit: str | None, gates: tuple[Any, ...], *, unverified: bool) -> None:
        """A story is on the branch."""
        self.ledger.record("story_landed", story, commit=commit, gates=gates, unverified=unverified)
        self.schedule.landed(story)
        self.on_landed(story)

    def batch_judged(self, queue: MergeQueue, landing: Mapping[str, Any]) -> None:
        """A batch has been judged on the tip: what is green lands, what is not goes back."""
        landed, back = queue.settle(landing)
        for story, commit, gates, unverified in landed:
            self.landed(story, commit, gates, unverified=unverified)
        for story, outcome in back:
            self._failed_attempt(story, outcome)
