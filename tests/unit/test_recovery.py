"""What an earlier process of a run left behind: cut-off attempts, paid slots, green work, feedback."""

import pytest
from runs import graph, story

from rad_engineer import store, story_files
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.launch import recovery
from rad_engineer.ledger import Ledger

PLAN = graph(story("A"), story("B"), parallel=True)
ID = dict(zip("AB", PLAN.identities, strict=True))


class Left:
    """A run directory, and a ledger as far as the journal got."""

    def __init__(self, tmp_path):
        self.rundir = store.create(tmp_path, "r1", {"kind": "real"})
        journal = store.Journal(self.rundir.journal, "r1", 0, 0)
        self.ledger = Ledger(PLAN, Checkpoint(run="r1"), journal, [], lambda: 5.0)
        self.say = self.ledger.record

    def checkpoint(self, stage, attempt=1):
        folder = self.rundir.story("A", ID["A"])
        story_files.write_checkpoint(folder, {"attempt": attempt, "stage": stage})

    def cut_off(self):
        before = self.ledger.journal.seq
        found = recovery.cut_off(self.ledger, self.rundir)
        self.ledger.commit()
        events = [event for event, _end in store.scan_journal(self.rundir.journal)][before:]
        return found, [(event.kind, event.data.get("stage"), event.data.get("recovered")) for event in events]


@pytest.fixture
def left(tmp_path):
    found = Left(tmp_path)
    yield found
    found.ledger.journal.close()


RECOVERED = [("stage_finished", "agent", True)]


@pytest.mark.parametrize(
    ("told", "stage", "attempt", "events"),
    [
        ([], "agent", 1, RECOVERED),
        (["prepare"], "agent", 1, RECOVERED),
        (["prepare", "agent"], "agent", 1, []),  # the journal has it
        (["prepare", "agent", "commit"], "agent", 1, []),
        (["prepare"], "policy", 1, []),  # later stages cost nothing
        (["prepare"], "agent", 2, []),  # of another attempt
        (["prepare"], None, 1, []),
    ],
)
def test_an_agent_that_ended_unheard_is_told_by_its_checkpoint(left, told, stage, attempt, events):
    left.say("story_started", 0, attempt=1, slot=3)
    for name in told:
        left.say("stage_finished", 0, stage=name, ok=True, seconds=1.0)
    if stage:
        left.checkpoint(stage, attempt)
    assert left.cut_off() == ({0: 3}, events)
    assert left.cut_off() == ({0: 3}, [])


def test_only_what_was_under_way_was_cut_off(left):
    left.say("story_started", 0, attempt=1)
    left.say("story_started", 1, attempt=1, slot=0)
    left.say("story_interrupted", 1)
    left.ledger.checkpoint.record("vanished", "X").status = "running"
    assert left.cut_off()[0] == {0: -1, 1: 0}
    left.say("story_failed", 0, reason="idle")
    left.say("story_landed", 1, commit="c", gates=())
    assert left.cut_off() == ({}, [])


def past(home, run, *events, finished=False):
    rundir = store.create(home, run, {"kind": "real"})
    journal = store.Journal(rundir.journal, run, 0, 0)
    told = [("run_started", None, {}), *events]
    told += [("run_finished", None, {"exit_code": 1})] if finished else []
    for seq, (kind, key, data) in enumerate(told, 1):
        journal.append(Event(kind, seq, 1.0, run, key, 1, ID.get(key), data))
    journal.close()
    return rundir


def test_slots_with_unfinished_work_of_other_runs_are_known(tmp_path):
    past(tmp_path, "1", ("story_started", "A", {"slot": 7}), finished=True)
    past(tmp_path, "2", ("story_started", "A", {"slot": 0}), ("story_started", "B", {"slot": 2}))
    past(tmp_path, "3", ("story_started", "A", {"slot": 4}), ("story_failed", "A", {"reason": "idle"}))
    past(tmp_path, "4", ("story_started", "A", {}))
    mine = past(tmp_path, "5", ("story_started", "A", {"slot": 1}))
    assert recovery.foreign_slots(store.runs(tmp_path), mine) == {0, 2}
