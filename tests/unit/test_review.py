"""What a reviewer is asked, and how its answer is read."""

import pytest

from rad_engineer.core import review
from rad_engineer.core.prompt import Assignment
from rad_engineer.core.review import Review
from tests.marks import MARKS


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("MUST-FIX: a.py:3: wrong sum", Review(("a.py:3: wrong sum",))),
        ("Here you are:\n- **MUST-FIX**: a.py:3:  wrong\n1. NOTE: b.py:1: long\n", Review(("a.py:3: wrong",), ("b.py:1: long",))),
        ("must-fix: one\nMUST-FIX: one\n`MUST-FIX: two`", Review(("one", "two"))),
        ("REVIEW: CLEAN", Review()),
        ("All met.\n\n**REVIEW: CLEAN**", Review()),
        ("looks good", Review(understood=False)),
        ("", Review(understood=False)),
        ("I would say MUST-FIX: is not needed", Review(understood=False)),
    ],
)  # fmt: skip
def test_answers(answer, found):
    assert review.read(answer) == found


def test_an_answer_without_end_is_bounded():
    found = review.read("\n".join(f"MUST-FIX: {number} " + "x" * 5_000 for number in range(1_000)))
    assert len(found.must) == review.MOST
    assert max(map(len, found.must)) == 600


def test_a_question_has_the_criteria_the_change_and_the_form_of_the_answer():
    asked = review.question(
        Assignment("S-1", "Cart", "text", MARKS, ("it adds", "it removes")), "You review.", "+```x"
    )
    assert asked.startswith("# Review of story S-1:\n\nText between ")
    assert f"{MARKS.fence('Cart')}\n\n## Your role\n\nYou review.\n\n" in asked
    assert "1. it adds\n2. it removes" in asked
    assert MARKS.fence("+```x") in asked
    assert asked.endswith("    REVIEW: CLEAN\n")


def test_a_question_without_criteria_has_the_story():
    assert MARKS.fence("as its PRD has it") in review.question(
        Assignment("S", "T", "as its PRD has it", MARKS), "r", "d"
    )


def test_a_huge_change_is_cut():
    asked = review.question(Assignment("S", "T", "x", MARKS), "r", "+line\n" * 100_000)
    assert len(asked) < review.DIFF_LIMIT + 5_000
    assert "characters left out" in asked


def test_what_follows_repeats_the_story():
    assert review.again("# Story\n", ("a:1: x",), MARKS).startswith(
        "# Story\n\n## A reviewer read your change\n"
    )
    assert review.again("# Story\n", ("a:1: x",), MARKS).endswith(f"\n{MARKS.fence('- a:1: x')}\n")
    assert review.simpler("# Story\n").startswith("# Story\n\n## The story is done: make it simpler\n")
