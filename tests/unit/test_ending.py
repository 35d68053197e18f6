"""What the end of a run means as an exit code: every case, and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.core.checkpoint import StoryRecord
from rad_engineer.core.ending import exit_code
from rad_engineer.errors import ExitCode

OK, FAILED, MORE, WAITING = ExitCode.OK, ExitCode.FAILED, ExitCode.MORE, ExitCode.WAITING


def ended(*statuses, more=False, gates_red=False, open_stories=0, allow_unverified=False, landed=False):
    records = [StoryRecord(f"US-{n}", status=status, landed=landed) for n, status in enumerate(statuses)]
    return exit_code(
        iter(records),  # looked at more than once inside, whatever it is
        more=more,
        gates_red=gates_red,
        open_stories=open_stories,
        allow_unverified=allow_unverified,
    )


@pytest.mark.parametrize(
    ("statuses", "facts", "code"),
    [
        # All is well.
        ([], {}, OK),
        (["passed", "already-done", "skipped"], {}, OK),
        (["done-unverified"], {"landed": True}, OK),
        (["done-unverified"], {"allow_unverified": True}, OK),
        # Something waits: for a person, a limit, an approval, another run.
        (["passed", "waiting"], {}, WAITING),
        (["passed", "blocked"], {}, WAITING),
        (["passed", "interrupted"], {}, WAITING),
        (["running"], {}, WAITING),
        (["landing"], {}, WAITING),
        (["passed", "done-unverified"], {}, WAITING),
        (["passed"], {"open_stories": 1}, WAITING),
        ([], {"open_stories": 2}, WAITING),
        (["waiting", "done-unverified"], {"allow_unverified": True}, WAITING),
        # Something failed.
        (["passed", "failed"], {}, FAILED),
        (["failed"], {"allow_unverified": True, "landed": True}, FAILED),
        (["passed"], {"gates_red": True}, FAILED),
        ([], {"gates_red": True}, FAILED),
        # More could start.
        ([], {"more": True}, MORE),
        (["passed"], {"more": True, "open_stories": 3}, MORE),
        # The first that holds.
        (["failed", "waiting", "done-unverified"], {"open_stories": 1}, FAILED),
        (["failed", "waiting"], {"more": True, "gates_red": True, "open_stories": 1}, MORE),
    ],
)
def test_the_first_that_holds(statuses, facts, code):
    assert ended(*statuses, **facts) == code


STATUS = st.sampled_from(
    ["pending", "waiting", "running", "landing", "interrupted", "passed", "done-unverified", "failed", "blocked",
     "skipped", "already-done"]
)  # fmt: skip
FACTS = st.fixed_dictionaries(
    {
        "more": st.booleans(),
        "gates_red": st.booleans(),
        "open_stories": st.integers(0, 2),
        "allow_unverified": st.booleans(),
        "landed": st.booleans(),
    }
)
WORSE = [OK, WAITING, FAILED, MORE]


@given(st.lists(STATUS, max_size=5), STATUS, FACTS)
def test_one_more_story_never_makes_the_end_better(statuses, another, facts):
    assert WORSE.index(ended(*statuses, another, **facts)) >= WORSE.index(ended(*statuses, **facts))


@given(st.lists(STATUS, max_size=5), FACTS)
def test_the_order_of_stories_does_not_matter(statuses, facts):
    assert ended(*statuses, **facts) == ended(*reversed(statuses), **facts)


@given(st.lists(STATUS, max_size=5), FACTS)
def test_zero_is_never_said_while_something_is_left(statuses, facts):
    if ended(*statuses, **facts) == OK:
        assert not {"failed", "waiting", "blocked", "interrupted"} & set(statuses)
        assert not facts["open_stories"]
        assert not facts["gates_red"]


@given(st.lists(STATUS, max_size=5), FACTS)
def test_a_loop_that_goes_on_while_the_code_is_three_ends(statuses, facts):
    """Three means that calling again helps, and nothing else does."""
    assert (ended(*statuses, **facts) == MORE) == facts["more"]
