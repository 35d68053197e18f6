"""Gates of the run as a whole: the baseline before it, wave gates between waves, final gates at its end."""

import os
from collections.abc import Mapping
from typing import Any

from rad_engineer import store
from rad_engineer.core.schedule import Schedule
from rad_engineer.errors import ConfigInvalid
from rad_engineer.ledger import Ledger
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.rules import Rules


class BranchGates:
    """Says which gate job is due, and takes down the verdicts, which hold for one commit only."""

    def __init__(
        self, rundir: store.RunDir, rules: Rules, ledger: Ledger, schedule: Schedule, queue: MergeQueue
    ) -> None:
        self.rundir = rundir
        self.rules = rules
        self.ledger = ledger
        self.schedule = schedule
        self.queue = queue
        real = rules.kind == "real"
        self.wants_baseline = real and bool(rules.gates) and not (rundir.path / "baselines.json").exists()
        self._enabled = real
        self._waves: list[int] = []
        self._judging: int | None = None

    @property
    def red(self) -> bool:
        """Whether the last verdict of any wave or of the end was red."""
        return any(not verdict["ok"] for verdict in self.ledger.checkpoint.verdicts.values())

    def answered(self, data: Mapping[str, Any]) -> None:
        """The baseline is there. Raises ConfigInvalid where a gate cannot be run at all."""
        self.wants_baseline = False
        if data.get("missing"):
            hint = "commit the script, install the tool, or change [gates] in rad-engineer.toml"
            hint += self._about_setup()
            raise ConfigInvalid(
                "a gate cannot be run on the start commit: " + "; ".join(data["missing"]), hint=hint
            )
        for name in data.get("red", ()):
            text = f"gate {name} was red before the run: what fails there already is excused, nothing else is"
            self.ledger.record("note", text=text)
        for name, detail in data.get("mute", {}).items():
            log = self.rundir.path / "baseline" / f"{store.slug(name)}-before.log"
            near = os.path.relpath(log, self.rules.home)
            where = f"; see {near}" if log.exists() else ""  # an earlier run may have asked it
            text = f"gate {name} proves nothing on the start commit: {detail}{where}{self._about_setup()}"
            self.ledger.record("note", text=text)

    def _about_setup(self) -> str:
        if self.rules.setup:
            return ""
        return '; where dependencies have to be installed first, set `setup` under [workspace], e.g. "npm ci"'

    def next_job(self, *, idle: bool) -> dict[str, Any] | None:
        """The gate job that is due now; `idle` says that nothing runs and nothing waits to land."""
        if not self._enabled or self._judging is not None:
            return None
        self._waves += self.schedule.completed_waves()
        while self._waves:
            wave = self._waves.pop(0)
            if self.rules.wave_gates:
                self._judging = wave
                return {"scope": self._scope(wave), "commit": self.queue.tip}
            self.schedule.open_wave(wave)
        if idle and self._end_is_due():
            return {"scope": "final", "commit": self.queue.tip}
        return None

    def judged(self, job: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """A verdict: a green wave opens what is behind it, a red one keeps it closed."""
        scope, green = job["scope"], bool(data["green"])
        self.ledger.record("gates_finished", scope=scope, commit=job["commit"], ok=green, gates=data["gates"])
        if not green:
            names = ", ".join(gate["name"] for gate in data["gates"] if not gate["ok"]) or data.get(
                "detail", "setup"
            )
            logs = self.rundir.path / f"gates-{store.slug(scope)}"
            self.ledger.record("note", text=f"{scope} is red: {names}; its output is in {logs}")
        wave, self._judging = self._judging, None
        if wave is not None and green:
            self.schedule.open_wave(wave)

    def _scope(self, wave: int) -> str:
        return f"wave:{self.schedule.graph.wave_names[wave]}"

    def _end_is_due(self) -> bool:
        """Everything has landed, and no verdict on this very commit exists."""
        if not self.rules.final_gates or self.schedule.open_count() > 0 or self.schedule.could_start():
            return False
        statuses = {record.status for record in self.ledger.checkpoint.stories.values()}
        verdict = self.ledger.checkpoint.verdicts.get("final")
        judged = verdict is not None and verdict["commit"] == self.queue.tip
        return not judged and not statuses & {"failed", "blocked"}
