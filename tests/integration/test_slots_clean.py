"""A slot comes clean from whatever an agent made of it, and what changes in it is seen."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_slot import Victim, a_folder_becomes_a_link, deepen, git_is_a_link, long_names, pipes_in_git
from project_repo import commit_all, git, make_repo, on_disk, poison, write

from rad_engineer.slots.pool import Pool


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def victim(tmp_path):
    return Victim(tmp_path)


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
    assert victim.stage().problem == "slot-gone"
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
        "from pathlib import Path; from rad_engineer import git; from rad_engineer.slots.pool import Pool;"
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
