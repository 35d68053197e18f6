"""The state of a run is a fold over its events: what each kind changes."""

from copy import deepcopy

import pytest
from runs import Run, gate, graph, story

from rad_engineer.core.checkpoint import Checkpoint, fold

COMMIT, CANDIDATE, TIP = "a" * 40, "c" * 40, "d" * 40


def one(**started):
    return Run(graph(story("US-1"), story("US-2")), **started)


def record_of(run, key="US-1"):
    return run.checkpoint.stories[run.graph.identities[run.graph.by_key[key]]]


# -- the run ------------------------------------------------------------------------------------------------


def test_a_started_run_knows_what_it_was_started_with():
    run = one(pid=7, agent="claude", workspace="shared", kind="rehearsal")
    found = fold(run.events)
    assert (found.run, found.state, found.kind, found.workspace, found.agent, found.pid) == (
        "r1", "running", "rehearsal", "shared", "claude", 7,
    )  # fmt: skip
    assert (found.branch, found.base, found.head) == ("rad/phase1", "b" * 40, "b" * 40)
    assert found.started_at == run.now
    assert found.stories == {}


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "finished"), (1, "finished"), (78, "finished"), (3, "stopped"), (4, "stopped"), (70, "stopped"),
     (73, "stopped"), (130, "stopped"), (143, "stopped")],
)  # fmt: skip
def test_a_run_can_be_resumed_unless_its_end_was_final(code, state):
    run = one()
    run.finish(code)
    assert (run.checkpoint.state, run.checkpoint.exit_code) == (state, code)
    assert run.checkpoint.ended_at == run.now


def test_a_resumed_run_is_running_again_and_keeps_its_head_where_none_is_told():
    run = one()
    run.land("US-1", commit="e" * 40)
    run.finish(130)
    run.say("run_resumed", pid=9)
    found = run.checkpoint
    assert (found.state, found.pid, found.exit_code, found.ended_at) == ("running", 9, None, None)
    assert found.head == "e" * 40
    run.say("run_resumed", pid=10, head="f" * 40)
    assert found.head == "f" * 40


def test_the_head_moves_with_what_lands():
    run = one()
    run.land("US-1", commit="e" * 40)
    assert run.checkpoint.head == "e" * 40
    run.say("story_landed", "US-2", commit=None, recovered=True)
    assert run.checkpoint.head == "e" * 40


def test_the_newest_verdict_of_a_scope_counts():
    run = one()
    run.say("gates_finished", scope="wave 1", commit="a", ok=False, gates=[])
    run.say("gates_finished", scope="final", commit="a", ok=True, gates=[])
    run.say("gates_finished", scope="wave 1", commit="b", ok=True, gates=[])
    verdicts = run.checkpoint.verdicts
    assert list(verdicts) == ["wave 1", "final"]
    assert (verdicts["wave 1"]["commit"], verdicts["wave 1"]["ok"]) == ("b", True)


def test_notes_are_kept_in_order():
    run = one()
    run.say("note", text="first")
    run.say("note", text="second")
    assert run.checkpoint.notes == ["first", "second"]


# -- a story ------------------------------------------------------------------------------------------------


def test_a_record_is_made_on_first_use_and_named_by_the_key():
    checkpoint = Checkpoint()
    assert checkpoint.record("i1", "US-1").key == "US-1"
    assert checkpoint.record("i1", "other").key == "US-1"
    assert checkpoint.record("i2").key == "i2"


def test_an_attempt_starts_with_a_clean_sheet():
    run = one()
    run.say("story_started", "US-1", base="b1", slot=2)
    run.say("stage_finished", "US-1", stage="agent", ok=True, seconds=1.0)
    run.say("attempt_failed", "US-1", reason="gate-red", detail="2 fail", fingerprint="f1")
    run.say("story_started", "US-1", attempt=2, base="b2", slot=3)
    found = record_of(run)
    assert (found.status, found.attempts, found.base, found.slot) == ("running", 2, "b2", 3)
    assert (found.stage, found.reason, found.detail) == (None, None, "")
    assert found.fingerprint == "f1"  # what the next failure is compared with
    assert found.started_at == run.now


def test_what_an_agent_costs_adds_up_over_attempts():
    run = one()
    for attempt in (1, 2):
        run.say("story_started", "US-1", attempt=attempt)
        run.say("stage_finished", "US-1", stage="agent", ok=True, seconds=1.0, cost_usd=0.25, tokens=10)
        run.say("stage_finished", "US-1", stage="commit", ok=True, seconds=0.1)
        run.say("attempt_failed", "US-1", reason="gate-red")
    assert (record_of(run).cost_usd, record_of(run).tokens) == (0.5, 20)


def test_what_the_gateway_settles_adds_up_and_ends_no_stage():
    run = one()
    run.say("story_started", "US-1")
    run.say("stage_finished", "US-1", stage="prepare", ok=True, seconds=1.0)
    for _call in range(2):
        run.say("story_spent", "US-1", cost_usd=0.25, tokens=10)
    found = record_of(run)
    assert (found.cost_usd, found.tokens, found.stage, found.status) == (0.5, 20, "prepare", "running")


def test_the_last_finished_stage_is_where_a_resume_goes_on():
    run = one()
    run.say("story_started", "US-1")
    run.say("stage_finished", "US-1", stage="agent", ok=True, seconds=1.0)
    run.say("stage_finished", "US-1", stage="commit", ok=True, seconds=1.0)
    assert record_of(run).stage == "commit"


def test_a_failed_attempt_leaves_nothing_that_could_land():
    run = one()
    run.say("story_started", "US-1")
    run.say("story_verified", "US-1", commit=COMMIT, candidate=CANDIDATE, tip=TIP, gates=[gate()])
    run.say("attempt_failed", "US-1", reason="conflict", detail="a.py", fingerprint="f", gates=[gate("lint")])
    found = record_of(run)
    assert (found.status, found.reason, found.detail, found.fingerprint) == (
        "pending",
        "conflict",
        "a.py",
        "f",
    )
    assert (found.commit, found.candidate, found.tip) == (None, None, None)
    assert [one["name"] for one in found.gates] == ["lint"]


@pytest.mark.parametrize("unverified", [False, True])
def test_a_verified_story_lands(unverified):
    run = one()
    run.say("story_started", "US-1")
    run.say("story_verified", "US-1", commit=COMMIT, candidate=CANDIDATE, tip=TIP, gates=[gate()], unverified=unverified)  # fmt: skip
    found = record_of(run)
    assert (found.status, found.commit, found.candidate, found.tip) == ("landing", COMMIT, CANDIDATE, TIP)
    assert (found.landed, found.unproved) == (False, unverified)
    run.say("story_landed", "US-1", commit=CANDIDATE, gates=[], unverified=unverified)
    assert (found.status, found.landed) == ("done-unverified" if unverified else "passed", True)
    assert (found.commit, found.candidate, found.tip) == (CANDIDATE, None, None)
    assert [one["name"] for one in found.gates] == ["tests"]  # none told: those that judged it stay


def test_gates_of_the_new_merged_tree_replace_those_before():
    run = one()
    run.land("US-1", gates=[gate("old")])
    run.say("story_landed", "US-1", commit=COMMIT, gates=[gate("new")])
    assert [one["name"] for one in record_of(run).gates] == ["new"]


def test_what_nothing_could_judge_keeps_its_commit():
    run = one()
    run.say("story_started", "US-1")
    run.say(
        "story_unverified", "US-1", commit=COMMIT, reason="no-evidence", gates=[gate(verdict="no-evidence")]
    )
    found = record_of(run)
    assert (found.status, found.commit, found.reason, found.landed) == (
        "done-unverified", COMMIT, "no-evidence", False,
    )  # fmt: skip
    assert [one["verdict"] for one in found.gates] == ["no-evidence"]
    run.say("story_unverified", "US-2", commit=COMMIT)
    assert record_of(run, "US-2").reason == "unverified"


def test_a_failed_story_says_why_and_keeps_its_work():
    run = one()
    run.say("story_started", "US-1")
    run.say("story_verified", "US-1", commit=COMMIT, candidate=CANDIDATE, tip=TIP)
    run.say("story_failed", "US-1", reason="plateau", detail="same again", commit="e" * 40, gates=[gate()])
    found = record_of(run)
    assert (found.status, found.reason, found.detail, found.commit) == (
        "failed",
        "plateau",
        "same again",
        "e" * 40,
    )
    assert (found.candidate, found.tip) == (None, None)
    assert [one["name"] for one in found.gates] == ["tests"]


def test_a_blocked_story_names_its_blockers_until_it_lands():
    run = one()
    run.say("story_blocked", "US-2", by=["US-1"])
    assert (record_of(run, "US-2").status, record_of(run, "US-2").by) == ("blocked", ("US-1",))
    run.land("US-2")
    assert record_of(run, "US-2").by == ()


@pytest.mark.parametrize("reason", ["limit", "budget", "offline"])
def test_an_attempt_that_waits_for_something_to_change_goes_on_later(reason):
    run = one()
    run.say("story_started", "US-1", attempt=1, slot=2)
    run.say("story_waiting", "US-1", reason=reason, until=5000.0)
    found = record_of(run)
    assert (found.status, found.reason, found.until, found.attempts) == ("waiting", reason, 5000.0, 1)
    assert (found.cut_off, found.slot) == (True, 2)


def test_who_waits_for_a_person_or_the_branch_has_nothing_to_go_on_with():
    run = one()
    for reason in ("human", "branch-busy"):
        run.say("story_waiting", "US-1", reason=reason)
        assert not record_of(run).cut_off


def test_what_landed_on_a_branch_that_was_taken_away_waits_and_is_not_called_landed():
    run = one()
    run.land("US-1")
    run.say("story_waiting", "US-1", reason="branch-busy")
    assert (record_of(run).status, record_of(run).landed, record_of(run).attempts) == ("waiting", False, 1)


@pytest.mark.parametrize("end", ["story_landed", "story_failed", "story_passed"])
def test_an_approval_that_comes_too_late_changes_no_end(end):
    run = one()
    run.say(end, "US-1", by="ann")
    before = record_of(run).status
    run.say("story_approved", "US-1")
    assert (record_of(run).status, record_of(run).approved) == (before, True)


def test_an_approved_story_waits_no_more():
    run = one()
    run.say("story_started", "US-1", attempt=1)
    run.say("story_waiting", "US-1", reason="human")
    assert (record_of(run).status, record_of(run).attempts) == ("waiting", 1)
    run.say("story_approved", "US-1")
    assert (record_of(run).status, record_of(run).approved, record_of(run).reason) == ("pending", True, None)


def test_a_story_passed_by_hand_says_who():
    run = one()
    run.say("story_passed", "US-1", by="ann")
    run.say("story_passed", "US-2")
    assert (record_of(run).status, record_of(run).by_hand, record_of(run).reason) == (
        "passed",
        True,
        "by ann",
    )
    assert record_of(run, "US-2").reason == "by hand"
    assert not record_of(run).landed


def test_a_reopened_story_runs_as_if_it_had_never_landed():
    run = one()
    run.land("US-1")
    run.say("story_marked", "US-1", path="/p/phase1.json")
    assert (record_of(run).marked, record_of(run).marked_in) == (True, "/p/phase1.json")
    run.say("story_passed", "US-1", by="ann")
    run.say("story_reopened", "US-1")
    found = record_of(run)
    assert (found.status, found.landed, found.by_hand, found.marked, found.marked_in) == (
        "pending", False, False, False, "",
    )  # fmt: skip
    assert (found.commit, found.reason, found.fingerprint) == (None, None, None)


@pytest.mark.parametrize(
    "end", ["attempt_failed", "story_verified", "story_unverified", "story_failed", "story_interrupted", "story_waiting"]
)  # fmt: skip
def test_time_counts_from_the_start_to_the_end_of_each_attempt(end):
    run = one()
    for attempt in (1, 2):
        run.say("story_started", "US-1", attempt=attempt, after=100.0)
        run.say("stage_finished", "US-1", stage="agent", ok=True, seconds=9.0, after=2.0)
        run.say(end, "US-1", after=3.0)
    run.say(end, "US-1", after=50.0)  # told once more: it had stopped
    assert record_of(run).seconds == pytest.approx(10.0)
    assert record_of(run).started_at is None


def test_a_clock_that_was_set_back_takes_no_time_away():
    run = one()
    run.say("story_started", "US-1")
    run.say("story_interrupted", "US-1", after=-500.0)
    assert (record_of(run).status, record_of(run).seconds) == ("interrupted", 0.0)


# -- versions to come --------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["US-1", None])
def test_kinds_of_a_later_version_change_nothing_but_the_number(key):
    run = one()
    run.land("US-1")
    before = deepcopy(run.checkpoint)
    event = run.say("story_translated" if key else "run_translated", key, into="Latin")
    assert run.checkpoint.seq == event.seq == before.seq + 1
    before.seq, before.at = event.seq, event.at
    assert run.checkpoint == before


def test_one_gate_alone_decides_nothing():
    run = one()
    run.say("story_started", "US-1")
    before = deepcopy(record_of(run))
    run.say("gate_finished", "US-1", gate="tests", ok=False, blamed=True, verdict="red", seconds=1.0)
    assert record_of(run) == before
