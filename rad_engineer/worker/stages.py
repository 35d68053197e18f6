"""One attempt at a story, stage after stage: prepare, agent, commit, policy, verify.

A checkpoint is written after each stage that did something; an attempt that was cut off is entered behind the
last one. The agent's stage is the one that costs money: once its checkpoint is on disk it is never run again,
and until the commit has a ref the slot belongs to the story.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from rad_engineer import agents, git, process, story_files, timings
from rad_engineer.core.printable import one_line
from rad_engineer.outcome import DRIFT, FEEDBACK_TAIL, Outcome, difference, text_fingerprint
from rad_engineer.worker import agent_turn, commits, review, setup, suspicion, verdict
from rad_engineer.worker.agent_turn import Took, Turn
from rad_engineer.worker.court import Cancelled, set_up_copy
from rad_engineer.worker.progress import Progress, back_to
from rad_engineer.worker.story_run import StoryRun, marks_of, with_patch

MAX_LEARNINGS = 20
_MOST_LEARNED = 24_000  # bytes
_AGENT_REASONS = {
    "failed": "agent-failed",
    "missing": "agent-missing",
    "timeout": "timeout",
    "idle": "idle",
    "flooded": "flooded",
    **{name: name for name in get_args(process.Exhausted)},
}


def run_story(run: StoryRun) -> Outcome:
    """Runs what is left of the attempt; what did not land is also left as a patch."""
    outcome = _run_stages(run)
    if outcome.kind == "failed" and outcome.commit and outcome.commit != run.job["base"]:
        return with_patch(run.place, outcome, run.job["base"], run.attempt_folder / "diff.patch")
    return outcome


def _run_stages(run: StoryRun) -> Outcome:
    done = _resume_point(run)
    if run.place.rules.workspace == "shared":
        return _run_shared(run, done)
    stage = done.get("stage")
    wrote: Mapping[str, Any] = done.get("wrote") or {}
    agent_turn.report(run, wrote)  # once more: whoever was to write it down may be gone
    if stage not in (None, "agent"):
        return _judge(run, Progress.again(run, done))
    took: agents.AgentResult | None = None
    if stage is None:
        stopped = _prepare(run)
        if stopped is not None:
            return stopped
        ended = _agent(run, commits.slot_of(run).path)
        if isinstance(ended, Outcome):
            return ended
        took = ended.result
        wrote = agent_turn.wrote(ended)
    verdict.expect_gates(run)
    committed = commits.commit(run, took)
    if isinstance(committed, Outcome):
        return committed
    progress = Progress(run, committed, wrote)
    progress.write()
    return _judge(run, progress)


def _judge(run: StoryRun, progress: Progress) -> Outcome:
    """Reviewed, judged, and made simpler, where that is wanted and not done yet."""
    rules = run.place.rules
    if rules.review:
        stopped = review.reviewed(run, progress)
        if stopped is not None:
            return stopped
    learnings = _learnings(run)
    outcome = verdict.judge_story(run, *progress.made, learnings)
    if rules.simplify and outcome.kind == "verified":
        return review.simplified(run, outcome, progress, learnings)
    return outcome


def _agent(run: StoryRun, where: Path) -> Outcome | Took:
    suspicious = suspicion.of_story(run)
    if suspicious is not None:
        return suspicious
    started = time.monotonic()
    afresh = (lambda: back_to(run, run.job["base"])) if run.place.rules.workspace == "slots" else None
    with timings.part("agent"):
        took = agent_turn.take(run, Turn(where, afresh=afresh))
    result = took.result
    if result.outcome == "cancelled":
        return Outcome("interrupted")
    if result.outcome == "later":
        return Outcome("later", reason=result.reason or "limit", until=result.retry_at)
    costs = agent_turn.told(took, run.job.get("models"))
    agent_turn.report(run, agent_turn.wrote(took))
    if result.outcome != "finished":
        run.finished("agent", started, ok=False, code=result.code, **costs)
        return _agent_failed(run, result)
    run.finished("agent", started, **costs)
    return took


def _resume_point(run: StoryRun) -> Mapping[str, Any]:
    """The checkpoint of this very attempt; nothing where it has none."""
    if not run.job.get("resume"):
        return {}
    found = story_files.finished_stage(run.folder, run.attempt)
    return {} if found is None or _lost(run, found) else found


def _lost(run: StoryRun, found: Mapping[str, Any]) -> bool:
    """Whether somebody has removed what the finished stages left: the slot, or the commit that no ref could keep."""
    if run.place.rules.workspace == "shared":
        return False
    if found.get("commit") is None:
        return found["stage"] == "agent" and not commits.slot_of(run).path.is_dir()
    return not git.whole(run.place.repository, found["commit"], run.job["base"])


def _run_shared(run: StoryRun, done: Mapping[str, Any]) -> Outcome:
    if done.get("stage") is None:
        agent_turn.write_prompt(run)
        stopped = _agent(run, Path(run.place.rules.top))
        if isinstance(stopped, Outcome):
            return stopped
    return verdict.judge_shared(run, _learnings(run))


def _prepare(run: StoryRun) -> Outcome | None:
    started = time.monotonic()
    slot = commits.slot_of(run)
    pool = run.place.pool
    if _goes_on(run):
        return None
    if run.job.get("resume"):
        commits.rescue(run, slot)
    base = run.job["base"]
    agent_turn.write_prompt(run)
    agent_turn.expect(run, slot.path)
    with timings.part("slot move"):
        pool.move(slot, base, base, keep=(*run.place.rules.keep, *setup.kept(slot.git_dir).paths))
    try:
        failed = set_up_copy(verdict.court_of(run), slot, base, base, run.place.rules.keep)
    except Cancelled:
        return Outcome("interrupted")
    if failed is not None:
        return failed
    pool.copy_files(slot)
    run.finished("prepare", started)
    return None


def _goes_on(run: StoryRun) -> bool:
    """Whether the agent can go on in the middle of its work: its transcript speaks of what lies in the slot."""
    begun = story_files.begun_transcript(run.attempt_folder) if run.job.get("resume") else None
    return begun is not None and begun["bound"] == run.place.pool.prepared(commits.slot_of(run))


def _agent_failed(run: StoryRun, result: agents.AgentResult) -> Outcome:
    drifted = result.reason == DRIFT  # the same question would be asked again, and has no answer
    reason = DRIFT if drifted else _AGENT_REASONS[result.outcome]
    tail = result.output[-FEEDBACK_TAIL:]
    told = result.output.strip().splitlines() if result.outcome == "failed" else []
    unknown = told[0][:200] if told else "no exit code"
    code = f"exit code {result.code}" if result.code is not None else unknown
    return Outcome(
        "failed",
        reason=reason,
        detail=difference(result.output) if drifted else f"{code} after {result.seconds:.0f} s",
        feedback=f"The last attempt ended early ({reason}, {code}). The end of its output:\n{tail}",
        fingerprint=text_fingerprint(reason, result.output) if reason == "agent-failed" else None,
        final=drifted or reason == "agent-missing",
        commit=commits.rescue(run, commits.slot_of(run)) if run.place.rules.workspace == "slots" else None,
    )


def _learnings(run: StoryRun) -> tuple[str, ...]:
    path = run.attempt_folder / "learnings.txt"
    if path.is_symlink() or not path.is_file():  # the agent was told its name: a pipe would never end
        return ()
    try:
        with path.open("rb") as handle:
            text = handle.read(_MOST_LEARNED).decode("utf-8", "replace")
    except OSError:
        return ()
    marks = marks_of(run)
    lines = [marks.defused(one_line(line))[:300] for line in text.splitlines()]
    return tuple(line for line in lines if line)[:MAX_LEARNINGS]
