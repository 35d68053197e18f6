"""One attempt at a story, stage after stage: prepare, agent, commit, policy, verify.

A checkpoint is written after each stage that did something; an attempt that was cut off is entered behind the
last one. The agent's stage is the one that costs money: once its checkpoint is on disk it is never run again,
and until the commit has a ref the slot belongs to the story.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rad_engineer import agents, git, story_files, timings
from rad_engineer.core import prompt
from rad_engineer.outcome import FEEDBACK_TAIL, Outcome, text_fingerprint
from rad_engineer.process import Limits
from rad_engineer.worker import commits, setup, verdict
from rad_engineer.worker.court import Cancelled, set_up_copy
from rad_engineer.worker.story_run import StoryRun, with_patch

MAX_LEARNINGS = 20
_AGENT_REASONS = {
    "failed": "agent-failed",
    "missing": "agent-missing",
    "timeout": "timeout",
    "idle": "idle",
    "flooded": "flooded",
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
    if stage is None:
        stopped = _prepare(run) or _work(run)
        if stopped is not None:
            return stopped
    commit = done.get("commit")
    changed: tuple[str, ...] = tuple(done.get("changed", ()))
    if stage in (None, "agent"):
        made = commits.commit(run)
        if isinstance(made, Outcome):
            return made
        commit, changed = made
    if commit is None:
        raise AssertionError("the policy stage leaves a commit behind")
    return verdict.judge_story(run, commit, changed, _learnings(run))


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
        _write_prompt(run)
        stopped = _agent(run, Path(run.place.rules.top))
        if stopped is not None:
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
    with timings.part("slot move"):
        pool.move(slot, base, base, keep=(*run.place.rules.keep, *setup.kept(slot.git_dir).paths))
    try:
        failed = set_up_copy(verdict.court_of(run), slot, base, base, run.place.rules.keep)
    except Cancelled:
        return Outcome("interrupted")
    if failed is not None:
        return failed
    pool.copy_files(slot)
    _write_prompt(run)
    run.finished("prepare", started)
    return None


def _goes_on(run: StoryRun) -> bool:
    """Whether the agent can go on in the middle of its work: its transcript speaks of what lies in the slot."""
    begun = story_files.begun_transcript(run.attempt_folder) if run.job.get("resume") else None
    return begun is not None and begun["bound"] == run.place.pool.prepared(commits.slot_of(run))


def _work(run: StoryRun) -> Outcome | None:
    return _agent(run, commits.slot_of(run).path)


def _assignment(run: StoryRun) -> prompt.Assignment:
    story, context = run.story, run.job.get("context", {})
    return prompt.Assignment(
        story_id=story["id"],
        title=story["title"],
        text=story["text"],
        criteria=tuple(criterion["text"] for criterion in story["criteria"]),
        checks=tuple(gate.command for gate in verdict.gates_of(run)),
        notes=context.get("notes", ""),
        earlier=tuple(context.get("earlier", ())),
        learnings=tuple(context.get("learnings", ())),
        attempt=run.attempt,
        feedback=run.job.get("feedback", ""),
    )


def _write_prompt(run: StoryRun) -> None:
    text = prompt.render(_assignment(run))
    story_files.write_note(run.attempt_folder, "prompt.md", text.encode("utf-8", "replace"))


def _agent(run: StoryRun, where: Path) -> Outcome | None:
    rules, story = run.place.rules, run.story
    folder, models = run.attempt_folder, run.job.get("models", {})
    work = agents.AgentWork(
        story_id=story["id"].replace("\0", ""),
        title=story["title"].replace("\0", ""),
        attempt=run.attempt,
        slot=where,
        prompt=folder / "prompt.md",
        log=folder / "agent.log",
        env={**run.place.environment, "RAD_LEARNINGS_FILE": str(folder / "learnings.txt")},
        limits=Limits(seconds=rules.story_timeout, idle=rules.idle_timeout, grace=rules.grace),
        command=rules.agent_command,
        cancel=run.cancel,
        on_line=lambda line: run.say({"output": line}),
        on_started=run.name_child,
        on_finished=lambda: run.checkpoint("agent"),
        base_url=models.get("url", ""),
        token=models.get("token", ""),
        model=rules.model,
        settings=rules.agent_settings,
        folder=folder,
        assignment=_assignment(run),
        hidden=_hidden(run),
        bound=run.place.pool.prepared(commits.slot_of(run)) if rules.workspace == "slots" else "shared",
    )
    started = time.monotonic()
    with timings.part("agent"):
        result = _ask(run, work)
    if result.outcome == "cancelled":
        return Outcome("interrupted")
    if result.outcome == "later":
        return Outcome("later", reason=result.reason or "limit", until=result.retry_at)
    if result.outcome != "finished":
        run.finished("agent", started, ok=False, code=result.code)
        return _agent_failed(run, result)
    counted = bool(models) and not result.unmetered  # by the gateway, whose figures are the report's
    told: dict[str, Any] = {} if counted else {"cost_usd": result.cost_usd, "tokens": result.tokens}
    run.finished("agent", started, **told)
    return None


def _ask(run: StoryRun, work: agents.AgentWork) -> agents.AgentResult:
    """Asks one agent after another, as long as each is missing or at its limit."""
    *others, last = run.place.rules.agents
    for name in others:
        result = agents.agent(name).run(work)
        if result.outcome not in ("missing", "later"):
            return result
        why = "is missing" if result.outcome == "missing" else "is at its limit"
        run.say({"event": "note", "text": f"{name} {why}: the next one is asked"})
    return agents.agent(last).run(work)


def _hidden(run: StoryRun) -> dict[str, str]:
    """What differs from one run or machine to the next, and what a model that is asked through us sees instead."""
    rules = run.place.rules
    return {
        str(run.place.rundir.path): "$RUN_FOLDER",
        rules.cache: "$CACHE",
        rules.top: "$REPOSITORY",
        rules.run: "$RUN",
    }


def _agent_failed(run: StoryRun, result: agents.AgentResult) -> Outcome:
    reason = _AGENT_REASONS[result.outcome]
    tail = result.output[-FEEDBACK_TAIL:]
    code = f"exit code {result.code}" if result.code is not None else "no exit code"
    return Outcome(
        "failed",
        reason=reason,
        detail=f"{code} after {result.seconds:.0f} s",
        feedback=f"The last attempt ended early ({reason}, {code}). The end of its output:\n{tail}",
        fingerprint=text_fingerprint(reason, result.output) if reason == "agent-failed" else None,
        final=reason == "agent-missing",
        commit=commits.rescue(run, commits.slot_of(run)) if run.place.rules.workspace == "slots" else None,
    )


def _learnings(run: StoryRun) -> tuple[str, ...]:
    path = run.attempt_folder / "learnings.txt"
    if path.is_symlink() or not path.is_file():  # the agent was told its name: a pipe would never end
        return ()
    try:
        with path.open("rb") as handle:
            text = handle.read(4_000).decode("utf-8", "replace")
    except OSError:
        return ()
    lines = [" ".join(line.split())[:300] for line in text.splitlines()]
    return tuple(line for line in lines if line)[:MAX_LEARNINGS]
