"""Optional turns after the agent's own: a reviewer reads the change, and what is green is made simpler.

Neither decides anything: findings go back to whoever wrote the change, a limited number of times, and then gates judge.
"""

import time
from typing import TYPE_CHECKING

from rad_engineer import git, story_files
from rad_engineer.core import review
from rad_engineer.outcome import Outcome
from rad_engineer.worker import agent_turn, commits, setup, verdict
from rad_engineer.worker.agent_turn import Took, Turn
from rad_engineer.worker.story_run import StoryRun

if TYPE_CHECKING:
    from rad_engineer.core.review import Review

Made = tuple[str, tuple[str, ...]]
_ROLE = "code-reviewer"


def reviewed(run: StoryRun, made: Made, wrote: Took) -> Made | Outcome:
    """The commit after its review: the same one, or what became of it when findings were mended."""
    rules = run.place.rules
    for number in range(1, rules.review_rounds + 1):
        found = _ask(run, made[0], number)
        if isinstance(found, Outcome):
            return found
        if found is None or not found.must:
            return made
        text = review.again(_prompt(run), found.must)
        turn = Turn(commits.slot_of(run).path, f"mend-{number}", text, (wrote.agent,), wrote.result.model,
                    wrote.result.session)  # fmt: skip
        again = _worked(run, turn)
        if again is None:
            return made
        if isinstance(again, Outcome):
            return again
        committed = commits.commit(run)
        if isinstance(committed, Outcome):
            return committed
        made = committed
    return made


def _ask(run: StoryRun, commit: str, number: int) -> "Review | Outcome | None":
    """Has the change read; None where nothing came of it. What a reviewer does to files is undone."""
    rules = run.place.rules
    diff = git.diff(run.place.repository, run.job["base"], commit).decode("utf-8", "replace")
    text = review.question(agent_turn.assignment(run), rules.roles.get(_ROLE, ""), diff)
    reviewers = tuple(rules.reviewer.split(",")) if rules.reviewer else tuple(rules.agent.split(","))
    turn = Turn(commits.slot_of(run).path, f"review-{number}", text, reviewers, rules.review_model)
    started = time.monotonic()
    took = agent_turn.take(run, turn)
    back_to(run, commit)
    costs = agent_turn.told(took, run.job.get("models"))
    good = took.result.outcome == "finished"
    run.finished("review", started, ok=good, **costs)
    if took.result.outcome == "cancelled":
        return Outcome("interrupted", commit=commit)
    if not good:
        _say(run, f"the review by {took.agent} came to nothing ({took.result.reason or took.result.outcome})")
        return None
    found = review.read(took.result.summary or took.result.output)
    _keep(run, number, found)
    if not found.understood:
        _say(run, f"the review by {took.agent} names no findings and does not say that there are none")
    elif found.must:
        _say(run, f"the review by {took.agent} wants {len(found.must)} of its findings mended")
    return found


def simplified(run: StoryRun, green: Outcome, made: Made, learnings: tuple[str, ...]) -> Outcome:
    """The verdict on a simpler change, where there is one and it is green too; else the one that there was."""
    turn = Turn(commits.slot_of(run).path, "simplify", review.simpler(_prompt(run)))
    ended = _worked(run, turn, stage="simplify")
    if isinstance(ended, Outcome):
        return ended if ended.kind == "interrupted" else green
    if ended is None:
        return green
    committed = commits.commit(run)
    if not isinstance(committed, Outcome) and committed[0] != made[0]:
        outcome = verdict.judge_story(run, *committed, learnings)
        if outcome.kind in ("verified", "interrupted"):
            return outcome
        _say(run, f"simplifying is left out: {outcome.reason or outcome.kind}, {outcome.detail}".rstrip(", "))
    run.place.pool.keep_ref(verdict.story_refs(run)[0], made[0])
    run.checkpoint("policy", commit=made[0], changed=made[1][:200])
    return green


def _worked(run: StoryRun, turn: Turn, stage: str = "mend") -> Took | Outcome | None:
    """Takes a turn that changes files; None where it came to nothing, and the files are as they were."""
    started = time.monotonic()
    took = agent_turn.take(run, turn)
    good = took.result.outcome == "finished"
    run.finished(stage, started, ok=good, **agent_turn.told(took, run.job.get("models")))
    if took.result.outcome == "cancelled":
        return Outcome("interrupted")
    if good:
        return took
    _say(run, f"{stage} by {took.agent} came to nothing ({took.result.reason or took.result.outcome})")
    return None


def back_to(run: StoryRun, commit: str) -> None:
    """Takes the slot to what was committed of it."""
    slot = commits.slot_of(run)
    keep = (*run.place.rules.keep, *setup.kept(slot.git_dir).paths)
    run.place.pool.move(slot, commit, run.job["base"], keep=keep)
    run.place.pool.copy_files(slot)


def _prompt(run: StoryRun) -> str:
    return (run.attempt_folder / "prompt.md").read_text("utf-8", "replace")


def _keep(run: StoryRun, number: int, found: "Review") -> None:
    lines = [*(f"MUST-FIX: {line}" for line in found.must), *(f"NOTE: {line}" for line in found.notes)]
    text = "\n".join(lines or ["REVIEW: CLEAN" if found.understood else "not understood"]) + "\n"
    story_files.write_note(run.attempt_folder, f"review-{number}.txt", text.encode("utf-8", "replace"))


def _say(run: StoryRun, text: str) -> None:
    run.say({"event": "note", "text": text})
