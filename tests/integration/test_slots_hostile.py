"""What an agent may leave in its slot: nothing of it is read, run, followed or landed, and the slot comes clean."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project_repo import POISON, commit_all, git, make_repo, on_disk, tree_of, write

from rad_engineer import git as rad_git
from rad_engineer.slots import Bounds, Pool


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)


class Victim:
    """A project, a slot in it, a neighbour's file, and a place where planted programs leave their mark."""

    def __init__(self, tmp_path, bounds=Bounds(), **options):  # noqa: B008 -- frozen
        self.tmp = tmp_path
        self.top = make_repo(tmp_path / "project", **options)
        self.neighbour = write(tmp_path / "neighbour" / "precious.txt", "precious\n")
        self.marks = tmp_path / "marks"
        self.marks.mkdir()
        self.repo = rad_git.discover(self.top)
        self.base = rad_git.head(self.repo)
        self.pool = Pool(self.repo, tmp_path / "cache", "run1", bounds=bounds)
        self.slot = self.pool.slot("slot", 1)
        self.inside = self.slot.path
        self.config = (self.top / ".git" / "config").read_bytes()
        self.pool.move(self.slot, self.base, self.base)

    def stage(self, name="q", **options):
        return self.pool.stage(self.slot, self.base, self.tmp / name, **options)

    def trap(self, name="trap"):
        """A program that leaves a mark."""
        program = write(self.tmp / name, f"#!/bin/sh\ntouch {self.marks}/$$\ncat\n")
        program.chmod(0o755)
        return program

    def unharmed(self):
        assert list(self.marks.iterdir()) == []
        assert self.neighbour.read_text() == "precious\n"
        assert (self.top / ".git" / "config").read_bytes() == self.config
        assert on_disk(self.top) == tree_of(self.top, self.base)
        assert git(self.top, "status", "--porcelain") == ""

    def comes_clean(self):
        self.pool.move(self.slot, self.base, self.base)
        assert on_disk(self.inside) == tree_of(self.top, self.base)
        assert git(self.inside, "status", "--porcelain") == ""
        self.unharmed()


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


def git_is_a_link(victim):
    git_dir = victim.inside / ".git"
    git_dir.rename(victim.tmp / "elsewhere")
    git_dir.symlink_to(victim.top / ".git")


def git_is_a_file(victim):
    git_dir = victim.inside / ".git"
    git_dir.rename(victim.tmp / "elsewhere")
    git_dir.write_text(f"gitdir: {victim.top / '.git'}\n")


def git_is_a_pipe(victim):
    (victim.inside / ".git").rename(victim.tmp / "elsewhere")
    os.mkfifo(victim.inside / ".git")


def git_is_gone(victim):
    (victim.inside / ".git").rename(victim.tmp / "elsewhere")


def pipes_in_git(victim):
    for name in ("config", "HEAD", "index", "commondir"):
        path = victim.inside / ".git" / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)


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


def deepen(top, depth):
    folder = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("leaf", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


def long_names(victim):
    folder = os.open(victim.inside, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("n" * 200, dir_fd=folder)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


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


def a_folder_becomes_a_link(victim):
    (victim.inside / "src").rename(victim.tmp / "moved")
    (victim.inside / "src").symlink_to(victim.neighbour.parent)


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


def test_what_the_base_already_has_is_nobodys_fault(tmp_path):
    files = {".gitignore": "x\n" * 40_000, "README.md": "hello\n", "big.bin": "x" * 5_000}
    victim = Victim(tmp_path, Bounds(file_bytes=1_000), files=files)
    (victim.top / "out").symlink_to("/etc")
    victim.base = commit_all(victim.top)
    victim.pool.move(victim.slot, victim.base, victim.base)
    write(victim.inside / "README.md", "changed\n")
    assert victim.stage().changed == (("M", "README.md"),)
    victim.comes_clean()


NAMES = [
    b"new\nline.txt", b"-rf", b"--help", b":(top)magic", b"sp ace", b'quo"te', b"\xff\xfe latin", b"tab\t", b"*.star",
    b"[br]", b"!bang", b"#hash", b"back\\slash", b"\xc3\xbc", b"~", b"HEAD", b"@{1}", b"a" * 250,
]  # fmt: skip


def test_names_of_every_kind_land_as_they_are(victim):
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(victim.inside) + b"/" + name)).write_bytes(name)
    staged = victim.stage()
    assert staged.problem is None
    assert sorted(os.fsencode(path) for path in staged.paths) == sorted(NAMES)
    for name in (b"new\nline.txt", b":(top)magic", b"\xff\xfe latin"):
        assert victim.pool.read(staged.tree, os.fsdecode(name), victim.tmp / "q") == name
    commit = victim.pool.commit(staged, victim.base, "names\n", victim.tmp / "q")
    victim.pool.adopt(victim.tmp / "q")
    victim.pool.keep_ref("refs/rad/run1/s", commit)
    victim.pool.move(victim.slot, commit, commit)
    assert len(on_disk(victim.inside)) == len(NAMES) + 5
    never = tuple(os.fsdecode(name) for name in NAMES)
    for name in NAMES:
        Path(os.fsdecode(os.fsencode(victim.inside) + b"/" + name)).write_bytes(b"changed")
    assert victim.pool.stage(victim.slot, commit, victim.tmp / "q2", never=never).changed == ()
    victim.comes_clean()


# what a slot looks like when it has to be moved


def unreadable(victim):
    for path in (victim.inside / "src" / "deep", victim.inside / "src", victim.inside):
        path.chmod(0)


def replaced_by_a_file(victim):
    (victim.inside / "src").rename(victim.tmp / "moved")
    write(victim.inside / "src", "a file\n")


def replaced_by_a_folder(victim):
    (victim.inside / "README.md").unlink()
    write(victim.inside / "README.md" / "README.md", "x\n")


def a_link_where_a_file_was(victim):
    (victim.inside / "README.md").unlink()
    (victim.inside / "README.md").symlink_to(victim.neighbour)


def links_everywhere(victim):
    (victim.inside / "build").symlink_to(victim.neighbour.parent)
    (victim.inside / "loop").symlink_to(".")
    (victim.inside / "src" / "deep" / "up").symlink_to("../../..")


def read_only(victim):
    for folder, _names, files in os.walk(victim.inside):
        for name in files:
            Path(folder, name).chmod(0o400)
        Path(folder).chmod(0o500)


def many_files(victim):
    for number in range(1_000):
        write(victim.inside / f"junk{number % 30}" / f"{number}.txt", "x")


def empty(victim):
    for path in list(victim.inside.iterdir()):
        path.rename(victim.tmp / f"taken-{path.name}")


@pytest.mark.parametrize(
    "plant",
    [
        unreadable,
        replaced_by_a_file,
        replaced_by_a_folder,
        a_link_where_a_file_was,
        a_folder_becomes_a_link,
        links_everywhere,
        read_only,
        many_files,
        empty,
        long_names,
        git_is_a_link,
        pipes_in_git,
    ],
)
def test_a_slot_comes_clean_from_any_state(victim, plant):
    plant(victim)
    victim.comes_clean()
    write(victim.inside / "new.txt", "new\n")
    assert victim.stage().changed == (("A", "new.txt"),)


def test_a_slot_that_was_replaced_by_a_link_is_made_anew(victim):
    victim.inside.rename(victim.tmp / "taken")
    victim.inside.symlink_to(victim.neighbour.parent)
    assert victim.stage().problem == "special-file"
    victim.comes_clean()
    assert not victim.inside.is_symlink()


def test_a_slot_whose_git_directory_is_broken_is_made_anew(victim):
    write(victim.slot.git_dir / "index", "garbage")
    victim.comes_clean()
    write(victim.slot.git_dir / "HEAD", "garbage")
    victim.comes_clean()


def test_filters_of_the_user_do_not_run_in_slots(tmp_path):
    victim = Victim(tmp_path, files={".gitattributes": "*.txt filter=p\n", "a.txt": "a\n"})
    git(victim.top, "config", "filter.p.clean", str(victim.trap()))
    git(victim.top, "config", "filter.p.smudge", str(victim.trap()))
    victim.config = (victim.top / ".git" / "config").read_bytes()
    write(victim.inside / "a.txt", "b\n")
    assert victim.stage().changed == (("M", "a.txt"),)
    victim.pool.move(victim.slot, victim.base, victim.base)
    assert (victim.inside / "a.txt").read_text() == "a\n"
    assert list(victim.marks.iterdir()) == []


def test_a_submodule_that_an_agent_filled_is_not_entered(tmp_path):
    inner = make_repo(tmp_path / "inner")
    victim = Victim(tmp_path)
    git(victim.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendor/inner")
    victim.base = commit_all(victim.top)
    victim.pool.move(victim.slot, victim.base, victim.base)
    place = victim.inside / "vendor" / "inner"
    git(place, "init", "-q")
    write(place / "x", "x\n")
    git(place, "commit", "-q", "--allow-empty", "-m", "mine")
    git(place, "config", "core.fsmonitor", str(victim.trap()))
    assert victim.stage().problem == "nested-git"
    victim.pool.move(victim.slot, victim.base, victim.base)
    assert list(place.iterdir()) == []
    place.rmdir()
    write(place, "a file where the submodule was\n")
    staged = victim.stage("q2")
    assert staged.problem in ("nested-git", None)
    assert not staged.changed or staged.problem == "nested-git"
    assert list(victim.marks.iterdir()) == []


def test_a_link_out_of_a_slot_is_not_followed_when_files_are_copied(tmp_path):
    victim = Victim(tmp_path)
    write(victim.top / "build" / "local.cfg", "secret\n")
    pool = Pool(victim.repo, tmp_path / "cache", "run1", copy=("local.cfg",))
    (victim.inside / "build").symlink_to(victim.neighbour.parent)
    assert pool.copy_files(victim.slot) == ()
    assert [path.name for path in victim.neighbour.parent.iterdir()] == ["precious.txt"]


def test_a_deep_tree_is_removed_by_a_user_with_few_descriptors(victim):
    deepen(victim.inside / "src", 600)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
        "from pathlib import Path; from rad_engineer import git; from rad_engineer.slots import Pool;"
        "repo = git.discover(Path(sys.argv[1])); pool = Pool(repo, Path(sys.argv[2]), 'run1');"
        "pool.move(pool.slot('slot', 1), sys.argv[3], sys.argv[3])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(victim.top), str(victim.tmp / "cache"), victim.base],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    victim.comes_clean()


# directories that have not changed are not read twice


def a_file_in_an_old_folder(victim):
    os.mkfifo(victim.inside / "src" / "deep" / "er" / "pipe")


def a_swap_in_an_old_folder(victim):
    (victim.inside / "src" / "app.py").unlink()
    os.mkfifo(victim.inside / "src" / "app.py")


def a_rename_in_an_old_folder(victim):
    write(victim.tmp / "x" / "config", "x\n")
    (victim.tmp / "x").rename(victim.inside / "src" / "deep" / ".git")


def an_ignore_file_that_grows(victim):
    with (victim.inside / ".gitignore").open("a") as handle:
        handle.write("x\n" * 40_000)


def turned_back(victim):
    folder = victim.inside / "src"
    before = folder.stat()
    os.mkfifo(folder / "pipe")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        (a_file_in_an_old_folder, "special-file"),
        (a_swap_in_an_old_folder, "special-file"),
        (a_rename_in_an_old_folder, "nested-git"),
        (an_ignore_file_that_grows, "huge-ignore-file"),
        (turned_back, "special-file"),
    ],
)
def test_what_changes_in_a_folder_that_was_known_is_seen(victim, plant, problem):
    time.sleep(0.25)  # a folder is known only when its times are older than the clock is coarse
    victim.comes_clean()
    folder = os.open(victim.inside / "src" / "deep", os.O_RDONLY)
    about = os.fstat(folder)
    os.close(folder)
    stamp = (about.st_ino, about.st_mtime_ns, about.st_ctime_ns)
    assert victim.pool._seen[victim.slot.git_dir].below("src/deep", stamp) == ("er",)
    plant(victim)
    assert victim.stage().problem == problem
    victim.comes_clean()
    write(victim.inside / "src" / "deep" / "new.txt", "new\n")
    assert victim.stage("q2").changed == (("A", "src/deep/new.txt"),)
    victim.pool.move(victim.slot, victim.base, victim.base)
    victim.pool.move(victim.slot, victim.base, victim.base, keep=("src/deep/new.txt",))
    write(victim.inside / "src" / "deep" / "new.txt", "new\n")
    victim.pool.move(victim.slot, victim.base, victim.base, keep=("src/deep/new.txt",))
    assert (victim.inside / "src" / "deep" / "new.txt").exists()
    victim.comes_clean()
