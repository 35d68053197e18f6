"""What is handed to workers and back: slots without a clash, rules and outcomes without a loss."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.lanes import Lanes
from rad_engineer.outcome import Outcome
from rad_engineer.rules import GateRule, Rules


def test_a_story_keeps_its_slot_until_it_is_released_and_free_ones_are_used_again():
    lanes = Lanes()
    assert [lanes.slot_for(story) for story in (7, 8, 7)] == [0, 1, 0]
    lanes.release_slot(7)
    lanes.release_slot(7)  # twice is once
    assert [lanes.slot_for(story) for story in (9, 10)] == [0, 2]


def test_a_slot_with_paid_work_is_nobody_elses():
    lanes = Lanes()
    lanes.reserve(5, 2)
    lanes.reserve(6, -1)  # it had none
    assert sorted(lanes.slot_for(story) for story in (1, 2, 3)) == [0, 1, 3]
    assert lanes.slot_for(5) == 2


def test_a_slot_that_was_free_is_not_given_away_once_it_is_reserved():
    lanes = Lanes()
    lanes.slot_for(1)
    lanes.release_slot(1)
    lanes.reserve(2, 0)
    assert lanes.slot_for(3) == 1


def test_slots_with_work_of_other_runs_are_nobodys():
    lanes = Lanes(foreign=frozenset({0, 2}))
    lanes.reserve(9, 4)
    assert [lanes.slot_for(story) for story in (1, 2, 3)] == [3, 1, 5]


@given(
    st.dictionaries(st.integers(0, 5), st.integers(0, 6), max_size=4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=30),
)
def test_no_two_stories_share_a_slot_and_none_is_lost(reserved, asked):
    lanes = Lanes()
    expected = {}
    for story, slot in reserved.items():
        if slot not in expected.values():
            lanes.reserve(story, slot)
            expected[story] = slot
    for take, story in asked:
        if take:
            expected.setdefault(story, lanes.slot_for(story))
        else:
            lanes.release_slot(story)
            expected.pop(story, None)
        assert lanes.held == expected
        assert sorted([*lanes.slots, *lanes.held.values()]) == list(range(lanes.next_slot))


# -- rules and outcomes -------------------------------------------------------------------------------------

RULES = Rules(
    run="r1", kind="real", workspace="slots", top="/p", home="/p", cache="/c", repository={"git_dir": "/p/.git"},
    branch="rad/x", base="b" * 40, agent="command", agent_command="make",
    gates=(GateRule("tests", "pytest", "project", "pytest"),), final_gates=(GateRule("all", "make", "final", "opaque"),),
    protected=("check.sh",), protect=("*.lock",), dropped=("prd.json",), keep=("node_modules",), copy=(".env",),
    setup="npm ci", story_timeout=60.0, allow_unverified=True,
)  # fmt: skip


def test_rules_survive_run_json():
    assert Rules.from_json(json.loads(json.dumps(RULES.to_json()))) == RULES


def test_rules_of_another_version_are_read_as_far_as_they_are_known():
    data = RULES.to_json()
    data["added_later"] = True
    for name in ("history", "protect", "wave_gates", "allow_unverified"):
        del data[name]
    assert Rules.from_json(data) == replace(RULES, protect=(), allow_unverified=False)
    del data["run"]
    with pytest.raises(TypeError, match="run"):
        Rules.from_json(data)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("interrupted"),
        Outcome(
            "verified",
            commit="c",
            tip="t",
            candidate="m",
            base="b",
            gates=({"name": "tests"},),
            unverified=True,
        ),
        Outcome(
            "failed",
            reason="gate-red",
            detail="2",
            feedback="…",
            fingerprint="f",
            final=True,
            changed=("a.py",),
        ),
        Outcome("later", reason="limit", until=0.0),
        Outcome("unchanged", learnings=("run make first",)),
    ],
)
def test_an_outcome_survives_the_channel(outcome):
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_an_outcome_says_only_what_there_is_to_say():
    assert Outcome("interrupted").to_json() == {"kind": "interrupted"}
    assert Outcome("later", until=0.0).to_json() == {"kind": "later", "until": 0.0}
    assert Outcome.from_json({"kind": "failed", "reason": "idle", "added_later": 1}) == Outcome(
        "failed", "idle"
    )
