"""Slots: moved, staged, adopted and landed; whatever happens in between, a copy is what its commit says."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_repo import POISON, commit_all, git, make_repo, on_disk, tree_of, write

from rad_engineer import git as rad_git
from rad_engineer.slots import Pool


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)


class Project:
    """A repository, a pool over it, and what a worker does with both."""

    def __init__(self, tmp_path, **options):
        self.top = make_repo(tmp_path / "project", **options)
        self.tmp = tmp_path
        self.open()

    def open(self, **settings):
        self.repo = rad_git.discover(self.top)
        self.base = rad_git.head(self.repo)
        self.pool = Pool(self.repo, self.tmp / "cache", "run1", **settings)
        self.slot = self.pool.slot("slot", 1)

    def move(self, target=None, **options):
        self.pool.move(self.slot, target or self.base, target or self.base, **options)

    def stage(self, base=None, name="q", **options):
        return self.pool.stage(self.slot, base or self.base, self.tmp / "run" / name, **options)

    def land(self, parent, name="q"):
        staged = self.pool.stage(self.slot, parent, self.tmp / "run" / name)
        assert staged.problem is None, staged
        commit = self.pool.commit(
            staged, parent, f"story\n\nRad-Run: run1\nRad-Story: {name}\n", self.tmp / "run" / name
        )
        self.pool.adopt(self.tmp / "run" / name)
        self.pool.keep_ref(f"refs/rad/run1/{name}", commit)
        return commit

    def clean(self, target=None):
        algorithm = "sha256" if self.repo.object_format == "sha256" else "sha1"
        assert on_disk(self.slot.path, algorithm=algorithm) == tree_of(self.top, target or self.base)


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
    merged = project.pool.merge(first, second, parent=project.base)
    gate = project.pool.slot("gate", 1)
    project.pool.move(gate, merged.tree, first)
    assert {"one.txt", "two.txt"} <= set(on_disk(gate.path))
    made = project.pool.candidate(first, second, merged.tree, parent=project.base, ref="refs/rad/c/s2")
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
    merged = project.pool.merge(project.base, commit, parent=project.base)
    assert merged.tree == git(project.top, "rev-parse", f"{commit}^{{tree}}")
    made = project.pool.candidate(project.base, commit, merged.tree, parent=project.base, ref="refs/rad/c/x")
    assert made == commit
    assert rad_git.refs(project.repo, "refs/rad/c/") == {}


def test_a_conflict_leaves_nothing_behind(project):
    project.move()
    write(project.slot.path / "README.md", "one\n")
    first = project.land(project.base, "s1")
    project.move()
    write(project.slot.path / "README.md", "two\n")
    second = project.land(project.base, "s2")
    before = objects(project.top)
    merged = project.pool.merge(first, second, parent=project.base)
    assert (merged.tree, merged.paths) == (None, ("README.md",))
    assert objects(project.top) == before
    assert not list((project.tmp / "cache" / "runs" / "run1").glob("merge-*"))


# what lies in a copy besides its tree


def test_ignored_files_go_and_only_what_is_kept_stays(project):
    gate = project.pool.slot("gate", 1)
    project.pool.move(gate, project.base, project.base)
    for path in ("src/__pycache__/app.cpython-311.pyc", "noise.log", "build/out", "node_modules/a/index.js", ".venv/x",
                 "packages/one/node_modules/b.js", "packages/one/stale.js"):  # fmt: skip
        write(gate.path / path, "x")
    write(gate.path / "node_modules" / "a" / ".git" / "config", "[core]\n")
    keep = ("node_modules", ".venv", "packages/*/node_modules")
    project.pool.move(gate, project.base, project.base, keep=keep)
    extra = set(on_disk(gate.path)) - set(tree_of(project.top, project.base))
    kept = {
        "node_modules/a/index.js",
        "node_modules/a/.git/config",
        ".venv/x",
        "packages/one/node_modules/b.js",
    }
    assert extra == kept
    staged = project.pool.stage(gate, project.base, project.tmp / "run" / "g")
    assert (staged.changed, staged.problem) == ((), None)
    assert git(gate.path, "status", "--porcelain") == ""
    assert project.pool.untracked(gate) == (".venv", "node_modules", "packages")
    project.pool.move(gate, project.base, project.base)
    assert on_disk(gate.path) == tree_of(project.top, project.base)


def test_ignored_files_are_copied_when_asked_for_and_never_staged(tmp_path):
    project = Project(tmp_path)
    write(project.top / ".env", "SECRET=1\n")
    write(project.top / "build" / "local.cfg", "x\n")
    write(project.top / "untracked.cfg", "not ignored\n")
    project.open(copy=("*",))
    project.move()
    assert project.pool.copy_files(project.slot) == ("build/local.cfg",)
    project.open(copy=(".env", "*.cfg"))
    project.move()
    assert project.pool.copy_files(project.slot) == (".env", "build/local.cfg")
    assert (project.slot.path / ".env").read_text() == "SECRET=1\n"
    (project.slot.path / ".gitignore").unlink()
    write(project.slot.path / "mine.txt", "mine\n")
    assert sorted(project.stage().changed) == [("A", "mine.txt"), ("D", ".gitignore")]
    project.move()
    project.clean()


def test_the_users_own_ignore_files_hold_in_slots(tmp_path):
    project = Project(tmp_path)
    write(project.top / ".git" / "info" / "exclude", "notes/\n")
    project.open()
    project.move()
    write(project.slot.path / "notes" / "x", "x\n")
    assert project.stage().changed == ()
    assert git(project.slot.path, "status", "--porcelain") == ""


# other repositories, other moments


def test_works_with_long_object_names(tmp_path):
    project = Project(tmp_path, object_format="sha256")
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    commit = project.land(project.base, "s1")
    project.move(commit)
    project.clean(commit)
    assert git(project.slot.path, "fsck", "--no-dangling") == ""
    merged = project.pool.merge(commit, commit, parent=project.base)
    assert merged.tree == git(project.top, "rev-parse", f"{commit}^{{tree}}")


def test_works_in_a_shallow_clone_and_in_a_linked_work_tree(tmp_path):
    source = make_repo(tmp_path / "source")
    write(source / "b.txt", "b\n")
    commit_all(source)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{source}", "shallow")
    git(tmp_path / "shallow", "worktree", "add", "-q", str(tmp_path / "linked"))
    for number, top in enumerate((tmp_path / "shallow", tmp_path / "linked")):
        repo = rad_git.discover(top)
        pool = Pool(repo, tmp_path / f"cache{number}", "run1")
        slot = pool.slot("slot", 1)
        pool.move(slot, rad_git.head(repo), rad_git.head(repo))
        assert on_disk(slot.path) == tree_of(top, "HEAD")
        assert git(slot.path, "fsck", "--no-dangling") == ""


def test_submodules_stay_unchanged_git_links(tmp_path):
    inner = make_repo(tmp_path / "inner")
    project = Project(tmp_path)
    git(project.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendor/inner")
    commit_all(project.top)
    project.open()
    project.move()
    place = project.slot.path / "vendor" / "inner"
    assert list(place.iterdir()) == []
    assert git(project.slot.path, "status", "--porcelain") == ""
    place.rmdir()
    write(project.slot.path / "new.txt", "new\n")
    assert project.stage().changed == (("A", "new.txt"),)
    project.move()
    write(place / "file.txt", "in a submodule\n")
    assert project.stage(name="q2").changed == ()
    project.move()
    project.clean()


def test_line_endings_follow_the_users_setting(tmp_path):
    project = Project(tmp_path, files={"unix.txt": "a\nb\n", "dos.txt": b"a\r\nb\r\n"})
    git(project.top, "config", "core.autocrlf", "input")
    project.open()
    project.move()
    assert (project.slot.path / "unix.txt").read_bytes() == b"a\nb\n"
    write(project.slot.path / "unix.txt", b"a\r\nb\r\n")
    write(project.slot.path / "new.txt", b"x\r\ny\r\n")
    staged = project.stage()
    assert staged.changed == (("A", "new.txt"),)
    assert project.pool.read(staged.tree, "new.txt", project.tmp / "run" / "q") == b"x\ny\n"
    assert "?? new.txt" in git(project.slot.path, "status", "--porcelain")


def test_file_modes_are_left_alone_where_the_user_says_so(tmp_path):
    project = Project(tmp_path)
    git(project.top, "config", "core.fileMode", "false")
    project.open()
    project.move()
    (project.slot.path / "README.md").chmod(0o755)
    assert project.stage().changed == ()


def test_a_pool_of_another_process_goes_on_where_this_one_was(project):
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    first = project.land(project.base, "s1")
    again = Project.__new__(Project)
    again.top, again.tmp = project.top, project.tmp
    again.open()
    again.pool.move(again.slot, first, first)
    again.clean(first)
    project.move()
    project.clean()
    again.pool.move(again.slot, first, first)
    write(again.slot.path / "two.txt", "two\n")
    assert again.stage(base=first).changed == (("A", "two.txt"),)


def test_staging_against_another_base_than_the_slot_stands_on(project):
    project.move()
    write(project.slot.path / "one.txt", "one\n")
    first = project.land(project.base, "s1")
    project.move(first)
    assert project.stage(base=project.base, name="q2").changed == (("A", "one.txt"),)


@pytest.mark.parametrize("debris", ["index", "rad-state.json", "HEAD", "whole", "lock", "half"])
def test_goes_on_after_a_crash(project, debris):
    project.move()
    write(project.slot.path / "README.md", "dirty\n")
    if debris == "whole":
        shutil.rmtree(project.slot.git_dir)
    elif debris == "lock":
        write(project.slot.git_dir / "index.lock", "")
        write(project.slot.git_dir / "index.stage.lock", "")
    elif debris == "half":
        shutil.rmtree(project.slot.path / "src")
        (project.slot.git_dir / "rad-state.json").unlink()
    else:
        (project.slot.git_dir / debris).unlink()
    project.open()
    project.move()
    project.clean()
    write(project.slot.path / "new.txt", "new\n")
    assert project.stage().changed == (("A", "new.txt"),)


def test_work_can_be_rescued_when_only_the_files_are_left(project):
    project.move()
    write(project.slot.path / "paid.txt", "paid\n")
    shutil.rmtree(project.slot.git_dir)
    project.open()
    assert project.stage().changed == (("A", "paid.txt"),)


def test_a_store_from_before_a_power_cut_is_made_again(project):
    project.move()
    store = project.pool.store.path
    (store / "boot").write_text("another boot")
    for pack in (store / "objects" / "pack").glob("*"):
        pack.chmod(0o644)
        pack.write_bytes(b"")
    project.open()
    project.move()
    assert git(project.slot.path, "fsck", "--no-dangling") == ""


def test_tidying_removes_what_others_left_and_keeps_slots(project):
    project.move()
    cache = project.tmp / "cache"
    write(cache / "attic" / "1" / "0" / "deep" / "file", "x")
    write(cache / "runs" / "old" / "store.git" / "HEAD", "x")
    write(cache / "runs" / "run1" / "merge-1-0" / "ab" / "cd", "x")
    lock = write(project.slot.git_dir / "index.lock", "")
    assert project.pool.size() > 0
    project.pool.tidy()
    assert not lock.exists()
    assert [path.name for path in (cache / "runs").iterdir()] == ["run1"]
    assert not list((cache / "runs" / "run1").glob("merge-*"))
    assert {path.name for path in (cache / "attic").iterdir()} == {str(os.getpid())}
    project.clean()


def test_a_removed_slot_is_gone_and_can_come_back(project):
    project.move()
    project.pool.remove(project.slot)
    assert not project.slot.path.exists()
    assert not project.slot.git_dir.exists()
    project.move()
    project.clean()


def test_works_for_a_user_without_rights_and_home(project, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    home = tmp_path / "unprivileged"
    home.mkdir()
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/") and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    shutil.copytree(project.top, home / "project", symlinks=True)
    source = tmp_path / "code"
    shutil.copytree(Path(__file__).parents[2] / "rad_engineer", source / "rad_engineer")
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    program = write(tmp_path / "program.py", UNPRIVILEGED)
    python = python_for_others()
    done = subprocess.run(
        [python, "-B", str(program), str(home), str(source)], user=65534, group=65534, extra_groups=[],
        env={"PATH": os.environ["PATH"], "LANG": "C"}, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"changed": [["M", "README.md"], ["A", "locked/inner.txt"]], "files": 5}


def python_for_others():
    """An interpreter that a user without rights may start: the one of the tests may lie in somebody's home."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            code = "import sys; sys.exit(sys.version_info < (3, 11))"
            if (
                subprocess.run(
                    [python, "-c", code], user=65534, group=65534, extra_groups=[], check=False
                ).returncode
                == 0
            ):
                return python
    pytest.skip("no interpreter that others may start")


UNPRIVILEGED = """
import json, os, sys
from pathlib import Path
home, source = sys.argv[1:]
sys.path.insert(0, source)
from rad_engineer import git
from rad_engineer.slots import Pool
repo = git.discover(Path(home, "project"))
base = git.head(repo)
pool = Pool(repo, Path(home, "cache"), "run1")
slot = pool.slot("slot", 1)
pool.move(slot, base, base)
(slot.path / "README.md").write_text("unreadable\\n")
(slot.path / "README.md").chmod(0)
(slot.path / "locked").mkdir()
(slot.path / "locked" / "inner.txt").write_text("x\\n")
(slot.path / "locked").chmod(0)
staged = pool.stage(slot, base, Path(home, "q"))
for name in ("locked", "src", "src/deep"):
    (slot.path / name).chmod(0o500)
(slot.path / "src" / "deep" / "er" ).chmod(0o000)
(slot.path / "README.md").chmod(0)
pool.move(slot, base, base)
files = [name for _, _, names in os.walk(slot.path) for name in names]
inside = [name for _, _, names in os.walk(slot.path / ".git") for name in names]
print(json.dumps({"changed": sorted(staged.changed, key=lambda pair: pair[1]), "files": len(files) - len(inside)}))
"""


def test_a_large_slot_is_moved_quickly(tmp_path):
    """Not a benchmark: it fails when a move costs as much as a checkout, or a process for every file."""
    files = {f"pkg{number % 20}/file{number}.txt": f"{number}\n" for number in range(2_000)}
    project = Project(tmp_path, files=files)
    project.move()
    started = time.monotonic()
    for number in range(5):
        write(project.slot.path / "pkg1" / "file1.txt", f"changed {number}\n")
        assert len(project.stage(name=f"q{number}").changed) == 1
        project.move()
    assert time.monotonic() - started < 5
