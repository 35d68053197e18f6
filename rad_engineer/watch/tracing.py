"""The coordinator's side of tracing: what the journal says, and what workers hand on, goes to a collector."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rad_engineer import logs
from rad_engineer.core.spans import Place, RunSpans, Span, agent_span, trace_of
from rad_engineer.exporting import Exporter, endpoint

if TYPE_CHECKING:
    from rad_engineer.core.checkpoint import Checkpoint
    from rad_engineer.core.events import Event


class Tracer:
    """Tells a collector of one session of a run; every other process finds its place by `session`."""

    def __init__(self, url: str, trace: str, parent: str = "") -> None:
        self.url = url
        self.trace = trace
        self.session = os.urandom(8).hex()
        self._spans = RunSpans(trace, self.session, parent)
        self._exporter = Exporter(url, "coordinator")

    def on_event(self, event: "Event", _checkpoint: "Checkpoint") -> None:
        """Exports what it has brought to its end."""
        self._exporter.add(self._spans.apply(event))

    def on_output(self, key: str, line: str) -> None:
        """Output is no span."""

    def tick(self, now: float) -> None:
        """Time passes without it."""

    def take(self, span: Mapping[str, Any]) -> None:
        """Exports what a worker has done."""
        self._exporter.add([Span.from_json(span)])

    def agent(self, identity: str, attempt: int) -> str:
        """Where the agent of an attempt stands in the tree."""
        return Place(self.trace, agent_span(self.session, identity, attempt)).traceparent

    def told(self) -> dict[str, str]:
        """What the gateway has to know."""
        return {"url": self.url, "trace": self.trace, "session": self.session}

    def close(self) -> None:
        """Waits a moment for what is on its way, and counts the rest."""
        dropped = self._exporter.close()
        if dropped or self._exporter.failed:
            logs.warning(
                "spans dropped", spans=dropped, why=self._exporter.failed or "the collector is too slow"
            )


def tracer(setting: str | None, run: str, env: Mapping[str, str]) -> Tracer | None:
    """Of a run, below the one who has started it where TRACEPARENT names one; None where nobody collects."""
    url = endpoint(setting, env)
    if not url:
        return None
    above = Place.read(env.get("TRACEPARENT", ""))
    return Tracer(url, above.trace, above.span) if above is not None else Tracer(url, trace_of(run))
