"""Spans reach a collector, and one that does not take them holds nobody up."""

from contextlib import suppress

from rad_engineer import spans
from rad_engineer.core.spans import Place, Span
from rad_engineer.exporting import Exporter, endpoint
from tests.collecting import collector, refused, silent

TOP = Place("a" * 32, "b" * 16)


def made(number=0, parent=""):
    return Span(
        f"s{number}", Place("a" * 32, f"{number + 1:016x}"), parent, 1.0, 2.0, {"n": number, "none": None}
    )


def test_spans_come_as_they_are():
    with collector() as collected:
        exporter = Exporter(f"{collected.url}/v1/traces", "coordinator")
        exporter.add([made(0), made(1, "b" * 16)])
        collected.wait_for(lambda: len(collected.spans) == 2)
        assert exporter.close(30) == 0
    first, second = sorted(collected.spans, key=lambda span: span.name)
    assert (first.trace, first.id, first.parent) == ("a" * 32, f"{1:016x}", "")
    assert second.parent == "b" * 16
    assert (first.start, first.end) == (10**9, 2 * 10**9)
    assert first.attributes == {"n": 0}
    assert first.about["service.name"] == "rad-engineer"
    assert first.about["rad.process"] == "coordinator"


def test_what_waits_at_the_end_is_still_sent():
    with collector() as collected:
        exporter = Exporter(f"{collected.url}/v1/traces", "gateway")
        exporter.add([made(0)])
        collected.wait_for(lambda: collected.spans)
        exporter.add([made(number) for number in range(1, 1200)])
        assert exporter.close(60) == 0
    assert len(collected.spans) == 1200


def test_a_collector_that_never_answers_is_not_waited_for():
    with silent() as url:
        exporter = Exporter(f"{url}/v1/traces", "coordinator")
        exporter.add([made(number) for number in range(700)])
        assert exporter.close() == 700  # dropped and counted; it would wait for a minute else


def test_nothing_is_said_of_one_that_refuses(capfd):
    exporter = Exporter(f"{refused()}/v1/traces", "coordinator")
    exporter.add([made()])
    exporter.close(8)
    assert capfd.readouterr() == ("", "")
    assert exporter.dropped == 1
    assert exporter.failed


def test_there_are_never_too_many():
    with silent() as url:
        exporter = Exporter(url, "coordinator")
        exporter.add([made(number % 900) for number in range(12_000)])
        assert exporter.close(0) == 12_000


def test_who_is_asked():
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}
    whole = {**base, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/custom"}
    assert endpoint(None, {}) == ""
    assert endpoint(None, base) == "http://c:4318/v1/traces"
    assert endpoint(None, whole) == "http://c/custom"
    assert endpoint("http://d", whole) == "http://d/v1/traces"
    assert endpoint("http://d", {"OTEL_SDK_DISABLED": "true"}) == ""


def test_spans_of_a_worker_hang_below_each_other():
    found = []
    with spans.collected(TOP.traceparent, found.append):
        turn = spans.Doing("agent turn")
        inner = spans.traceparent()
        with suppress(KeyError), spans.span("tool", **{"rad.tool": "bash"}):
            _ = {}["nothing"]
        turn.end()
        turn.end()
        assert spans.traceparent() == TOP.traceparent
    tool, turn = found
    assert (turn.parent, tool.parent) == (TOP.span, turn.place.span)
    assert inner == turn.place.traceparent
    assert (tool.ok, turn.ok) == (False, True)


def test_without_anybody_who_wants_them_there_are_none():
    with spans.collected("", lambda _span: 1 / 0), spans.span("tool"):
        assert spans.traceparent() == ""
