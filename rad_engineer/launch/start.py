"""From a command line to a running loop, and from its end to a report."""

import gc
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO, cast

from rad_engineer import (
    agents,
    audit,
    durable,
    git,
    locks,
    logs,
    process,
    sandbox,
    store,
    swap,
    timings,
    trail,
    trust,
)
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.schedule import Schedule
from rad_engineer.engines.local import LocalEngine
from rad_engineer.errors import ConfigInvalid, ExitCode
from rad_engineer.lanes import Limits
from rad_engineer.launch import gate_plan, known, models, records, recovery, run_branch, terms
from rad_engineer.launch.ground import Ground
from rad_engineer.launch.marks import Marks
from rad_engineer.launch.order import Ended, Order
from rad_engineer.launch.prospect import Prospect, done_fields, selection
from rad_engineer.launch.story_jobs import StoryJobs
from rad_engineer.ledger import Ledger, Watcher, steady
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.monitor import Monitor
from rad_engineer.rules import Rules
from rad_engineer.runner import TICK, Runner
from rad_engineer.spending import Spending
from rad_engineer.watch.output import Output
from rad_engineer.watch.tracing import Tracer, tracer


def launch(order: Order, *, only: store.RunDir | None = None) -> Ended:
    """Runs, or goes on with, what was ordered. `only`: exactly this unfinished run, as `resume` wants it."""
    ground = order.ground
    records.require_own(ground, yes=order.settings.yes, stdin=sys.stdin, stderr=_stderr())
    trusted_commands(order)
    with _locked(ground):
        home_runs = known.whole(store.runs(ground.home)) if order.settings.fresh else store.runs(ground.home)
        kind = "rehearsal" if order.rehearsal else "real"
        rundir = only or known.unfinished(
            home_runs, order.inputs.graph.identities, kind, order.settings.workspace
        )
        if rundir is not None and order.settings.fresh:
            recovery.give_up(rundir, order.inputs.graph, order.settings.audit)
            rundir = None
        return _Launch(order, rundir, home_runs, exactly=only is not None).go()


def trusted_commands(order: Order) -> None:
    """Commands that come from files are asked for once, before anything starts; raises Refused."""
    if order.rehearsal:
        return
    commands = gate_plan.commands(order.ground, order.inputs, order.settings, order.agent)
    trust.require(order.ground.id, commands, yes=order.settings.yes, stdin=sys.stdin, stderr=_stderr())


def _stderr() -> TextIO:
    return cast("TextIO", Output(sys.stderr))  # as much of a stream as is asked for, and it may go away


def _locked(ground: Ground) -> locks.Lock:
    if ground.repository is None:
        with durable.writing(ground.home / ".rad-engineer"):
            ground.lock.parent.mkdir(exist_ok=True)
    return locks.acquire(ground.lock, 0.0, process.describe_self("run"))


_HINTS = 5


class _Launch:
    """One launch: the pieces of a run, put together in the order in which they must exist."""

    def __init__(
        self, order: Order, rundir: store.RunDir | None, home_runs: Sequence[store.RunDir], *, exactly: bool
    ) -> None:
        self.order = order
        self.graph = order.inputs.graph
        self.rundir = rundir
        self.resumed = rundir is not None
        self.home_runs = home_runs
        self.exactly = exactly  # `resume`: nothing is read anew but the PRDs
        self.rejudge = False
        self.notes: list[str] = []
        self.tracer: Tracer | None = None
        self.no_collection = git.NoCollection(order.ground.repository)
        self._look_at = 0.0  # for approvals

    def go(self) -> Ended:
        """Assembles, runs, reports."""
        selection(self.graph, self.order.settings)  # refuses what cannot be meant, before anything is written
        recovery.sweep(self.order.ground, self.home_runs, self.rundir)
        agreed = terms.settle(self.order, self.rundir, exactly=self.exactly)
        branch, rules, landed = agreed.branch, agreed.rules, agreed.landed
        self.rejudge = agreed.rejudge
        self.notes += [*agreed.notes, *self._hints(rules)]
        earlier = known.Known() if self.resumed else known.earlier(self.home_runs, self.graph.identities)
        prospect = Prospect(self.graph, self.order.settings, self.order.ground.repository, branch,
                            earlier, landed, self.home_runs, rules)  # fmt: skip
        marks_due = not self.order.rehearsal and prospect.marks_due()
        if not (self.resumed or marks_due or prospect.anything_to_do()):
            code, why = prospect.idle()
            return Ended(code, None, Checkpoint(), why=why)
        if rules.sandbox != "off":
            self._close_off(rules)
        rundir = self.rundir or self._create(rules)
        self._write_run(rundir, rules)
        if self.rejudge:
            (rundir.path / "baselines.json").unlink(missing_ok=True)
        jobs = StoryJobs(self.graph, rundir)
        if not self.resumed:
            known.retell(self.home_runs, self.graph.identities, jobs.hear)
        checkpoint, journal = store.reopen(rundir, jobs.hear)
        jobs.checkpoint = checkpoint
        ledger = self._ledger(rundir, checkpoint, journal, jobs)
        trail.lead_to(ledger.note)
        try:
            with self.no_collection:
                return self._run(rundir, rules, ledger, jobs, earlier, landed, branch)
        finally:
            trail.end()
            journal.close()
            if ledger.audit is not None:
                ledger.audit.close()
            if self.tracer is not None:
                self.tracer.close()
            logs.stop()

    def _ledger(
        self, rundir: store.RunDir, checkpoint: Checkpoint, journal: store.Journal, jobs: StoryJobs
    ) -> Ledger:
        """The ledger, with everybody who looks on."""
        self.tracer = tracer(self.order.settings.otlp_endpoint, rundir.run, os.environ)
        watchers: list[Watcher] = [logs.EventLog(), *self.order.views, *filter(None, [self.tracer])]
        account = timings.open_account(wanted=self.order.timed)
        timed = timings.Timings(account) if account is not None else None
        ledger = Ledger(
            self.graph, checkpoint, journal, watchers, steady(checkpoint.at), hear=jobs.hear, timed=timed
        )
        ledger.audit = audit.of_run(rundir.path, self.order.settings.audit)
        if self.tracer is not None:
            ledger.traceparent, ledger.span = self.tracer.agent, self.tracer.take
        return ledger

    def _close_off(self, rules: Rules) -> None:
        """Working copies are nobody else's to look at: what stands in them runs with fewer rights than we have."""
        top = self.order.ground.cache
        with durable.writing(top):
            top.mkdir(parents=True, exist_ok=True)
            top.chmod(0o700)
            if rules.sandbox == "landlock":
                sandbox.admit(top)
        if rules.workspace == "shared" and rules.sandbox == "landlock":
            raise ConfigInvalid(
                f"{rules.top}: landlock cannot keep the repository's own .git from a command in it",
                hint="use working copies (--workspace slots), bubblewrap, or say --sandbox off",
            )
        if rules.workspace == "shared" and os.geteuid() == 0:
            raise ConfigInvalid(
                f"{rules.top}: started by root, a shared workspace cannot be confined",
                hint="use working copies (--workspace slots), start as another user, or say --sandbox off",
            )

    def _hints(self, rules: Rules) -> list[str]:
        """What stories ask for, of agents and models, and cannot have here."""
        stories = [
            one for one in self.graph.stories if one.state in ("todo", "human") and (one.agent or one.model)
        ]
        if not stories or self.order.rehearsal:
            return []
        from rad_engineer.agents import choice  # noqa: PLC0415 - most PRDs leave that open

        agent = replace(self.order.agent, priced=rules.priced)
        told = choice.hints(stories, agent, rules.roles, key=self.order.access is not None)
        more = (
            [f"{len(told) - _HINTS} more stories ask for what is not known here"]
            if len(told) > _HINTS
            else []
        )
        return [*told[:_HINTS], *more]

    # --- the run directory --------------------------------------------------------------------------------

    def _create(self, rules: Rules) -> store.RunDir:
        return store.create(self.order.ground.home, rules.run, self._about(rules), self.order.inputs.prds)

    def _about(self, rules: Rules) -> dict[str, Any]:
        return {
            "run": rules.run,
            "kind": rules.kind,
            "created_at": time.time(),
            "pid": os.getpid(),
            "start": process.start_time(os.getpid()),
            "boot_id": process.boot_id(),
            "identities": list(self.graph.identities),
            "files": [str(Path(file).absolute()) for file in self.order.files],
            "settings": self.order.settings.to_json(),
            "rules": rules.to_json(),
            "notes": self.notes,
        }

    def _write_run(self, rundir: store.RunDir, rules: Rules) -> None:
        if self.resumed:
            for report in (rundir.report_json, rundir.report_md):
                report.unlink(missing_ok=True)  # of an earlier end: not true any more
            before = rundir.read_run()
            joined = [*before.get("identities", ()), *self.graph.identities]
            about = {**before, **self._about(rules), "created_at": before["created_at"]}
            about["identities"] = list(dict.fromkeys(joined))
            about["inputs"] = store.keep_prds(rundir, self.order.inputs.prds, before["inputs"])
            durable.write_sealed(rundir.run_json, about)

    # --- the run ------------------------------------------------------------------------------------------

    def _run(
        self, rundir: store.RunDir, rules: Rules, ledger: Ledger, jobs: StoryJobs,
        earlier: known.Known, landed: Mapping[str, str], branch: run_branch.RunBranch | None,
    ) -> Ended:  # fmt: skip
        self._open(ledger, rules, branch)
        marks = Marks(ledger, enabled=self.order.settings.write_back and rules.kind == "real")
        queue = self._queue(rules, branch)
        self._settle(ledger, rules, branch, earlier, landed)
        recovery.drop_refs(ledger, queue)
        recovery.approve(ledger, self.order.ground.home)
        recovery.marks_due(ledger, marks, rules)
        if self.rejudge:
            recovery.judge_again(ledger)
        green = recovery.restore_queue(ledger, queue, rules)
        statuses = known.statuses(self.graph, ledger.checkpoint)
        statuses.update(dict.fromkeys(green, "landing"))
        paid = recovery.cut_off(ledger, rundir)
        ledger.commit()
        schedule = Schedule(
            self.graph, statuses, hold_waves=bool(rules.wave_gates and queue is not None),
            **selection(self.graph, self.order.settings),
        )  # fmt: skip
        wanted = self.order.settings
        spending = self._spending(ledger, rundir)
        engine = self._engine(rundir, rules)
        monitor = Monitor(rundir.path, ledger, wanted.jobs, adapts=wanted.adapts)
        runner = Runner(
            rundir, rules, ledger, schedule, engine,
            Limits(wanted.jobs, wanted.max_stories, wanted.once, wanted.deadline, wanted.grace, wanted.fail_fast),
            queue=queue, story_job=jobs, on_landed=marks.add, spending=spending, paid=paid,
            foreign=recovery.foreign_slots(self.home_runs, rundir),
            between=lambda now: self._between(now, marks, ledger, rundir, schedule, monitor), room=monitor.room,
        )  # fmt: skip
        runner.aftermath.feedback.update(recovery.feedback(ledger, rundir))
        gc.freeze()  # what has been read stays to the end: nobody need look through it again and again
        gc.enable()
        try:
            code = runner.run()
        except ConfigInvalid:
            ledger.record("run_finished", exit_code=int(ExitCode.BAD_CONFIG))
            ledger.commit()
            raise
        finally:
            engine.close(wanted.grace if not runner.stop.received else 1.0)
            if spending is not None:
                spending.close()
                models.reconcile(ledger, rundir.path)
        ledger.commit()  # the PRD must not know more than the journal
        marks.flush()
        return self._close(ledger, rundir, runner, self._final_code(code))

    def _engine(self, rundir: store.RunDir, rules: Rules) -> LocalEngine:
        """The workers, forked from a process that has done for their agents what each of them would have to."""
        prepared = agents.preparation((*rules.agents, *rules.reviewer.split(",")))
        env = {process.MARK: rundir.run}
        return LocalEngine(self.order.zygote, self.order.settings.jobs, env, preload=prepared)

    def _spending(self, ledger: Ledger, rundir: store.RunDir) -> Spending | None:
        """The gateway, where the agents of this run ask models through one."""
        if self.order.access is None:
            return None
        models.reconcile(ledger, rundir.path)
        key = self.order.access.key
        trail.tell("key", what="used", source=key.source if key is not None else "no key")
        agent = self.order.agent
        others = tuple(name for name in agent.agents if name in agent.unmetered)
        metered = not others and "command" not in agent.agents  # a command may do without a model
        traced = self.tracer.told() if self.tracer is not None else {}
        opened = models.open_door(self.order.access, rundir, self.order.ground, traced)
        return Spending(opened, ledger, others, metered=metered)

    def _settle(
        self, ledger: Ledger, rules: Rules, branch: run_branch.RunBranch | None,
        earlier: known.Known, landed: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Brings the checkpoint in step with git and the PRDs, and writes down what the user should know."""
        repository = self.order.ground.repository
        if repository is not None and branch is not None and rules.kind == "real":
            self.notes += known.settle(
                ledger, earlier, landed,
                branch_exists=branch.exists or branch.tip != branch.base,
                has_done_field=done_fields(self.graph),
                holds=lambda commit: git.is_ancestor(repository, commit, branch.tip),
            )  # fmt: skip
        lenient = rules.kind != "real" or rules.allow_unverified
        if not lenient and not rules.gates and not any(s.checks for s in self.graph.stories):
            self.notes.append("no gate is configured or found: stories can be no more than unverified")
        for note in self.notes:
            ledger.record("note", text=note)

    def _open(self, ledger: Ledger, rules: Rules, branch: run_branch.RunBranch | None) -> None:
        head = branch.tip if branch is not None else None
        if ledger.checkpoint.state == "new":
            ledger.record(
                "run_started", kind=rules.kind, branch=rules.branch, base=rules.base, head=head,
                agent=rules.agent, workspace=rules.workspace, sandbox=rules.sandbox, prds=list(self.order.files),
                stories=len(self.graph.stories), pid=os.getpid(),
            )  # fmt: skip
        else:
            ledger.record("run_resumed", head=head, sandbox=rules.sandbox, pid=os.getpid())

    def _queue(self, rules: Rules, branch: run_branch.RunBranch | None) -> MergeQueue | None:
        repository = self.order.ground.repository
        if repository is None or branch is None:
            return None
        changes: list[tuple[str, str, str | None]] = [
            (f"refs/rad/{rules.run}/base", branch.base, None),
            (f"refs/rad/{rules.run}/tip", branch.tip, None),
        ]
        if not branch.exists and rules.kind == "real":
            changes.append((f"refs/heads/{branch.name}", branch.tip, ""))
        git.update_refs(repository, changes)
        return MergeQueue(
            repository, self.graph, rules.run, branch.name, branch.tip, batch=self.order.settings.batch
        )

    def _between(
        self, now: float, marks: Marks, ledger: Ledger, rundir: store.RunDir, schedule: Schedule, monitor: Monitor,
    ) -> None:  # fmt: skip
        monitor.look(now)
        wanted = self.order.settings
        logs.start(rundir.log, verbose=self.order.verbose, level=wanted.log_level, form=wanted.log_format)
        marks.between(now)
        if now >= self._look_at:
            self._look_at = now + TICK
            recovery.approve(ledger, self.order.ground.home, schedule)
            self.no_collection.renew()

    # --- after --------------------------------------------------------------------------------------------

    def _final_code(self, code: ExitCode) -> ExitCode:
        if self.order.rehearsal and code in (ExitCode.OK, ExitCode.WAITING, ExitCode.FAILED):
            return ExitCode.WAITING if self.order.agent.agents else ExitCode.NO_AGENT
        return code

    def _lost(self, ledger: Ledger, queue: MergeQueue) -> list[int]:
        """Stories that this run has landed and that a branch moved by somebody else does not hold any more."""
        held = {
            entry.identity
            for entry in git.landings(queue.repository, str(ledger.checkpoint.base), queue.branch)
        }
        tip = f"refs/heads/{queue.branch}"
        return [
            self.graph.by_identity[identity]
            for identity, record in ledger.checkpoint.stories.items()
            if record.landed and identity not in held and identity in self.graph.by_identity
            and not (record.commit and git.is_ancestor(queue.repository, record.commit, tip))
        ]  # fmt: skip

    def _close(self, ledger: Ledger, rundir: store.RunDir, runner: Runner, code: ExitCode) -> Ended:
        if runner.bug:
            logs.error("internal error", detail=runner.bug)
            ledger.record("note", text=f"internal error, see {rundir.log}: {runner.bug.splitlines()[0]}")
        if runner.queue is not None and runner.queue.blocked is not None:
            for story in (*runner.queue.waiting, *self._lost(ledger, runner.queue)):
                ledger.record("story_waiting", story, reason="branch-busy")
            ledger.record("note", text=runner.queue.blocked)
        if self.order.settings.merge and code == ExitCode.OK and self.order.ground.repository is not None:
            ledger.record(
                "note",
                text=swap.fast_forward(
                    self.order.ground.repository, str(ledger.checkpoint.branch), runner.rules.dropped
                ),
            )
        about: dict[str, Any] = {} if ledger.timed is None else {"timings": ledger.timed.to_json()}
        ledger.record("run_finished", exit_code=int(code), **about)
        ledger.commit()
        return Ended(code, rundir, ledger.checkpoint, self.resumed)
