"""What is kept of a child's output."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.process.output import KEPT, Output, plain


def collected(*parts: bytes) -> Output:
    output = Output(None, 1 << 20)
    for part in parts:
        output.add(part)
    return output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b[?25l\x1b[2K\x1b[1;2Hx", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x\x1bc", "x"),
        ("a\x1b(B\x07\x00\x08\x7f\x9bb", "ab"),
        ("a\u202eb\u2066c", "abc"),
        ("cut \x1b[3", "cut "),
        ("cut \x1b]0;ti", "cut "),
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("ünï ✓ 漢", "ünï ✓ 漢"),
    ],
)
def test_control_codes_are_not_shown(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"\n \n\t\n", ""),
        (b"one\ntwo", "two"),
        (b"one\ntwo\n\n", "two"),
        (b"10%\r20%\r", "20%"),
        (b"\x1b[2K\rstep 3\x1b[0m\x1b[1G", "step 3"),
        (b"x\n" + b"y" * 100_000, "y" * 500),
        (b"z" * 10 + b"\n" * 5000, ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_last_line_is_the_last_one_that_shows_anything(data, line):
    assert collected(data).last_line() == line


@given(st.lists(st.integers(0, 3 * KEPT), max_size=8))
def test_head_and_tail_are_kept_and_the_rest_counted(sizes):
    parts = [bytes([65 + i]) * size for i, size in enumerate(sizes)]
    whole = b"".join(parts)
    output = collected(*parts)
    text = output.text().encode()
    assert output.size == len(whole)
    assert output.sha256() == hashlib.sha256(whole).hexdigest()
    if len(whole) <= 2 * KEPT:
        assert text == whole
    else:
        missing = len(whole) - 2 * KEPT
        assert text == whole[:KEPT] + f"\n[... {missing} bytes left out ...]\n".encode() + whole[-KEPT:]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_pieces_make_no_difference(data, step):
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    assert collected(*pieces).last_line() == collected(data).last_line()
    assert collected(*pieces).text() == collected(data).text()
