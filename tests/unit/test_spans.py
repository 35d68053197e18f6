"""A run's events as one tree of spans; places in it are known without asking."""

import pytest

from rad_engineer.core.events import Event
from rad_engineer.core.spans import Place, RunSpans, Span, agent_span, span_of, trace_of

TRACE, SESSION = "a" * 32, "b" * 16


def told(*events, parent=""):
    spans, found = RunSpans(TRACE, SESSION, parent), []
    for seq, (at, kind, story, data) in enumerate(events, 1):
        found += spans.apply(
            Event(kind, seq, at, "r1", story, 1 if story else None, story and f"id {story}", data)
        )
    return found


STARTED = (100.0, "run_started", None, {})
BEGUN = (101.0, "story_started", "A", {})
ENDED = (110.0, "run_finished", None, {"exit_code": 0})


def test_a_story_that_lands_is_a_tree():
    found = told(
        STARTED, BEGUN, (105.0, "stage_finished", "A", {"stage": "agent", "ok": True, "seconds": 3.0}),
        (106.0, "gate_finished", "A", {"gate": "tests", "verdict": "green", "ok": True, "seconds": 0.5}),
        (106.5, "stage_finished", "A", {"stage": "verify", "ok": True, "seconds": 1.0}),
        (107.0, "story_verified", "A", {}), (108.0, "story_landed", "A", {}), ENDED, parent="c" * 16,
    )  # fmt: skip
    by = {span.name: span for span in found}
    assert [span.name for span in found] == ["agent", "gate", "verify", "land", "story", "run"]
    assert {span.place.trace for span in found} == {TRACE}
    assert by["run"].parent == "c" * 16
    assert by["story"].parent == by["run"].place.span == SESSION
    assert by["agent"].parent == by["verify"].parent == by["land"].parent == by["story"].place.span
    assert by["gate"].parent == by["verify"].place.span
    assert by["agent"].place.span == agent_span(SESSION, "id A", 1)
    assert (by["agent"].start, by["agent"].end) == (102.0, 105.0)
    assert (by["land"].start, by["land"].end) == (107.0, 108.0)
    assert (by["run"].start, by["run"].end) == (100.0, 110.0)
    assert all(span.ok for span in found)
    assert by["story"].attributes == {"rad.story": "A", "rad.attempt": 1, "rad.outcome": "landed"}


def test_what_fails_is_an_error_and_says_why():
    found = told(STARTED, BEGUN, (103.0, "stage_finished", "A", {"stage": "agent", "ok": False, "seconds": 9.0}),
                 (104.0, "attempt_failed", "A", {"reason": "timeout"}), (110.0, "run_finished", None, {"exit_code": 1}))  # fmt: skip
    assert [(span.name, span.ok) for span in found] == [("agent", False), ("story", False), ("run", False)]
    assert found[0].start == 101.0  # never before its story
    assert found[1].attributes["rad.reason"] == "timeout"


def test_what_is_open_at_the_end_was_interrupted():
    found = told(STARTED, BEGUN, (110.0, "run_finished", None, {"exit_code": 130}))
    assert [span.name for span in found] == ["story", "run"]
    assert found[0].attributes["rad.outcome"] == "interrupted"
    assert not found[0].ok


def test_events_without_a_beginning_tell_nothing():
    assert told((105.0, "story_landed", "A", {}), ENDED) == []
    landed = told(STARTED, BEGUN, (105.0, "note", None, {}), (106.0, "story_landed", "A", {}))
    assert [span.name for span in landed] == ["story"]  # landed by an earlier verdict


def test_a_place_goes_from_one_process_to_another():
    place = Place(trace_of("r1"), span_of("x"))
    assert Place.read(place.traceparent) == place
    assert Place.read(f" {place.traceparent}\n") == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-abc-def-01",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"00-{'1' * 32}-{'1' * 16}-00",
    ],
)
def test_what_is_no_place_or_not_wanted_is_none(text):
    assert Place.read(text) is None


def test_a_span_is_handed_on_whole():
    span = Span("tool", Place(TRACE, SESSION), "c" * 16, 1.0, 2.5, {"rad.tool": "bash"}, ok=False)
    assert Span.from_json(span.to_json()) == span
