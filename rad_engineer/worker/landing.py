"""The merge queue: from stories' commits to the run branch, gates green.

A story judged on the tip that is still the tip is swapped in at once. When the tip has moved, all that wait are
merged one on another, judged once, and bisected when that is red: what stood before the culprit lands, the
culprit goes back to its agent, what stood behind it waits for the next batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rad_engineer import gates, timings
from rad_engineer.gates import Gate, GateResult
from rad_engineer.outcome import Outcome
from rad_engineer.worker import verdict
from rad_engineer.worker.court import Cancelled, Court, project_gates, run_gates
from rad_engineer.worker.story_run import with_patch
from rad_engineer.worker.witness import tell_files

Judged = list[GateResult] | Outcome
"""What the gates say of a chain; an Outcome where they could not be asked."""


@dataclass(frozen=True, slots=True)
class Link:
    """A story merged on what stands before it."""

    story: Mapping[str, Any]
    candidate: str
    tree: str


@dataclass(slots=True)
class Landing:
    """What a batch came to: candidates in order (the last one is the new tip), and who goes back."""

    tip: str
    landed: list[dict[str, Any]] = field(default_factory=list)
    back: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The form on the worker's channel."""
        return {
            "tip": self.tip,
            "landed": self.landed,
            "back": self.back,
            "waiting": self.waiting,
            "interrupted": self.interrupted,
        }


def land(court: Court, tip: str, stories: Sequence[Mapping[str, Any]]) -> Landing:
    """Merges and judges a batch on `tip`; moves no branch."""
    landing = Landing(tip)
    try:
        with court.place.pool.quarantined() as quarantine:
            _land(replace(court, quarantine=quarantine), quarantine, landing, stories)
    except Cancelled:
        landing.landed.clear()
        landing.back.clear()
        landing.waiting = [story["identity"] for story in stories]
        landing.interrupted = True
    return landing


def _land(court: Court, quarantine: Path, landing: Landing, stories: Sequence[Mapping[str, Any]]) -> None:
    """What is green becomes the user's; what is not, and what was made for it, is forgotten with the quarantine."""
    with timings.part("landing"):
        chain = _chain(court, quarantine, landing, stories)
    _settle(court, landing, chain)
    with timings.part("landing"):
        good = {entry["identity"] for entry in landing.landed}
        before = landing.tip
        for link in chain:
            if link.story["identity"] in good:
                tell_files(court.place, before, link.candidate, quarantine)
                before = link.candidate
        kept = {link.story["ref"]: link.candidate for link in chain if link.story["identity"] in good}
        court.place.pool.keep_candidates(kept, quarantine)


def _chain(
    court: Court, quarantine: Path, landing: Landing, stories: Sequence[Mapping[str, Any]]
) -> list[Link]:
    pool, head = court.place.pool, landing.tip
    chain: list[Link] = []
    for story in stories:
        merged = pool.merge(head, story["commit"], parent=story["parent"], quarantine=quarantine)
        if merged.tree is None:
            _send_back(court, landing, story, verdict.conflict(merged))
            continue
        head = pool.candidate(
            head, story["commit"], merged.tree, parent=story["parent"], quarantine=quarantine
        )
        chain.append(Link(story, head, merged.tree))
    return chain


def _settle(court: Court, landing: Landing, chain: list[Link]) -> None:
    if not chain:
        return
    judged = _judge(court, landing.tip, chain)
    good, green = len(chain), _green(judged, chain)
    if green is None:
        good, culprit, green = _bisect(court, landing.tip, chain, judged)
        _send_back(court, landing, chain[good].story, _refusal(culprit))
        landing.waiting = [link.story["identity"] for link in chain[good + 1 :]]
    for link in chain[:good]:
        mine = [result.to_json() for result in green if _concerns(result, link)]
        landing.landed.append(
            {"identity": link.story["identity"], "candidate": link.candidate, "gates": mine}
        )


def _concerns(result: GateResult, link: Link) -> bool:
    """Whether a gate judges the story: those of the project all, of the stories' own checks only its own."""
    return result.scope != "story" or any(
        check["command"] == result.command for check in link.story["checks"]
    )


def _judge(court: Court, tip: str, chain: Sequence[Link]) -> Judged:
    wanted: dict[str, Gate] = {gate.command: gate for gate in project_gates(court.place)}
    for link in chain:
        for check in link.story["checks"]:
            wanted.setdefault(
                check["command"],
                gates.gate(check["name"], check["command"], "story", verdict.reader(court.place, tip)),
            )
    last = chain[-1]
    return run_gates(replace(court, judged=last.candidate), last.tree, tip, tuple(wanted.values()))


def _green(judged: Judged, chain: Sequence[Link]) -> list[GateResult] | None:
    """What the gates say where nothing speaks against the chain, and something for each story that had proof alone."""
    if isinstance(judged, Outcome) or any(not result.ok for result in judged):
        return None
    proved = all(
        link.story["unverified"] or any(result.proof and _concerns(result, link) for result in judged)
        for link in chain
    )
    return judged if proved else None


def _bisect(court: Court, tip: str, chain: list[Link], red: Judged) -> tuple[int, Judged, list[GateResult]]:
    """How many of the chain stand, why the next one does not, and the verdict on those that stand.

    Before: the whole chain is red. Kept true: the first `low` are green, the first `high` are red.
    """
    low, high, why = 0, len(chain), red
    stands: list[GateResult] = []
    while high - low > 1:
        middle = (low + high) // 2
        judged = _judge(court, tip, chain[:middle])
        green = _green(judged, chain[:middle])
        if green is None:
            high, why = middle, judged
        else:
            low, stands = middle, green
    return low, why, stands


def _send_back(court: Court, landing: Landing, story: Mapping[str, Any], why: Outcome) -> None:
    """What does not land goes back to its agent, who finds what it did before as a patch."""
    patch = court.logs / f"{story['identity']}.patch"
    outcome = with_patch(court.place, replace(why, commit=story["commit"]), story["parent"], patch)
    landing.back.append({"identity": story["identity"], "outcome": outcome.to_json()})


def _refusal(why: Judged) -> Outcome:
    if isinstance(why, Outcome):
        return why
    if any(not result.ok for result in why):
        return verdict.failed(why, "red-after-merge")
    detail = "no gate proves anything on the merged tree"
    said = [f"- {result.name}: {result.verdict}, {result.detail or 'nothing more'}" for result in why]
    feedback = "\n".join(
        (f"Green alone, but with what has landed since {detail}. What the gates say:", *said)
    )
    return Outcome("failed", reason="red-after-merge", detail=detail, feedback=feedback)
