"""A slot that an agent has turned against its owner, and what more than one test plants in it."""

import os

from project_repo import git, make_repo, on_disk, tree_of, write

from rad_engineer import git as rad_git
from rad_engineer.slots.pool import Bounds, Pool


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


def git_is_a_link(victim):
    git_dir = victim.inside / ".git"
    git_dir.rename(victim.tmp / "elsewhere")
    git_dir.symlink_to(victim.top / ".git")


def pipes_in_git(victim):
    for name in ("config", "HEAD", "index", "commondir"):
        path = victim.inside / ".git" / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)


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


def a_folder_becomes_a_link(victim):
    (victim.inside / "src").rename(victim.tmp / "moved")
    (victim.inside / "src").symlink_to(victim.neighbour.parent)
