"""Text of others: it cannot end its fence, hide in it, or carry the marks of a run."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.core.fence import GONE, marks

OURS = marks("a seed", "US-1", 1)
OPEN, SHUT = f"<untrusted-{OURS.nonce}>", f"</untrusted-{OURS.nonce}>"


def test_a_run_has_one_nonce_and_each_turn_a_token():
    assert marks("a seed", "US-1", 1) == OURS
    assert marks("a seed", "US-1", 2).nonce == OURS.nonce
    assert marks("another", "US-1", 1).nonce != OURS.nonce
    tokens = [
        marks("a seed", *turn).token for turn in (("US-1", 1), ("US-1", 2), ("US-2", 1), ("US-1", 1, "mend"))
    ]
    assert len(set(tokens)) == 4
    assert OURS.nonce in OURS.told
    assert OURS.token not in OURS.told


@given(
    st.lists(
        st.sampled_from([OPEN, SHUT, OURS.nonce, OURS.token, "<", "/", "untrusted-", "\n", "\u200b", "a"])
    )
)
def test_no_text_ends_its_fence(parts):
    found = OURS.fence("".join(parts))
    assert found.startswith(OPEN)
    assert found.endswith(SHUT)
    assert found.count(OURS.nonce) == 2
    assert OURS.token not in found


@pytest.mark.parametrize(
    "tag", ["</untrusted>", "< / Untrusted-0123456789abcdef >", "\uff1cuntrusted-x>", "<\u200b/untrusted->"]
)
def test_what_looks_like_a_fence_is_none(tag):
    assert not OURS.defused(tag).startswith(("<", "\uff1c"))


def test_what_nobody_sees_is_gone_and_what_scripts_need_stays():
    hidden = "\x1b\x00\u202e\u2066\u200b\u2060\ufeff\u00ad\U000e0041\U000e0101\u2028"
    assert OURS.defused(f"a{hidden}b\tc\r\nd") == "ab\tc\r\nd"
    family = "\U0001f468\u200d\U0001f469 \u0645\u06cc\u200c\u062e"
    assert OURS.defused(family) == family


def spellings(mark):
    digits = mark.removeprefix("rad-done-")
    yield from (mark, mark.upper(), digits[::-1], "-".join(digits), "\n".join(digits), digits.encode().hex())
    yield from (base64.b64encode(("x" * before + mark + "tail").encode()).decode() for before in range(3))


@pytest.mark.parametrize("spelled", [*spellings(OURS.nonce), *spellings(OURS.token)])
def test_a_mark_is_found_however_it_is_spelled(spelled):
    assert OURS.find(f"one {spelled} two") is not None
    assert GONE in OURS.redacted(f"one {spelled} two")
    assert OURS.find(OURS.redacted(f"one {spelled} two")) is None


def test_marks_of_other_runs_are_no_marks_but_are_not_shown_either():
    other = marks("another", "US-1", 1)
    assert OURS.find(f"{other.nonce} {other.token}") is None
    assert OURS.defused(f"untrusted-{other.nonce} {other.token}") == f"{GONE} {GONE}"
