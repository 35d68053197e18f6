"""The coordinator's side of landing: who waits, and the compare-and-swap of the run branch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rad_engineer import git, swap
from rad_engineer.core.graph import Graph
from rad_engineer.git.repository import Repository
from rad_engineer.outcome import Outcome

Landed = tuple[int, str | None, tuple[Any, ...], bool]
"""story, landed commit, gates, unverified."""


class MergeQueue:
    """Stories that are green, in the order they became so, and the tip of the run branch."""

    def __init__(
        self, repository: Repository, graph: Graph, run: str, branch: str, tip: str, *, batch: bool = True
    ) -> None:
        self.repository = repository
        self.graph = graph
        self.run = run
        self.branch = branch
        self.tip = tip
        self.batch = batch
        self._busy: str | None = None  # the branch is checked out
        self._rewritten: str | None = None  # the branch does not hold any more what this run landed
        self._waiting: dict[int, Outcome] = {}
        self._in_batch: dict[int, Outcome] = {}
        self._batches = 0

    @property
    def length(self) -> int:
        """How many stories are green and not on the branch yet."""
        return len(self._waiting) + len(self._in_batch)

    @property
    def blocked(self) -> str | None:
        """Why nothing can land until the user does something, with what to do; None when nothing waits for it."""
        return (self._rewritten or self._busy) if self._waiting else None

    @property
    def waiting(self) -> tuple[int, ...]:
        """The green stories that are not on the branch yet."""
        return tuple(self._waiting)

    @property
    def can_go_on(self) -> bool:
        """Whether something can land without the user doing something first."""
        return bool(self._waiting) and self.blocked is None

    @property
    def wants_batch(self) -> bool:
        """Whether stories wait that must be judged again on the moved tip."""
        return bool(self._waiting) and not self._in_batch and self.blocked is None

    def add(self, story: int, outcome: Outcome) -> None:
        """A story has become green."""
        self._waiting[story] = outcome

    def swap_what_is_current(self) -> list[Landed]:
        """Lands every story that was judged on the very tip: nothing is run twice for it."""
        done: list[Landed] = []
        while self._waiting and not self._in_batch:
            self._look_for_checkout()
            current = next((i for i, o in self._waiting.items() if o.candidate and o.tip == self.tip), None)
            if current is None or self.blocked is not None:
                break
            outcome = self._waiting[current]
            if not self._swap(str(outcome.candidate), [current]):
                continue
            del self._waiting[current]
            done.append((current, outcome.candidate, outcome.gates, outcome.unverified))
        return done

    def take_batch(self) -> dict[str, Any]:
        """The job that merges and judges what waits."""
        most = len(self._waiting) if self.batch else 1
        chosen = list(self._waiting)[:most]
        self._in_batch = {story: self._waiting.pop(story) for story in chosen}
        self._batches += 1
        return {"tip": self.tip, "number": self._batches, "stories": [self._job(story) for story in chosen]}

    def settle(self, found: Mapping[str, Any]) -> tuple[list[Landed], list[tuple[int, Outcome]]]:
        """What a batch came to: lands what is green, hands back what is not, queues the rest again."""
        batch, self._in_batch = self._in_batch, {}
        index = self.graph.by_identity
        back = [(index[entry["identity"]], Outcome.from_json(entry["outcome"])) for entry in found["back"]]
        good = [(index[entry["identity"]], entry) for entry in found["landed"]]
        landed: list[Landed] = []
        self._look_for_checkout()
        free = self._busy is None and self._rewritten is None
        if good and free and self._swap(good[-1][1]["candidate"], [i for i, _ in good]):
            landed = [(i, e["candidate"], tuple(e["gates"]), batch[i].unverified) for i, e in good]
        ended = {i for i, _ in back} | {i for i, *_ in landed}
        again = {i: replace(o, candidate=None, tip=None) for i, o in batch.items() if i not in ended}
        self._waiting = {**again, **self._waiting}
        return landed, back

    def requeue(self) -> None:
        """The batch was stopped: everything in it waits again."""
        self._waiting = {**self._in_batch, **self._waiting}
        self._in_batch = {}

    def give_up(self) -> list[int]:
        """The batch cannot be done: its stories, which leave the queue."""
        stories, self._in_batch = list(self._in_batch), {}
        return stories

    def clear_locks(self, story: int) -> None:
        """Removes what a git of a killed worker left on the story's own refs: nobody else writes them."""
        git.clean_stale_locks(self.repository, self._refs(story))

    def drop_refs(self, stories: Sequence[int]) -> None:
        """Removes what is left of the refs of stories that are on the branch."""
        places = (f"refs/rad/{self.run}", f"refs/rad/{self.run}-candidates")
        there = [ref for place in places for ref in git.refs(self.repository, place)]
        needless = {ref for story in stories for ref in self._refs(story)}.intersection(there)
        if needless:
            git.update_refs(self.repository, [(ref, "", None) for ref in sorted(needless)])

    def _look_for_checkout(self) -> None:
        found = git.checked_out(self.repository).get(f"refs/heads/{self.branch}")
        advice = f"{self.branch} is checked out in {found}: switch to another branch there, then rad-engineer resume"
        self._busy = advice if found else None

    def _swap(self, new: str, stories: list[int]) -> bool:
        refs = [ref for story in stories for ref in self._refs(story)]
        if swap.swap(self.repository, self.branch, self.run, old=self.tip, new=new, done=refs):
            self.tip = new
            return True
        self._follow(git.tip(self.repository, self.branch))
        for story, outcome in self._waiting.items():
            self._waiting[story] = replace(outcome, candidate=None, tip=None)
        return False

    def _follow(self, moved: str | None) -> None:
        """The branch is not where we left it: moved by somebody, or deleted; then it is made again."""
        if moved is not None and git.is_ancestor(self.repository, self.tip, moved):
            self.tip = moved
        elif moved is not None:
            self._rewritten = (
                f"{self.branch} was moved while the run went on and does not hold {self.tip[:10]} any more; "
                "rad-engineer resume looks at it anew"
            )
        else:
            git.update_refs(self.repository, [(f"refs/heads/{self.branch}", self.tip, "")])

    def _refs(self, story: int) -> tuple[str, str]:
        return swap.refs_of(self.run, self.graph.stories[story].id, self.graph.identities[story])

    def _job(self, story: int) -> dict[str, Any]:
        found, outcome = self.graph.stories[story], self._in_batch[story]
        return {
            "identity": self.graph.identities[story],
            "commit": outcome.commit,
            "parent": outcome.base,
            "ref": self._refs(story)[1],
            "unverified": outcome.unverified,
            "checks": [{"name": check.name, "command": check.command} for check in found.checks],
        }
