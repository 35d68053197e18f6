"""Secrets that come in pieces."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.secret_stream import Redactor
from tests.secret_samples import samples

SAMPLES = samples()

FULL = bool(os.environ.get("RAD_SECRETS"))


def _through(data: bytes, sizes: list[int]) -> bytes:
    redactor, out, at = Redactor(), b"", 0
    for size in sizes:
        out += redactor.feed(data[at : at + size])
        at += size
    return out + redactor.feed(data[at:]) + redactor.end()


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_secret_is_hidden_wherever_it_is_cut(kind: str) -> None:
    """Between any two of its characters."""
    secret = SAMPLES[kind]
    data = f"before\nvalue is {secret} here\nafter\n".encode()
    whole = _through(data, [])
    assert secret.encode() not in whole
    step = 1 if len(secret) < 200 else 97
    for cut in range(7, len(data), step):
        assert _through(data, [cut]) == whole


def test_lines_are_shown_as_they_end() -> None:
    """What is whole does not wait for more."""
    redactor = Redactor()
    assert redactor.feed(b"one\ntw") == b"one\n"
    assert redactor.feed(b"o\rthree") == b"two\r"
    assert redactor.end() == b"three"
    assert redactor.end() == b""


def test_a_line_without_end_is_not_held_for_ever() -> None:
    """Nor is anything of it lost or cut."""
    token = "ghp" + "_" + "a1B2" * 9
    for place in (100, 60_000, 65_536 - 8192 - 20, 65_500, 90_000):
        data = b"x " * (place // 2) + token.encode() + b" y" * 30_000
        shown = _through(data, [1000] * 60)
        assert token.encode() not in shown
        assert shown.replace(b"[redacted: github-token ", b"").count(b"x ") == place // 2


def test_a_key_that_is_too_long_to_be_one_is_let_go() -> None:
    """Whoever prints a beginning and no end does not make us hold everything."""
    redactor = Redactor()
    begin = b"-----BEGIN RSA PRIV" + b"ATE KEY-----\n"
    shown = redactor.feed(begin) + b"".join(redactor.feed(b"A" * 63 + b"\n") for _line in range(300))
    assert shown.startswith(b"[redacted: private-key ")


@settings(max_examples=4000 if FULL else 60, deadline=None)
@given(
    st.sampled_from(sorted(SAMPLES)),
    st.binary(max_size=80),
    st.binary(max_size=80),
    st.lists(st.integers(1, 60), max_size=12),
)
def test_bytes_of_any_kind_around_it_change_nothing(
    kind: str, before: bytes, after: bytes, sizes: list[int]
) -> None:
    """Binary output, broken UTF-8, terminal codes: the secret goes, the rest stays."""
    secret = SAMPLES[kind].encode()
    assert secret not in _through(before + b"\n" + secret + b"\n" + after, sizes)
