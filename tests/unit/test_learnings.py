"""The digest of what stories have taught."""

from rad_engineer.core.learnings import Learnings


def test_each_is_said_once_with_who_said_it():
    found = Learnings()
    found.add("S-1", ["Migrations live in db/versions.", "  - use  `make test`, not pytest "])
    found.add("S-2", ["migrations live in DB/versions", "", "  -  ", "Use `make test`, not pytest", "new"])
    found.add("S-2", ["new"])
    assert found.lines() == [
        "(S-2) new",
        "(S-1, S-2) Migrations live in db/versions.",
        "(S-1, S-2) use `make test`, not pytest",
    ]


def test_what_only_sounds_alike_is_kept():
    found = Learnings()
    found.add("A", ["the port of the api is 8080", "the port of the web is 9090"])
    assert len(found.lines()) == 2


def test_the_oldest_of_one_story_goes_first():
    found = Learnings(most=3)
    found.add("A", ["alpha", "beta"])
    found.add("B", ["alpha", "gamma", "delta"])
    assert found.lines() == ["(B) gamma", "(B) delta", "(A, B) alpha"]


def test_also_what_all_have_said_is_bounded():
    found = Learnings(most=1)
    for story in ("A", "B"):
        found.add(story, ["alpha"])
    found.add("C", ["beta"])
    found.add("D", ["gamma"])
    assert found.lines() == ["(A, B) alpha"]
    crowd = Learnings(most=0)
    crowd.add("A", ["alpha"])
    assert crowd.lines() == []


def test_many_stories_are_counted():
    found = Learnings()
    for number in range(6):
        found.add(f"S{number}", ["alpha"])
    assert found.lines() == ["(S0, S1, S2, S3 and 2 more) alpha"]


def test_the_last_one_goes_where_all_others_are_shared():
    found = Learnings(most=2)
    for story in ("A", "B"):
        found.add(story, ["alpha", "beta"])
    found.add("C", ["gamma"])
    assert found.lines() == ["(A, B) alpha", "(A, B) beta"]
