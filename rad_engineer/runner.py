"""THE LOOP: start what may start, wait for what ends, write down both."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rad_engineer import store, story_files, timings
from rad_engineer.aftermath import Aftermath
from rad_engineer.branch_gates import BranchGates
from rad_engineer.core import ending
from rad_engineer.core.schedule import Schedule
from rad_engineer.engines.local import LocalEngine, Message
from rad_engineer.errors import CannotWrite, ConfigInvalid, ExitCode
from rad_engineer.lanes import Lanes, Limits, Running
from rad_engineer.ledger import Ledger
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.outcome import Outcome
from rad_engineer.rules import Rules
from rad_engineer.signals import Stop
from rad_engineer.spending import Spending

MAX_WORKER_DEATHS = 3
TICK = 0.125  # s between redraws


class Runner:
    """Runs a graph to its end, or until somebody says stop."""

    def __init__(  # noqa: PLR0913 - what a run consists of
        self,
        rundir: store.RunDir,
        rules: Rules,
        ledger: Ledger,
        schedule: Schedule,
        engine: LocalEngine,
        limits: Limits,
        *,
        queue: MergeQueue | None,
        story_job: Callable[[int, bool], dict[str, Any]],
        on_landed: Callable[[int], None],
        between: Callable[[float], None],
        room: Callable[[int], int] = lambda _running: sys.maxsize,
        spending: Spending | None = None,
        paid: Mapping[int, int] | None = None,
        foreign: frozenset[int] = frozenset(),
    ) -> None:
        self.rundir = rundir
        self.rules = rules
        self.ledger = ledger
        self.graph = ledger.graph
        self.schedule = schedule
        self.engine = engine
        self.limits = limits
        self.queue = queue
        self.story_job = story_job
        self.spending = spending
        self.between = between
        self.room = room  # for how many more stories the machine has something left
        self.stop = Stop()
        self.lanes = Lanes(free=list(range(limits.jobs - 1, -1, -1)), foreign=foreign)
        for story, slot in (paid or {}).items():
            self.lanes.reserve(story, slot)
        self.jobs: dict[int, Running] = {}
        self.resuming: set[int] = set(paid or {})
        self.begun: set[int] = set()
        self.going_on: list[int] = []  # stories whose next attempt does not stand in line
        self.aftermath = Aftermath(rundir, rules, ledger, schedule, self.lanes, queue, on_landed)
        if limits.most is not None:  # what was begun is brought to its end
            self.aftermath.again = self.going_on.append
        self.bug = ""
        self.disk: CannotWrite | None = None
        self.gates = None if queue is None else BranchGates(rundir, rules, ledger, schedule, queue)
        heard = () if spending is None else (spending.door.fileno(),)
        self._descriptors = (self.stop.fileno(), *heard)
        self._stop_at: float | None = None
        self._deadline = None if limits.deadline is None else time.monotonic() + limits.deadline

    def run(self) -> ExitCode:
        """Runs until nothing runs and nothing may start; returns the exit code of the run."""
        with self.stop:
            if self.gates is not None and self.gates.wants_baseline:
                self._run_job("baseline", base=self.rules.base)
            while True:
                with timings.part("landing"):
                    self._land()
                with timings.part("schedule"):
                    if not self._draining():
                        self._judge_branch()
                    self._start()
                if not self.jobs and not self._ready_to_land():
                    break
                self.between(time.monotonic())
                self.ledger.tick()
                self._wait()
            return self._exit_code()

    def _draining(self) -> bool:
        failed = self.limits.fail_fast and self.aftermath.failed
        spent = self.spending is not None and (self.spending.exhausted or self.spending.barred)
        return bool(self.stop.received or self.disk or self._past_deadline() or failed or spent)

    def _past_deadline(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _had_enough(self) -> bool:
        return self.limits.most is not None and len(self.begun) >= self.limits.most

    def _judge_branch(self) -> None:
        """Runs wave gates of waves that have ended well, and the final gates when nothing else is left."""
        if self.gates is None or not (self.engine.free and self.lanes.free):
            return
        idle = not self.jobs and not self._ready_to_land()
        job = self.gates.next_job(idle=idle)
        if job is not None:
            self.ledger.commit()
            self._run_job("gates", **job)

    def _start(self) -> None:
        """Starts what may start; one sync covers what begins and all that has ended before."""
        prepared = [self._prepare(story) for story in self._chosen()]
        self.ledger.commit()
        for running in prepared:
            self._submit(running)

    def _chosen(self) -> list[int]:
        if self._draining() or (self.gates is not None and self.gates.wants_baseline):
            return []  # before the gates have answered, no agent is paid
        running = sum(running.kind == "story" for running in self.jobs.values())
        most = min(self.engine.free, len(self.lanes.free), self.room(running))
        chosen = self.going_on[:most]
        del self.going_on[:most]
        while len(chosen) < most and not self._had_enough():
            story = self.schedule.take()
            if story is None:
                break
            self.begun.add(story)
            chosen.append(story)
        return chosen

    def _prepare(self, story: int) -> Running:
        """Writes down that an attempt begins."""
        record = self.ledger.checkpoint.record(self.graph.identities[story], self.graph.keys[story])
        resume = story in self.resuming
        self.resuming.discard(story)
        attempt = max(1, record.attempts) if resume else record.attempts + 1
        job = {
            "job": "story",
            "attempt": attempt,
            "resume": resume,
            "base": self.queue.tip if self.queue is not None else None,
            "feedback": self.aftermath.feedback.get(story, ""),
            **self.story_job(story, resume),
        }
        trace = self.ledger.traceparent(self.graph.identities[story], attempt)
        if trace:
            job["trace"] = trace
        if self.spending is not None:
            job["models"] = self.spending.account(story, attempt)
        if self.queue is not None:
            job["slot"] = self.lanes.slot_for(story)
            job["base"] = job.pop("resume_base", None) or job["base"]
        lane = self.lanes.free.pop()
        self.ledger.record(
            "story_started", story, attempt=attempt, slot=job.get("slot"), base=job["base"], resumed=resume
        )
        return Running("story", lane, {**job, "lane": lane}, story)

    def _submit(self, running: Running) -> None:
        about = {"rundir": str(self.rundir.path), "timed": self.ledger.timed is not None}
        self.jobs[self.engine.submit({**running.job, **about})] = running

    def _run_job(self, kind: str, **job: Any) -> None:
        lane = self.lanes.free.pop()
        content = {"job": kind, "lane": lane, **job}
        self._submit(Running(kind, lane, content))

    def _wait(self) -> None:
        messages = self.engine.poll(TICK, self._descriptors)
        with timings.part("schedule"):
            if self.spending is not None:
                self.spending.hear()  # first: it explains how an agent has ended
                self.disk = self.disk or self.spending.broken
            for message in messages:
                self._handle(message)
        self.stop.drain()
        self._wake()
        self._hurry()

    def _wake(self) -> None:
        """Ends agents that wait for a usage limit's end, or ask in vain: their stories wait without them."""
        if self.spending is None:
            return
        for job, running in self.jobs.items():
            story, attempt = running.story, running.job.get("attempt", 0)
            if story is not None and not running.cancelled and self.spending.sleeps(story, attempt):
                running.cancelled = running.slept = True
                self.engine.send(job, {"cancel": True})

    def _hurry(self) -> None:
        """Stops what runs when its time is over: a second signal, the grace after the first, the deadline."""
        if not (self.stop.received or self._past_deadline()):
            return
        now = time.monotonic()
        if self._stop_at is None:
            self._stop_at = now + (self.limits.grace if self.stop.received else 0.0)
            if self.stop.received:
                self.ledger.record("run_stopping", signal=self.stop.received[0].name, grace=self.limits.grace)
        if len(self.stop.received) > 1:
            for job, running in self.jobs.items():
                running.cancelled = True
                self.engine.kill(job)
        elif now >= self._stop_at:
            for job in [job for job, running in self.jobs.items() if not running.cancelled]:
                self.jobs[job].cancelled = True
                self.engine.send(job, {"cancel": True})

    def _handle(self, message: Message) -> None:
        running = self.jobs.get(message.job)
        if running is None:
            return
        if message.kind == "event":
            self._on_event(running, message.data)
            return
        del self.jobs[message.job]
        self.lanes.free.append(running.lane)
        self.ledger.spent(running.identities, message.data)
        if message.kind == "died":
            self._on_death(running, message.data)
        elif not message.data["ok"]:
            self._on_error(running, message.data)
        else:
            self._on_done(running, message.data)

    def _on_event(self, running: Running, data: Mapping[str, Any]) -> None:
        if "span" in data:
            self.ledger.span(data["span"])
            return
        if "audit" in data:
            key = None if running.story is None else self.graph.keys[running.story]
            self.ledger.note(data["audit"], key, running.job.get("attempt"))
            return
        if running.story is None:
            if (
                data.get("event") == "network_asked"
            ):  # of all that gates of the branch say, what the journal needs
                self.ledger.record("network_asked", **{k: v for k, v in data.items() if k != "event"})
            return
        if self.spending is not None:
            self.spending.seen(running.story, running.job["attempt"], data)
        if "output" in data:
            self.ledger.output(self.graph.keys[running.story], data["output"])
            return
        if data["event"] == "note":
            self.ledger.record("note", text=f"{self.graph.keys[running.story]}: {data['text']}")
            return
        event = dict(data)
        self.ledger.record(event.pop("event"), running.story, attempt=running.job["attempt"], **event)

    def _on_death(self, running: Running, data: Mapping[str, Any]) -> None:
        """A worker was killed: its job is done again; a story goes on behind its last stage."""
        deaths = running.deaths + 1
        if running.story is not None and data["child_done"]:  # its agent: nobody is left to write it down
            story_files.write_stage(self.aftermath.folder(running.story), running.job, "agent")
        if self.queue is not None and running.story is not None:
            self.queue.clear_locks(running.story)
        if running.cancelled or self.stop.received:
            self._on_interrupted(running)
        elif deaths < MAX_WORKER_DEATHS:
            again = {**running.job, "resume": True, "lane": self.lanes.free.pop()}
            self._submit(Running(running.kind, again["lane"], again, running.story, deaths))
        elif running.story is not None:
            self.aftermath.fail(
                running.story, Outcome("failed", reason="worker-died", detail=f"{deaths} times")
            )
        else:
            self._on_error(running, {"error": f"the worker of a {running.kind} job died {deaths} times"})

    def _on_error(self, running: Running, data: Mapping[str, Any]) -> None:
        """A job could not be done for a reason that is not the story's."""
        code = data.get("exit_code", int(ExitCode.BUG))
        if code == ExitCode.CANNOT_WRITE:
            self.disk = CannotWrite(data["error"], hint=data["hint"] or "make room, then rad-engineer resume")
            self._on_interrupted(running)
            return
        if running.kind == "baseline":
            raise ConfigInvalid(str(data["error"]), hint=data.get("hint"))
        self.bug = self.bug or f"{data['error']}\n{data.get('trace', '')}"
        if running.story is not None:
            self.aftermath.fail(
                running.story, Outcome("failed", reason="internal-error", detail=str(data["error"]))
            )
        elif running.kind == "land" and self.queue is not None:
            for story in self.queue.give_up():
                self.aftermath.fail(
                    story, Outcome("failed", reason="internal-error", detail=str(data["error"]))
                )

    def _on_interrupted(self, running: Running) -> None:
        if running.story is not None:
            self.ledger.record("story_interrupted", running.story)
        elif running.kind == "land" and self.queue is not None:
            self.queue.requeue()

    def _on_done(self, running: Running, data: Mapping[str, Any]) -> None:
        if running.kind == "story" and running.story is not None:
            outcome = self._explained(running, data["outcome"])
            if not self._goes_on_without_key(running, outcome):
                self.aftermath.ended(running.story, outcome)
        elif running.kind == "land" and self.queue is not None:
            self.aftermath.batch_judged(self.queue, data["landing"])
        elif running.kind == "gates":
            if self.gates is not None and not data.get("interrupted"):
                self.gates.judged(running.job, data)
        elif running.kind == "baseline" and self.gates is not None and not data.get("interrupted"):
            self.gates.answered(data)

    def _goes_on_without_key(self, running: Running, outcome: Outcome) -> bool:
        """Whether the attempt of an agent that slept is gone on with by one of the chain with an account of its own."""
        spending, story = self.spending, running.story
        limited = running.slept and (outcome.kind, outcome.reason) == ("later", "limit")
        if (
            spending is None
            or story is None
            or not (limited and spending.others and "without_key" not in running.job)
            or self._draining()
        ):
            return False
        text = f"{self.graph.keys[story]}: a usage limit of the key is reached; {spending.others[0]} does it"
        self.ledger.record("note", text=text)
        models = spending.account(story, running.job["attempt"])
        again = {
            **running.job,
            "resume": True,
            "without_key": True,
            "models": models,
            "lane": self.lanes.free.pop(),
        }
        self._submit(Running("story", again["lane"], again, story))
        return True

    def _explained(self, running: Running, told: Mapping[str, Any]) -> Outcome:
        outcome = Outcome.from_json(told)
        if self.spending is None or running.story is None:
            return outcome
        explained = self.spending.judged(running.story, running.job["attempt"], outcome)
        self.disk = self.disk or self.spending.broken
        return explained

    def _ready_to_land(self) -> bool:
        return self.queue is not None and self.queue.can_go_on and not self.stop.received and not self.disk

    def _land(self) -> None:
        queue = self.queue
        if queue is None:
            return
        if queue.length:
            self.ledger.commit()  # that they are green is on disk before the branch moves
        for story, commit, gates, unverified in queue.swap_what_is_current():
            self.aftermath.landed(story, commit, gates, unverified=unverified)
        if queue.wants_batch and self.engine.free and self.lanes.free and self._ready_to_land():
            self.ledger.commit()
            self._run_job("land", **queue.take_batch())

    def _exit_code(self) -> ExitCode:
        """The first that holds, core rules section 4."""
        self.aftermath.tell_blocked()
        if self.disk:
            raise self.disk
        if self.bug:
            return ExitCode.BUG
        if self.stop.received:
            return self.stop.exit_code
        if self.spending is not None and self.spending.barred:
            return ExitCode.NO_AGENT
        known = self.ledger.checkpoint.stories.items()
        return ending.exit_code(
            [record for identity, record in known if identity in self.graph.by_identity],
            more=self._had_enough() and self.schedule.could_start(),
            gates_red=self.gates is not None and self.gates.red,
            open_stories=self.schedule.open_count() + (self.queue.length if self.queue is not None else 0),
            allow_unverified=self.rules.allow_unverified,
        )
