"""Objects and refs without a process for each: the same as git makes and reads them."""

import os
import signal
import subprocess
from itertools import pairwise

import pytest
from project_repo import commit_all, commit_of, git, make_repo, write

from rad_engineer import git as rad_git
from rad_engineer.git import command, objects, ref_store
from rad_engineer.git.command import GitFailed
from rad_engineer.git.trees import Trees


@pytest.fixture(params=["sha1", "sha256"])
def top(tmp_path, request):
    return make_repo(tmp_path / "project", object_format=request.param)


@pytest.fixture
def repo(top):
    return rad_git.discover(top)


@pytest.fixture
def trees(repo):
    return Trees(repo.common_dir, repo.common_dir / "none")


AUTHORS = ["Uma User <uma@example.org>", ' .Dr. "Ü" <x>\ny, <<uma@example.org>', "ü <>", ". <a@b>"]


@pytest.mark.parametrize("author", AUTHORS)
def test_a_commit_is_byte_for_byte_what_git_would_write(top, repo, author):
    base, tree = rad_git.head(repo), git(top, "rev-parse", "HEAD^{tree}")
    message = "Title\n\nBody ü \udcff\n\nRad-Run: r1\n"
    made = commit_of(repo, tree, base, message, author)
    assert git(top, "fsck", "--strict", "--no-dangling") == ""
    date = git(top, "log", "-1", "--format=%ad", "--date=raw", made)
    env = command.environment(repo) | command.identity(author if author[0] != "." else "rad-engineer <a@b>")
    wanted = subprocess.run(
        ["git", "commit-tree", "-p", base, tree],
        cwd=top,
        env=env | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        input=message.encode("utf-8", "replace"),
        capture_output=True,
        check=True,
    )
    assert made == wanted.stdout.decode().strip()
    assert commit_of(repo, tree, base, message, author)  # what is there is left alone
    assert not list(repo.objects.rglob("tmp_obj_*"))


def test_a_short_write_is_not_an_end(top, repo, monkeypatch):
    ref_store.keep(repo, "refs/rad/r/base", rad_git.head(repo))
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:5]))
    made = commit_of(repo, git(top, "rev-parse", "HEAD^{tree}"), rad_git.head(repo), "Title\n", AUTHORS[0])
    ref_store.keep(repo, "refs/rad/r/tip", made)
    monkeypatch.undo()
    assert git(top, "rev-parse", "refs/rad/r/tip") == made
    assert git(top, "fsck", "--strict", "--no-dangling") == ""


def history(top):
    """Commits in which everything that can happen to a path happens."""
    steps = [
        {"a/b/one.txt": "1\n", "a/two.txt": "2\n", "x": "x\n", "tool": "run\n"},
        {"a/b/one.txt": "changed\n", "a/b/new": "n\n", "x": None},
        {"x/now/a/folder": "f\n", "a": None, "ä\n\udcff": "odd name\n"},
        {"x": None, "a": "now a file\n", "tool": "run\n"},
    ]
    for number, step in enumerate(steps):
        for path, text in step.items():
            subprocess.run(["rm", "-rf", top / path], check=True)
            if text is not None:
                write(top / path, text)
        if number == 1:
            (top / "tool").chmod(0o755)
            (top / "link").symlink_to("a/two.txt")
        if number == 3:
            (top / "link").unlink()
            write(top / "link", "no link any more\n")
            git(top, "update-index", "--add", "--cacheinfo", f"160000,{git(top, 'rev-parse', 'HEAD')},module")
        yield commit_all(top, f"step {number}")


def told_by_git(top, old, new):
    out = subprocess.run(
        ["git", "diff-tree", "-r", "-t", "--raw", "-z", "--no-renames", "--no-abbrev", old, new],
        cwd=top, capture_output=True, check=True,
    ).stdout  # fmt: skip
    parts = [os.fsdecode(part) for part in out.split(b"\0")[:-1]]
    rows = [(about[1:].split(" "), path) for about, path in zip(parts[::2], parts[1::2], strict=True)]
    return {
        (words[4], path, words[0], words[1], words[2].strip("0"), words[3].strip("0")) for words, path in rows
    }


@pytest.mark.parametrize("packed", [False, True])
def test_differences_are_those_that_git_tells(top, trees, packed):
    commits = [git(top, "rev-parse", "HEAD"), *history(top)]
    if packed:
        git(top, "repack", "-adq")
        git(top, "prune-packed")
    for old, new in [*pairwise(commits), *pairwise(reversed(commits)), (commits[0], commits[-1])]:
        found = trees.differences(old, new, trees=True)
        rows = {
            (e.status, e.path, e.old_mode, e.new_mode, e.old_object.strip("0"), e.new_object.strip("0"))
            for e in found
        }
        assert rows == told_by_git(top, old, new)
        assert len(rows) == len(found)
        files = [entry for entry in found if "040000" not in (entry.old_mode, entry.new_mode)]
        assert trees.differences(old, new) == files
    assert trees.differences(commits[0], commits[0]) == []


def test_what_is_not_there_is_a_failure_and_the_next_question_is_answered(top, trees, repo):
    git(top, "repack", "-adq")
    with pytest.raises(GitFailed):
        trees.read("0" * len(rad_git.head(repo)))
    assert trees.read(rad_git.head(repo))[0] == "commit"


def test_a_reader_that_is_killed_or_whose_directory_is_made_anew_is_started_again(top, repo, tmp_path):
    git(top, "repack", "-adq")
    reader = objects.Reader(repo.common_dir, tmp_path)
    head = rad_git.head(repo)
    assert reader.read(head)[0] == "commit"
    os.kill(reader._talk.child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, reader._talk.child.pid, os.WEXITED | os.WNOWAIT)
    assert reader.read(head)[0] == "commit"
    last = reader._talk.child
    reader.close()
    assert last.returncode is not None


def test_a_tip_is_found_wherever_git_keeps_it(top, repo):
    git(top, "branch", "rad/x")
    head = rad_git.head(repo)
    assert rad_git.tip(repo, "rad/x") == head
    git(top, "pack-refs", "--all", "--prune")
    assert not (repo.common_dir / "refs/heads/rad/x").exists()
    assert rad_git.tip(repo, "rad/x") == head
    git(top, "symbolic-ref", "refs/heads/rad/y", "refs/heads/rad/x")
    assert rad_git.tip(repo, "rad/y") == head
    assert rad_git.tip(repo, "rad/none") is None


def test_a_ref_of_ours_is_as_git_would_have_made_it(top, repo):
    head = rad_git.head(repo)
    old = commit_of(repo, git(top, "rev-parse", "HEAD^{tree}"), head, "old", "U <u@x>")
    rad_git.keep(repo, "refs/rad/r1/a", old)
    rad_git.keep(repo, "refs/rad/r1/a", head)
    rad_git.keep(repo, "refs/rad/r1/b", head)
    assert rad_git.refs(repo, "refs/rad/") == {"refs/rad/r1/a": head, "refs/rad/r1/b": head}
    git(top, "pack-refs", "--all", "--prune")
    rad_git.keep(repo, "refs/rad/r1/a", old)
    assert rad_git.refs(repo, "refs/rad/")["refs/rad/r1/a"] == old
    assert not list((repo.common_dir / "refs").rglob("*.lock"))
    assert rad_git.update_refs(repo, [("refs/rad/r1/a", "", old), ("refs/rad/r1/b", "", head)])
    assert rad_git.refs(repo, "refs/rad/") == {}


def test_where_a_file_will_not_do_git_keeps_the_ref(repo, monkeypatch):
    asked = []
    monkeypatch.setattr(ref_store, "update_refs", lambda _repo, changes: asked.append(changes))
    head = rad_git.head(repo)
    (repo.common_dir / "reftable").mkdir()
    rad_git.keep(repo, "refs/rad/r1/a", head)
    (repo.common_dir / "reftable").rmdir()
    (repo.common_dir / "refs/rad/r1").mkdir(parents=True)
    (repo.common_dir / "refs/rad/r1/a.lock").touch()  # somebody packs refs
    rad_git.keep(repo, "refs/rad/r1/a", head)
    (repo.common_dir / "refs/rad/r1/b/c").mkdir(parents=True)
    rad_git.keep(repo, "refs/rad/r1/b", head)
    assert asked == [[(ref, head, None)] for ref in ("refs/rad/r1/a", "refs/rad/r1/a", "refs/rad/r1/b")]
    assert not (repo.common_dir / "refs/rad/r1/b.lock").exists()


def test_who_has_what_checked_out_is_what_git_says(top, repo, tmp_path, monkeypatch):
    for name in ("one", "two", "three"):
        git(top, "worktree", "add", "-q", "-b", f"b/{name}", str(tmp_path / name))
    git(tmp_path / "two", "checkout", "-q", "--detach")
    git(top, "symbolic-ref", "refs/heads/alias", "refs/heads/b/three")
    git(tmp_path / "three", "symbolic-ref", "HEAD", "refs/heads/alias")
    found = rad_git.checked_out(repo)
    wanted = {
        "refs/heads/main": top,
        "refs/heads/b/one": tmp_path / "one",
        "refs/heads/b/three": tmp_path / "three",
    }
    assert found == wanted
    monkeypatch.setattr(ref_store, "_head", lambda _repo, _git_dir: None)
    assert {ref: place for ref, place in rad_git.checked_out(repo).items() if ref in wanted} == wanted


@pytest.mark.parametrize("head", ["ref: refs/heads/.invalid", "ref: refs/elsewhere/x", "nonsense", ""])
def test_a_head_that_is_not_plain_is_left_to_git(repo, head):
    (repo.git_dir / "HEAD").write_text(head)
    assert ref_store._head(repo, repo.git_dir) is None
