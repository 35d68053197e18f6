"""What agents say is kept apart from what gates prove, in every view, and cannot pretend to be anything else."""

import json

import pytest
from runs import Run, gate, graph, story

from rad_engineer.commands.explain import Explanation, _lines
from rad_engineer.core import report
from rad_engineer.core.agent_word import heard
from rad_engineer.core.report_markdown import markdown
from rad_engineer.core.report_text import spent, summary

SAID = {
    "agent": "anthropic", "model": "claude-sonnet-5-5", "turns": 7, "summary": "Wrote the parser.",
    "criteria": [{"criterion": "It parses", "met": True, "evidence": ["a.py:3", "b.py:4-9"]},
                 {"criterion": "It prints", "met": False, "evidence": []}],
    "files": ["a.py"], "tests": ["pytest -q: 3 passed"], "errors": ["b is slow"], "next_steps": ["speed b up"],
}  # fmt: skip
HOSTILE = {
    "agent": "anthropic", "turns": "7", "summary": "\x1b[2J\x1b]0;owned\x07all\u202e **proved**\n## Criteria\n| a | b |",
    "criteria": [{"criterion": "<b>x</b>\x9b1m", "met": 1, "evidence": ["`a`:1", 3, None]}, "no claim", {}],
    "files": "a.py", "tests": [["nested"], "t" * 10_000], "errors": {"a": 1}, "next_steps": [f"{n}" for n in range(99)],
}  # fmt: skip


def one_story(said=None, **more):
    run = Run(graph(story("A", criteria=["pytest passes", "It parses"])), **more)
    run.say("story_started", "A", resumed=False)
    if said is not None:
        run.say("agent_reported", "A", **said)
    run.say("story_verified", "A", commit="a" * 40, candidate="c" * 40, gates=[gate()])
    run.say("story_landed", "A", commit="a" * 40, gates=[gate()])
    return run


def told(run):
    run.finish(0)
    return report.build(run.graph, run.checkpoint)


def explained(found):
    return "\n".join(_lines(Explanation("r1", found.stories[0], "", "", (), (), "", ""), 100))


def test_it_stands_beside_what_was_proved_and_is_never_taken_for_it():
    found = told(one_story(SAID))
    entry = found.to_json()["stories"][0]
    assert entry["agent_says"] == SAID
    assert [bool(item["proved_by"]) for item in entry["criteria"]] == [True, False]
    assert found.criteria == (1, 2)
    text = markdown(found)
    assert text.index("## Criteria") < text.index("## What the agents say")
    proved, claimed = text.split("## What the agents say")
    assert "Wrote the parser" not in proved
    assert "It parses: **unverified**" in proved
    assert "Nobody has checked this." in claimed
    assert "A, anthropic says: Wrote the parser." in claimed
    assert "- says met: It parses (`a.py:3`, `b.py:4-9`)\n- says not met: It prints\n" in claimed
    assert (
        "- files: `a.py`\n- tests: `pytest -q: 3 passed`\n- error: b is slow\n- left to do: speed b up"
        in claimed
    )
    assert "the agent says: Wrote the parser." in summary(found)
    said = explained(found).split("anthropic says (nobody has checked it):")
    assert "unverified  It parses" in said[0]
    assert "Wrote" not in said[0]
    for line in ("  Wrote the parser.", "  says met    It parses", "at a.py:3, b.py:4-9", "  says unmet  It prints",
                 "  files       a.py", "  tests       pytest -q: 3 passed", "  error       b is slow",
                 "  left to do  speed b up"):  # fmt: skip
        assert line in said[1]


def test_whatever_it_says_it_says_no_more_than_text():
    found = told(one_story(HOSTILE))
    word = heard(HOSTILE)
    assert json.loads(json.dumps(word.to_json())) == word.to_json()
    assert word == heard(word.to_json())
    assert (word.turns, word.model, word.files, word.errors) == (0, "", (), ())
    assert word.summary == "all **proved**\n## Criteria\n| a | b |"
    assert [(claim.criterion, claim.met) for claim in word.criteria] == [("<b>x</b>", False), ("", False)]
    assert word.criteria[0].evidence == ("`a`:1",)
    assert (len(word.tests), len(word.tests[0]), len(word.next_steps)) == (1, 500, 50)
    for text in (markdown(found), summary(found), explained(found)):
        assert not any(char in text for char in "\x1b\x07\x9b\u202e")
    text = markdown(found)
    assert text.count("## Criteria") == 1
    assert r"all \*\*proved\*\* \#\# Criteria \| a \| b \|" in text


@pytest.mark.parametrize("said", [None, {"agent": "claude", "summary": ""}])
def test_who_says_nothing_is_not_quoted(said):
    found = told(one_story(said))
    assert "the agent says" not in summary(found)
    if said is None:
        assert found.to_json()["stories"][0]["agent_says"] is None
        assert "agents say" not in markdown(found)
        assert "says" not in explained(found)


def test_a_new_attempt_has_not_said_anything_yet_and_one_that_goes_on_has():
    run = one_story(SAID)
    run.say("story_started", "A", attempt=2, resumed=True)
    assert run.checkpoint.stories[run.graph.identities[0]].said is not None
    run.say("story_started", "A", attempt=3, resumed=False)
    assert run.checkpoint.stories[run.graph.identities[0]].said is None


# -- money that nobody counted ------------------------------------------------------------------------------


def test_what_nobody_counts_is_unmetered_and_never_nothing():
    run = Run(graph(story("A"), story("B"), parallel=True))
    for key, stated in (("A", 0.0), ("B", 0.42)):
        run.say("story_started", key)
        run.say("story_unmetered", key, agent="claude")
        run.say("stage_finished", key, stage="agent", ok=True, unmetered=True, stated_usd=stated, tokens=5)
        run.say("story_landed", key, commit="a" * 40, gates=[])
    found = told(run)
    stories = found.to_json()["stories"]
    assert [(one["cost_usd"], one["unmetered"], one["stated_usd"]) for one in stories] == [
        (None, True, 0.0), (None, True, 0.42)]  # fmt: skip
    totals = found.to_json()["totals"]
    assert (totals["cost_usd"], totals["unmetered"], totals["stated_usd"]) == (None, 2, 0.42)
    assert "10 tokens, unmetered (the agent says 0.42 USD)" in summary(found)
    text = markdown(found)
    assert "spent: unmetered (the agent says 0.42 USD)" in text
    assert "| unmetered |\n" in text
    assert "| unmetered (the agent says 0.42 USD) |\n" in text
    assert "spent:   unmetered" in explained(found)
    assert "0.00" not in text + summary(found)


def test_what_was_counted_beside_it_is_said_too():
    run = one_story()
    run.say("story_unmetered", "A", agent="claude")
    run.say("story_spent", "A", cost_usd=0.031, tokens=10)
    found = told(run)
    assert found.to_json()["stories"][0]["cost_usd"] == found.to_json()["totals"]["cost_usd"] == 0.031
    assert "10 tokens, 0.0310 USD and unmetered" in summary(found)


def test_money_in_words():
    assert spent(None, 0.0, unmetered=False) == spent(0.0, 0.0, unmetered=False) == ""
    assert spent(0.0042, 0.0, unmetered=False) == "0.0042 USD"
    assert spent(1.5, 0.0, unmetered=False) == "1.50 USD"
