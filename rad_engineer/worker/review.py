"""Optional turns after the agent's own: a reviewer reads the change, and what is green is made simpler.

Neither decides anything: findings go back to whoever wrote the change, a limited number of times, and then gates judge.
"""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rad_engineer import git, story_files
from rad_engineer.core import review
from rad_engineer.outcome import Outcome
from rad_engineer.worker import agent_turn, commits, verdict
from rad_engineer.worker.agent_turn import Took, Turn
from rad_engineer.worker.progress import Progress
from rad_engineer.worker.story_run import StoryRun, marks_of

if TYPE_CHECKING:
    from rad_engineer.core.review import Review

_ROLE = "code-reviewer"
_SIMPLIFY = "simplify"


def reviewed(run: StoryRun, progress: Progress) -> Outcome | None:
    """Has the change read and mended, as often as the rules say; what came of it is in `progress`."""
    rounds = run.place.rules.review_rounds
    while progress.must or progress.reviews < rounds:
        if progress.must and progress.finished:
            committed = progress.commit()
            if isinstance(committed, Outcome):
                return committed
            progress.made, progress.must = committed, ()
        elif progress.must:
            ended = _mended(run, progress)
            if isinstance(ended, Outcome):
                return ended
            if ended:
                continue
            progress.must, progress.reviews = (), rounds
        else:
            found = _ask(run, progress, progress.reviews + 1)
            if isinstance(found, Outcome):
                return found
            progress.must = found.must if found is not None else ()
            progress.reviews = progress.reviews + 1 if progress.must else rounds
        progress.write()
    return None


def _mended(run: StoryRun, progress: Progress) -> Outcome | bool:
    """Has the findings mended by whoever wrote the change: whether something came of it."""
    wrote, name = progress.writer, f"mend-{progress.reviews}"
    turn = Turn(commits.slot_of(run).path, name, review.again(_prompt(run), progress.must, marks_of(run)), _named(wrote.agent),
                wrote.result.model, wrote.result.session)  # fmt: skip
    return _worked(run, progress, turn, "mend")


def _ask(run: StoryRun, progress: Progress, number: int) -> "Review | Outcome | None":
    """Has the change read; None where nothing came of it. What a reviewer does to files is undone."""
    rules, commit, name = run.place.rules, progress.made[0], f"review-{number}"
    stopped = progress.prepare(name)
    if stopped is not None:
        return stopped
    diff = git.diff(run.place.repository, run.job["base"], commit).decode("utf-8", "replace")
    text = review.question(agent_turn.assignment(run), rules.roles.get(_ROLE, ""), diff)
    turn = Turn(
        commits.slot_of(run).path, name, text, _named(rules.reviewer or rules.agent), rules.review_model
    )
    started = time.monotonic()
    took = agent_turn.take(run, turn)
    good = took.result.outcome == "finished"
    run.finished("review", started, ok=good, **agent_turn.told(took, run.job.get("models")))
    if took.result.outcome == "cancelled":
        return Outcome("interrupted", commit=commit)
    progress.take_back()
    if not good:
        return _nothing(run, took, "the review")
    found = review.read(took.result.summary or took.result.output)
    _keep(run, number, found)
    if not found.understood:
        _say(run, f"the review by {took.agent} names no findings and does not say that there are none")
    elif found.must:
        _say(run, f"the review by {took.agent} wants {len(found.must)} of its findings mended")
    return found


def simplified(run: StoryRun, green: Outcome, progress: Progress, learnings: tuple[str, ...]) -> Outcome:
    """The verdict on a simpler change, where there is one and it is green too; else the one that there was."""
    if progress.simpler is None and not progress.simplified:
        stopped = _made_simpler(run, progress)
        if stopped is not None:
            return stopped
    if progress.simpler is not None:
        outcome = verdict.judge_story(run, *progress.simpler, learnings)
        if outcome.kind in ("verified", "interrupted"):
            return outcome
        _say(run, f"simplifying is left out: {outcome.reason or outcome.kind}, {outcome.detail}".rstrip(", "))
        progress.simpler, progress.simplified = None, True
        run.place.pool.keep_ref(verdict.story_refs(run)[0], progress.made[0])
        progress.write()
    return green


def _made_simpler(run: StoryRun, progress: Progress) -> Outcome | None:
    """Has the change made simpler; the simpler one is in `progress`, where there is one."""
    if progress.finished != _SIMPLIFY:
        turn = Turn(commits.slot_of(run).path, _SIMPLIFY, review.simpler(_prompt(run)))
        ended = _worked(run, progress, turn, _SIMPLIFY)
        if isinstance(ended, Outcome):
            return ended
    if progress.finished:
        committed = progress.commit()
        if not isinstance(committed, Outcome) and committed[0] != progress.made[0]:
            progress.simpler = committed
    progress.simplified = True
    progress.write()
    return None


def _worked(run: StoryRun, progress: Progress, turn: Turn, stage: str) -> Outcome | bool:
    """Takes a turn that changes files: whether something came of it. Else they are as they were."""
    stopped = progress.prepare(turn.name)
    if stopped is not None:
        return stopped
    started = time.monotonic()
    took = agent_turn.take(run, replace(turn, finished=lambda: progress.ended(turn.name)))
    good = took.result.outcome == "finished"
    run.finished(stage, started, ok=good, **agent_turn.told(took, run.job.get("models")))
    if took.result.outcome == "cancelled":
        return Outcome("interrupted", commit=progress.made[0])
    if good:
        if progress.finished != turn.name:
            progress.ended(turn.name)
        return True
    progress.finished = ""
    stopped = _nothing(run, took, stage)
    if stopped is None:
        progress.take_back()
    return stopped or False


def _nothing(run: StoryRun, took: Took, what: str) -> Outcome | None:
    """A turn came to nothing: that is said, and the story goes on without; unless nothing can be booked any more."""
    result = took.result
    if (result.outcome, result.reason) == ("later", "ledger"):
        return Outcome("later", reason=result.reason)
    _say(run, f"{what} by {took.agent} came to nothing ({result.reason or result.outcome})")
    return None


def _named(agents: str) -> tuple[str, ...]:
    return tuple(agents.split(",")) if agents else ()


def _prompt(run: StoryRun) -> str:
    return (run.attempt_folder / "prompt.md").read_text("utf-8", "replace")


def _keep(run: StoryRun, number: int, found: "Review") -> None:
    lines = [*(f"MUST-FIX: {line}" for line in found.must), *(f"NOTE: {line}" for line in found.notes)]
    text = "\n".join(lines or ["REVIEW: CLEAN" if found.understood else "not understood"]) + "\n"
    story_files.write_note(run.attempt_folder, f"review-{number}.txt", text.encode("utf-8", "replace"))


def _say(run: StoryRun, text: str) -> None:
    run.say({"event": "note", "text": text})
