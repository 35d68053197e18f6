"""Where a run lands: one base and one branch, chosen in a real repository, and never one that belongs to somebody."""

from dataclasses import replace

import pytest
from project_repo import commit_all, git, make_repo, poison, write

from rad_engineer import git as rad_git
from rad_engineer.core.prd import Prd, Story, identity
from rad_engineer.errors import ExitCode, RadError
from rad_engineer.launch.run_branch import Wish, choose, wanted

PLAN = Prd("prd.json", "/p/prd.json", "json", ".userStories", "Toy Shop", "toy", (Story("A", "do A"),), "")
NAMED = replace(PLAN, branch="feature/toys")
MINE = (identity("toy", PLAN.stories[0]),)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def top(tmp_path):
    return make_repo(tmp_path / "project")


def chosen(top, *prds, outside=(), **wish):
    return choose(rad_git.discover(top), prds or (PLAN,), outside, Wish(**wish), MINE)


def refused(top, *prds, **more):
    with pytest.raises(RadError) as caught:
        chosen(top, *prds, **more)
    return caught.value.exit_code, f"{caught.value} {caught.value.hint}"


def landing(top, parent, *, run="r1", story=PLAN.stories[0]):
    """A commit as a run leaves it."""
    message = f"{story.id}: {story.title}\n\nRad-Run: {run}\nRad-Story: {story.id}\nRad-Identity: {identity('toy', story)}\n"
    tree = git(top, "rev-parse", f"{parent}^{{tree}}")
    return git(top, "commit-tree", "-p", parent, "-m", message, tree)


def more(top, name="more.txt"):
    write(top / name, "more\n")
    return commit_all(top)


# -- what it is called --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prds", "flag", "name"),
    [
        ((NAMED,), "mine", "mine"),
        ((NAMED, replace(NAMED, file="b.json")), None, "feature/toys"),
        ((replace(NAMED, file="b.json"), PLAN), None, "feature/toys"),
        ((replace(PLAN, file="phases/phase 1.json"),), None, "rad/phase-1"),
        ((PLAN,), None, "rad/Toy-Shop"),  # `prd.json` tells nothing, the name in it does
        ((replace(PLAN, file="a.json"), replace(PLAN, file="b.json")), None, "rad/a-b"),
    ],
)
def test_flag_then_the_common_name_then_the_file(prds, flag, name):
    assert wanted(prds, flag) == name


def test_prds_that_name_different_branches_need_a_flag(top):
    other = replace(NAMED, file="b.json", branch="feature/books")
    code, said = refused(top, NAMED, other)
    assert (code, "--branch" in said) == (ExitCode.USAGE, True)
    assert chosen(top, NAMED, other, branch="both").name == "both"


def test_a_name_that_cannot_stand_beside_the_branches_there_are_loses_its_slashes(top):
    git(top, "branch", "feature")
    assert chosen(top, NAMED).name == "feature-toys"
    git(top, "branch", "-m", "feature", "deep/er/down")
    assert chosen(top, replace(NAMED, branch="deep/er")).name == "deep-er"


def test_a_name_that_git_refuses_is_made_one_that_it_takes_but_never_for_a_flag(top):
    found = chosen(top, replace(NAMED, branch="my toys/~1"))
    assert found.name == "my-toys/1"
    assert "cannot be a git branch" in found.notes[0]
    assert refused(top, branch="a..b")[0] == ExitCode.USAGE


# -- where it starts ----------------------------------------------------------------------------------------------


def test_the_base_is_head_detached_or_not_or_what_was_asked_for(top):
    first = git(top, "rev-parse", "HEAD")
    second = more(top)
    found = chosen(top)
    assert (found.base, found.tip, found.exists, found.notes) == (second, second, False, ())
    assert chosen(top, base=first).base == first
    assert chosen(top, base="main~1").base == first
    git(top, "checkout", "-q", "--detach", first)
    assert chosen(top).base == first


def test_a_branch_that_contains_the_base_is_gone_on_with(top):
    base = git(top, "rev-parse", "HEAD")
    git(top, "branch", "rad/Toy-Shop", tip := landing(top, base, run="unknown"))
    found = chosen(top)
    assert (found.base, found.tip, found.exists, found.notes) == (base, tip, True, ())


def test_a_branch_with_stories_of_the_prd_is_gone_on_with_although_head_has_moved(top):
    git(top, "branch", "rad/Toy-Shop", tip := landing(top, git(top, "rev-parse", "HEAD")))
    head = more(top)
    found = chosen(top)
    assert (found.base, found.tip, found.exists) == (head, tip, True)
    assert "HEAD has moved on" in found.notes[0]


def test_a_branch_that_is_something_else_is_refused(top):
    other = Story("X", "something else")
    git(top, "branch", "rad/Toy-Shop", landing(top, git(top, "rev-parse", "HEAD"), story=other))
    more(top)
    code, said = refused(top)
    assert (code, "is something else" in said, "--branch rad/Toy-Shop-2" in said) == (
        ExitCode.REFUSED,
        True,
        True,
    )


# -- whose it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["main", "master", "develop", "trunk"])
def test_protected_branches_need_to_be_allowed(top, name):
    git(top, "checkout", "-q", "--detach")
    git(top, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    plan = replace(PLAN, branch=name)
    code, said = refused(top, plan)
    assert (code, "--allow-protected-branch" in said) == (ExitCode.REFUSED, True)
    assert chosen(top, plan, allow_protected=True).name == name


def test_what_somebody_has_checked_out_is_left_alone_wherever_that_is(top, tmp_path):
    git(top, "branch", "feature/toys")
    git(top, "worktree", "add", "-q", str(tmp_path / "side"), "feature/toys")
    found = chosen(top, NAMED)
    assert found.name == "rad/feature/toys"
    assert "side" in found.notes[0]
    git(top, "checkout", "-q", "-b", "rad/feature/toys")
    assert chosen(top, NAMED).name == "rad/feature/toys-2"


# -- PRDs that are needed -----------------------------------------------------------------------------------------

NEEDED = replace(PLAN, file="phase1.json", stories=(Story("N", "was first"),))


def test_a_run_goes_on_from_the_branch_of_the_prd_it_needs(top):
    base = git(top, "rev-parse", "HEAD")
    git(top, "branch", "rad/phase1", tip := landing(top, base, story=NEEDED.stories[0]))
    found = chosen(top, outside=(NEEDED,))
    assert (found.base, found.name) == (tip, "rad/Toy-Shop")
    assert "starting from rad/phase1" in found.notes[0]
    git(top, "merge", "-q", "--ff-only", "rad/phase1")
    assert chosen(top, outside=(NEEDED,)).notes == ()


def test_a_branch_that_went_another_way_must_be_merged_first(top):
    git(top, "branch", "rad/phase1", landing(top, git(top, "rev-parse", "HEAD"), story=NEEDED.stories[0]))
    more(top)
    code, said = refused(top, outside=(NEEDED,))
    assert (code, "git merge rad/phase1" in said) == (ExitCode.REFUSED, True)


def test_a_branch_of_a_needed_prd_on_which_nothing_landed_is_of_no_concern(top):
    base = git(top, "rev-parse", "HEAD")
    git(top, "checkout", "-q", "-b", "rad/phase1")
    more(top)
    git(top, "checkout", "-q", "main")
    assert chosen(top, outside=(NEEDED,)).base == base
