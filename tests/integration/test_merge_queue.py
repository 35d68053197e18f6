"""Who lands when: the queue of green stories against a real branch that others may move, take or delete."""

import pytest
from project_repo import commit_all, commit_of, git, make_repo, poison, write

from rad_engineer import git as rad_git
from rad_engineer.core import graph
from rad_engineer.core.prd import Check, Prd, Story
from rad_engineer.merge_queue import MergeQueue
from rad_engineer.outcome import Outcome

BRANCH = "rad/toy"
STORIES = tuple(Story(name, f"do {name}", checks=(Check("own", f"test {name}"),)) for name in "ABC")
PLAN = graph.build(
    [Prd("prd.json", "/p/prd.json", "json", ".userStories", "toy", "toy", STORIES, "")], parallel=True
)
GATES = ({"name": "tests", "verdict": "green"},)


class Landing:
    """A queue over a run branch, and stories that have become green."""

    def __init__(self, tmp_path, **options):
        self.top = make_repo(tmp_path / "project")
        self.repo = rad_git.discover(self.top)
        self.base = rad_git.head(self.repo)
        git(self.top, "branch", BRANCH)
        self.queue = MergeQueue(self.repo, PLAN, "r1", BRANCH, self.base, **options)

    @property
    def tip(self):
        return rad_git.tip(self.repo, BRANCH)

    def commit(self, parent=None, text="work"):
        parent = parent or self.base
        return commit_of(self.repo, git(self.top, "rev-parse", "HEAD^{tree}"), parent, text, "U <u@x>")

    def green(self, story, tip=None, **more):
        """The story's commit is its candidate, judged on that tip."""
        made = self.commit(tip, f"story {story}")
        self.queue.add(
            story, Outcome("verified", commit=made, candidate=made, tip=tip or self.base, base=self.base, gates=GATES, **more)
        )  # fmt: skip
        return made

    def judged(self, batch, *, back=()):
        """What a worker says of a batch: green one on the other, but for those that go back."""
        tip, landed = batch["tip"], []
        for job in batch["stories"]:
            if PLAN.by_identity[job["identity"]] not in back:
                tip = self.commit(tip, "merged")
                landed.append({"identity": job["identity"], "candidate": tip, "gates": list(GATES)})
        gone = [
            {"identity": PLAN.identities[story], "outcome": {"kind": "failed", "reason": "conflict"}}
            for story in back
        ]
        return {"landed": landed, "back": gone}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def at(tmp_path):
    return Landing(tmp_path)


def test_what_was_judged_on_the_very_tip_lands_as_it_is(at):
    made = at.green(0, unverified=True)
    refs = at.queue._refs(0)
    assert rad_git.update_refs(at.repo, [(ref, made, "") for ref in refs])
    assert at.queue.swap_what_is_current() == [(0, made, GATES, True)]
    assert (at.tip, at.queue.tip, at.queue.length) == (made, made, 0)
    assert rad_git.refs(at.repo, "refs/rad/") == {
        "refs/rad/r1/tip": made
    }  # its own refs went with the landing


def test_of_two_on_one_tip_the_first_lands_and_the_other_is_judged_again(at):
    first, second = at.green(0), at.green(1)
    assert [landed[0] for landed in at.queue.swap_what_is_current()] == [0]
    assert at.tip == first
    assert (at.queue.waiting, at.queue.wants_batch, at.queue.can_go_on) == ((1,), True, True)
    batch = at.queue.take_batch()
    assert (batch["tip"], batch["number"]) == (first, 1)
    assert batch["stories"] == [
        {
            "identity": PLAN.identities[1], "commit": second, "parent": at.base, "ref": at.queue._refs(1)[1],
            "unverified": False, "checks": [{"name": "own", "command": "test B"}],
        }
    ]  # fmt: skip
    assert (at.queue.length, at.queue.waiting, at.queue.wants_batch) == (1, (), False)


def test_while_a_batch_is_judged_nothing_else_lands(at):
    at.green(0)
    at.queue.take_batch()
    at.green(1)
    assert at.queue.swap_what_is_current() == []
    assert at.tip == at.base


def test_a_batch_lands_what_is_green_and_hands_back_what_is_not(at):
    for story in (0, 1, 2):
        at.green(story)
    found = at.judged(at.queue.take_batch(), back=[1])
    landed, back = at.queue.settle(found)
    assert [(story, commit) for story, commit, _gates, _unverified in landed] == [
        (story, entry["candidate"]) for story, entry in zip((0, 2), found["landed"], strict=True)
    ]
    assert back == [(1, Outcome("failed", "conflict"))]
    assert (at.tip, at.queue.length) == (found["landed"][-1]["candidate"], 0)


def test_what_a_batch_says_nothing_of_is_judged_again_before_the_rest(at):
    at.green(0)
    at.green(1)
    found = at.judged(at.queue.take_batch())
    at.green(2)
    found["landed"].pop()
    landed, _back = at.queue.settle(found)
    assert [story for story, *_ in landed] == [0]
    assert at.queue.waiting == (1, 2)
    assert [job["identity"] for job in at.queue.take_batch()["stories"]] == list(PLAN.identities[1:])


def test_without_batches_one_story_is_judged_at_a_time(tmp_path):
    at = Landing(tmp_path, batch=False)
    for story in (0, 1):
        at.green(story)
    assert len(at.queue.take_batch()["stories"]) == 1
    assert at.queue.waiting == (1,)


def test_a_batch_that_was_stopped_waits_again_and_one_that_cannot_be_done_leaves(at):
    at.green(0)
    at.queue.take_batch()
    at.queue.requeue()
    assert at.queue.waiting == (0,)
    at.queue.take_batch()
    assert at.queue.give_up() == [0]
    assert at.queue.length == 0


def test_nothing_lands_on_a_branch_that_is_checked_out_until_it_is_left(at):
    made = at.green(0)
    git(at.top, "checkout", "-q", BRANCH)
    assert at.queue.swap_what_is_current() == []
    assert at.tip == at.base
    assert f"{BRANCH} is checked out in {at.top}" in str(at.queue.blocked)
    assert not at.queue.can_go_on
    assert not at.queue.wants_batch
    git(at.top, "checkout", "-q", "main")
    assert [landed[0] for landed in at.queue.swap_what_is_current()] == [0]
    assert (at.tip, at.queue.blocked) == (made, None)


def test_a_batch_that_comes_back_while_the_branch_is_checked_out_waits(at):
    at.green(0)
    found = at.judged(at.queue.take_batch())
    git(at.top, "checkout", "-q", BRANCH)
    assert at.queue.settle(found) == ([], [])
    assert (at.tip, at.queue.waiting) == (at.base, (0,))


def test_a_branch_that_somebody_moved_on_is_followed_and_its_stories_judged_again(at):
    at.green(0)
    theirs = at.commit(text="theirs")
    git(at.top, "update-ref", f"refs/heads/{BRANCH}", theirs)
    assert at.queue.swap_what_is_current() == []
    assert (at.tip, at.queue.tip) == (theirs, theirs)
    assert at.queue.wants_batch
    assert at.queue.take_batch()["tip"] == theirs


def test_a_branch_that_lost_what_landed_is_left_alone(at):
    write(at.top / "more.txt", "more\n")
    elsewhere = commit_all(at.top)
    landed = at.green(0)
    at.queue.swap_what_is_current()
    at.green(1, landed)
    git(at.top, "update-ref", f"refs/heads/{BRANCH}", elsewhere)
    assert at.queue.swap_what_is_current() == []
    assert at.tip == elsewhere
    assert f"does not hold {landed[:10]} any more" in str(at.queue.blocked)
    assert not at.queue.can_go_on


def test_a_deleted_branch_is_made_again_with_all_that_had_landed(at):
    landed = at.green(0)
    at.queue.swap_what_is_current()
    at.green(1, landed)
    git(at.top, "update-ref", "-d", f"refs/heads/{BRANCH}")
    assert at.queue.swap_what_is_current() == []
    assert at.tip == landed
    done, _back = at.queue.settle(at.judged(at.queue.take_batch()))
    assert [story for story, *_ in done] == [1]
    assert rad_git.is_ancestor(at.repo, landed, str(at.tip))


def test_locks_that_a_killed_worker_left_on_a_storys_refs_are_removed(at):
    made = at.green(0)
    ref = at.queue._refs(0)[0]
    lock = at.repo.common_dir / f"{ref}.lock"
    write(lock, "")
    other = write(at.repo.common_dir / "refs/heads/main.lock", "")
    at.queue.clear_locks(0)
    assert not lock.exists()
    assert other.exists()
    assert rad_git.update_refs(at.repo, [(ref, made, "")])
