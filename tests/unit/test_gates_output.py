"""What is kept of a gate's output, what the next attempt is told, and when two failures are the same."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer import gates
from rad_engineer.gates import GateResult
from rad_engineer.gates.output import MAX_KEPT, cleaned, cut, excerpt


def red(output: str = "", blamed: tuple[str, ...] = (), name: str = "tests", **more) -> GateResult:
    return GateResult(name, "pytest", "red", 1, 1.0, blamed=blamed, failures=blamed, output=output, **more)


def test_terminal_codes_go() -> None:
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://a\x1b\\y\r\n10%\r50%\r100%\n\x00\x08z\u202e\n"
    assert cleaned(text) == "red xy\n100%\nz\n"


def test_pytest_failures_to_the_end() -> None:
    text = "....F\n=== FAILURES ===\n___ test_x ___\nE   assert 1\n=== short test summary info ===\nFAILED a\n1 failed in 0.1s\n"
    assert excerpt("noise\n" * 500 + text) == text.split("\n", 1)[1].rstrip("\n")


def test_why_node_could_not_load_a_file() -> None:
    why = "file:///w/b.test.js:1\nReferenceError: require is not defined\n✖ /w/b.test.js (71.05ms)\n  'test failed'\n"
    shown = excerpt(
        f"✔ good (1ms)\n{why}✔ fine (1ms)\n\u2139 fail 1\n\n✖ failing tests:\n\ntest at b.test.js:1:1\n"
    )
    assert shown.startswith("file:///w/b.test.js:1\nReferenceError: require is not defined\n✖ /w/b.test.js")
    assert shown.endswith("(71.05ms)\n✖ failing tests:\n\ntest at b.test.js:1:1")
    assert gates.on_a_screen(shown, 4).startswith("ReferenceError")


def test_telling_lines_and_the_last_ones() -> None:
    lines = [f"line {n}" for n in range(1000)]
    lines[100] = "thread 'main' panicked at src/lib.rs"
    shown = excerpt("\n".join(lines)).split("\n")
    assert "thread 'main' panicked at src/lib.rs" in shown
    assert shown[-1] == "line 999"
    assert shown[-60] == "line 940"
    assert len(shown) < 80


@given(st.text(), st.integers(min_value=20, max_value=500))
def test_cut_never_exceeds_its_limit(text: str, limit: int) -> None:
    assert len(cut(text, limit).encode("utf-8", "replace")) <= limit


@given(st.text(max_size=3000).map(lambda text: text * 20))
def test_excerpts_are_bounded_and_clean(text: str) -> None:
    shown = excerpt(text)
    assert len(shown.encode("utf-8", "replace")) <= MAX_KEPT
    assert "\x1b" not in shown
    assert "\0" not in shown


def test_feedback_names_gate_command_code_and_new_failures() -> None:
    told = gates.feedback([red("E  assert 1 == 2", ("a::b",)), GateResult("lint", "ruff", "green", 0, 1.0)])
    for part in ("`tests`", "pytest", "exit code 1", "a::b", "assert 1 == 2"):
        assert part in told
    assert "lint" not in told


def test_feedback_is_bounded() -> None:
    results = [
        red("x" * 300 + "\n" + "error\n" * 5000, tuple(f"t::{n}" for n in range(500)), f"g{n}")
        for n in range(9)
    ]
    told = gates.feedback(results)
    assert len(told.encode()) <= 16_000
    assert "and 480 more" in told
    assert "`g7`" in told
    assert "1 more gates are not green: g8" in told
    assert gates.feedback([]) == ""


SAME = [
    (
        "E   assert <A object at 0x7f3a> == 3\n/tmp/abc/x.py:12: AssertionError\n1 failed in 0.12s",
        "E   assert <A object at 0x55ee> == 3\n/tmp/xyz/other/x.py:99: AssertionError\n1 failed in 7.01s",
    ),
    ("2024-01-02T03:04:05Z ERROR pid 4711 failed", "2025-11-12T13:14:15.123Z ERROR pid 12 failed"),
    ("error: b\nerror: a", "error: a\nerror: b"),
    ("Error in commit 8c1f2ab9d at line 3", "Error in commit 77aa1bcd2 at line 44"),
    ("panicked after 3 ms, port 54321, error", "panicked after 12 s, port 1234, error"),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_the_same_failure_has_the_same_fingerprint(one: str, two: str) -> None:
    assert gates.fingerprint([red(one)]) == gates.fingerprint([red(two)])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (red("E assert 1 == 2"), red("E assert 1 == 3")),
        (red(blamed=("a::b",)), red(blamed=("a::c",))),
        (red("error"), red("error", name="other")),
        (red("one thing"), red("another thing")),
    ],
)
def test_other_failures_have_another(one: GateResult, two: GateResult) -> None:
    assert gates.fingerprint([one]) != gates.fingerprint([two])


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.randoms())
def test_order_does_not_count(names: list[str], chance: random.Random) -> None:
    shuffled = list(names)
    chance.shuffle(shuffled)
    one = [red(name=str(n), blamed=tuple(names)) for n in range(3)]
    two = [red(name=str(n), blamed=tuple(shuffled)) for n in (2, 0, 1)]
    assert gates.fingerprint(one) == gates.fingerprint(two)
    assert len(gates.fingerprint(one)) == 16
