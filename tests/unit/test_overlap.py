"""Which declared paths overlap, and that nobody who waits for one is forgotten."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rad_engineer.core.overlap import Claims, normal, overlap


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("src/a.py", "./src//a.py", True),
        ("src/a.py", "src/b.py", False),
        ("src", "src/a.py", True),
        ("src/", "src/deep/a.py", True),
        ("src", "srcs/a.py", False),
        ("src\\a.py", "src/a.py", True),
        (".", "anything", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/deep/a.py", False),
        ("src/**/*.py", "src/deep/er/a.py", True),
        ("src/**/*.py", "src/a.py", True),
        ("src/**", "src/a.py", True),
        ("src/*.py", "src/a.ts", False),
        ("src/*.py", "src", True),
        ("src/*.py", ".", True),
        ("src/core/*.py", "src", True),
        ("src/**/*.py", "src/core", True),
        ("src/*.py", "docs", False),
        ("src/*", "src/a/b.py", True),
        ("src/*.py", "src/*.ts", False),
        ("src/*.py", "src/a*.py", True),
        ("src/*.py", "docs/*.py", False),
        ("**/*.py", "src/*.py", True),
        ("src/{a,b}.py", "src/a.py", True),
        ("src/{a,b}.py", "src/a.ts", False),
        ("src/[ab].py", "src/a.py", True),
        ("src/?.py", "src/ab.py", False),
        ("a(b).py", "a(b).py", True),
    ],
)
def test_overlap(one: str, other: str, same: bool) -> None:
    assert overlap(normal(one), normal(other)) is same
    assert overlap(normal(other), normal(one)) is same


PATHS = ["a", "a/b", "a/b/c.py", "a/d.py", "e.py", "", "a/*.py", "**/*.py", "a/b/*"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(PATHS)), max_size=8))
def test_claims_know_what_is_held(wanted: list[tuple[str, str]]) -> None:
    claims = Claims()
    held: dict[int, tuple[str, ...]] = {}
    for number, files in enumerate(wanted):
        taken = any(overlap(mine, other) for mine in files for others in held.values() for other in others)
        found = claims.conflict(files)
        assert (found is not None) is taken
        if found is None:
            claims.claim(number, files)
            held[number] = files
        elif number % 2:
            claims.release(held.pop(found[1]))
    for files in held.values():
        claims.release(files)
    assert claims.conflict(("",)) is None


def test_one_of_many_is_woken_and_passes_on_what_it_does_not_take() -> None:
    claims = Claims()
    claims.claim(100, ("a",))
    claims.claim(101, ("e.py",))
    claims.park(("a/b", "e.py"), 1)
    claims.park(("a/d.py",), 2)
    assert claims.release(("a",)) == [1]
    assert claims.conflict(("a/b", "e.py")) == ("e.py", 101)
    claims.park(("a/b", "e.py"), 1)
    assert claims.tried(1) == [2]
    assert claims.tried(2) == []


def test_who_wants_a_folder_is_woken_when_all_of_it_is_free() -> None:
    claims = Claims()
    claims.claim(100, ("a/b",))
    claims.claim(101, ("a/d.py",))
    claims.park(("a",), 1)
    assert claims.release(("a/b",)) == []
    assert claims.release(("a/d.py",)) == [1]


def test_patterns_and_neighbours_are_freed_one_by_one() -> None:
    claims = Claims()
    claims.claim(100, ("src/*.py",))
    claims.claim(101, ("docs/a.md",))
    claims.claim(102, ("docs/b.md",))
    claims.release(("src/*.py",))
    assert claims.conflict(("src/a.py",)) is None
    claims.release(("docs/a.md",))
    assert claims.conflict(("docs/a.md",)) is None
    assert claims.conflict(("docs",)) == ("docs/b.md", 102)
    claims.release(("docs/b.md",))
    assert claims.conflict(("docs",)) is None


def test_who_waits_for_a_folder_is_woken_once_when_a_story_frees_it_and_what_is_below() -> None:
    claims = Claims()
    claims.claim(100, ("a", "a/b"))
    claims.park(("a",), 1)
    assert claims.release(("a", "a/b")) == [1]
    assert claims.tried(1) == []
    assert claims.conflict(("a",)) is None


def test_who_finds_nothing_taken_is_not_parked() -> None:
    claims = Claims()
    claims.claim(100, ("a",))
    claims.park(("e.py",), 1)
    assert claims.release(("a",)) == []
    assert claims.tried(1) == []
