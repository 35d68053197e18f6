"""From the files in a slot to a commit: staged, held against the policy, given a ref."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import store, story_files, timings
from rad_engineer.core.policy import Violation, blocking, feedback, judge
from rad_engineer.core.policy_rules import Change, Claim
from rad_engineer.gates import policy
from rad_engineer.outcome import Outcome, text_fingerprint
from rad_engineer.worker import setup, verdict
from rad_engineer.worker.story_run import StoryRun, marks_of

if TYPE_CHECKING:
    from rad_engineer.agents import AgentResult
    from rad_engineer.slots.pool import Slot

_MOST_WARNINGS = 5  # that are said aloud; all of them are written down


def slot_of(run: StoryRun) -> "Slot":
    """The slot of the attempt."""
    return run.place.pool.slot("slot", int(run.job["slot"]))


def commit(run: StoryRun, said: "AgentResult | None" = None) -> Outcome | tuple[str, tuple[str, ...]]:
    """Stages and commits what the agent left, checks it, also against what the agent said, and gives it a ref."""
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
    refused = _policy(run, changed, commit, said)
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


def _policy(
    run: StoryRun, changed: tuple[str, ...], commit: str, said: "AgentResult | None"
) -> Outcome | None:
    """Holds the change against the rules; over what blocks it does not land, and nothing of it leaves quarantine."""
    started = time.monotonic()
    with timings.part("policy"):
        found = _violations(run, changed, commit, said)
    if not found:
        return None
    stop = blocking(found)
    told = [one.to_json() for one in found]
    story_files.write_note(run.attempt_folder, story_files.VIOLATIONS, json.dumps(told, indent=2).encode())
    run.finished("policy", started, ok=not stop, violations=told[:50])
    if not stop:
        _tell_warnings(run, found)
        return None
    judging = [one.path for one in stop if one.rule == "protected-path"]
    reason, listed = "policy", "; ".join(map(str, stop[:3]))
    if judging:
        reason, listed = "protected-path", ", ".join(judging[:5])
    return Outcome(
        "failed",
        reason=reason,
        detail=listed,
        feedback=feedback(stop),
        fingerprint=text_fingerprint(
            reason, "\n".join(f"{one.rule} {one.path} {one.message}" for one in stop)
        ),
    )


def _violations(
    run: StoryRun, changed: tuple[str, ...], commit: str, said: "AgentResult | None"
) -> list[Violation]:
    place, quarantine, marks = run.place, _quarantine(run, "commit"), marks_of(run)
    env = place.pool.objects_env(quarantine)
    change = Change(
        policy.diff(place.repository, run.job["base"], commit, env),
        judging=tuple(verdict.protected(run, changed, commit, quarantine)),
        prds=place.rules.dropped,
        read=policy.reader(place.repository, commit, env),
        seconds=said.seconds if said is not None else None,
        claims=_claims(said),
        marks=marks,
    )
    wanted = policy.policy_of(place.rules.policy, allow_missing_tests=place.rules.allow_missing_tests)
    return [
        replace(one, path=marks.redacted(one.path), message=marks.redacted(one.message))
        for one in judge(change, wanted)
    ]


def _claims(said: "AgentResult | None") -> tuple[Claim, ...] | None:
    """What an agent that returns a report says of the criteria that it calls met."""
    if said is None or not said.criteria:
        return None
    return tuple(
        Claim(str(row.get("criterion", "")), tuple(map(str, row.get("evidence", ()))))
        for row in said.criteria
        if row.get("met")
    )


def _tell_warnings(run: StoryRun, found: Sequence[Violation]) -> None:
    for one in found[:_MOST_WARNINGS]:
        run.say({"event": "note", "text": str(one)})
    if len(found) > _MOST_WARNINGS:
        more = f"{len(found) - _MOST_WARNINGS} more warnings of the policy, see `rad-engineer explain`"
        run.say({"event": "note", "text": more})


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
    secrets = _secrets(run, base, commit, quarantine)
    if secrets:
        listed = "; ".join(map(str, secrets[:3]))
        run.say({"event": "note", "text": f"unfinished work has secrets and stays in {quarantine}: {listed}"})
        return None
    place.pool.adopt(quarantine)
    ref = f"refs/rad/rescue/{place.rules.run}/{store.slug(run.story['id'])}-{run.story['identity'][:8]}/{run.attempt}"
    place.pool.keep_ref(ref, commit)
    return commit


def _secrets(run: StoryRun, base: str, commit: str, quarantine: Path) -> list[Violation]:
    """Secrets and marks of the run in unfinished work: it is kept for people, but they must not enter the repository."""
    found = policy.diff(run.place.repository, base, commit, run.place.pool.objects_env(quarantine))
    return [
        one
        for one in blocking(
            judge(Change(found, marks=marks_of(run)), policy.policy_of(run.place.rules.policy))
        )
        if one.rule in ("secret", "run-mark")
    ]


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
