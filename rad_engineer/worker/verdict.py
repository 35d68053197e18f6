"""The verdict on a story: what follows from what its gates say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import gates, swap, timings
from rad_engineer.gates import Gate, GateResult, policy
from rad_engineer.outcome import Outcome
from rad_engineer.worker.court import Cancelled, Court, expect_gate, project_gates, run_gates, run_in_place
from rad_engineer.worker.story_run import StoryRun
from rad_engineer.worker.witness import tell_files
from rad_engineer.worker.workplace import Workplace

if TYPE_CHECKING:
    from rad_engineer.git import Merge


def reader(place: Workplace, commit: str | None) -> Callable[[str], bytes | None]:
    """Reads files of a commit, so that `npm test` is seen through; only asked where that helps."""
    if commit is None:
        return lambda _path: None
    return lambda path: place.pool.read(commit, path)


def court_of(run: StoryRun, commit: str = "") -> Court:
    """The court for one attempt; evidence names the commit."""
    logs = run.attempt_folder / "gates"
    return Court(run.place, int(run.job["lane"]), logs, run.say, run.cancel, judged=commit)


def expect_gates(run: StoryRun) -> None:
    """Begins to open the box of the first gate that will judge the story, while its work is made into a commit."""
    wanted = run.place.rules.gates or run.story.get("checks")
    if wanted and run.place.rules.kind == "real" and run.place.rules.workspace == "slots":
        expect_gate(court_of(run))


def gates_of(run: StoryRun) -> tuple[Gate, ...]:
    """The project's gates, then the story's own checks."""
    project = project_gates(run.place)
    taken = {gate.command for gate in project}
    own = tuple(
        gates.gate(check["name"], check["command"], "story", reader(run.place, run.job["base"]))
        for check in run.story.get("checks", ())
        if check["command"] not in taken
    )
    return project + own


def story_refs(run: StoryRun) -> tuple[str, str]:
    """The refs that keep the story's commit, and the candidate made of it, until it has landed."""
    return swap.refs_of(run.place.rules.run, run.story["id"], run.story["identity"])


def judge_story(run: StoryRun, commit: str, changed: tuple[str, ...], learnings: tuple[str, ...]) -> Outcome:
    """Judges the merge of the story's commit with the branch as it is now."""
    if run.place.rules.kind == "rehearsal":
        return Outcome("unverified", reason="rehearsal", commit=commit, changed=changed)
    with run.place.pool.quarantined() as quarantine:
        outcome = _judge_merged(run, commit, quarantine)
    if outcome.kind != "verified":
        return outcome
    return replace(outcome, base=run.job["base"], learnings=learnings, changed=changed[:50])


def _judge_merged(run: StoryRun, commit: str, quarantine: Path) -> Outcome:
    """The verdict on the merge, which becomes the user's only when it is green and the tip is still the same."""
    started = time.monotonic()
    place, pool, base = run.place, run.place.pool, run.job["base"]
    with timings.part("landing"):
        tip = pool.tip(str(place.rules.branch)) or base
        merged = pool.merge(tip, commit, parent=base, quarantine=quarantine)
    if merged.tree is None:
        run.finished("verify", started, ok=False)
        return conflict(merged, commit)
    try:
        court = replace(court_of(run, commit), quarantine=quarantine)
        results = run_gates(court, merged.tree, tip, gates_of(run))
    except Cancelled:
        return Outcome("interrupted", commit=commit)
    if isinstance(results, Outcome):
        return results
    outcome = _decide(results, commit, allow=place.rules.allow_unverified)
    if gates_of(run):
        run.finished("verify", started, ok=outcome.kind != "failed")
    if outcome.kind != "verified":
        return outcome
    with timings.part("landing"):
        if pool.tip(str(place.rules.branch)) not in (tip, None):
            return outcome  # to be merged and judged again: nothing of this merge is kept
        candidate = pool.candidate(tip, commit, merged.tree, parent=base, quarantine=quarantine)
        tell_files(place, tip, candidate, quarantine)
        pool.keep_candidates({story_refs(run)[1]: candidate}, quarantine)
    return replace(outcome, tip=tip, candidate=candidate)


def judge_unchanged(run: StoryRun) -> Outcome:
    """An attempt that changed nothing passes only when the story's own check is green as things are."""
    base = run.job["base"]
    own = tuple(gate for gate in gates_of(run) if gate.scope == "story")
    if own and run.place.rules.kind == "real":
        try:
            results = run_gates(court_of(run), base, base, own)
        except Cancelled:
            return Outcome("interrupted")
        if isinstance(results, Outcome):
            return results
        if any(result.proof for result in results) and all(result.ok for result in results):
            return Outcome("unchanged", commit=base, gates=_json(results))
    feedback = "The last attempt changed no file, and no check of the story itself is green."
    return Outcome("failed", reason="no-change", feedback=feedback, final=True)


def judge_shared(run: StoryRun, learnings: tuple[str, ...]) -> Outcome:
    """A shared workspace has no clean copy: gates are run where everybody works, and prove nothing for good."""
    wanted = gates_of(run)
    if not wanted or run.place.rules.kind == "rehearsal":
        return Outcome("unverified", reason="shared-workspace", learnings=learnings)
    started = time.monotonic()
    try:
        results = run_in_place(court_of(run), Path(run.place.rules.top), wanted)
    except Cancelled:
        return Outcome("interrupted")
    outcome = _decide(results, None, allow=False)
    run.finished("verify", started, ok=outcome.kind != "failed")
    if outcome.kind == "failed":
        return outcome
    return Outcome("unverified", reason="shared-workspace", gates=outcome.gates, learnings=learnings)


def _decide(results: Sequence[GateResult], commit: str | None, *, allow: bool) -> Outcome:
    red = [result for result in results if not result.ok]
    if red:
        return failed(results, "gate-red", commit)
    if any(result.proof for result in results):
        return Outcome("verified", commit=commit, gates=_json(results))
    if allow:
        return Outcome("verified", commit=commit, gates=_json(results), unverified=True)
    return Outcome(
        "unverified", reason="no-evidence" if results else "no-gate", commit=commit, gates=_json(results)
    )


def failed(results: Sequence[GateResult], reason: str, commit: str | None = None) -> Outcome:
    """The outcome of red gates: what failed, and what the next attempt should read."""
    red = [result for result in results if not result.ok]
    return Outcome(
        "failed",
        reason=reason,
        detail=", ".join(f"{result.name} ({result.verdict})" for result in red),
        feedback=gates.feedback(red),
        fingerprint=gates.fingerprint(red),
        commit=commit,
        gates=_json(results),
    )


def _json(results: Sequence[GateResult]) -> tuple[Mapping[str, object], ...]:
    return tuple(result.to_json() for result in results)


def protected(run: StoryRun, changed: Sequence[str], commit: str, quarantine: Path) -> list[str]:
    """Which changed paths judge the story: scripts that gates name, protected globs, npm scripts that gates run, the policy."""
    pool, rules = run.place.pool, run.place.rules
    broken = gates.violations(changed, rules.protected, rules.protect)
    for path in {"package.json", "pyproject.toml"}.intersection(changed).difference(broken):
        before, after = pool.read(run.job["base"], path), pool.read(commit, path, quarantine)
        if path == "pyproject.toml" and gates.changes_settings(before, after):
            broken.append("pyproject.toml (tool.rad-engineer)")
        elif path == "package.json":
            scripts = gates.changed_scripts(before, after, [gate.command for gate in gates_of(run)])
            broken.extend(f"package.json (script {name})" for name in scripts)
    broken += policy.changes(
        [path for path in changed if path not in broken],
        lambda path: (pool.read(run.job["base"], path), pool.read(commit, path, quarantine)),
    )
    return broken


def conflict(merged: "Merge", commit: str | None = None) -> Outcome:
    """The outcome of a story whose commit cannot be merged."""
    listed = "\n".join(f"- {path}" for path in merged.paths[:50])
    feedback = (
        "While you worked, other stories landed, and your change conflicts with theirs in:\n"
        f"{listed}\n\nYou now stand on the new state. Do the story again on top of it. "
        f"The conflict was:\n{merged.conflict}"
    )
    return Outcome(
        "failed", reason="conflict", detail=", ".join(merged.paths[:5]), feedback=feedback, commit=commit
    )
