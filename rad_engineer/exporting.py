"""Hands spans to a collector (OTLP over HTTP), by a thread of its own: whoever tells of one never waits.

What a collector does not take is dropped and counted: one that refuses, one that never answers, one that is too slow. At
the end it gets FAREWELL_SECONDS, and not more. Nothing of it reaches standard error.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rad_engineer import __version__

if TYPE_CHECKING:
    from rad_engineer.core.spans import Span

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
FAREWELL_SECONDS = 0.2
_MOST = 10_000
_BATCH = 500
_PAUSE = 0.5
_TIMEOUT = 5.0


def endpoint(setting: str | None, env: Mapping[str, str]) -> str:
    """Where traces go; empty where nothing says so."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    whole, base = (env.get(name, "") for name in ENDPOINTS)
    if setting is None and whole:
        return whole
    base = setting or base
    return f"{base.rstrip('/')}/v1/traces" if base else ""


class Exporter:
    """Takes spans from one thread; `process` says which of ours this is."""

    def __init__(self, url: str, process: str) -> None:
        self._url = url
        self._process = process
        self._waiting: deque[Span] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._idle = True
        self._ended = False
        self.dropped = 0
        self.failed = ""
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, spans: Sequence["Span"]) -> None:
        """Queues them; the oldest go where there are too many."""
        with self._wake:
            for span in spans:
                if len(self._waiting) >= _MOST:
                    self._waiting.popleft()
                    self.dropped += 1
                self._waiting.append(span)

    def close(self, seconds: float | None = None) -> int:
        """Gives what waits a last chance; says how many spans nobody has taken."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
            self._wake.wait_for(
                lambda: self._ended or (self._idle and not self._waiting),
                FAREWELL_SECONDS if seconds is None else seconds,
            )
            if not self._idle:
                self.dropped += self._under_way
            return self.dropped + len(self._waiting)

    _under_way = 0

    def _run(self) -> None:
        try:
            self._export()
        finally:
            with self._wake:
                self._ended = True
                self._wake.notify_all()

    def _export(self) -> None:
        try:
            send = _sender(self._url, self._process)
        except ImportError:
            self.failed = "the extra `otel` is not installed"
            return
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing, 0 if len(self._waiting) >= _BATCH else _PAUSE)
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                self._idle, self._under_way = not batch, len(batch)
                if not batch:
                    self._wake.notify_all()
                    if self._closing:
                        return
            if batch:
                taken = send(batch)
                with self._wake:
                    self._idle, self._under_way = True, 0
                    self.dropped += 0 if taken else len(batch)
                    self.failed = "" if taken else "the collector does not take them"
                    self._wake.notify_all()


def _sender(url: str, process: str) -> Any:
    import logging  # noqa: PLC0415 - the library logs with it, and nobody here wants to hear it
    import os  # noqa: PLC0415

    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - half a second
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415

    for name in ("opentelemetry", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    about: dict[str, Any] = {
        "service.name": "rad-engineer",
        "service.version": __version__,
        "process.pid": os.getpid(),
        "rad.process": process,
    }
    resource = Resource(about)
    exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT)

    def context(trace: str, span: str) -> SpanContext:
        return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(1))

    def readable(span: "Span") -> ReadableSpan:
        trace = span.place.trace
        return ReadableSpan(
            name=span.name,
            context=context(trace, span.place.span),
            parent=context(trace, span.parent) if span.parent else None,
            resource=resource,
            attributes={name: value for name, value in span.attributes.items() if value is not None},
            kind=SpanKind.CLIENT if span.name == "model call" else SpanKind.INTERNAL,
            status=Status(StatusCode.UNSET if span.ok else StatusCode.ERROR),
            start_time=int(span.start * 1e9),
            end_time=int(span.end * 1e9),
        )

    def send(batch: Sequence["Span"]) -> bool:
        return exporter.export([readable(span) for span in batch]) == SpanExportResult.SUCCESS

    return send
