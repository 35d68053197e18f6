"""The report of a run: what landed, what did not and why, and what proved it. Made from (graph, checkpoint) alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rad_engineer.core import failures
from rad_engineer.core.agent_word import AgentWord, heard
from rad_engineer.core.checkpoint import Checkpoint, StoryRecord
from rad_engineer.core.evidence import Proof, prove
from rad_engineer.core.graph import Graph
from rad_engineer.core.prd import Story
from rad_engineer.core.standing import Standing, standings

SCHEMA_VERSION = 1
STATUSES = (
    "passed", "already-done", "done-unverified", "failed", "blocked", "skipped", "waiting", "interrupted",
    "running", "landing", "pending",
)  # fmt: skip
_STOPPED = frozenset({129, 130, 143})
_NOTHING = StoryRecord("")


@dataclass(frozen=True, slots=True)
class ProvedCriterion:
    """An acceptance criterion with what proved it; None is shown as `unverified`."""

    text: str
    proved_by: Proof | None


@dataclass(frozen=True, slots=True)
class StoryReport:
    """One story's line of the report; `explanation` says in a sentence why it has not passed."""

    key: str
    id: str
    title: str
    prd: str
    status: str
    attempts: int
    commit: str | None
    seconds: float
    cost_usd: float | None  # None where the only ones who spent something are unmetered
    unmetered: bool
    stated_usd: float  # what those say whom nobody counted
    tokens: int
    criteria: tuple[ProvedCriterion, ...]
    gates: tuple[Mapping[str, Any], ...]
    reason: str | None
    detail: str
    explanation: str
    by: tuple[str, ...]
    needs: tuple[str, ...]
    wave: int
    stage: str | None
    started_at: float | None
    until: float | None
    by_hand: bool
    landed: bool
    agent_says: AgentWord | None  # it proves nothing

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        data = {name: getattr(self, name) for name in self.__slots__}
        data["criteria"] = [
            {"text": item.text, "proved_by": item.proved_by.to_json() if item.proved_by else None}
            for item in self.criteria
        ]
        for name in ("by", "needs"):
            data[name] = list(data[name])
        data["gates"] = [{key: gate[key] for key in gate if key != "output"} for gate in self.gates]
        data["seconds"] = round(self.seconds, 3)
        data["cost_usd"] = None if self.cost_usd is None else round(self.cost_usd, 6)
        data["stated_usd"] = round(self.stated_usd, 6)
        data["agent_says"] = None if self.agent_says is None else self.agent_says.to_json()
        return data


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run; `not_part` are files of a dirty work tree that the run did not see."""

    run: str
    kind: str
    state: str  # never, running, interrupted, stopped (resumable), finished
    exit_code: int | None
    branch: str | None
    base: str | None
    head: str | None
    workspace: str
    sandbox: str
    agent: str
    started_at: float | None
    ended_at: float | None
    stories: tuple[StoryReport, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    not_part: tuple[str, ...]
    how_to_merge: str | None
    timings: Mapping[str, Any] | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many stories have each status; statuses without a story are left out."""
        counted = Counter(story.status for story in self.stories)
        return {status: counted[status] for status in STATUSES if counted[status]}

    @property
    def retry_at(self) -> float | None:
        """When the first usage limit that stories wait for has passed."""
        return min((story.until for story in self.stories if story.until is not None), default=None)

    @property
    def cost_usd(self) -> float | None:
        """What a gateway has counted for all stories; None where nobody counted anything."""
        counted = [story.cost_usd for story in self.stories if story.cost_usd is not None]
        return sum(counted) if any(counted) or len(counted) == len(self.stories) else None

    @property
    def unmetered(self) -> int:
        """On how many stories somebody worked whom nobody counts."""
        return sum(story.unmetered for story in self.stories)

    @property
    def criteria(self) -> tuple[int, int]:
        """Proved and all criteria of the stories that ended well in this run."""
        items = [item for story in self.stories if story.status == "passed" for item in story.criteria]
        return sum(item.proved_by is not None for item in items), len(items)

    def to_json(self, *, stories: bool = True) -> dict[str, Any]:
        """report.json and `status --json`; without `stories`, null stands for them."""
        proved, criteria = self.criteria
        cost = self.cost_usd
        return {
            "schema_version": SCHEMA_VERSION,
            "run": self.run,
            "state": self.state,
            "exit_code": self.exit_code,
            "branch": self.branch,
            "base": self.base,
            "head": self.head,
            "kind": self.kind,
            "workspace": self.workspace,
            "sandbox": self.sandbox,
            "agent": self.agent,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "retry_at": self.retry_at,
            "how_to_merge": self.how_to_merge,
            "totals": {
                "stories": len(self.stories),
                **self.counts,
                "attempts": sum(story.attempts for story in self.stories),
                "seconds": round(sum(story.seconds for story in self.stories), 3),
                "cost_usd": None if cost is None else round(cost, 6),
                "stated_usd": round(sum(story.stated_usd for story in self.stories), 6),
                "unmetered": self.unmetered,
                "tokens": sum(story.tokens for story in self.stories),
                "criteria": criteria,
                "criteria_proved": proved,
            },
            "reasons": failures.count(story.reason for story in self.stories),
            "stories": [story.to_json() for story in self.stories] if stories else None,
            "verdicts": [dict(verdict) for verdict in self.verdicts],
            "notes": list(self.notes),
            "not_part_of_run": list(self.not_part),
            "timings": self.timings,
        }

    def find(self, key: str) -> StoryReport | None:
        """The story of that key."""
        return next((story for story in self.stories if story.key == key), None)


def build(
    graph: Graph, checkpoint: Checkpoint, *, alive: bool = True, keep_going: bool = False,
    not_part: Sequence[str] = (), merged: bool = False,
) -> Report:  # fmt: skip
    """The report of a run as it stands now.

    `alive`: the run's process still works. `keep_going`: a failed story does not stop the rest of a PRD without
    edges. `merged`: the run branch is already part of what the user has checked out, so nothing is left to merge.
    """
    standing = standings(
        graph, checkpoint, alive=alive and checkpoint.state == "running", keep_going=keep_going
    )
    stories = tuple(
        _story(graph, index, checkpoint.stories.get(identity, _NOTHING), standing)
        for index, identity in enumerate(graph.identities)
    )
    return Report(
        run=checkpoint.run,
        kind=checkpoint.kind,
        state=state_of(checkpoint, alive=alive),
        exit_code=checkpoint.exit_code,
        branch=checkpoint.branch,
        base=checkpoint.base,
        head=checkpoint.head,
        workspace=checkpoint.workspace,
        sandbox=checkpoint.sandbox,
        agent=checkpoint.agent,
        started_at=checkpoint.started_at,
        ended_at=checkpoint.ended_at,
        stories=stories,
        verdicts=tuple(checkpoint.verdicts.values()),
        notes=tuple(checkpoint.notes),
        not_part=tuple(not_part),
        how_to_merge=None if merged else _merge_command(checkpoint, stories),
        timings=checkpoint.timings,
    )


def state_of(checkpoint: Checkpoint, *, alive: bool) -> str:
    """never, running, interrupted, stopped (resumable) or finished."""
    if checkpoint.state == "new":
        return ("running" if alive else "interrupted") if checkpoint.run else "never"
    if checkpoint.state == "running":
        return "running" if alive else "interrupted"
    return "interrupted" if checkpoint.exit_code in _STOPPED else checkpoint.state


def _story(graph: Graph, index: int, record: StoryRecord, everyone: Sequence[Standing]) -> StoryReport:
    story, standing = graph.stories[index], everyone[index]
    ended = standing.status in ("passed", "done-unverified", "landing")
    gates = record.gates if ended and not record.by_hand else ()
    proofs = prove(story.criteria, gates, commit=record.commit)
    return StoryReport(
        key=graph.keys[index],
        id=story.id,
        title=story.title,
        prd=graph.prds[graph.prd_of[index]].file,
        status=standing.status,
        attempts=record.attempts,
        commit=record.commit,
        seconds=record.seconds,
        cost_usd=None if record.unmetered and not record.cost_usd else record.cost_usd,
        unmetered=record.unmetered,
        stated_usd=record.stated_usd,
        tokens=record.tokens,
        criteria=tuple(
            ProvedCriterion(criterion.text, proof)
            for criterion, proof in zip(story.criteria, proofs, strict=True)
        ),
        gates=record.gates,
        reason=None if standing.status in ("passed", "already-done") else standing.reason,
        detail=record.detail,
        explanation=_explanation(graph, story, standing, everyone),
        by=standing.by,
        needs=tuple(graph.keys[need] for need in graph.needs[index]),
        wave=graph.wave_of[index],
        stage=record.stage if standing.status == "running" else None,
        started_at=record.started_at if standing.status == "running" else None,
        until=record.until if standing.status == "waiting" else None,
        by_hand=record.by_hand,
        landed=record.landed or (standing.status == "passed" and not record.by_hand),
        agent_says=None if record.said is None else heard(record.said),
    )


def _explanation(graph: Graph, story: Story, standing: Standing, everyone: Sequence[Standing]) -> str:
    """Why it has not passed, in a sentence; "" where there is nothing to explain."""
    if standing.status in ("blocked", "waiting") and standing.by:
        return "needs " + ", ".join(_blocker(graph, key, everyone) for key in standing.by)
    if standing.status in ("blocked", "skipped"):
        return f"the PRD marks it as {standing.status}" + (f": {story.reason}" if story.reason else "")
    if standing.reason == "human" and story.reason:
        return f"waits for a person: {story.reason}"
    if standing.status in ("failed", "done-unverified", "waiting", "interrupted"):
        reason = failures.find(
            standing.reason or ("interrupted" if standing.status == "interrupted" else None)
        )
        return reason.sentence if reason else ""
    return ""


_WORDS = {
    "failed": "failed",
    "blocked": "is blocked",
    "done-unverified": "is done but unverified",
    "skipped": "is skipped",
    "waiting": "waits",
}


def _blocker(graph: Graph, key: str, everyone: Sequence[Standing]) -> str:
    index = graph.by_key.get(key)
    if index is None:
        return f"{key}, which is open and not part of this run"
    said = _WORDS.get(everyone[index].status)
    return f"{key}, which {said}" if said else key


def _merge_command(checkpoint: Checkpoint, stories: Sequence[StoryReport]) -> str | None:
    landed = any(story.landed and story.commit for story in stories)
    real = checkpoint.kind == "real" and checkpoint.workspace == "slots"
    if not (real and landed and checkpoint.branch) or checkpoint.head == checkpoint.base:
        return None
    return f"git merge {checkpoint.branch.removeprefix('refs/heads/')}"
