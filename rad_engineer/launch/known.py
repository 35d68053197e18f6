"""What is known of each story before a run starts: from git, from the run's journal, from earlier runs, from the PRD."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from rad_engineer import durable, store
from rad_engineer.core.checkpoint import Checkpoint, StoryRecord
from rad_engineer.core.events import Event
from rad_engineer.core.graph import Graph
from rad_engineer.ledger import Ledger

MOST_RUNS = 30


@dataclass(slots=True)
class Known:
    """Stories that passed in earlier runs: identity -> commit, and whose done field we wrote."""

    passed: dict[str, str | None] = field(default_factory=dict)
    marked: dict[str, str] = field(default_factory=dict)  # in which file
    taken_back: dict[str, str] = field(default_factory=dict)  # landings that the user has undone in the PRD

    def take(self, identity: str, record: StoryRecord) -> None:
        """Takes in what a run knows of a story."""
        if record.status == "passed" or record.landed:
            self.passed[identity] = record.commit
            if record.marked:
                self.marked[identity] = record.marked_in
        if record.taken_back:
            self.taken_back[identity] = record.taken_back

    def marked_in(self, identity: str, graph: Graph, index: int) -> bool:
        """Whether we marked the story in the very file it stands in now; another work tree has another file."""
        return self.marked.get(identity) == graph.prds[graph.prd_of[index]].path


def whole(home_runs: Sequence[store.RunDir]) -> list[store.RunDir]:
    """The runs without those that are damaged: `--fresh` is the way on from them."""
    found = []
    for rundir in home_runs[:MOST_RUNS]:
        with suppress(durable.StateDamaged):
            rundir.read_run()
            store.load(rundir)
            found.append(rundir)
    return found


def unfinished(
    home_runs: Sequence[store.RunDir], identities: Iterable[str], kind: str, workspace: str | None = None
) -> store.RunDir | None:
    """The newest unfinished run of this kind that shares stories; `workspace`: and works in this way."""
    wanted = set(identities)
    for rundir in home_runs[:MOST_RUNS]:
        about = rundir.read_run()
        if workspace not in (None, about.get("rules", {}).get("workspace")):
            continue
        if about.get("kind") != kind or not wanted & set(about.get("identities", ())):
            continue
        return rundir if store.state(rundir) != "finished" else None
    return None


def earlier(home_runs: Sequence[store.RunDir], identities: Iterable[str]) -> Known:
    """What earlier runs finished of these stories; the newest run that knows a story wins."""
    known, open_ones, told = Known(), set(identities), False
    for rundir in home_runs[:MOST_RUNS]:
        if not open_ones:
            break
        try:
            about = rundir.read_run()
            shared = open_ones & set(about.get("identities", ()))
            if not shared or about.get("kind") == "rehearsal":
                continue
            checkpoint = store.load(rundir)
        except durable.StateDamaged:
            if told:  # it was gone on from: what it landed is on the branch
                continue
            raise
        told = True
        for identity in shared & checkpoint.stories.keys():
            open_ones.discard(identity)
            known.take(identity, checkpoint.stories[identity])
    return known


def retell(
    home_runs: Sequence[store.RunDir], identities: Iterable[str], hear: Callable[[Event], None]
) -> None:
    """Tells what the newest run of these PRDs wrote down, so that its learnings are not lost."""
    wanted = set(identities)
    for rundir in home_runs[:MOST_RUNS]:
        about = rundir.read_run()
        if about.get("kind") == "real" and wanted & set(about.get("identities", ())):
            for event, _end in store.scan_journal(rundir.journal):
                hear(event)
            return


def settle(
    ledger: Ledger,
    known: Known,
    landed: Mapping[str, str],
    *,
    branch_exists: bool,
    has_done_field: frozenset[int],
    holds: Callable[[str], bool],
) -> list[str]:
    """Brings the checkpoint in step with git and with the PRDs as they are now; returns what to tell the user.

    `landed` is what the branch itself says: identity -> commit. `has_done_field` are the stories whose file
    keeps a done field that now says "not done". `holds` tells whether a commit is on the branch.
    """
    graph, checkpoint = ledger.graph, ledger.checkpoint
    notes = _vanished(graph, checkpoint)
    for index, identity in enumerate(graph.identities):
        record = checkpoint.stories.get(identity)
        passed = record is not None and (record.status == "passed" or record.landed)
        commit = landed.get(identity)
        if graph.stories[index].state == "done":
            notes += _done(ledger, index, record, commit, lost=branch_exists and commit is None)
            continue
        path = graph.prds[graph.prd_of[index]].path
        marked = known.marked_in(identity, graph, index) or (record is not None and record.marked_in == path)
        if marked and index in has_done_field:
            if passed or commit is not None:
                ledger.record("story_reopened", index, commit=commit)
                notes.append(f"{graph.keys[index]}: its done field was set back, so it runs again")
        elif commit is not None:
            _with_landing(ledger, index, commit, known.taken_back.get(identity), passed=passed)
        else:
            lost = branch_exists and not (record and record.commit and holds(record.commit))
            notes += _without_landing(ledger, index, known, passed=passed, lost=lost, gone=not branch_exists)
    return notes


def _done(
    ledger: Ledger, index: int, record: StoryRecord | None, commit: str | None, *, lost: bool
) -> list[str]:
    """The file says done: that holds, whatever became of the branch or of our own attempts."""
    key = ledger.graph.keys[index]
    if record is None:
        return []
    if record.landed:
        return [f"{key}: the PRD says done, but the branch does not hold it any more"] if lost else []
    if commit is not None and commit != record.taken_back and record.status != "passed":
        _recover(ledger, index, commit)
        return []
    green = record.status in ("passed", "landing") or record.reason == "branch-busy"
    if green or record.status == "pending":
        return []
    ledger.record("story_reopened", index)
    return [f"{key}: the PRD says done now, so what became of it in this run counts no more"]


def _with_landing(ledger: Ledger, index: int, commit: str, undone: str | None, *, passed: bool) -> None:
    """The branch holds the story: it has landed, unless the user took exactly that landing back."""
    record = ledger.checkpoint.stories.get(ledger.graph.identities[index])
    if commit == (record.taken_back if record is not None else None):
        return
    if commit == undone:
        ledger.record("story_reopened", index, commit=commit)
    elif not passed:
        _recover(ledger, index, commit)


def _recover(ledger: Ledger, index: int, commit: str) -> None:
    """The branch holds a story that the journal has no landing of."""
    record = ledger.checkpoint.stories.get(ledger.graph.identities[index])
    unproved = record is not None and record.unproved
    ledger.record("story_landed", index, commit=commit, gates=(), unverified=unproved, recovered=True)


def _vanished(graph: Graph, checkpoint: Checkpoint) -> list[str]:
    """Stories that this run knows and the PRDs do not have any more, as they were."""
    gone = [
        record.key
        for identity, record in checkpoint.stories.items()
        if identity not in graph.by_identity and not record.landed
    ]
    if not gone:
        return []
    more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
    return [
        f"not in the PRDs any more, or changed: {', '.join(gone[:5])}{more}; their work is kept under refs/rad"
    ]


def _without_landing(
    ledger: Ledger, index: int, known: Known, *, passed: bool, lost: bool, gone: bool
) -> list[str]:
    """No landing on the branch is the story's: it needed none, was finished elsewhere, merged and gone, or lost."""
    identity, key = ledger.graph.identities[index], ledger.graph.keys[index]
    record = ledger.checkpoint.stories.get(identity)
    if record is not None and record.by_hand:
        return []
    if passed and lost:
        ledger.record("story_reopened", index)
        return [f"{key}: the branch was rewritten and no longer holds it, so it runs again"]
    if gone and not passed and identity in known.passed:
        ledger.record("story_landed", index, commit=known.passed[identity], gates=(), recovered=True)
    return []


def statuses(graph: Graph, checkpoint: Checkpoint) -> dict[int, str]:
    """The status of every story that something is known of, as the schedule wants it."""
    found: dict[int, str] = {}
    # Where nothing can land, finished is all there is to wait for.
    nothing_lands = checkpoint.workspace == "shared" or checkpoint.kind == "rehearsal"
    for identity, record in checkpoint.stories.items():
        index = graph.by_identity.get(identity)
        if index is None:
            continue
        finished = nothing_lands and record.status == "done-unverified"
        if finished or record.landed or record.status == "passed":
            found[index] = "passed"
        elif record.status in ("failed", "done-unverified"):
            found[index] = record.status
        elif record.status == "waiting" and not record.approved:
            found[index] = "pending" if record.cut_off else "waiting"
        elif record.approved:
            found[index] = "pending"
    return found
