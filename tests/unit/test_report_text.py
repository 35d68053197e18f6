"""What people read at the end of a run: the headline, the next step, the totals, and the same as Markdown."""

import pytest
from runs import Run, gate, graph, story

from rad_engineer.core import report
from rad_engineer.core.checkpoint import Checkpoint
from rad_engineer.core.report_markdown import markdown
from rad_engineer.core.report_text import headline, next_step, summary, why


def told(run, code=None, **more):
    if code is not None:
        run.finish(code)
    return report.build(run.graph, run.checkpoint, **more)


def two(**started):
    return Run(graph(story("A"), story("B"), parallel=True), **started)


def unverified(run, key, reason="no-evidence"):
    run.say("story_started", key)
    run.say("story_unverified", key, commit="a" * 40, reason=reason)


def test_stories_that_were_done_before_are_counted_apart():
    run = Run(graph(story("A", state="done"), story("B"), parallel=True))
    run.land("B")
    assert headline(told(run, 0)) == "1 of 2 stories landed on rad/phase1, 1 already done before"


def test_a_red_gate_of_a_wave_stands_in_the_headline():
    run = two()
    run.land("A")
    run.say("gates_finished", scope="wave 1", commit="c", ok=False, gates=[gate(verdict="red")])
    assert headline(told(run, 1)) == "1 of 2 stories landed on rad/phase1; 1 pending, wave 1 gates red"


# -- the next step ------------------------------------------------------------------------------------------


def test_after_a_rehearsal_comes_the_real_thing():
    run = two(kind="rehearsal", agent="mock")
    unverified(run, "A", "rehearsal")
    found = told(run, 4)
    assert next_step(found) == "rad-engineer run PRD --agent-command '…'"
    assert why(found.stories[0]) == ""  # the headline says it for all
    assert "rehearsed  A" in summary(found)


def test_a_failure_comes_first_and_keys_are_quoted_for_the_shell():
    run = Run(graph(story("A b"), story("C"), parallel=True))
    unverified(run, "C")
    run.fail("A b")
    assert next_step(told(run, 1)) == "rad-engineer explain 'A b'"


def test_what_nothing_could_judge_may_be_allowed():
    run = two()
    run.land("A")
    unverified(run, "B", reason="no-gate")
    found = told(run, 4)
    assert next_step(found) == "rad-engineer resume --allow-unverified"
    assert "next:   rad-engineer resume --allow-unverified" in summary(found)


def test_a_gate_that_proved_nothing_is_looked_at_first():
    run = two()
    run.land("A")
    unverified(run, "B", reason="no-evidence")
    assert next_step(told(run, 4)) == "rad-engineer explain B"


def test_where_all_is_well_the_next_step_is_to_merge_and_is_said_once():
    run = two()
    run.land("A")
    run.land("B")
    found = told(run, 0)
    assert next_step(found) == found.how_to_merge == "git merge rad/phase1"
    assert summary(found).count("git merge rad/phase1") == 1
    assert "next:" not in summary(found)
    assert next_step(told(run, merged=True)) is None


@pytest.mark.parametrize("code", [3, 4])
def test_a_run_that_stopped_early_is_resumed(code):
    run = two()
    run.land("A")
    assert next_step(told(run, code)) == "rad-engineer resume"


# -- totals and rows ----------------------------------------------------------------------------------------


def test_what_it_took_is_added_up():
    run = two()
    for key in ("A", "B"):
        run.say("story_started", key)
        run.say("stage_finished", key, stage="agent", ok=True, seconds=1.0, tokens=1500, cost_usd=0.125)
        run.say("story_landed", key, commit="a" * 40, gates=[])
    assert "took 7.0s, 2 attempts, 3,000 tokens, 0.25 USD" in summary(told(run, 0)).splitlines()


def test_a_run_that_nothing_came_of_claims_no_attempts():
    text = summary(told(two(), 4))
    assert "took 1.0s" in text.splitlines()
    assert "attempt" not in text
    assert "tokens" not in text


def test_long_keys_leave_the_reason_a_line_of_its_own():
    run = Run(graph(story("a-very-long-generated-key"), parallel=True))
    run.fail("a-very-long-generated-key", detail="2 tests fail")
    lines = summary(told(run, 1), 40).splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("failed  "))
    assert lines[row].startswith("failed  a-very-long")
    assert lines[row + 1].startswith("    a gate is red")


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        ("skipped", "", "the PRD marks it as skipped"),
        ("skipped", "next year", "the PRD marks it as skipped: next year"),
        ("blocked", "no key", "the PRD marks it as blocked: no key"),
    ],
)
def test_what_the_prd_leaves_out_is_explained_by_the_prd(state, reason, said):
    found = report.build(graph(story("A", state=state, reason=reason)), Checkpoint(), alive=False)
    assert found.stories[0].explanation == said


# -- Markdown -----------------------------------------------------------------------------------------------


def test_markdown_of_a_run_that_has_ended_says_all_of_it():
    run = Run(graph(story("A", criteria=["Tests pass"]), story("B"), parallel=True))
    run.land("A", gates=[gate(commit=None)], commit="e" * 40)
    run.say("note", text="main has *moved* on")
    run.say("note", text="main has *moved* on")
    text = markdown(told(run, 3, not_part=["notes.txt", "a`b"]))
    assert (
        "Run `r1`, branch `rad/phase1`, from `bbbbbbbbbbbb`, agent `command`, state stopped, "
        "exit code 3: more stories could start right now."
    ) in text
    assert "## Not part of this run\n\n- `notes.txt`\n- ``a`b``\n" in text
    assert text.count("- main has \\*moved\\* on") == 1
    assert "| A | do A | `eeeeeeeeeeee` | 1 | 1.0s | 1 of 1 |" in text
    assert "- Tests pass: proved by `pytest -q` (exit 0, commit `eeeeeeeeeeee`)" in text


def test_markdown_of_what_never_ran_claims_nothing():
    text = markdown(report.build(graph(story("A"), story("B"), parallel=True), Checkpoint(), alive=False))
    assert text.startswith("# Not run yet: 2 stories\n\nRun ``, state never.\n")
    for heading in ("What landed", "Criteria", "How to merge", "Notes", "Not part", "Failures by reason"):
        assert heading not in text


def test_markdown_names_neither_branch_nor_merge_where_nothing_lands():
    run = two(workspace="shared")
    unverified(run, "A", "shared-workspace")
    text = markdown(told(run, 4))
    assert "branch" not in text.splitlines()[2]
    assert "How to merge" not in text


def test_markdown_of_a_story_without_criteria_or_commit_says_so():
    run = two()
    run.say("story_passed", "A", by="ann")
    run.say("story_landed", "B", commit=None, gates=[])
    text = markdown(told(run, 0))
    assert "| A | do A | by hand | 0 | 0.0s | none stated |" in text
    assert "| B | do B | - | 0 | 0.0s | none stated |" in text


# -- what a story cost --------------------------------------------------------------------------------------


def row(part, ms, *, ours=True):
    return {"part": part, "ours": ours, "median_ms": ms, "p95_ms": ms * 2, "total_ms": ms * 10}


def test_what_a_story_cost_is_shown_when_it_was_asked_for():
    run = two()
    assert "median" not in summary(told(run, 0))
    parts = [row("schedule", 0.25), row("landing", 7.5), row("agent", 1234.5, ours=False)]
    run.say(
        "run_finished",
        exit_code=0,
        timings={"stories": 2, "parts": parts, "all_of_ours": row("all of ours", 7.75)},
    )
    found = told(run)
    assert found.to_json()["timings"]["parts"] == parts
    assert """
2 stories, ms each      median       p95      total
  schedule                0.25      0.50        2.5
  landing                 7.50     15.00       75.0
  all of ours             7.75     15.50       77.5
  agent                1234.50   2469.00    12345.0
""" in summary(found)


def test_a_later_session_that_was_not_asked_keeps_what_an_earlier_one_found():
    run = two()
    run.say(
        "run_finished", exit_code=3, timings={"stories": 1, "parts": [], "all_of_ours": row("all of ours", 1)}
    )
    run.say("run_resumed")
    run.finish(0)
    assert told(run).timings["stories"] == 1


def test_what_confines_commands_is_said():
    assert ", sandbox bubblewrap, state finished" in markdown(told(two(sandbox="bubblewrap"), 0))
    assert ", sandbox landlock (names and sizes" in markdown(told(two(sandbox="landlock"), 0))
    assert "sandbox" not in markdown(told(two(), 0))
