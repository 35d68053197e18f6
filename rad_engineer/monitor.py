"""The machine under a run: read every few seconds, told to the run directory, and asked before a story is started."""

import json
import time
from contextlib import suppress
from pathlib import Path

from rad_engineer import store
from rad_engineer.core.pressure import Reading, Throttle
from rad_engineer.ledger import Ledger
from rad_engineer.resources import Meter


class Monitor:
    """`adapts` says whether fewer stories may run than were asked for while the machine is short of something."""

    def __init__(
        self, folder: Path, ledger: Ledger, jobs: int, *, adapts: bool, root: Path = Path("/")
    ) -> None:
        self._pulse = store.RunDir(folder).pulse
        self._ledger = ledger
        self._meter = Meter(root)
        self._throttle = Throttle(jobs)
        self._adapts = adapts
        self._next = 0.0
        self._running = 0

    def room(self, running: int) -> int:
        """How many stories may be started while so many run."""
        self._running = running
        return self._throttle.room(running) if self._adapts else self._throttle.most

    def look(self, now: float) -> None:
        """Reads, where it is time to, and writes down what changes."""
        if now < self._next:
            return
        self._next = now + store.PULSE_SECONDS
        found = self._meter.read()
        if self._adapts:
            reading = Reading(found.memory_left, found.memory_limit, found.pressure)
            change = self._throttle.look(reading, self._running)
            if change is not None and change.cause is not None:
                self._ledger.record("starts_paused", cause=change.cause, jobs=change.jobs)
            elif change is not None:
                self._ledger.record("starts_resumed", jobs=change.jobs)
        told = {"at": round(time.time(), 3), "jobs": self._throttle.jobs, "resources": found.to_json()}
        new = self._pulse.with_name(self._pulse.name + ".new")
        with suppress(OSError):  # nothing hangs on it
            new.write_text(json.dumps(told) + "\n", encoding="ascii")
            new.replace(self._pulse)
