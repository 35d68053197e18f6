"""Calls to models as spans: each hangs below the turn that asked, where its client said which, else below its agent."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from rad_engineer.core.spans import Place, Span, agent_span, span_of
from rad_engineer.exporting import Exporter

_MOST = 1000
_FACTS = {
    "cached": ("tier", "rad.cached"),
    "coalesced": ("link", "rad.coalesced"),
    "retried": ("tried", "rad.tries"),
    "refused": ("reason", "rad.reason"),
    "spend": ("tokens", "rad.tokens"),
    "clamped": ("granted", "rad.clamped_to"),
}


class CallSpans:
    """Hears what happens at the gateway."""

    def __init__(self, told: Mapping[str, str]) -> None:
        self._trace = told["trace"]
        self._session = told["session"]
        self._facts: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
        self._exporter = Exporter(told["url"], "gateway")

    def hear(self, name: str, fields: Mapping[str, Any]) -> None:
        """Remembers what is known of a call, and tells of it when it is over."""
        key = (fields.get("story"), fields.get("attempt"), fields.get("call"))
        if None in key:
            return
        if name in _FACTS:
            source, attribute = _FACTS[name]
            about = self._facts.setdefault(key, {})
            about[attribute] = fields[source]
            if name == "spend":
                about["rad.cost_usd"] = fields["micro_usd"] / 1_000_000
            while len(self._facts) > _MOST:
                self._facts.popitem(last=False)
        elif name == "request":
            self._exporter.add([self._span(fields, self._facts.pop(key, {}))])

    def close(self) -> None:
        """Waits a moment for what is on its way."""
        self._exporter.close()

    def _span(self, fields: Mapping[str, Any], about: Mapping[str, Any]) -> Span:
        story, attempt, number, status = (fields[name] for name in ("story", "attempt", "call", "status"))
        above = Place.read(fields.get("trace", ""))
        inside = above is not None and above.trace == self._trace
        parent = above.span if above is not None and inside else agent_span(self._session, story, attempt)
        place = Place(self._trace, span_of(self._session, "call", story, attempt, number))
        facts = {"gen_ai.operation.name": "chat", "gen_ai.request.model": fields["model"],
                 "http.response.status_code": status, "rad.attempt": attempt, **about}  # fmt: skip
        now = time.time()
        return Span("model call", place, parent, now - fields["seconds"], now, facts, ok=status < 400)
