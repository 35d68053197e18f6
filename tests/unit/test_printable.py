"""Foreign text on a terminal: no control codes, the right width, no lost words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.core.printable import (
    cut,
    duration,
    hang,
    lines,
    one_line,
    pad,
    plain,
    several,
    spelled,
    width,
    wrap,
)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[Hhome", "home"),
        ("\x9b31mred", "red"),
        ("\x1bcreset", "reset"),
        ("a\x08b\x00c\x7f", "abc"),
        ("right\u202eleft\u2066", "rightleft"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("\udcff lone", " lone"),
        ("\x1bPq#0;2;0;0;0\x1b\\after", "after"),
    ],
)
def test_control_codes_go(text, seen):
    assert plain(text) == seen


@given(st.text())
def test_nothing_that_steers_is_left(text):
    shown = one_line(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    assert one_line(shown) == shown


def test_a_progress_line_shows_its_last_state():
    assert one_line("10%\r50%\r100%\r") == "100%"
    assert one_line("  a \t b\n") == "a b"
    assert lines("\x1b[31m10%\r100%\r\n\ttwo\r\n") == ["100%", "\ttwo", ""]


@pytest.mark.parametrize(
    ("columns", "shown"), [(0, ""), (1, "…"), (4, "two…"), (5, "two…"), (8, "two wor…"), (9, "two words")]
)
def test_what_is_cut_ends_in_an_ellipsis(columns, shown):
    assert cut("two words", columns) == shown


@given(st.text(), st.integers(0, 40))
def test_cut_and_pad_keep_the_width(text, columns):
    assert width(cut(text, columns)) <= columns
    if columns:
        assert width(pad(one_line(text), columns)) == columns


@given(st.lists(st.text(alphabet="abc日本é", min_size=1, max_size=8)), st.integers(10, 60))
def test_wrap_keeps_every_word(words, columns):
    text = " ".join(words)
    wrapped = wrap(text, columns, "  ")
    assert " ".join(wrapped).split() == text.split()
    assert all(width(line) <= columns or " " not in line.strip() for line in wrapped)


def test_hang():
    assert hang("why:  ", "one two three four", 16) == ["why:  one two", "      three four"]
    assert hang("why:  ", "one two three four five six", 16, most=2) == ["why:  one two", "      three fou…"]
    assert hang("why:  ", "", 16) == ["why:  "]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0.0s"), (0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m00s"), (61, "1m01s"), (3599.7, "1h00m"), (7320, "2h02m")],
)  # fmt: skip
def test_durations(seconds, said):
    assert duration(seconds) == said


def test_numbers_with_their_words():
    assert [several(1, "story"), several(2, "story"), several(0, "ref")] == ["1 story", "2 stories", "0 refs"]


def test_wide_characters_count_twice():
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("make test", "make test"), ("a\n\tb", "a\n\tb"), ("日本 e\u0301", "日本 e\u0301"), ("a\x1b]0;b\x07", "a\\x1b]0;b\\x07"),
        ("a\rb", "a\\x0db"), ("a\x9db", "a\\x9db"), ("a\u202eb", "a\\u202eb"), ("a\u3164b", "a\\u3164b"), ("a\ufe0fb", "a\\ufe0fb"),
        ("a\U000e0041b\U000e0100", "a\\U000e0041b\\U000e0100"), ("a" + " " * 40 + "b", "a [40 blanks] b"),
        ("a" + "\n" * 6 + "b", "a\n[5 empty lines]\nb"), ("a\n\n\nb", "a\n\n\nb"),
    ],
)  # fmt: skip
def test_what_is_agreed_to_is_spelled_out(text, seen):
    assert spelled(text) == seen
