"""The report says what is true: statuses, reasons, evidence, shapes, words."""

import ast
import json
from pathlib import Path

import pytest
from runs import Run, gate, graph, prd, story

from rad_engineer.core import failures, report
from rad_engineer.core import graph as graphs
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.prd import Wave
from rad_engineer.core.printable import width
from rad_engineer.core.report_markdown import markdown
from rad_engineer.core.report_text import exit_line, headline, next_step, summary
from rad_engineer.errors import ExitCode


def five():
    return graph(
        story("US-1", criteria=["Tests pass", "It looks nice"]),
        story("US-2", "US-1"),
        story("US-3", "US-2"),
        story("US-4", "US-1"),
        story("US-5", "US-1", state="human"),
    )


def statuses(found):
    return {item.key: item.status for item in found.stories}


def by_key(found, key):
    item = found.find(key)
    assert item is not None
    return item


def a_run_with_a_failure():
    run = Run(five())
    run.land("US-1", gates=[gate()])
    run.fail("US-2", detail="2 tests fail")
    run.land("US-4", gates=[gate()])
    run.finish(1)
    return report.build(run.graph, run.checkpoint)


def test_the_headline_counts_what_happened():
    found = a_run_with_a_failure()
    assert headline(found) == "2 of 5 stories landed on rad/phase1; 1 failed, 1 blocked, 1 waiting"
    assert statuses(found) == {
        "US-1": "passed",
        "US-2": "failed",
        "US-3": "blocked",
        "US-4": "passed",
        "US-5": "waiting",
    }


def test_who_waits_for_whom():
    found = a_run_with_a_failure()
    assert by_key(found, "US-3").by == ("US-2",)
    assert by_key(found, "US-3").explanation == "needs US-2, which failed"
    assert by_key(found, "US-5").reason == "human"


def test_everything_behind_a_failure_is_blocked_and_free_again_when_it_has_passed():
    plan = graph(story("A"), story("B", "A"), story("C", "B"), story("D", "A", "C"))
    run = Run(plan)
    run.fail("A")
    for key in ("B", "C", "D"):
        run.say("story_blocked", key, by=["A"])
    assert statuses(report.build(plan, run.checkpoint)) == {
        "A": "failed",
        "B": "blocked",
        "C": "blocked",
        "D": "blocked",
    }
    run.say("story_passed", "A", by="hand")
    assert statuses(report.build(plan, run.checkpoint)) == {
        "A": "passed",
        "B": "pending",
        "C": "pending",
        "D": "pending",
    }


def test_an_unverified_story_blocks_until_it_has_landed():
    plan = graph(story("A"), story("B", "A"))
    run = Run(plan)
    run.say("story_started", "A")
    run.say("story_unverified", "A", commit="a" * 40, reason="no-evidence")
    found = report.build(plan, run.checkpoint)
    assert statuses(found) == {"A": "done-unverified", "B": "blocked"}
    assert by_key(found, "B").explanation == "needs A, which is done but unverified"
    run.say("story_landed", "A", commit="a" * 40, unverified=True)
    found = report.build(plan, run.checkpoint)
    assert statuses(found) == {"A": "done-unverified", "B": "pending"}
    assert by_key(found, "A").landed


@pytest.mark.parametrize("more", [{"workspace": "shared", "branch": None}, {"kind": "rehearsal"}])
def test_where_nothing_can_land_an_unverified_story_blocks_nobody(more):
    plan = graph(story("A"), story("B", "A"))
    run = Run(plan, **more)
    run.say("story_started", "A")
    run.say("story_unverified", "A", commit=None, reason="shared-workspace")
    found = report.build(plan, run.checkpoint)
    assert statuses(found)["B"] == "pending"
    assert found.how_to_merge is None
    assert headline(found).startswith("1 of 2 stories ")
    assert "landed on" not in headline(found)


def test_a_file_without_edges_stops_at_its_failure_unless_it_shall_go_on():
    plan = graph(story("A"), story("B"), story("C"))
    run = Run(plan)
    run.fail("A")
    assert statuses(report.build(plan, run.checkpoint)) == {"A": "failed", "B": "blocked", "C": "blocked"}
    going_on = report.build(plan, run.checkpoint, keep_going=True)
    assert statuses(going_on) == {"A": "failed", "B": "pending", "C": "pending"}


def test_a_failed_wave_blocks_the_waves_behind_it():
    plan = graph(story("A", wave=Wave("", 1)), story("B", wave=Wave("", 1)), story("C", wave=Wave("", 2)))
    run = Run(plan)
    run.fail("A")
    found = report.build(plan, run.checkpoint)
    assert statuses(found) == {"A": "failed", "B": "pending", "C": "blocked"}
    assert by_key(found, "C").by == ("A",)
    assert by_key(found, "C").wave == 2


def test_what_waits_for_a_person_holds_its_dependents_and_an_approval_frees_them():
    plan = graph(
        story("A", state="human", reason="check the colours"),
        story("B", "A"),
        story("C", "B"),
        story("D", "X"),
        allow_dangling=True,
    )
    run = Run(plan)
    found = report.build(plan, run.checkpoint)
    assert statuses(found) == {"A": "waiting", "B": "waiting", "C": "waiting", "D": "pending"}
    assert by_key(found, "A").explanation == "waits for a person: check the colours"
    assert by_key(found, "C").explanation == "needs B, which waits"
    assert next_step(report.build(plan, run.checkpoint)) is None  # it runs
    run.finish(4)
    assert next_step(report.build(plan, run.checkpoint)) == "rad-engineer approve A"
    run.say("story_approved", "A")
    assert statuses(report.build(plan, run.checkpoint))["C"] == "pending"


def test_a_running_story_of_a_dead_process_was_interrupted():
    plan = graph(story("A"), story("B"), parallel=True)
    run = Run(plan)
    run.say("story_started", "A")
    run.say("stage_finished", "A", stage="agent", ok=True, seconds=1, tokens=10, cost_usd=0.5)
    alive = report.build(plan, run.checkpoint, alive=True)
    assert (alive.state, by_key(alive, "A").status, by_key(alive, "A").stage) == (
        "running",
        "running",
        "agent",
    )
    dead = report.build(plan, run.checkpoint, alive=False)
    assert (dead.state, by_key(dead, "A").status, by_key(dead, "A").reason) == (
        "interrupted",
        "interrupted",
        "interrupted",
    )
    assert next_step(dead) == "rad-engineer resume"
    assert dead.to_json()["totals"]["tokens"] == 10


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (0, "finished"),
        (1, "finished"),
        (3, "stopped"),
        (4, "stopped"),
        (130, "interrupted"),
        (143, "interrupted"),
    ],
)
def test_states(code, state):
    run = Run(graph(story("A")))
    run.finish(code)
    assert report.build(run.graph, run.checkpoint).state == state


def test_a_prd_that_was_never_run():
    found = report.build(graph(story("A", state="done"), story("B")), Checkpoint(), alive=False)
    assert found.state == "never"
    assert headline(found) == "Not run yet: 2 stories, 1 already done"
    assert statuses(found) == {"A": "already-done", "B": "pending"}


@pytest.mark.parametrize(
    ("stories", "said"),
    [
        ((), "Nothing to do: there are no stories"),
        ((story("A", state="done"),), "Nothing to do: the story is already done"),
        (
            (story("A", state="done"), story("B", state="done")),
            "Nothing to do: all 2 stories are already done",
        ),
    ],
)
def test_nothing_to_do(stories, said):
    assert headline(report.build(graph(*stories), Checkpoint(), alive=False)) == said


def test_by_hand_is_not_called_landed():
    run = Run(graph(story("A", criteria=["Tests pass"]), story("B"), parallel=True))
    run.say("story_passed", "A", by="hand")
    run.land("B")
    run.finish(0)
    found = report.build(run.graph, run.checkpoint)
    assert headline(found) == "1 of 2 stories landed on rad/phase1, 1 passed by hand"
    assert by_key(found, "A").criteria[0].proved_by is None


def test_evidence_stands_with_its_criterion():
    found = a_run_with_a_failure()
    proved, unproved = by_key(found, "US-1").criteria
    assert proved.proved_by is not None
    assert (proved.proved_by.command, proved.proved_by.commit) == ("pytest -q", "c" * 40)
    assert unproved.proved_by is None
    assert found.criteria == (1, 2)
    assert "1 of 2 criteria are unverified" in summary(found)


def test_a_failed_story_proves_nothing():
    run = Run(graph(story("A", criteria=["Tests pass"])))
    run.fail("A", gates=[gate(), gate("lint", "ruff check", "red")])
    assert by_key(report.build(run.graph, run.checkpoint), "A").criteria[0].proved_by is None


def test_the_public_shape():
    data = json.loads(json.dumps(a_run_with_a_failure().to_json()))
    assert {"schema_version", "run", "state", "exit_code", "branch", "base", "head", "stories"} <= data.keys()
    assert data["schema_version"] == 1
    assert {
        "key",
        "status",
        "attempts",
        "commit",
        "seconds",
        "cost_usd",
        "tokens",
        "criteria",
        "gates",
        "reason",
    } <= data["stories"][0].keys()
    assert data["stories"][0]["criteria"][0]["proved_by"] == {
        "gate": "tests",
        "command": "pytest -q",
        "exit_code": 0,
        "sha256": "d" * 64,
        "commit": "c" * 40,
        "at": 1001.0,
        "seconds": 1.0,
    }
    assert data["stories"][0]["criteria"][1] == {"text": "It looks nice", "proved_by": None}
    assert data["reasons"] == {"gate-red": 1, "human": 1, "needs": 1}
    assert data["how_to_merge"] == "git merge rad/phase1"
    assert data["totals"]["failed"] == 1


def test_output_of_gates_stays_in_the_logs():
    run = Run(graph(story("A")))
    run.land("A", gates=[gate(output="x" * 8000)])
    assert "output" not in report.build(run.graph, run.checkpoint).to_json()["stories"][0]["gates"][0]


def test_a_usage_limit_tells_when_to_try_again():
    run = Run(graph(story("A"), story("B"), parallel=True))
    for key, until in (("A", 5000.0), ("B", 4000.0)):
        run.say("story_started", key)
        run.say("story_waiting", key, reason="limit", until=until)
    run.finish(4)
    found = report.build(run.graph, run.checkpoint)
    assert found.to_json()["retry_at"] == 4000.0
    assert next_step(found) == "rad-engineer resume"


@pytest.mark.parametrize("columns", [40, 80, 132])
def test_the_summary_fits_its_width_and_needs_no_colour(columns):
    run = Run(five())
    run.land("US-1", gates=[gate()])
    run.fail("US-2", detail="a very long detail " * 10)
    run.say("note", text="the base branch has moved on since the run began, which nobody noticed at first")
    run.finish(1)
    text = summary(report.build(run.graph, run.checkpoint, not_part=["notes.txt"]), columns)
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if width(line) > columns] == []
    assert "not part of this run" in text
    assert "exit code 1: a story or a gate failed" in " ".join(text.split())


def test_the_summary_of_hundreds_of_failures_is_short():
    plan = graph(*(story(f"S{n}") for n in range(300)), parallel=True)
    run = Run(plan)
    for key in plan.keys:
        run.fail(key)
    text = summary(report.build(plan, run.checkpoint))
    assert len(text.splitlines()) < 100
    assert "and 280 more in report.md" in text


def test_foreign_text_cannot_steer_terminal_or_markdown():
    nasty = "a|b\n# x \x1b[31m<b>*[link](http://x)*\x07"
    run = Run(graph(story("A", title=nasty, criteria=[nasty]), story("B", title=nasty), parallel=True))
    run.land("A", gates=[gate()])
    run.fail("B", detail=nasty)
    found = report.build(run.graph, run.checkpoint)
    assert "\x1b" not in summary(found)
    text = markdown(found)
    assert "\x1b" not in text
    assert "\\<b\\>" in text
    assert "[link](" not in text.replace("\\[", "")
    rows = [line for line in text.splitlines() if line.startswith("| A ")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 7


def test_markdown_holds_everything():
    text = markdown(a_run_with_a_failure())
    for part in (
        "# 2 of 5 stories landed on rad/phase1; 1 failed, 1 blocked, 1 waiting",
        "## What landed",
        "## What did not, and why",
        "## Who waits for whom",
        "## Criteria",
        "## How to merge",
        "git merge rad/phase1",
        "Failures by reason: gate-red 1.",
        "**unverified**",
        "proved by `pytest -q`",
        "exit code 1: a story or a gate failed",
    ):
        assert part in text


def test_every_exit_code_has_its_line():
    for code in ExitCode:
        assert "unknown" not in exit_line(int(code))


def test_nothing_is_merged_twice():
    run = Run(graph(story("A")))
    run.land("A")
    run.finish(0)
    assert report.build(run.graph, run.checkpoint).how_to_merge == "git merge rad/phase1"
    assert report.build(run.graph, run.checkpoint, merged=True).how_to_merge is None


def test_keys_of_other_prds_that_are_open_are_named():
    needy = prd(story("A", "X-9"), file="two.json")
    plan = graphs.build([needy], external={"X-9": False})
    found = report.build(plan, Checkpoint(), alive=False)
    assert statuses(found) == {"A": "blocked"}
    assert "not part of this run" in found.stories[0].explanation


def test_reasons_are_a_closed_list_with_words():
    assert 20 <= len(failures.REASONS) <= 50
    for name, reason in failures.REASONS.items():
        assert name == reason.name
        assert reason.sentence[0].islower()
        assert not reason.sentence.endswith(".")
        assert reason.action
    unknown = failures.find("made-up-later")
    assert unknown is not None
    assert unknown.sentence == "made up later"
    assert failures.find(None) is None
    assert failures.action("human", "US-1") == "when it may go on: `rad-engineer approve US-1`"


@pytest.mark.large
def test_every_reason_that_the_program_gives_is_in_the_list():
    given = set()
    for path in (Path(__file__).parents[2] / "rad_engineer").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(
                ("Outcome", "Staged", ".record")
            ):
                named = [word.value for word in call.keywords if word.arg in ("reason", "problem")]
                given |= {
                    part.value
                    for value in named
                    for part in ast.walk(value)
                    if isinstance(part, ast.Constant)
                }
    given -= {None, ""}
    assert {"limit", "no-change", "too-large"} <= given
    assert given - failures.REASONS.keys() == set()
