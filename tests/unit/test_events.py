"""Events and their fold as a whole: any history survives the journal and a crash behind any of its events."""

import json
import re
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.core import events
from rad_engineer.core.checkpoint import fold
from rad_engineer.core.events import SYNCED, Event

KINDS = re.findall(r"^\| (\w+) \|", events.__doc__ or "", re.MULTILINE)[1:]  # behind the head
STORY_KINDS = [kind for kind in KINDS if kind.startswith(("story_", "stage_", "gate_", "attempt_"))]
RUN_KINDS = [kind for kind in KINDS if kind not in STORY_KINDS]


def test_what_an_event_is_about_is_not_overwritten_by_its_data():
    event = Event(
        "note", 3, 5.0, "r1", "US-1", 2, "abc", {"text": "x", "seq": 9, "identity": "other", "event": "?"}
    )
    found = event.to_json()
    assert list(found)[:4] == ["event", "seq", "at", "run"]
    assert Event.from_json(found) == Event("note", 3, 5.0, "r1", "US-1", 2, "abc", {"text": "x"})


def test_the_table_of_events_lists_every_kind_that_is_synced():
    assert len(KINDS) == len(set(KINDS))
    assert set(KINDS) >= SYNCED
    assert {"run_started", "story_landed", "note", "gate_finished"} <= set(KINDS)


SOMETIMES = st.none() | st.text("0123456789abcdef", min_size=1, max_size=4)
DATA = {
    "kind": st.sampled_from(["real", "rehearsal"]),
    "branch": SOMETIMES, "base": SOMETIMES, "head": SOMETIMES, "commit": SOMETIMES, "candidate": SOMETIMES,
    "tip": SOMETIMES, "fingerprint": SOMETIMES, "pid": st.none() | st.integers(1, 9),
    "agent": st.text(max_size=3), "workspace": st.sampled_from(["slots", "shared"]),
    "slot": st.none() | st.integers(0, 3), "stage": st.sampled_from(["agent", "commit", "verify"]),
    "cost_usd": st.floats(0, 1), "tokens": st.integers(0, 99), "unverified": st.booleans(), "ok": st.booleans(),
    "reason": st.sampled_from(["limit", "human", "gate-red"]), "detail": st.text(max_size=5),
    "gates": st.lists(st.fixed_dictionaries({"name": st.text(max_size=3)}), max_size=2),
    "by": st.lists(st.text(max_size=3), max_size=2), "until": st.none() | st.floats(0, 1e6),
    "scope": st.sampled_from(["wave 1", "final"]), "text": st.text(max_size=5), "path": st.text(max_size=5),
    "exit_code": st.sampled_from([0, 1, 3, 4, 130]),
}  # fmt: skip
"""Whatever events carry; a kind takes what it knows and leaves the rest."""


@st.composite
def histories(draw):
    happened = [draw(st.fixed_dictionaries(DATA)) for _ in range(draw(st.integers(1, 12)))]
    found, now = [], 1000.0
    for seq, carried in enumerate(happened, 1):
        now += draw(st.floats(0, 10))
        of_story = draw(st.booleans())
        kind = draw(st.sampled_from([*(STORY_KINDS if of_story else RUN_KINDS), "from_a_later_version"]))
        key = draw(st.sampled_from(["US-1", "US-2"])) if of_story else None
        attempt = draw(st.none() | st.integers(1, 3)) if of_story else None
        data = {name: value for name, value in carried.items() if draw(st.booleans()) or name in NEEDED}
        if kind == "story_passed":
            data["by"] = "ann"
        found.append(Event(kind, seq, now, "r1", key, attempt, key and f"id of {key}", data))
    return found


NEEDED = {"stage", "scope", "text", "exit_code", "cost_usd", "tokens"}


def through_the_journal(event):
    return Event.from_json(json.loads(json.dumps(event.to_json())))


@given(histories())
def test_every_event_survives_the_journal(history):
    assert [through_the_journal(event) for event in history] == history


@given(histories())
def test_a_crash_after_any_event_leads_to_the_same_end(history):
    """What was written is read back; the rest happens to the state that this gave."""
    whole = fold(history)
    for cut in range(len(history) + 1):
        resumed = fold(through_the_journal(event) for event in history[:cut])
        for event in history[cut:]:
            resumed.apply(event)
        assert resumed == whole


@given(histories())
def test_a_checkpoint_shares_nothing_with_another_fold(history):
    once = fold(history)
    kept = deepcopy(once)
    again = fold(history)
    for event in history:
        again.apply(event)
    assert once == kept


@given(histories())
def test_only_known_statuses_and_records_of_their_own_story(history):
    found = fold(history)
    assert set(found.stories) <= {"id of US-1", "id of US-2"}
    for identity, record in found.stories.items():
        assert identity == f"id of {record.key}"
        assert record.status in {
            "pending", "running", "landing", "passed", "done-unverified", "failed", "interrupted", "blocked", "waiting",
        }  # fmt: skip
        assert record.seconds >= 0
        assert record.attempts >= 0
    assert found.seq == len(history)


def test_events_of_a_story_carry_its_identity_and_those_of_the_run_do_not():
    of_story = Event("story_started", 2, 5.0, "r1", "US-1", 1, "i1", {"slot": 0})
    assert of_story.to_json() == {
        "event": "story_started", "seq": 2, "at": 5.0, "run": "r1", "story": "US-1", "attempt": 1,
        "identity": "i1", "slot": 0,
    }  # fmt: skip
    assert "identity" not in Event("note", 1, 5.0, "r1", data={"text": "x"}).to_json()


@pytest.mark.parametrize("missing", ["event", "seq", "at", "run"])
def test_an_event_without_what_every_event_has_is_refused(missing):
    line = Event("note", 1, 5.0, "r1", data={"text": "x"}).to_json()
    del line[missing]
    with pytest.raises(KeyError):
        Event.from_json(line)
