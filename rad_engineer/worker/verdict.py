"""The verdict on a tree: gates, run by us, in a clean copy that no agent has ever written to."""

import select
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rad_engineer import durable, gates, store, swap, timings
from rad_engineer.gates import Baseline, Gate, GateResult
from rad_engineer.outcome import FEEDBACK_TAIL, Outcome, text_fingerprint
from rad_engineer.process import Limits
from rad_engineer.rules import GateRule
from rad_engineer.worker import readings, setup
from rad_engineer.worker.story_run import StoryRun
from rad_engineer.worker.workplace import Say, Workplace, gate_environment

if TYPE_CHECKING:
    from rad_engineer.git import Merge
    from rad_engineer.slots.pool import Slot


@dataclass(frozen=True, slots=True)
class Court:
    """Where and how gates are run: a lane's gate copy, its logs, and the way to be stopped."""

    place: Workplace
    lane: int
    logs: Path
    say: Say
    cancel: int
    judged: str = ""  # the commit that evidence is to name, where it is not the head of the copy
    quarantine: Path | None = None  # where what is judged lies, as long as it is not the user's

    @property
    def cancelled(self) -> bool:
        """Whether the coordinator wants the job to stop, or is gone."""
        return bool(select.select([self.cancel], [], [], 0)[0])


class Cancelled(Exception):
    """The job was stopped; nothing was decided."""


class _NotSetUp(Exception):
    """The setup command failed; the outcome says how."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(outcome.detail)


def reader(place: Workplace, commit: str | None) -> Callable[[str], bytes | None]:
    """Reads files of a commit, so that `npm test` is seen through; only asked where that helps."""
    if commit is None:
        return lambda _path: None
    return lambda path: place.pool.read(commit, path)


def court_of(run: StoryRun, commit: str = "") -> Court:
    """The court for one attempt; evidence names the commit."""
    logs = run.attempt_folder / "gates"
    return Court(run.place, int(run.job["lane"]), logs, run.say, run.cancel, judged=commit)


def as_gates(rules: Sequence[GateRule]) -> tuple[Gate, ...]:
    """Gates as the run's rules have them."""
    return tuple(Gate(rule.name, rule.command, rule.scope, rule.runner) for rule in rules)  # type: ignore[arg-type]


def project_gates(place: Workplace) -> tuple[Gate, ...]:
    """The gates that every story must pass."""
    found = as_gates(place.rules.gates)
    return (
        tuple(replace(gate, allow_missing=True) for gate in found)
        if place.rules.allow_missing_tests
        else found
    )


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
        results = _run_all(court_of(run), Path(run.place.rules.top), "", wanted, {}, lambda: None)
    except Cancelled:
        return Outcome("interrupted")
    outcome = _decide(results, None, allow=False)
    run.finished("verify", started, ok=outcome.kind != "failed")
    if outcome.kind == "failed":
        return outcome
    return Outcome("unverified", reason="shared-workspace", gates=outcome.gates, learnings=learnings)


def run_gates(court: Court, tree: str, head: str, wanted: Sequence[Gate]) -> list[GateResult] | Outcome:
    """Runs gates on a tree in the lane's gate copy; an Outcome where the copy could not be set up."""
    if not wanted:
        return []
    pool = court.place.pool
    copy = pool.slot("gate", court.lane)

    def ready() -> None:
        with timings.part("gate copy"):
            pool.move(copy, tree, head, keep=setup.kept(copy.git_dir).paths, quarantine=court.quarantine)
        failed = set_up_copy(court, copy, tree, head)
        if failed is not None:
            raise _NotSetUp(failed)

    held = _held_against(court, head, wanted)
    if isinstance(held, Outcome):
        return held
    try:
        ready()
        results = _run_all(court, copy.path, head, wanted, held, ready)
    except _NotSetUp as stopped:
        return stopped.outcome
    if all(result.ok for result in results):
        _remember(court, tree, wanted, results)
    return results


def _held_against(court: Court, head: str, wanted: Sequence[Gate]) -> dict[str, Baseline] | Outcome:
    """What the project's gates say of the commit that a change stands on; asked where that is not known."""
    held: dict[str, Baseline] = {}
    for gate in wanted:
        if gate.scope == "project":
            said = baseline(court, head, gate)
            if isinstance(said, Outcome):
                return said
            held[gate.name] = said
    return held


def _remember(court: Court, tree: str, wanted: Sequence[Gate], results: Sequence[GateResult]) -> None:
    tree = court.place.pool.tree_of(tree, court.quarantine)
    for gate, result in zip(wanted, results, strict=True):
        if gate.scope == "project" and result.seen is not None:
            readings.remember(court.place, gate, tree, result.seen)


def set_up_copy(
    court: Court, copy: "Slot", tree: str, head: str, keep: tuple[str, ...] = ()
) -> Outcome | None:
    """Runs the setup command in a copy where it is needed; `keep` stays there in any case."""
    place = court.place
    if not place.rules.setup:
        return None
    made = setup.Copy(
        copy.path,
        copy.git_dir,
        court.logs / "setup.log",
        lambda: place.pool.untracked(copy),
        lambda to, paths: place.pool.move(copy, to, head, keep=(*keep, *paths), quarantine=court.quarantine),
        place.pool.take_away,
    )
    with timings.part("setup"):
        env = gate_environment(place.environment)
        target, seconds = setup.Target(tree, head), place.rules.gate_timeout
        ended = setup.run(place.rules.setup, made, target, env, seconds, court.cancel)
    if ended is None or (ended.reason == "exited" and ended.code == 0):
        return None
    if ended.reason == "cancelled":
        raise Cancelled
    detail = f"`{place.rules.setup}`: {ended.reason}, exit code {ended.code}"
    return Outcome("failed", reason="setup-failed", detail=detail, fingerprint=text_fingerprint("setup", ended.output),
                   feedback=f"The setup command failed on your tree: {detail}\n{ended.output[-FEEDBACK_TAIL:]}")  # fmt: skip


def _run_all(
    court: Court,
    where: Path,
    head: str,
    wanted: Sequence[Gate],
    held: Mapping[str, Baseline],
    ready: Callable[[], None],
) -> list[GateResult]:
    """Runs gates one after the other; none of them finds what the story's code wrote during another."""
    place = court.place
    results: list[GateResult] = []
    for gate in wanted:
        if results:
            ready()
        with timings.part("gates"), scratch(place, court.lane) as folder:
            result = gates.run(
                gate,
                cwd=where,
                env=gate_environment(place.environment),
                limits=Limits(seconds=place.rules.gate_timeout),
                scratch=folder,
                cancel=court.cancel,
                baseline=held.get(gate.name),
                log=court.logs / f"{store.slug(gate.name)}.log",
                commit=court.judged or head,
                clock=time.time,
                clean=ready,
            )
        if court.cancelled:
            raise Cancelled
        results.append(result)
        court.say({"event": "gate_finished", "gate": gate.name, "ok": result.ok, "blamed": not result.ok,
                   "verdict": result.verdict, "seconds": round(result.seconds, 3)})  # fmt: skip
    return results


def baseline(court: Court, commit: str, gate: Gate) -> Baseline | Outcome:
    """What one gate says of a commit that is there already: remembered, else asked; an Outcome where setup fails."""
    tree = court.place.pool.tree_of(commit)
    known = readings.recall(court.place, gate, tree)
    if known is not None:
        return known
    said = _ask(court, commit, gate)
    if isinstance(said, Baseline):
        readings.remember(court.place, gate, tree, said)
    return said


def _ask(court: Court, commit: str, gate: Gate) -> Baseline | Outcome:
    place = court.place
    copy = place.pool.slot("gate", court.lane)
    with timings.part("gate copy"):
        place.pool.move(copy, commit, commit, keep=setup.kept(copy.git_dir).paths)
    failed_setup = set_up_copy(court, copy, commit, commit)
    if failed_setup is not None:
        return failed_setup
    with timings.part("gates"), scratch(place, court.lane) as folder:
        found = gates.baseline(
            gate,
            cwd=copy.path,
            env=gate_environment(place.environment),
            limits=Limits(seconds=place.rules.gate_timeout),
            scratch=folder,
            cancel=court.cancel,
            log=court.logs / f"{store.slug(gate.name)}-before.log",
        )
    if court.cancelled:
        raise Cancelled
    return found


class scratch:  # noqa: N801 - reads as a clause: with scratch(place, lane) as folder: ...
    """A fresh folder for one gate's own files, outside every copy; gone afterwards."""

    __slots__ = ("path",)

    def __init__(self, place: Workplace, lane: int) -> None:
        self.path = Path(place.rules.cache) / "scratch" / f"{place.rules.run}-{lane}"

    def __enter__(self) -> Path:
        shutil.rmtree(self.path, ignore_errors=True)
        with durable.writing(self.path):
            self.path.mkdir(parents=True)
        return self.path

    def __exit__(self, *_exception: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


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


def failed(results: Sequence[GateResult], reason: str, commit: str | None) -> Outcome:
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
    """Which changed paths judge the story: scripts that gates name, protected globs, npm scripts that gates run."""
    pool, rules = run.place.pool, run.place.rules
    broken = gates.violations(changed, rules.protected, rules.protect)
    for path in {"package.json", "pyproject.toml"}.intersection(changed).difference(broken):
        before, after = pool.read(run.job["base"], path), pool.read(commit, path, quarantine)
        if path == "pyproject.toml" and gates.changes_settings(before, after):
            broken.append("pyproject.toml (tool.rad-engineer)")
        elif path == "package.json":
            scripts = gates.changed_scripts(before, after, [gate.command for gate in gates_of(run)])
            broken.extend(f"package.json (script {name})" for name in scripts)
    return broken


def conflict(merged: "Merge", commit: str) -> Outcome:
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
