"""From green stories to candidates of the run branch: merged one on another, judged once, bisected when that is red."""

import os
import shlex
from dataclasses import replace

import pytest
from project_repo import git, make_repo, poison, tree_of, write

from rad_engineer import git as rad_git
from rad_engineer import timings
from rad_engineer.core import failures
from rad_engineer.rules import GateRule, Rules
from rad_engineer.store import RunDir
from rad_engineer.worker import landing
from rad_engineer.worker.court import Court
from rad_engineer.worker.workplace import Workplace

BASE = {"both.txt": "one\ntwo\nthree\n"}


class Bench:
    """A repository whose branch has moved on since some stories were judged."""

    def __init__(self, tmp_path, gate="test ! -e bad", **rules):
        self.tmp = tmp_path
        self.top = make_repo(tmp_path / "project", BASE)
        self.repo = rad_git.discover(self.top)
        self.base = rad_git.head(self.repo)
        self.tip = self.commit({"tip.txt": "moved on\n"})
        self.said = []
        self.cancel, self.stop = os.pipe()
        place = Workplace(
            RunDir(tmp_path / "run"),
            Rules(
                run="r1", kind="real", workspace="slots", top=str(self.top), home=str(self.top),
                cache=str(tmp_path / "cache"), repository=self.repo.to_json(), branch="rad/toy", base=self.base,
                agent="command", agent_command="true",
                gates=(GateRule("check", gate, "project", "opaque"),) if gate else (), **rules,
            ),
            {"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )  # fmt: skip
        self.court = Court(place, 0, tmp_path / "run" / "landing-1", self.said.append, self.cancel)

    def close(self):
        os.close(self.cancel)
        os.close(self.stop)

    def commit(self, files, parent=None):
        git(self.top, "checkout", "-q", "--detach", parent or self.base)
        for name, text in files.items():
            write(self.top / name, text)
        git(self.top, "add", "-A")
        git(self.top, "commit", "-q", "-m", f"adds {' '.join(files)}\n\nRad-Run: r1")
        made = git(self.top, "rev-parse", "HEAD")
        git(self.top, "checkout", "-q", "main")
        return made

    def story(self, name, files=None, *, checks=(), parent=None, unverified=False):
        return {
            "identity": name,
            "commit": self.commit(files or {f"{name}.txt": f"{name}\n"}, parent),
            "parent": parent or self.base,
            "ref": f"refs/rad/r1-candidates/{name}",
            "checks": [{"name": f"own-{name}", "command": command} for command in checks],
            "unverified": unverified,
        }

    def land(self, *stories):
        return landing.land(self.court, self.tip, stories)

    def judged(self):
        return [(event["gate"], event["ok"]) for event in self.said if event["event"] == "gate_finished"]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def bench(tmp_path):
    found = []

    def make(**options):
        found.append(Bench(tmp_path, **options))
        return found[0]

    yield make
    for each in found:
        each.close()


def names(entries):
    return [entry["identity"] for entry in entries]


def test_what_waits_is_merged_in_a_row_and_judged_once(bench):
    at = bench()
    stories = [at.story("A"), at.story("B", parent=at.tip), at.story("C")]
    found = at.land(*stories).to_json()
    assert (found["tip"], names(found["landed"])) == (at.tip, ["A", "B", "C"])
    assert (found["back"], found["waiting"], found["interrupted"]) == ([], [], False)
    candidates = [entry["candidate"] for entry in found["landed"]]
    parents = [git(at.top, "rev-parse", f"{commit}^@").split() for commit in candidates]
    assert parents == [[at.tip], [candidates[0]], [candidates[1]]]
    assert tree_of(at.top, candidates[-1]).keys() == {"both.txt", "tip.txt", "A.txt", "B.txt", "C.txt"}
    assert git(at.top, "log", "-1", "--format=%B", candidates[0]).startswith("adds A.txt\n\nRad-Run: r1")
    assert rad_git.refs(at.repo, "refs/rad/") == {
        story["ref"]: made for story, made in zip(stories, candidates, strict=True)
    }
    for entry in found["landed"]:
        (said,) = entry["gates"]
        assert (said["name"], said["verdict"], said["commit"]) == ("check", "green", candidates[-1])
    assert at.judged() == [("check", True)]


def test_what_merging_and_keeping_cost_is_counted_as_landing(bench):
    at = bench()
    story = at.story("A")
    account = timings.open_account(wanted=True)
    try:
        at.land(story)
    finally:
        timings.open_account(wanted=False)
    assert set(account.seconds) == {"landing", "walk", "gate copy", "gates"}


def test_a_story_that_stands_on_the_tip_is_its_own_candidate(bench):
    at = bench()
    story = at.story("A", parent=at.tip)
    assert at.land(story).landed[0]["candidate"] == story["commit"]
    assert rad_git.refs(at.repo, "refs/rad/") == {}


def test_what_conflicts_goes_back_with_what_it_did_and_the_others_land(bench):
    at = bench()
    first, second = (at.story(name, {"both.txt": f"one\n{name}\nthree\n"}) for name in "AB")
    found = at.land(first, second, at.story("C"))
    assert (names(found.landed), names(found.back), found.waiting) == (["A", "C"], ["B"], [])
    outcome = found.back[0]["outcome"]
    assert (outcome["kind"], outcome["reason"], outcome["detail"]) == ("failed", "conflict", "both.txt")
    assert "<<<<<<<" in outcome["feedback"]
    patch = at.tmp / "run/landing-1/B.patch"
    assert outcome["feedback"].endswith(f"is kept in {patch}")
    assert "\n+B\n" in patch.read_text()
    assert outcome["commit"] == second["commit"]


def test_where_everything_conflicts_nothing_is_judged(bench):
    at = bench()
    at.tip = at.commit({"both.txt": "one\ntip\nthree\n"})
    found = at.land(at.story("A", {"both.txt": "one\nA\nthree\n"}))
    assert (found.landed, names(found.back), at.said) == ([], ["A"], [])


@pytest.mark.parametrize("culprit", range(4))
def test_the_culprit_goes_back_what_stood_before_lands_what_stood_behind_waits(bench, culprit):
    at = bench()
    stories = [
        at.story(name, {"bad": "!\n"} if place == culprit else None) for place, name in enumerate("ABCD")
    ]
    found = at.land(*stories)
    assert "".join(names(found.landed)) == "ABCD"[:culprit]
    assert names(found.back) == ["ABCD"[culprit]]
    assert "".join(found.waiting) == "ABCD"[culprit + 1 :]
    outcome = found.back[0]["outcome"]
    assert (outcome["reason"], outcome["detail"]) == ("red-after-merge", "check (red)")
    assert outcome["commit"] == stories[culprit]["commit"]
    assert "What the last attempt changed is kept in" in outcome["feedback"]
    for entry in found.landed:  # the verdict on exactly those that stand
        assert [(gate["verdict"], gate["commit"]) for gate in entry["gates"]] == [
            ("green", found.landed[-1]["candidate"])
        ]
    assert len(at.judged()) <= 3


def test_of_two_culprits_the_first_goes_back_and_the_other_waits(bench):
    at = bench(gate="test ! -e bad1 -a ! -e bad2")
    found = at.land(at.story("A"), at.story("B", {"bad1": "!\n"}), at.story("C", {"bad2": "!\n"}))
    assert (names(found.landed), names(found.back), found.waiting) == (["A"], ["B"], ["C"])


def test_every_own_check_is_run_once_and_is_evidence_for_its_own_stories_only(bench):
    at = bench()
    found = at.land(
        at.story("A", checks=["test -e A.txt", "test -e both.txt"]),
        at.story("B", checks=["test -e both.txt", "test ! -e bad"]),
        at.story("C"),
    )
    said = {entry["identity"]: [gate["command"] for gate in entry["gates"]] for entry in found.landed}
    assert said == {
        "A": ["test ! -e bad", "test -e A.txt", "test -e both.txt"],
        "B": ["test ! -e bad", "test -e both.txt"],
        "C": ["test ! -e bad"],
    }
    assert sorted(name for name, _ok in at.judged()) == ["check", "own-A", "own-A"]
    assert [gate["scope"] for gate in found.landed[0]["gates"]] == ["project", "story", "story"]


def test_a_storys_own_check_that_is_red_together_sends_it_back(bench):
    at = bench()
    found = at.land(at.story("A"), at.story("B", checks=["test ! -e A.txt"]))
    assert (names(found.landed), names(found.back)) == (["A"], ["B"])


@pytest.mark.parametrize("unverified", [False, True])
def test_where_nothing_proves_anything_lands_only_what_was_allowed_without(bench, unverified):
    at = bench(gate="false")  # red before and after
    found = at.land(at.story("A", unverified=unverified), at.story("B", unverified=unverified))
    assert names(found.landed) == (["A", "B"] if unverified else [])
    if unverified:
        assert [gate["verdict"] for gate in found.landed[0]["gates"]] == ["no-evidence"]
        return
    assert (names(found.back), found.waiting) == (["A"], ["B"])
    outcome = found.back[0]["outcome"]
    assert (outcome["reason"], outcome["detail"]) == (
        "red-after-merge",
        "no gate proves anything on the merged tree",
    )
    assert "\n- check: no-evidence, it failed before too" in outcome["feedback"]
    assert outcome["kind"] == "failed"


def test_without_any_gate_the_own_check_of_each_must_prove_it(bench):
    at = bench(gate="")
    found = at.land(
        at.story("A", checks=["test -e A.txt"]), at.story("B", checks=["test -e B.txt"]), at.story("C")
    )
    assert (names(found.landed), names(found.back)) == (["A", "B"], ["C"])
    assert [[gate["name"] for gate in entry["gates"]] for entry in found.landed] == [["own-A"], ["own-B"]]
    said, _patch = found.back[0]["outcome"]["feedback"].split("\n\n")
    assert said.splitlines() == [
        "Green alone, but with what has landed since no gate proves anything on the merged tree. What the gates say:",
        "- own-A: green, nothing more",
        "- own-B: green, nothing more",
    ]


def test_what_stands_behind_an_own_check_is_read_where_the_branch_is(bench):
    """An `npm test` that is pytest proves nothing without a result of pytest, whatever npm says."""
    at = bench(gate="")
    write(at.tmp / "bin/npm", "#!/bin/sh\n")
    (at.tmp / "bin/npm").chmod(0o755)
    at.court.place.environment["PATH"] = f"{at.tmp}/bin:{os.environ['PATH']}"
    at.tip = at.commit({"package.json": '{"scripts": {"test": "pytest"}}\n'})
    found = at.land(at.story("A", checks=["npm test"]))
    assert (names(found.landed), names(found.back)) == ([], ["A"])
    assert "own-A: no-evidence" in found.back[0]["outcome"]["feedback"]


def test_a_set_up_that_fails_on_the_merged_tree_is_the_culprits_doing(bench):
    at = bench(setup="test ! -e bad-setup")
    manifest = {"package.json": "{}\n"}  # what makes it run again
    found = at.land(at.story("A"), at.story("B", {"bad-setup": "!\n", **manifest}))
    assert (names(found.landed), names(found.back)) == (["A"], ["B"])
    outcome = found.back[0]["outcome"]
    assert (outcome["reason"], bool(outcome["commit"])) == ("setup-failed", True)
    assert outcome["reason"] in failures.REASONS


def test_a_landing_that_is_stopped_has_decided_nothing(bench):
    at = bench()
    os.write(at.stop, b"!")
    found = at.land(at.story("A", {"both.txt": "A\n"}), at.story("B", {"both.txt": "B\n"}), at.story("C"))
    assert (found.landed, found.back, found.waiting) == ([], [], ["A", "B", "C"])
    assert found.to_json()["interrupted"] is True


def test_gates_never_run_where_the_last_one_left_something(bench):
    at = bench(gate=f"test ! -e left && touch left && echo {shlex.quote('{}')} > .ignored.log")
    assert names(at.land(at.story("A")).landed) == ["A"]
    at.court = replace(at.court, logs=at.tmp / "run" / "landing-2")
    assert names(at.land(at.story("B")).landed) == ["B"]
