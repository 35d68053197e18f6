"""Slots over every kind of repository, with files that are not of the story, after crashes, for any user."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_repo import commit_all, git, make_repo, on_disk, poison, tree_of, write
from slot_project import Project

from rad_engineer import git as rad_git
from rad_engineer.slots.pool import Pool


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


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
    with project.pool.quarantined() as quarantine:
        place = {"parent": project.base, "quarantine": quarantine}
        merged = project.pool.merge(commit, commit, **place)
        assert merged.tree == git(project.top, "rev-parse", f"{commit}^{{tree}}")
        made = project.pool.candidate(commit, commit, merged.tree, **place)
        project.pool.keep_candidates({"refs/rad/c/x": made}, quarantine)
    assert git(project.top, "fsck", "--no-dangling") == ""
    assert git(project.top, "log", "-1", "--format=%T %P", made) == f"{merged.tree} {commit}"


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
from rad_engineer.slots.pool import Pool
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
