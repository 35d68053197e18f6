"""From the files in a slot to a commit: staged, held against the policy, given a ref."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import store, timings
from rad_engineer.outcome import Outcome, text_fingerprint
from rad_engineer.worker import setup, verdict
from rad_engineer.worker.story_run import StoryRun

if TYPE_CHECKING:
    from rad_engineer.slots.pool import Slot


def slot_of(run: StoryRun) -> "Slot":
    """The slot of the attempt."""
    return run.place.pool.slot("slot", int(run.job["slot"]))


def commit(run: StoryRun) -> Outcome | tuple[str, tuple[str, ...]]:
    """Stages and commits what the agent left, checks it, and gives it a ref."""
    started = time.monotonic()
    place, rules, base = run.place, run.place.rules, run.job["base"]
    slot, quarantine = slot_of(run), _quarantine(run, "commit")
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


def rescue(run: StoryRun, slot: "Slot") -> str | None:
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
