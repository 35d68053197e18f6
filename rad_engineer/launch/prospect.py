"""What is to be done, seen before a run begins: nothing, something, or something that waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rad_engineer import git, store
from rad_engineer.core import reasons
from rad_engineer.core.graph import Graph
from rad_engineer.core.schedule import Schedule
from rad_engineer.errors import ExitCode, UsageError
from rad_engineer.git.repository import Repository
from rad_engineer.launch import known
from rad_engineer.launch.inputs import find_story
from rad_engineer.launch.run_branch import RunBranch
from rad_engineer.rules import Rules
from rad_engineer.settings import Settings

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Prospect:
    """A graph, and all that earlier runs and the branch say of it."""

    graph: Graph
    wanted: Settings
    repository: Repository | None
    branch: RunBranch | None
    earlier: known.Known
    landed: Mapping[str, str]
    home_runs: Sequence[store.RunDir]
    rules: Rules

    def anything_to_do(self) -> bool:
        """Whether a story may start or be released, or a gate of the branch that was red is to be asked again."""
        schedule = self._schedule()
        waits = any(
            schedule.selected[story] and schedule.status(story) == "waiting"
            for story in range(len(self.graph.stories))
        )
        return schedule.could_start() or waits or self._gates_are_red()

    def marks_due(self) -> bool:
        """Whether the branch holds a story that an earlier run could not mark in its file."""
        fields = done_fields(self.graph)
        return self.wanted.write_back and any(
            index in fields
            and identity in self.landed
            and not self.earlier.marked_in(identity, self.graph, index)
            for index, identity in enumerate(self.graph.identities)
        )

    def idle(self) -> tuple[ExitCode, str]:
        """What it means that nothing may start, and why the first few stories do not."""
        schedule = self._schedule()
        open_ones = [
            story
            for story in range(len(self.graph.stories))
            if schedule.selected[story] and schedule.status(story) in ("pending", "waiting", "blocked")
        ]
        told = [f"{self.graph.keys[story]}: {reasons.why(schedule, story)}" for story in open_ones[:_SHOWN]]
        if len(open_ones) > _SHOWN:
            told.append(f"… and {len(open_ones) - _SHOWN} more")
        return (ExitCode.WAITING if open_ones else ExitCode.OK), "\n".join(told)

    def _schedule(self) -> Schedule:
        return Schedule(
            self.graph, dict.fromkeys(self._done(), "passed"), **selection(self.graph, self.wanted)
        )

    def _done(self) -> set[int]:
        """Stories that are finished although their file does not say so."""
        fields = done_fields(self.graph)
        found = set()
        for index, identity in enumerate(self.graph.identities):
            reopened = index in fields and self.earlier.marked_in(identity, self.graph, index)
            commit = self.landed.get(identity)
            landed = commit is not None and commit != self.earlier.taken_back.get(identity)
            if not reopened and (landed or self._passed_earlier(index, identity)):
                found.add(index)
        return found

    def _passed_earlier(self, index: int, identity: str) -> bool:
        if identity not in self.earlier.passed or self.graph.stories[index].state == "done":
            return False
        commit = self.earlier.passed[identity]
        if self.repository is None or self.branch is None or not self.branch.exists or commit is None:
            return True
        return git.is_ancestor(self.repository, commit, self.branch.tip)

    def _gates_are_red(self) -> bool:
        """The newest verdicts on this branch; those of gates that there are no more do not count."""
        if self.branch is None or not (self.rules.final_gates or self.rules.wave_gates):
            return False
        for rundir in self.home_runs[: known.MOST_RUNS]:
            rules = rundir.read_run().get("rules", {})
            if rules.get("kind") == "real" and rules.get("branch") == self.branch.name:
                verdicts = store.load(rundir).verdicts
                if verdicts:
                    return any(
                        not said["ok"] and self._still_asked(scope) for scope, said in verdicts.items()
                    )
        return False

    def _still_asked(self, scope: str) -> bool:
        return bool(self.rules.final_gates if scope == "final" else self.rules.wave_gates)


def selection(graph: Graph, wanted: Settings) -> dict[str, Any]:
    """Which stories are meant, as the schedule takes it; raises UsageError or NoInput."""
    only = frozenset(find_story(graph, name) for name in wanted.only) or None
    if wanted.wave is not None and graph.select_wave(wanted.wave) is None:
        raise UsageError(f"there is no wave {wanted.wave}", hint="see `rad-engineer plan` for the waves")
    return {"keep_going": wanted.keep_going, "fail_fast": wanted.fail_fast, "only": only, "wave": wanted.wave}


def done_fields(graph: Graph) -> frozenset[int]:
    """Stories whose file says `not done` in a done field of its own."""
    return frozenset(i for i, story in enumerate(graph.stories) if story.state == "todo" and story.done_field)
