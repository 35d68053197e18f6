"""What an agent may leave in its slot: nothing of it is read, run, followed or landed."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hostile_slot import Victim, a_folder_becomes_a_link, deepen, git_is_a_link, long_names, pipes_in_git
from project_repo import commit_all, git, make_repo, poison, write

from rad_engineer.slots.pool import Bounds


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def victim(tmp_path):
    return Victim(tmp_path)


# what is planted in the slot's own .git


def hooks(victim):
    for name in (
        "pre-commit",
        "post-checkout",
        "reference-transaction",
        "post-index-change",
        "fsmonitor-watchman",
    ):
        path = victim.inside / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(victim.trap())


def configured(text):
    def plant(victim):
        with (victim.inside / ".git" / "config").open("a") as config:
            config.write(text.format(trap=victim.trap(), neighbour=victim.neighbour.parent))
        write(victim.inside / ".gitattributes", "* filter=p diff=p merge=p\n")

    return plant


def git_is_a_file(victim):
    git_dir = victim.inside / ".git"
    git_dir.rename(victim.tmp / "elsewhere")
    git_dir.write_text(f"gitdir: {victim.top / '.git'}\n")


def git_is_a_pipe(victim):
    (victim.inside / ".git").rename(victim.tmp / "elsewhere")
    os.mkfifo(victim.inside / ".git")


def git_is_gone(victim):
    (victim.inside / ".git").rename(victim.tmp / "elsewhere")


def other_objects(victim):
    alternates = victim.inside / ".git" / "objects" / "info" / "alternates"
    alternates.write_text(f"{victim.top / '.git' / 'objects'}\n")
    write(victim.inside / ".git" / "info" / "attributes", "* filter=p\n")
    write(victim.inside / ".git" / "commondir", str(victim.top / ".git"))


def lying_index(victim):
    git(victim.inside, "update-index", "--assume-unchanged", "README.md")
    git(victim.inside, "update-index", "--skip-worktree", "src/app.py")


@pytest.mark.parametrize(
    "plant",
    [
        hooks,
        pytest.param(
            configured('[filter "p"]\n\tclean = {trap}\n\tsmudge = {trap}\n\tprocess = {trap}\n'), id="filter"
        ),
        pytest.param(configured("[core]\n\tfsmonitor = {trap}\n\thooksPath = {neighbour}\n"), id="fsmonitor"),
        pytest.param(configured("[core]\n\tworktree = {neighbour}\n"), id="worktree"),
        pytest.param(
            configured("[core]\n\tbare = true\n\tsshCommand = {trap}\n\tpager = {trap}\n"), id="bare"
        ),
        pytest.param(configured('[diff "p"]\n\tcommand = {trap}\n\ttextconv = {trap}\n'), id="diff"),
        pytest.param(configured("[include]\n\tpath = /dev/zero\n[garbage"), id="garbage"),
        git_is_a_link,
        git_is_a_file,
        git_is_a_pipe,
        git_is_gone,
        pipes_in_git,
        other_objects,
        lying_index,
    ],
)
def test_nothing_in_the_git_of_a_slot_is_read(victim, plant):
    plant(victim)
    write(victim.inside / "README.md", "real work\n")
    write(victim.inside / "src" / "app.py", "real work\n")
    staged = victim.stage()
    assert staged.problem is None
    assert set(staged.changed) - {("A", ".gitattributes")} == {("M", "README.md"), ("M", "src/app.py")}
    assert victim.pool.read(staged.tree, "README.md", victim.tmp / "q") == b"real work\n"
    victim.unharmed()
    victim.comes_clean()


# what is planted among the files


def nested(name):
    def plant(victim):
        make_repo(victim.inside / "vendor" / "x")
        with (victim.inside / "vendor" / "x" / ".git" / "config").open("a") as config:
            config.write(f'[filter "p"]\n\tclean = {victim.trap()}\n')
        write(victim.inside / "vendor" / "x" / ".gitattributes", "* filter=p\n")
        if name != ".git":
            (victim.inside / "vendor" / "x" / ".git").rename(victim.inside / "vendor" / "x" / name)

    return plant


def git_file_below(victim):
    write(victim.inside / "src" / ".git", f"gitdir: {victim.top / '.git'}\n")


def git_link_below(victim):
    (victim.inside / "src" / ".git").symlink_to(victim.top / ".git")


def second_git_at_the_top(victim):
    write(victim.inside / ".GIT" / "config", "x\n")


def pipe(name):
    def plant(victim):
        path = victim.inside / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    return plant


def a_socket(victim):
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(victim.inside)
        try:
            server.bind("s.sock")
        finally:
            os.chdir(here)


def a_pipe_in_an_ignored_folder(victim):
    (victim.inside / "build").mkdir()
    os.mkfifo(victim.inside / "build" / "pipe")


def a_deep_tree(victim):
    deepen(victim.inside, 4_000)


def a_huge_sparse_file(victim):
    with (victim.inside / "huge.bin").open("wb") as handle:
        handle.truncate(100 * 1024**3)


def a_huge_ignore_file(victim):
    write(victim.inside / "src" / ".gitignore", "x\n" * 40_000)


def a_huge_attributes_file(victim):
    write(victim.inside / ".gitattributes", "x text\n" * 10_000)


def a_link_out(target, path="src/link"):
    def plant(victim):
        (victim.inside / path).parent.mkdir(parents=True, exist_ok=True)
        (victim.inside / path).symlink_to(target)

    return plant


@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        pytest.param(nested(".git"), "nested-git", id="nested"),
        pytest.param(nested(".Git"), "nested-git", id="nested-case"),
        pytest.param(nested("GIT~1"), "nested-git", id="nested-ntfs"),
        pytest.param(nested(".git ."), "nested-git", id="nested-dots"),
        pytest.param(nested(".git::$INDEX_ALLOCATION"), "nested-git", id="nested-stream"),
        pytest.param(nested(".g\u200cit"), "nested-git", id="nested-hfs"),
        (git_file_below, "nested-git"),
        (git_link_below, "nested-git"),
        (second_git_at_the_top, "nested-git"),
        pytest.param(pipe("src/pipe"), "special-file", id="pipe"),
        pytest.param(pipe(".gitignore"), "special-file", id="pipe-gitignore"),
        pytest.param(pipe(".gitattributes"), "special-file", id="pipe-gitattributes"),
        pytest.param(pipe("src/deep/er/.gitattributes"), "special-file", id="pipe-deep"),
        pytest.param(pipe("README.md"), "special-file", id="pipe-tracked"),
        (a_pipe_in_an_ignored_folder, "special-file"),
        (a_socket, "special-file"),
        (a_deep_tree, "too-deep"),
        (long_names, "too-deep"),
        (a_huge_sparse_file, "too-large"),
        (a_huge_ignore_file, "huge-ignore-file"),
        (a_huge_attributes_file, "huge-ignore-file"),
        pytest.param(a_link_out("/etc/passwd"), "symlink-escape", id="absolute"),
        pytest.param(a_link_out("../../outside"), "symlink-escape", id="two-up"),
        pytest.param(a_link_out("deep/er/../../../../x"), "symlink-escape", id="down-and-up"),
        pytest.param(a_link_out("..", "link"), "symlink-escape", id="top-up"),
        (a_folder_becomes_a_link, "symlink-escape"),
    ],
)
def test_what_must_not_enter_a_repository_has_a_name(victim, plant, problem):
    plant(victim)
    for name in ("q", "again"):  # a planted filter once ran on the second call only
        staged = victim.stage(name)
        assert staged.problem == problem
        assert staged.detail
        victim.unharmed()
    victim.comes_clean()


def test_a_tracked_file_that_has_become_huge_is_refused(tmp_path):
    victim = Victim(tmp_path, Bounds(file_bytes=1_000_000))
    with (victim.inside / "README.md").open("wb") as handle:
        handle.truncate(2_000_000)
    staged = victim.stage()
    assert (staged.problem, staged.detail) == ("too-large", "README.md")
    victim.comes_clean()


def test_too_many_and_too_large_files_are_refused_unless_they_are_ignored(tmp_path):
    victim = Victim(tmp_path, Bounds(entries=50, file_bytes=1_000, total_bytes=5_000))
    write(victim.inside / "build" / "large.o", "x" * 9_000)
    assert victim.stage().problem is None
    write(victim.inside / "large.o", "x" * 1_001)
    assert (victim.stage().problem, victim.stage().detail.split()[0]) == ("too-large", "large.o")
    (victim.inside / "large.o").unlink()
    for number in range(6):
        write(victim.inside / f"{number}.o", "x" * 999)
    assert victim.stage().problem == "too-large"
    for number in range(60):
        write(victim.inside / "many" / str(number), "x")
    assert victim.stage().problem == "too-many-files"
    victim.comes_clean()


def test_too_many_files_are_refused_before_git_reads_any_of_them(tmp_path):
    victim = Victim(tmp_path, Bounds(files=20))
    for number in range(30):
        write(victim.inside / "build" / str(number), "x")
        write(victim.inside / "many" / str(number), "x")
    staged = victim.stage()
    assert (staged.problem, staged.detail) == ("too-many-files", "30 new files, 30 of them in many/")
    assert not list((victim.tmp / "q").rglob("??/*"))
    victim.comes_clean()


def test_what_the_base_already_has_is_nobodys_fault(tmp_path):
    files = {".gitignore": "x\n" * 40_000, "README.md": "hello\n", "big.bin": "x" * 5_000}
    victim = Victim(tmp_path, Bounds(file_bytes=1_000), files=files)
    (victim.top / "out").symlink_to("/etc")
    victim.base = commit_all(victim.top)
    victim.pool.move(victim.slot, victim.base, victim.base)
    write(victim.inside / "README.md", "changed\n")
    assert victim.stage().changed == (("M", "README.md"),)
    victim.comes_clean()


def test_what_cannot_be_removed_is_put_out_of_the_way(victim):
    still = write(victim.inside / "still" / "file", "x").parent
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", still], check=False, capture_output=True).returncode:
        pytest.skip("no file can be made immovable here")
    try:
        victim.comes_clean()
    finally:
        subprocess.run([chattr, "-R", "-i", victim.tmp / "cache"], check=True, capture_output=True)
