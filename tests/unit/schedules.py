"""A schedule that is spoken to in keys."""

from typing import Any

from rad_engineer.core import graph, reasons
from rad_engineer.core.prd import Prd
from rad_engineer.core.schedule import Schedule


class Run:
    """A schedule that is spoken to in keys."""

    def __init__(self, *prds: Prd, statuses: dict[str, str] | None = None, build: dict[str, Any] | None = None,
                 only: str | None = None, **options: Any) -> None:  # fmt: skip
        self.graph = graph.build(prds, **(build or {}))
        known = {self.graph.by_key[key]: status for key, status in (statuses or {}).items()}
        chosen = None if only is None else frozenset(self.graph.by_key[key] for key in only.split())
        self.schedule = Schedule(self.graph, known, only=chosen, **options)

    def take(self) -> str:
        """All that starts now."""
        taken = []
        while (found := self.schedule.take()) is not None:
            taken.append(self.graph.keys[found])
        assert not self.schedule.could_start()
        return " ".join(taken)

    def why(self, key: str) -> str:
        return reasons.why(self.schedule, self.graph.by_key[key])

    def __getattr__(self, verb: str) -> Any:
        def call(key: str, **options: Any) -> Any:
            return getattr(self.schedule, verb)(self.graph.by_key[key], **options)

        return call

    def land(self, keys: str) -> str:
        for key in keys.split():
            self.landed(key)
        return self.take()

    def blocked_now(self) -> dict[str, str]:
        return {
            self.graph.keys[i]: " ".join(self.graph.keys[other] for other in by)
            for i, by in self.schedule.newly_blocked()
        }

    def waves_done(self) -> list[str]:
        return [self.graph.wave_names[wave] for wave in self.schedule.completed_waves()]
