"""What an earlier process of the run left behind, taken up again: processes, locks, green and cut-off work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rad_engineer import audit, git, process, store, story_files
from rad_engineer.core.checkpoint import StoryRecord
from rad_engineer.core.graph import Graph
from rad_engineer.core.schedule import Schedule
from rad_engineer.errors import ExitCode
from rad_engineer.git.repository import Repository
from rad_engineer.launch import known
from rad_engineer.launch.ground import Ground
from rad_engineer.launch.marks import Marks
from rad_engineer.ledger import Ledger, steady
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.outcome import Outcome
from rad_engineer.rules import Rules


def sweep(ground: Ground, home_runs: Sequence[store.RunDir], rundir: store.RunDir | None) -> None:
    """Ends processes and clears locks of killed runs, before anything touches a slot; only under the run lock."""
    for earlier in home_runs[: known.MOST_RUNS]:
        if earlier == rundir or not earlier.report_json.exists():
            process.sweep(earlier.run)
    if ground.repository is None:
        return
    if ground.cache.exists():
        from rad_engineer.slots.pool import Pool  # noqa: PLC0415 - a first run has nothing to tidy

        Pool(ground.repository, ground.cache, rundir.run if rundir is not None else "").tidy()
    if rundir is not None:
        rules = Rules.from_json(rundir.read_run()["rules"])
        names = [f"refs/rad/{rules.run}", f"refs/rad/{rules.run}-candidates"]
        git.clean_stale_locks(ground.repository, [*names, f"refs/heads/{rules.branch}"])


def lost_tip(repository: Repository, rundir: store.RunDir, rules: Rules, graph: Graph) -> str | None:
    """Where the run's branch was when it vanished; None when nothing that it held is still wanted."""
    checkpoint = store.load(rundir)
    for identity, record in checkpoint.stories.items():
        index = graph.by_identity.get(identity)
        if index is None or not record.landed:
            continue
        if graph.stories[index].state == "done" or not graph.stories[index].done_field:
            return git.refs(repository, f"refs/rad/{rules.run}/tip").get(f"refs/rad/{rules.run}/tip")
    return None


def drop_refs(ledger: Ledger, queue: MergeQueue | None) -> None:
    """Drops the refs of what has landed: a git that is killed in a transaction moves the branch and leaves them."""
    records = ledger.checkpoint.stories
    landed = [i for i in ledger.graph.by_identity if i in records and records[i].landed]
    if queue is not None and landed:
        queue.drop_refs([ledger.graph.by_identity[identity] for identity in landed])


def restore_queue(ledger: Ledger, queue: MergeQueue | None, rules: Rules) -> list[int]:
    """Green stories that were not swapped in yet, and unverified ones that are allowed now."""
    found: list[int] = []
    if queue is None or rules.kind == "rehearsal":
        return found
    for identity, record in ledger.checkpoint.stories.items():
        index = ledger.graph.by_identity.get(identity)
        unverified = record.status == "done-unverified" and not record.landed
        green = record.status == "landing" or (record.status == "waiting" and record.reason == "branch-busy")
        if index is None or not (green or (unverified and rules.allow_unverified)):
            continue
        base = record.base or str(rules.base)
        if not git.whole(queue.repository, str(record.candidate or record.commit), base):
            ledger.record("note", text=f"{record.key} runs again: its commit was removed from the repository")
            ledger.record("story_interrupted", index)
            continue
        found.append(index)
        outcome = Outcome(
            "verified", commit=record.commit, base=record.base, tip=record.tip, candidate=record.candidate,
            gates=record.gates, unverified=unverified or record.unproved,
        )  # fmt: skip
        queue.add(index, outcome)
    return found


def cut_off(ledger: Ledger, rundir: store.RunDir) -> dict[int, int]:
    """Attempts that a crash or a signal cut off, with the slot that holds their work (-1: none)."""
    found = {}
    for identity, record in ledger.checkpoint.stories.items():
        index = ledger.graph.by_identity.get(identity)
        if index is not None and record.cut_off:
            found[index] = record.slot if record.slot is not None else -1
            _retell(ledger, index, record, rundir.story(ledger.graph.stories[index].id, identity))
    return found


def _retell(ledger: Ledger, index: int, record: StoryRecord, folder: Path) -> None:
    """An agent that had ended when the journal was cut off: the story's checkpoint knows it."""
    if record.stage not in (None, "prepare"):
        return
    seen = story_files.finished_stage(folder, record.attempts)
    if seen is not None and seen["stage"] == "agent":
        ledger.record("stage_finished", index, stage="agent", ok=True, seconds=0.0, recovered=True)


def foreign_slots(home_runs: Sequence[store.RunDir], rundir: store.RunDir) -> frozenset[int]:
    """Slots in which other unfinished runs have left work that exists nowhere else."""
    found: set[int | None] = set()
    for other in home_runs[: known.MOST_RUNS]:
        if other != rundir and store.state(other) != "finished":
            records = store.load(other).stories.values()
            found.update(record.slot for record in records if record.cut_off)
    return frozenset(slot for slot in found if slot is not None)


def feedback(ledger: Ledger, rundir: store.RunDir) -> dict[int, str]:
    """What the next attempt of a story should know of the one before it."""
    found = {}
    for identity, record in ledger.checkpoint.stories.items():
        index = ledger.graph.by_identity.get(identity)
        if index is None or not record.attempts:
            continue
        before = record.attempts if record.status == "pending" else record.attempts - 1
        if not before:
            continue
        story = rundir.story(ledger.graph.stories[index].id, identity)
        path = story / f"attempt-{before}" / "feedback.txt"
        if before and path.exists():
            found[index] = path.read_text(encoding="utf-8", errors="replace")
    return found


def judge_again(ledger: Ledger) -> None:
    """Stories that no gate could judge get another chance with the gates there are now; nothing is paid again."""
    for identity, record in ledger.checkpoint.stories.items():
        index = ledger.graph.by_identity.get(identity)
        if index is not None and record.status == "done-unverified" and not record.landed:
            ledger.record("story_interrupted", index)


def marks_due(ledger: Ledger, marks: Marks, rules: Rules) -> None:
    """Stories that landed before the run was killed, and whose PRD was not marked any more."""
    shared = rules.workspace == "shared" and rules.allow_unverified and rules.kind == "real"
    for identity, record in ledger.checkpoint.stories.items():
        index = ledger.graph.by_identity.get(identity)
        finished = (
            record.landed or record.status == "passed" or (shared and record.status == "done-unverified")
        )
        if index is not None and finished and not record.marked:
            marks.add(index)


def approve(ledger: Ledger, home: Path, schedule: Schedule | None = None) -> None:
    """Takes up what `approve` has put beside the runs: an approval holds for a story as it is, in any run."""
    folder = store.approvals_folder(home)
    if not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        index = ledger.graph.by_identity.get(entry.name)
        if index is None or ledger.checkpoint.record(entry.name, ledger.graph.keys[index]).approved:
            continue
        ledger.record("story_approved", index)
        if schedule is not None:
            schedule.released(index)


def give_up(rundir: store.RunDir, graph: Graph, audited: str) -> None:
    """Ends an unfinished run for good, because the user wants a fresh one; its commits stay under their refs."""
    with by_hand(rundir, graph, audited) as ledger:
        ledger.record("note", text="given up for a fresh run")
        ledger.note({"kind": "run", "state": "given-up"})
        ledger.record("run_finished", exit_code=int(ExitCode.FAILED))


@contextmanager
def by_hand(rundir: store.RunDir, graph: Graph, audited: str) -> Iterator[Ledger]:
    """The ledger of a run that does not go on, for what a person decides about it; `audited` as the setting `audit` has it."""
    checkpoint, journal = store.reopen(rundir)
    written = audit.of_run(rundir.path, audited)
    ledger = Ledger(graph, checkpoint, journal, (), steady(checkpoint.at))
    ledger.audit = written
    try:
        yield ledger
        ledger.commit()
    finally:
        journal.close()
        if written is not None:
            written.close()
