"""One attempt at a story, stage after stage: prepare, agent, commit, policy, verify.

A checkpoint is written after each stage that did something; an attempt that was cut off is entered behind the
last one. The agent's stage is the one that costs money: once its checkpoint is on disk it is never run again,
and until the commit has a ref the slot belongs to the story.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rad_engineer import agents, git, store, story_files, timings
from rad_engineer.core import prompt
from rad_engineer.outcome import FEEDBACK_TAIL, Outcome, text_fingerprint
from rad_engineer.process import Limits
from rad_engineer.worker import setup, verdict
from rad_engineer.worker.court import Cancelled, set_up_copy
from rad_engineer.worker.story_run import StoryRun, with_patch

if TYPE_CHECKING:
    from rad_engineer.slots.pool import Slot

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
        made = _commit(run)
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
        return found["stage"] == "agent" and not _slot(run).path.is_dir()
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
    slot = _slot(run)
    pool = run.place.pool
    if run.job.get("resume"):
        _rescue(run, slot)
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


def _work(run: StoryRun) -> Outcome | None:
    return _agent(run, _slot(run).path)


def _slot(run: StoryRun) -> "Slot":
    return run.place.pool.slot("slot", int(run.job["slot"]))


def _write_prompt(run: StoryRun) -> None:
    story, context = run.story, run.job.get("context", {})
    text = prompt.render(
        prompt.Assignment(
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
    )
    story_files.write_note(run.attempt_folder, "prompt.md", text.encode("utf-8", "replace"))


def _agent(run: StoryRun, where: Path) -> Outcome | None:
    rules, story = run.place.rules, run.story
    folder = run.attempt_folder
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
    )
    started = time.monotonic()
    with timings.part("agent"):
        result = agents.agent(rules.agent).run(work)
    if result.outcome == "cancelled":
        return Outcome("interrupted")
    if result.outcome == "later":
        return Outcome("later", reason="limit", until=result.retry_at)
    if result.outcome != "finished":
        run.finished("agent", started, ok=False, code=result.code)
        return _agent_failed(run, result)
    run.finished("agent", started, cost_usd=result.cost_usd, tokens=result.tokens)
    return None


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
        commit=_rescue(run, _slot(run)) if run.place.rules.workspace == "slots" else None,
    )


def _rescue(run: StoryRun, slot: "Slot") -> str | None:
    """Keeps whatever an unfinished attempt left in the slot, under a rescue ref."""
    place, base = run.place, run.job.get("rescue_base") or run.job["base"]
    if not slot.path.is_dir():
        return None
    quarantine = _quarantine(run, "rescue")
    staged = place.pool.stage(slot, base, quarantine, never=place.rules.dropped)
    if staged.problem is not None or not staged.changed:
        place.pool.forget(quarantine)
        return None
    commit = place.pool.commit(staged, base, _message(run, "rescued: unfinished work"), quarantine)
    place.pool.adopt(quarantine)
    ref = f"refs/rad/rescue/{place.rules.run}/{store.slug(run.story['id'])}-{run.story['identity'][:8]}/{run.attempt}"
    place.pool.keep_ref(ref, commit)
    return commit


def _quarantine(run: StoryRun, name: str) -> Path:
    return run.attempt_folder / f"objects-{name}"


def _message(run: StoryRun, note: str = "") -> str:
    story = run.story
    title = " ".join(f"{story['id']}: {story['title']}".split())
    trailers = {
        "Rad-Run": run.place.rules.run,
        "Rad-Story": " ".join(story["id"].split()),
        "Rad-Identity": story["identity"],
    }
    body = f"\n{note}\n" if note else ""
    return f"{title}\n{body}\n" + "".join(f"{name}: {value}\n" for name, value in trailers.items())


def _commit(run: StoryRun) -> Outcome | tuple[str, tuple[str, ...]]:
    """Stages and commits what the agent left, checks it, and gives it a ref."""
    started = time.monotonic()
    place, rules, base = run.place, run.place.rules, run.job["base"]
    slot, quarantine = _slot(run), _quarantine(run, "commit")
    never = (*rules.dropped, *setup.kept(slot.git_dir).paths)
    with timings.part("stage"):
        staged = place.pool.stage(slot, base, quarantine, never=never)
        if staged.problem == "git-failed":  # once more: what the machine did is over, and an agent costs more
            staged = place.pool.stage(slot, base, quarantine, never=never)
    if staged.problem is not None:
        run.finished("commit", started, ok=False)
        return Outcome(
            "failed",
            reason=staged.problem,
            detail=staged.detail,
            feedback=f"{staged.problem}: {staged.detail}",
        )
    _tell_dropped(run, slot)
    if not staged.changed:
        run.finished("commit", started)
        return verdict.judge_unchanged(run)
    changed = tuple(path for _status, path in staged.changed)
    with timings.part("commit"):
        commit = place.pool.commit(staged, base, _message(run), quarantine)
    run.finished("commit", started)
    refused = _policy(run, changed, commit)
    if refused is not None:
        return refused
    with timings.part("commit"):
        place.pool.adopt(quarantine)
        place.pool.keep_ref(verdict.story_refs(run)[0], commit)
    run.checkpoint("policy", commit=commit, changed=changed[:200])
    return commit, changed


def _tell_dropped(run: StoryRun, slot: "Slot") -> None:
    """Agents tick boxes in PRDs and write progress notes: that is left out, and said."""
    for path in run.place.pool.touched(slot, run.place.rules.dropped):
        run.say({"event": "note", "text": f"its edit of {path} is left out"})


def _policy(run: StoryRun, changed: tuple[str, ...], commit: str) -> Outcome | None:
    """The story may not change what judges it."""
    started = time.monotonic()
    broken = verdict.protected(run, changed, commit, _quarantine(run, "commit"))
    if not broken:
        return None
    run.finished("policy", started, ok=False)
    listed = ", ".join(broken[:5])
    return Outcome(
        "failed",
        reason="protected-path",
        detail=listed,
        feedback=f"These paths judge the work and may not be changed by it: {listed}. Leave them as they were.",
        fingerprint=text_fingerprint("protected-path", listed),
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
