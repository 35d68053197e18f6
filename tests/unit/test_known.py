"""What is known before a run starts: git before the journal, the journal before earlier runs, the PRD throughout."""

import pytest
from runs import graph, story

from rad_engineer import store
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.events import Event
from rad_engineer.launch import known
from rad_engineer.ledger import Ledger

PATH = "/p/phase1.json"
PLAN = graph(story("A"), story("B"), parallel=True)
ID = dict(zip("AB", PLAN.identities, strict=True))


class Heard:
    """A ledger over a real journal, and what settling writes into it."""

    def __init__(self, tmp_path, plan=PLAN, **about):
        self.path = tmp_path / "journal"
        journal = store.Journal(self.path, "r1", 0, 0)
        self.ledger = Ledger(plan, Checkpoint(run="r1", base="b1", **about), journal, [], lambda: 5.0)

    def say(self, *what, **data):
        self.ledger.record(*what, **data)

    def settle(self, landed=None, earlier=None, *, branch=True, fields=(0, 1), holds=("b1",)):
        """The kinds that it recorded, and what it tells."""
        before = self.ledger.journal.seq
        said = known.settle(
            self.ledger,
            earlier or known.Known(),
            landed or {},
            branch_exists=branch,
            has_done_field=frozenset(fields),
            holds=holds.__contains__,
        )
        self.ledger.commit()
        events = [event for event, _end in store.scan_journal(self.path)][before:]
        return [(event.kind, event.story, event.data.get("recovered", False)) for event in events], said

    def record(self, key="A"):
        return self.ledger.checkpoint.stories[ID[key]]


@pytest.fixture
def run(tmp_path):
    found = Heard(tmp_path)
    yield found
    found.ledger.journal.close()


def test_where_nothing_has_happened_nothing_is_settled(run):
    assert run.settle() == ([], [])


def test_a_landing_that_the_journal_missed_is_recovered_once(run):
    run.say("story_started", 0, attempt=1)
    assert run.settle({ID["A"]: "c1"}) == ([("story_landed", "A", True)], [])
    assert (run.record().status, run.record().commit) == ("passed", "c1")
    assert run.settle({ID["A"]: "c1"}) == ([], [])


def test_what_was_judged_by_nothing_is_recovered_as_that(run):
    run.say("story_started", 0, attempt=1)
    run.say("story_verified", 0, commit="c0", candidate="c1", tip="b1", unverified=True)
    run.settle({ID["A"]: "c1"})
    assert (run.record().status, run.record().landed) == ("done-unverified", True)


def test_a_landing_that_was_rewritten_away_runs_again_with_a_warning(run):
    run.say("story_landed", 0, commit="c1", gates=())
    events, said = run.settle({})
    assert events == [("story_reopened", "A", False)]
    assert said == ["A: the branch was rewritten and no longer holds it, so it runs again"]


def test_a_branch_that_is_gone_undoes_nothing(run):
    run.say("story_landed", 0, commit="c1", gates=())
    assert run.settle({}, branch=False) == ([], [])


def test_a_story_that_needed_no_change_has_landed_as_long_as_the_branch_holds_what_it_stood_on(run):
    run.say("story_landed", 0, commit="c7", gates=())  # the tip as it was, another story's landing
    assert run.settle({ID["B"]: "c7"}, holds=("b1", "c7"))[1] == []
    assert run.record().status == "passed"
    assert ("story_reopened", "A", False) in run.settle({}, holds=("b1",))[0]


def test_what_a_person_passed_stays_passed(run):
    run.say("story_passed", 0, by="ann")
    assert run.settle({}) == ([], [])


def test_what_the_prd_calls_done_is_left_alone_and_a_loss_is_told(tmp_path):
    run = Heard(tmp_path, graph(story("A", state="done"), story("B"), parallel=True))
    run.say("story_landed", 0, commit="c1", gates=())
    assert run.settle({ID["A"]: "c1"}) == ([], [])
    assert run.settle({}) == ([], ["A: the PRD says done, but the branch does not hold it any more"])
    assert run.settle({}, branch=False) == ([], [])


def test_a_done_field_that_was_set_back_opens_the_story_again(run):
    run.say("story_landed", 0, commit="c1", gates=())
    run.say("story_marked", 0, path=PATH)
    events, said = run.settle({ID["A"]: "c1"})
    assert events == [("story_reopened", "A", False)]
    assert said == ["A: its done field was set back, so it runs again"]
    assert run.record().status == "pending"


def test_what_was_taken_back_stays_so_until_it_lands_anew(run):
    run.say("story_landed", 0, commit="c1", gates=())
    run.say("story_marked", 0, path=PATH)
    run.settle({ID["A"]: "c1"})
    assert run.settle({ID["A"]: "c1"}) == (
        [],
        [],
    )  # killed before it ran again: the branch still has the old one
    assert run.record().status == "pending"
    assert run.settle({ID["A"]: "c2"}) == ([("story_landed", "A", True)], [])


def test_what_was_taken_back_in_an_earlier_run_is_so_in_this_one(run):
    earlier = known.Known(taken_back={ID["A"]: "c1"})
    assert run.settle({ID["A"]: "c1"}, earlier) == ([("story_reopened", "A", False)], [])
    assert run.settle({ID["A"]: "c1"}) == ([], [])
    assert run.record().status == "pending"
    assert run.settle({ID["A"]: "c2"}) == ([("story_landed", "A", True)], [])


def test_what_an_earlier_run_marked_and_the_user_set_back_is_taken_back(run):
    earlier = known.Known(passed={ID["A"]: "c1"}, marked={ID["A"]: PATH})
    assert run.settle({ID["A"]: "c1"}, earlier)[0] == [("story_reopened", "A", False)]
    assert run.settle({ID["A"]: "c1"}) == ([], [])


@pytest.mark.parametrize(
    ("kind", "data", "opened"),
    [
        ("story_failed", {"reason": "gate-red"}, True),
        ("story_interrupted", {}, True),
        ("story_blocked", {"by": ["B"]}, True),
        ("story_unverified", {"commit": "c1"}, True),
        ("story_waiting", {"reason": "human"}, True),
        ("story_waiting", {"reason": "branch-busy"}, False),
        ("story_verified", {"commit": "c1"}, False),
        ("attempt_failed", {"reason": "gate-red"}, False),
    ],
)
def test_a_story_that_the_file_now_calls_done_is_done_whatever_became_of_it(tmp_path, kind, data, opened):
    run = Heard(tmp_path, graph(story("A", state="done"), story("B"), parallel=True))
    run.say(kind, 0, **data)
    events, said = run.settle({})
    assert events == ([("story_reopened", "A", False)] if opened else [])
    assert len(said) == opened
    assert run.record().status not in ("failed", "interrupted", "blocked", "done-unverified")


@pytest.mark.parametrize(("path", "fields"), [("/elsewhere/phase1.json", (0, 1)), (PATH, (1,))])
def test_a_done_field_that_we_never_wrote_there_was_not_set_back(run, path, fields):
    run.say("story_landed", 0, commit="c1", gates=())
    run.say("story_marked", 0, path=path)
    assert run.settle({ID["A"]: "c1"}, fields=fields) == ([], [])


def test_a_pass_of_an_earlier_run_counts_where_its_branch_was_merged_and_deleted(run):
    earlier = known.Known(passed={ID["A"]: "c9"})
    assert run.settle({}, earlier, branch=False) == ([("story_landed", "A", True)], [])
    assert run.record().commit == "c9"


def test_a_pass_of_an_earlier_run_that_the_branch_lacks_counts_for_nothing(run):
    assert run.settle({}, known.Known(passed={ID["A"]: "c9"})) == ([], [])


def test_a_pass_of_an_earlier_run_that_the_user_took_back_runs_again(run):
    earlier = known.Known(passed={ID["A"]: "c9"}, marked={ID["A"]: PATH})
    assert run.settle({}, earlier, branch=False) == ([], [])


def test_stories_that_vanished_are_named_and_many_are_counted(run):
    for number in range(7):
        run.ledger.checkpoint.record(f"gone{number}", f"X-{number}")
    run.ledger.checkpoint.record("landed", "X-9").landed = True
    _events, said = run.settle()
    assert said == [
        "not in the PRDs any more, or changed: X-0, X-1, X-2, X-3, X-4 and 2 more; their work is kept under refs/rad"
    ]


# -- what the schedule is told ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "about", "status"),
    [
        ({"status": "passed"}, {}, "passed"),
        ({"status": "done-unverified"}, {}, "done-unverified"),
        ({"status": "done-unverified", "landed": True}, {}, "passed"),
        ({"status": "done-unverified"}, {"workspace": "shared"}, "passed"),
        ({"status": "done-unverified"}, {"kind": "rehearsal"}, "passed"),
        ({"status": "failed"}, {}, "failed"),
        ({"status": "waiting", "reason": "human"}, {}, "waiting"),
        ({"status": "waiting", "reason": "limit"}, {}, "pending"),
        ({"status": "waiting", "reason": "human", "approved": True}, {}, "pending"),
        ({"status": "pending", "approved": True}, {}, "pending"),
        ({"status": "running"}, {}, None),
        ({"status": "interrupted"}, {}, None),
        ({"status": "blocked"}, {}, None),
    ],
)
def test_the_schedule_is_told_what_holds_still(record, about, status):
    checkpoint = Checkpoint(run="r1", **about)
    for identity in (ID["A"], "vanished"):
        found = checkpoint.record(identity, "A")
        for name, value in record.items():
            setattr(found, name, value)
    assert known.statuses(PLAN, checkpoint) == ({} if status is None else {0: status})


# -- earlier runs -------------------------------------------------------------------------------------------


def past(home, run, *events, identities=tuple(PLAN.identities), kind="real", workspace="slots"):
    """A run that was, with what happened in it."""
    about = {"kind": kind, "identities": list(identities), "rules": {"workspace": workspace}}
    rundir = store.create(home, run, about)
    journal = store.Journal(rundir.journal, run, 0, 0)
    for seq, (what, key, data) in enumerate(events, 1):
        journal.append(Event(what, seq, 1.0 * seq, run, key, 1 if key else None, ID.get(key), data))
    journal.close()
    return rundir


STARTED = ("run_started", None, {})
LANDED = ("story_landed", "A", {"commit": "c1"})


def ended(code):
    return ("run_finished", None, {"exit_code": code})


def test_the_newest_unfinished_run_of_these_stories_goes_on(tmp_path):
    past(tmp_path, "1", STARTED)
    past(tmp_path, "2", STARTED, ended(3))
    past(tmp_path, "3", STARTED, kind="rehearsal")
    past(tmp_path, "4", STARTED, identities=["other"])
    past(tmp_path, "5", STARTED, workspace="shared")
    runs = store.runs(tmp_path)

    def name(*asked):
        found = known.unfinished(runs, *asked)
        return found and found.run

    assert name(ID.values(), "real", "slots") == "2"
    assert name(ID.values(), "real") == "5"
    assert name(ID.values(), "rehearsal") == "3"
    assert name(["other"], "real") == "4"
    assert name(["unknown"], "real") is None


def test_a_finished_run_ends_the_search(tmp_path):
    past(tmp_path, "1", STARTED)
    past(tmp_path, "2", STARTED, ended(1))
    assert known.unfinished(store.runs(tmp_path), ID.values(), "real") is None


def test_the_newest_run_that_knows_a_story_tells_of_it(tmp_path):
    past(
        tmp_path,
        "1",
        STARTED,
        LANDED,
        ("story_marked", "A", {"path": PATH}),
        ("story_passed", "B", {"by": "ann"}),
    )
    past(tmp_path, "2", STARTED, ("story_failed", "B", {"reason": "idle"}))
    past(tmp_path, "3", STARTED, ("story_failed", "A", {"reason": "idle"}), kind="rehearsal")
    found = known.earlier(store.runs(tmp_path), ID.values())
    assert (found.passed, found.marked, found.taken_back) == ({ID["A"]: "c1"}, {ID["A"]: PATH}, {})
    assert found.marked_in(ID["A"], PLAN, 0)
    assert not found.marked_in(ID["B"], PLAN, 1)


def test_a_landing_that_was_taken_back_is_remembered(tmp_path):
    past(tmp_path, "1", STARTED, LANDED, ("story_reopened", "A", {"commit": "c1"}))
    found = known.earlier(store.runs(tmp_path), ID.values())
    assert (found.passed, found.taken_back) == ({}, {ID["A"]: "c1"})


def test_runs_behind_the_one_that_told_everything_are_not_read(tmp_path):
    damaged = past(tmp_path, "1", STARTED)
    damaged.run_json.write_text("{")
    past(tmp_path, "2", STARTED, LANDED, ("story_failed", "B", {"reason": "idle"}))
    assert known.earlier(store.runs(tmp_path), ID.values()).passed == {ID["A"]: "c1"}
    heard = []
    known.retell(store.runs(tmp_path), ID.values(), heard.append)
    assert [event.kind for event in heard] == ["run_started", "story_landed", "story_failed"]


def test_only_a_real_run_of_these_stories_is_retold(tmp_path):
    past(tmp_path, "1", STARTED, kind="rehearsal")
    past(tmp_path, "2", STARTED, identities=["other"])
    heard = []
    known.retell(store.runs(tmp_path), ID.values(), heard.append)
    assert heard == []
