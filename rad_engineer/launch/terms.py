"""The terms of a run: its branch, what has landed there, its rules; those of an unfinished run, or new ones."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rad_engineer import git, sandbox, store
from rad_engineer.errors import UsageError
from rad_engineer.launch import gate_plan, recovery, run_branch
from rad_engineer.launch.ground import is_at
from rad_engineer.launch.order import Order
from rad_engineer.rules import GRANTS, Level, Rules


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run stands on, and what the user should know of it."""

    branch: run_branch.RunBranch | None
    landed: Mapping[str, str]  # identity -> commit, as the branch itself says
    rules: Rules
    notes: tuple[str, ...]
    rejudge: bool  # gates have changed: what could not be judged is judged again


def settle(order: Order, rundir: store.RunDir | None, *, exactly: bool) -> Terms:
    """The terms of the unfinished run, or of a new one; `exactly`: nothing is read anew but the PRDs."""
    agreeing = _Agreeing(order, rundir, exactly=exactly)
    branch = agreeing.branch()
    rules = agreeing.rules(branch)
    landed = agreeing.landed(branch)
    return Terms(branch, landed, rules, tuple(agreeing.notes), agreeing.rejudge)


class _Agreeing:
    """Collects notes on the way."""

    def __init__(self, order: Order, rundir: store.RunDir | None, *, exactly: bool) -> None:
        self.order = order
        self.graph = order.inputs.graph
        self.rundir = rundir
        self.exactly = exactly
        self.rejudge = False
        self.notes: list[str] = []

    def branch(self) -> run_branch.RunBranch | None:
        """Where the run lands."""
        repository, wanted = self.order.ground.repository, self.order.settings
        if repository is None:
            return None
        if self.rundir is not None:
            rules = Rules.from_json(self.rundir.read_run()["rules"])
            if wanted.branch not in (None, rules.branch) and not self.exactly:
                raise UsageError(
                    f"an unfinished run of these stories lands on {rules.branch}",
                    hint="finish it with rad-engineer resume, or start anew with --fresh",
                )
            tip = git.tip(repository, str(rules.branch))
            where = tip or recovery.lost_tip(repository, self.rundir, rules, self.graph)
            if where is not None and tip is None:
                self.notes.append(f"{rules.branch} is gone: made again where this run left it")
            base = str(rules.base)
            return run_branch.RunBranch(str(rules.branch), base, where or base, exists=tip is not None)
        origin = wanted.origins.get("branch", "")
        wish = run_branch.Wish(wanted.branch, origin, wanted.base, wanted.allow_protected_branch)
        inputs = self.order.inputs
        found = run_branch.choose(
            repository, inputs.prds, inputs.outside, wish, self.graph.by_identity.keys()
        )
        self.notes += [*found.notes, *repository.warnings]
        ours = gate_plan.dropped(self.order.ground, inputs)
        dirty = [path for path in git.dirty(repository) if path not in ours]
        if dirty:
            more = f" and {len(dirty) - 5} more" if len(dirty) > 5 else ""
            self.notes.append(f"not part of this run (uncommitted): {', '.join(dirty[:5])}{more}")
        return found

    def rules(self, branch: run_branch.RunBranch | None) -> Rules:
        """Kept, with what may change between two starts, or decided now."""
        order, wanted = self.order, self.order.settings
        if self.rundir is not None:
            kept = Rules.from_json(self.rundir.read_run()["rules"])
            if not is_at(Path(kept.top), order.ground.repository):
                kept = replace(kept, **gate_plan.place(order.ground))
            if not self.exactly:
                kept = self._renewed(kept, branch)
            level = self._level(kept)
            return replace(kept, seed=kept.seed or os.urandom(16).hex(), sandbox=level, allow_unverified=wanted.allow_unverified,
                           allow_missing_tests=wanted.allow_missing_tests, attempts=wanted.attempts,
                           story_timeout=wanted.story_timeout, idle_timeout=wanted.idle_timeout,
                           gate_timeout=wanted.gate_timeout, agent=",".join(order.agent.agents) or "mock",
                           agent_command=order.agent.command)  # fmt: skip
        return gate_plan.rules(
            order.ground, order.inputs, wanted, order.agent, branch, store.new_name(order.ground.home),
            sandbox.choose("off" if order.rehearsal else wanted.sandbox).level,  # a rehearsal runs no commands
        )  # fmt: skip

    def _renewed(self, kept: Rules, branch: run_branch.RunBranch | None) -> Rules:
        """`run` takes up gates that were changed since the run began: what could not be judged is judged again."""
        order = self.order
        fresh = gate_plan.rules(order.ground, order.inputs, order.settings, order.agent, branch, kept.run,
                                self._level(kept))  # fmt: skip
        judged_by = (
            "gates",
            "wave_gates",
            "final_gates",
            "protected",
            "protect",
            "setup",
            "keep",
            "copy",
            "sandbox",
            *GRANTS,
        )
        kept = replace(
            kept,
            credentials=fresh.credentials,
            registries=fresh.registries,
            private_network=fresh.private_network,
        )
        changed = {
            name: getattr(fresh, name) for name in judged_by if getattr(fresh, name) != getattr(kept, name)
        }
        if not changed:
            return kept
        self.notes.append(f"changed since the run began, and in force from now on: {', '.join(changed)}")
        self.rejudge = True
        return replace(kept, **changed)

    def _level(self, kept: Rules) -> Level:
        """The sandbox of the run, unless somebody asks for another one now; it is tested here and now in any case."""
        before = self.rundir.read_run()["settings"].get("sandbox") if self.rundir is not None else None
        wanted = self.order.settings.sandbox
        if self.order.rehearsal:
            return "off"
        return sandbox.choose(kept.sandbox if wanted == before else wanted).level

    def landed(self, branch: run_branch.RunBranch | None) -> dict[str, str]:
        """What the branch says has landed, as far as a run of ours is known to have done it."""
        repository = self.order.ground.repository
        if repository is None or branch is None or branch.tip == branch.base:
            return {}
        runs = {rundir.run for rundir in store.runs(self.order.ground.home)}  # damaged ones landed it as well
        found: dict[str, str] = {}
        for entry in git.landings(repository, branch.base, branch.tip):
            index = self.graph.by_identity.get(entry.identity)
            if entry.run in runs:
                found[entry.identity] = entry.commit
            elif index is None or self.graph.stories[index].state != "done":
                self.notes.append(
                    f"{entry.commit[:10]} claims to be story {entry.story_id} of a run that is not known here: not believed"
                )
        return found
