"""Slots: moved, staged, adopted and landed; a copy is what its commit says."""

import os
import shutil
import subprocess
from contextlib import nullcontext

import pytest
from project_repo import commit_all, git, on_disk, poison, tree_of, write
from slot_project import Project

from rad_engineer import git as rad_git
from rad_engineer.errors import CannotWrite


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_a_slot_is_what_its_commit_says(project):
    project.move()
    project.clean()
    write(project.top / "src" / "new.py", "new\n")
    (project.top / "run.sh").chmod(0o755)
    (project.top / "link").symlink_to("src/app.py")
    (project.top / "README.md").unlink()
    second = commit_all(project.top)
    project.move(second)
    project.clean(second)
    project.move()
    project.clean()


def test_inside_a_slot_git_works_and_knows_only_the_run(project):
    secret = git(project.top, "hash-object", "-w", "--stdin", data=b"a secret that was once added")
    git(project.top, "commit", "-q", "--allow-empty", "-m", "private")
    private = git(project.top, "rev-parse", "HEAD")
    git(project.top, "branch", "private", private)
    git(project.top, "reset", "-q", "--hard", project.base)
    project.move()
    inside = project.slot.path
    assert git(inside, "status", "--porcelain") == ""
    assert git(inside, "rev-parse", "HEAD") == project.base
    assert git(inside, "symbolic-ref", "--short", "HEAD") == "work"
    assert git(inside, "fsck", "--full", "--no-dangling") == ""
    assert git(inside, "config", "user.email") == "uma@example.org"
    for hidden in (secret, private):
        assert git(inside, "cat-file", "-e", hidden, check=False) == ""
        assert subprocess.run(
            ["git", "cat-file", "-e", hidden], cwd=inside, capture_output=True, check=False
        ).returncode
    assert str(project.top) not in "".join(
        path.read_text("utf-8", "replace") for path in (inside / ".git").rglob("*") if path.is_file()
    )


def test_what_an_agent_commits_in_its_own_git_does_not_matter(project):
    project.move()
    write(project.slot.path / "src" / "new.py", "new\n")
    git(project.slot.path, "add", "-A")
    git(project.slot.path, "commit", "-q", "-m", "mine\n\nRad-Run: forged")
    staged = project.stage()
    assert staged.changed == (("A", "src/new.py"),)
    commit = project.pool.commit(staged, project.base, "ours\n", project.tmp / "run" / "q")
    project.pool.adopt(project.tmp / "run" / "q")
    assert git(project.top, "log", "--format=%s", commit) == "ours\nbase"


def test_history_is_as_long_as_was_asked_for(tmp_path):
    project = Project(tmp_path)
    for number in range(5):
        write(project.top / "count.txt", f"{number}\n")
        commit_all(project.top, str(number))
    project.open(history=3)
    project.move()
    assert git(project.slot.path, "log", "--format=%s") == "4\n3\n2"
    assert git(project.slot.path, "fsck", "--no-dangling") == ""


def test_changes_of_every_kind_are_staged(project):
    project.move()
    inside = project.slot.path
    write(inside / "src" / "app.py", "print('APP')\n")
    write(inside / "docs" / "new.md", "# new\n")
    (inside / "README.md").unlink()
    (inside / "run.sh").chmod(0o755)
    (inside / "src" / "link").symlink_to("../docs/new.md")
    shutil.rmtree(inside / "src" / "deep")
    write(inside / "src" / "deep", "now a file\n")
    write(inside / "noise.log", "ignored\n")
    staged = project.stage()
    assert staged.problem is None
    assert sorted(staged.changed) == [
        ("A", "docs/new.md"),
        ("A", "src/deep"),
        ("A", "src/link"),
        ("D", "README.md"),
        ("D", "src/deep/er/leaf.py"),
        ("M", "run.sh"),
        ("M", "src/app.py"),
    ]


def test_nothing_changed_is_the_same_tree(project):
    project.move()
    (project.slot.path / "README.md").touch()
    staged = project.stage()
    assert (staged.changed, staged.problem) == ((), None)
    assert staged.tree == git(project.top, "rev-parse", "HEAD^{tree}")


def test_a_change_of_the_same_size_in_the_same_second_is_seen(project):
    """A file that is as old as the index may have changed: git must compare it, also in a copied index."""
    for attempt in range(5):
        project.move()
        path = project.slot.path / "src" / "app.py"
        before = path.stat()
        path.write_text(f"print('{attempt:03d}')\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert project.stage(name=f"q{attempt}").changed == (("M", "src/app.py"),)
        project.move()
        project.clean()


def test_staging_twice_gives_the_same(project):
    project.move()
    write(project.slot.path / "new.txt", "new\n")
    first, second = project.stage(), project.stage(name="again")
    assert first == second
    assert project.stage(name="third", never=("new.txt",)).changed == ()


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ("kill -9 $$", None),
        ("echo 'error: file write error: No space left on device' >&2; exit 128", None),
        ("echo 'fatal: sha1 file x/index.lock write error. Out of diskspace' >&2; exit 128", None),
        ("echo 'fatal: Unable to write new index file' >&2; exit 128", None),
        ("echo 'error: failed to encode x' >&2; exit 128", "git-failed"),
    ],
)
def test_a_git_that_was_killed_or_found_no_room_is_not_the_storys_fault(
    project, tmp_path, monkeypatch, end, problem
):
    project.move()
    write(project.slot.path / "new.txt", "new\n")
    script = f'#!/bin/sh\ncase "$*" in *" add "*) {end};; esac\nexec {shutil.which("git")} "$@"\n'
    write(tmp_path / "bin" / "git", script).chmod(0o755)
    with monkeypatch.context() as only_here:
        only_here.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        with nullcontext() if problem else pytest.raises(CannotWrite, match="git add"):
            assert project.stage().problem == problem
    assert project.stage().problem is None


def test_paths_that_are_never_staged_stay_as_they_are_in_the_base(project):
    project.move()
    write(project.slot.path / "README.md", "agent's ticks\n")
    write(project.slot.path / "tmp" / "x", "x\n")
    write(project.slot.path / "tmp[1]" / "x", "x\n")
    staged = project.stage(never=("README.md", "tmp"))
    assert staged.changed == (("A", "tmp[1]/x"),)


def test_a_story_lands_with_its_objects_and_the_next_agent_sees_it(project):
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    first = project.land(project.base, "s1")
    assert rad_git.update_refs(project.repo, [("refs/heads/rad/x", first, "")])
    assert not (project.tmp / "run" / "s1").exists()
    assert git(project.top, "fsck", "--full", "--no-dangling") == ""
    other = project.pool.slot("slot", 2)
    project.pool.move(other, first, first)
    assert git(other.path, "log", "--format=%s") == "story\nbase"
    assert git(other.path, "status", "--porcelain") == ""
    assert git(other.path, "fsck", "--no-dangling") == ""


def test_nothing_reaches_the_users_objects_before_it_is_adopted(project):
    project.move()
    before = objects(project.top)
    write(project.slot.path / "refused.txt", "not good enough\n")
    staged = project.stage()
    project.pool.commit(staged, project.base, "m\n", project.tmp / "run" / "q")
    assert objects(project.top) == before
    assert project.pool.read(staged.tree, "refused.txt", project.tmp / "run" / "q") == b"not good enough\n"
    assert project.pool.read(staged.tree, "refused.txt") is None
    project.pool.forget(project.tmp / "run" / "q")
    assert objects(project.top) == before


def objects(top):
    return sorted(path.name for path in (top / ".git" / "objects").rglob("*") if path.is_file())


def test_many_objects_come_in_one_pack(project):
    project.move()
    for number in range(1_200):
        write(project.slot.path / "many" / f"{number:04d}.txt", f"{number}\n")
    before = len(objects(project.top))
    commit = project.land(project.base, "many")
    assert len(objects(project.top)) - before == 2
    assert len(tree_of(project.top, commit)) == 1_205
    project.move(commit)
    project.clean(commit)
    assert git(project.slot.path, "fsck", "--no-dangling") == ""


def test_work_survives_a_prune_between_two_attempts(project):
    """The run's store still has objects of a first attempt that the user's repository has already lost."""
    for number in range(2):
        project.move()
        write(project.slot.path / "same.txt", "the same words\n")
        write(project.slot.path / "deep" / "er" / "same.txt", "the same words again\n")
        commit = project.land(project.base, "s1")
        if number == 0:
            rad_git.update_refs(project.repo, [("refs/rad/run1/s1", "", commit)])
            git(project.top, "prune", "--expire=now")
    assert git(project.top, "fsck", "--full", "--no-dangling") == ""
    assert tree_of(project.top, commit)["same.txt"]


def test_a_large_attempt_survives_a_prune_as_well(project):
    for number in range(2):
        project.move()
        for each in range(1_001):
            write(project.slot.path / "many" / f"{each}", f"{each}\n")
        commit = project.land(project.base, "s1")
        if number == 0:
            rad_git.update_refs(project.repo, [("refs/rad/run1/s1", "", commit)])
            git(project.top, "gc", "-q", "--prune=now")
            assert git(project.top, "cat-file", "-t", commit, check=False) == ""
    assert git(project.top, "fsck", "--full", "--no-dangling") == ""
    assert len(tree_of(project.top, commit)) == 1_006


def test_two_stories_are_merged_and_both_are_seen(project):
    project.move()
    other = project.pool.slot("slot", 2)
    project.pool.move(other, project.base, project.base)
    write(project.slot.path / "one.txt", "one\n")
    write(other.path / "two.txt", "two\n")
    first = project.land(project.base, "s1")
    project.slot = other
    second = project.land(project.base, "s2")
    before = objects(project.top)
    with project.pool.quarantined() as quarantine:
        place = {"parent": project.base, "quarantine": quarantine}
        merged = project.pool.merge(first, second, **place)
        gate = project.pool.slot("gate", 1)
        project.pool.move(gate, merged.tree, first, quarantine=quarantine)
        assert {"one.txt", "two.txt"} <= set(on_disk(gate.path))
        made = project.pool.candidate(first, second, merged.tree, **place)
        assert objects(project.top) == before
        project.pool.keep_candidates({"refs/rad/c/s2": made}, quarantine)
    assert rad_git.refs(project.repo, "refs/rad/c/") == {"refs/rad/c/s2": made}
    assert git(project.top, "log", "--format=%s %P", "-1", made) == f"story {first}"
    assert "Rad-Story: s2" in git(project.top, "log", "--format=%B", "-1", made)
    project.move(made)
    project.clean(made)
    assert git(project.slot.path, "fsck", "--no-dangling") == ""
    assert git(project.top, "fsck", "--no-dangling") == ""


def test_on_an_unmoved_tip_the_storys_own_commit_is_the_candidate(project):
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    commit = project.land(project.base, "s1")
    with project.pool.quarantined() as quarantine:
        place = {"parent": project.base, "quarantine": quarantine}
        merged = project.pool.merge(project.base, commit, **place)
        assert merged.tree == git(project.top, "rev-parse", f"{commit}^{{tree}}")
        made = project.pool.candidate(project.base, commit, merged.tree, **place)
        project.pool.keep_candidates({"refs/rad/c/x": made}, quarantine)
    assert made == commit
    assert rad_git.refs(project.repo, "refs/rad/c/") == {}


def test_a_merge_that_is_given_up_leaves_nothing_behind_and_its_gate_copy_goes_on(project):
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    first = project.land(project.base, "s1")
    project.move()
    write(project.slot.path / "two.txt", "two\n")
    second = project.land(project.base, "s2")
    before = objects(project.top)
    gate = project.pool.slot("gate", 1)
    with project.pool.quarantined() as quarantine:
        merged = project.pool.merge(first, second, parent=project.base, quarantine=quarantine)
        project.pool.move(gate, merged.tree, first, quarantine=quarantine)
    assert objects(project.top) == before
    inode = gate.path.stat().st_ino
    project.open()  # another worker, who has never seen that tree
    project.pool.move(gate, second, second)
    assert gate.path.stat().st_ino == inode
    assert on_disk(gate.path) == tree_of(project.top, second)
    write(gate.path / "one.txt", "left over\n")
    project.pool.move(gate, second, second)
    assert on_disk(gate.path) == tree_of(project.top, second)


def test_a_conflict_leaves_nothing_behind(project):
    project.move()
    write(project.slot.path / "README.md", "one\n")
    first = project.land(project.base, "s1")
    project.move()
    write(project.slot.path / "README.md", "two\n")
    second = project.land(project.base, "s2")
    before = objects(project.top)
    with project.pool.quarantined() as quarantine:
        merged = project.pool.merge(first, second, parent=project.base, quarantine=quarantine)
    assert (merged.tree, merged.paths) == (None, ("README.md",))
    assert objects(project.top) == before
    assert not list((project.tmp / "cache" / "runs" / "run1").glob("merge-*"))
