"""The repository through git: discovery, refs, locks, names; real git, a poisoned environment."""

import json
import os
import shutil
import subprocess

import pytest
from project_repo import CLEAN, commit_all, git, make_repo, poison, write

from rad_engineer import git as rad_git
from rad_engineer import process
from rad_engineer.errors import CannotWrite, ConfigInvalid
from rad_engineer.git.repository import Repository


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def top(tmp_path):
    return make_repo(tmp_path / "project")


@pytest.fixture
def repo(top):
    return rad_git.discover(top)


# discovery


def test_finds_the_repository_from_anywhere_inside(top):
    for start in (top, top / "src" / "deep", top / "src" / "app.py", top / "not" / "there.json"):
        found = rad_git.discover(start)
        assert (found.top, found.home, found.git_dir) == (top, top, top / ".git")
        assert found.author == "Uma User <uma@example.org>"
        assert found.object_format == "sha1"


def test_a_linked_work_tree_shares_home_and_identity(top, tmp_path):
    git(top, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "side")
    main, other = rad_git.discover(top), rad_git.discover(tmp_path / "other")
    assert other.top == tmp_path / "other"
    assert other.home == top
    assert other.common_dir == main.common_dir
    assert other.id == main.id
    assert rad_git.resolve(other, "HEAD") == rad_git.head(main)


def test_a_submodule_is_a_repository_of_its_own(top, tmp_path):
    inner = make_repo(tmp_path / "inner")
    git(top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "vendor/inner")
    found = rad_git.discover(top / "vendor" / "inner" / "src")
    assert found.top == top / "vendor" / "inner"
    assert found.home == found.top
    assert rad_git.head(found) == git(inner, "rev-parse", "HEAD")
    assert any("submodules" in warning for warning in rad_git.discover(top).warnings)


def test_crosses_to_other_processes_as_json(repo):
    assert Repository.from_json(json.loads(json.dumps(repo.to_json()))) == repo


def test_without_an_identity_it_uses_its_own(tmp_path):
    top = make_repo(tmp_path / "anonymous")
    git(top, "config", "--unset", "user.name")
    git(top, "config", "--unset", "user.email")
    assert rad_git.discover(top).author == "rad-engineer <rad-engineer@localhost>"


def test_settings_and_ignore_files_of_the_user_are_passed_on(top, tmp_path, monkeypatch):
    write(tmp_path / "home" / ".config" / "git" / "ignore", "*.swp")
    write(top / ".git" / "info" / "exclude", "notes.txt\n")
    git(top, "config", "core.autocrlf", "input")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = rad_git.discover(top)
    assert "core.autocrlf=input" in found.settings
    assert found.excludes == "*.swp\nnotes.txt\n"
    write(top / "a.swp", "")
    write(top / "notes.txt", "")
    write(top / "real.txt", "")
    assert rad_git.dirty(found) == ["real.txt"]


def bare(tmp_path):
    make_repo(tmp_path / "source")
    git(tmp_path, "clone", "-q", "--bare", "source", "bare")
    return tmp_path / "bare"


def unborn(tmp_path):
    (tmp_path / "unborn").mkdir()
    git(tmp_path / "unborn", "init", "-q")
    return tmp_path / "unborn"


def nowhere(tmp_path):
    (tmp_path / "nowhere").mkdir()
    return tmp_path / "nowhere"


def inside_git(tmp_path):
    return make_repo(tmp_path / "inside") / ".git" / "refs"


def partial(tmp_path):
    top = make_repo(tmp_path / "partial")
    git(top, "config", "remote.origin.promisor", "true")
    git(top, "config", "remote.origin.partialclonefilter", "blob:none")
    return top


def large_files(tmp_path):
    return make_repo(tmp_path / "lfs", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})


def large_files_below(tmp_path):
    return make_repo(tmp_path / "lfs2", {"assets/.gitattributes": "*.bin filter=lfs -text\n"})


@pytest.mark.parametrize(
    ("make", "says", "hint"),
    [
        (nowhere, "no git repository", "git init && git add -A && git commit"),
        (bare, "is bare", "worktree add"),
        (unborn, "no commit yet", "git add -A && git commit"),
        (inside_git, "inside a git directory", "cd to the project"),
        (partial, "partial clone", "without --filter"),
        (large_files, "Git LFS", "git lfs install"),
        (large_files_below, "Git LFS", "git lfs install"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_helps(tmp_path, monkeypatch, make, says, hint):
    where = make(tmp_path)
    monkeypatch.setenv("PATH", only_git(tmp_path))
    with pytest.raises(ConfigInvalid) as refused:
        rad_git.discover(where)
    assert refused.value.exit_code == 78
    assert says in str(refused.value)
    assert hint in refused.value.hint


def only_git(tmp_path):
    found = subprocess.run(["which", "git"], env=CLEAN, capture_output=True, text=True, check=True)
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin" / "git").symlink_to(found.stdout.strip())
    return str(tmp_path / "bin")


def test_without_git_it_says_so(top, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ConfigInvalid, match="git is not installed"):
        rad_git.discover(top)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a repository to somebody else")
def test_a_repository_of_somebody_else_names_the_command_that_trusts_it(top, tmp_path, monkeypatch):
    for path in (top, top / ".git"):
        os.chown(path, 4321, 4321)
    with pytest.raises(ConfigInvalid) as refused:
        rad_git.discover(top)
    assert refused.value.hint == f"git config --global --add safe.directory {top}"
    write(tmp_path / "home" / ".gitconfig", f"[safe]\n\tdirectory = {top}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert rad_git.head(rad_git.discover(top)) == git_as_owner(top)


def git_as_owner(top):
    return (top / ".git" / "refs" / "heads" / "main").read_text().strip()


# refs


def test_refs_move_together_or_not_at_all(top, repo):
    first = rad_git.head(repo)
    second = commit_all_with(top, "a.txt")
    branch, other = "refs/heads/rad/x", "refs/rad/run1/base"
    assert rad_git.update_refs(repo, [(branch, first, ""), (other, first, None)])
    assert not rad_git.update_refs(repo, [(branch, second, "")])
    assert not rad_git.update_refs(repo, [(other, second, first), (branch, second, second)])
    assert not rad_git.update_refs(repo, [("refs/rad/gone", second, first)])
    assert rad_git.refs(repo, "refs/rad/") == {other: first}
    assert rad_git.update_refs(
        repo, [(branch, second, first), (other, "", first), ("refs/rad/none", "", None)]
    )
    assert rad_git.refs(repo, "refs/rad/") == {}
    assert rad_git.tip(repo, "rad/x") == second
    assert rad_git.tip(repo, "rad/none") is None


def commit_all_with(top, name):
    write(top / name, f"{name}\n")
    return commit_all(top, name)


def test_a_symbolic_ref_is_not_followed(top, repo):
    first = rad_git.head(repo)
    git(top, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    second = commit_all_with(top, "a.txt")
    rad_git.update_refs(repo, [("refs/heads/alias", first, None)])
    assert rad_git.tip(repo, "main") == second
    assert rad_git.tip(repo, "alias") == first


def test_hooks_of_the_user_never_run(top, repo, tmp_path):
    for name in ("reference-transaction", "post-checkout", "pre-commit", "post-index-change"):
        hook = write(top / ".git" / "hooks" / name, f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    rad_git.update_refs(repo, [("refs/rad/x", rad_git.head(repo), None)])
    rad_git.dirty(repo)
    assert not (tmp_path / "ran").exists()


def test_locks_of_a_killed_git_are_removed_only_where_they_are_ours(top, repo):
    heads = top / ".git" / "refs" / "heads"
    ours = [write(heads / "rad" / "x.lock", ""), write(top / ".git" / "refs" / "rad" / "r" / "s.lock", "")]
    theirs = [write(heads / "main.lock", ""), write(top / ".git" / "packed-refs.lock", "")]
    with pytest.raises(CannotWrite, match="File exists") as refused:
        rad_git.update_refs(repo, [("refs/heads/rad/x", rad_git.head(repo), None)])
    assert "remove" in refused.value.hint
    removed = rad_git.clean_stale_locks(repo, ["refs/heads/rad/x", "refs/rad"])
    assert sorted(removed) == sorted(ours)
    assert all(lock.exists() for lock in theirs)
    assert rad_git.update_refs(repo, [("refs/heads/rad/x", rad_git.head(repo), "")])


def test_a_killed_deletion_leaves_no_lock_on_packed_refs(top, repo):
    rad_git.update_refs(repo, [("refs/rad/r/s", rad_git.head(repo), "")])
    git(top, "pack-refs", "--all")
    note = write(top / ".git" / "rad-engineer.refs.4711", "{}")
    lock = write(top / ".git" / "packed-refs.lock", "")
    assert rad_git.clean_stale_locks(repo, ["refs/rad"]) == [lock]
    assert not note.exists()
    assert rad_git.update_refs(repo, [("refs/rad/r/s", "", rad_git.head(repo))])
    assert not list((top / ".git").glob("rad-engineer.refs*"))


def test_a_git_that_is_killed_leaves_word_of_its_lock_and_nobody_takes_the_lock_of_one_at_work(
    top, repo, tmp_path, monkeypatch
):
    rad_git.update_refs(repo, [("refs/rad/r/s", rad_git.head(repo), "")])
    lock, note = top / ".git" / "packed-refs.lock", top / ".git" / f"rad-engineer.refs.{os.getpid()}"
    killed = write(tmp_path / "bin" / "git", f"#!/bin/sh\ntouch {lock}\nkill -9 $$\n")
    killed.chmod(0o755)
    with monkeypatch.context() as only_here:
        only_here.setenv("PATH", str(killed.parent), prepend=os.pathsep)
        with pytest.raises(CannotWrite):
            rad_git.update_refs(repo, [("refs/rad/r/s", "", None)])
    assert note.exists()
    parent = os.getppid()
    other = note.with_name(f"rad-engineer.refs.{parent}")
    write(other, json.dumps({"pid": parent, "start": process.start_time(parent)}))
    note.rename(tmp_path / "note")
    assert rad_git.clean_stale_locks(repo, ["refs/rad"]) == []
    (tmp_path / "note").rename(note)
    assert rad_git.clean_stale_locks(repo, ["refs/rad"]) == [lock]
    assert (note.exists(), other.exists()) == (False, True)


def test_a_lock_that_git_could_not_remove_is_known_for_ours_until_it_is_cleared(
    top, repo, tmp_path, monkeypatch
):
    """The transaction is done, the next one cannot be: a disk that fails for a moment does that."""
    rad_git.update_refs(
        repo, [("refs/rad/r/s", rad_git.head(repo), ""), ("refs/rad/r/t", rad_git.head(repo), "")]
    )
    lock = top / ".git" / "packed-refs.lock"
    failing = write(tmp_path / "bin" / "git", f'#!/bin/sh\n{shutil.which("git")} "$@" && touch {lock}\n')
    failing.chmod(0o755)
    with monkeypatch.context() as only_here:
        only_here.setenv("PATH", str(failing.parent), prepend=os.pathsep)
        assert rad_git.update_refs(repo, [("refs/rad/r/s", "", None)])
    with pytest.raises(CannotWrite, match="File exists"):
        rad_git.update_refs(repo, [("refs/rad/r/t", "", None)])
    assert rad_git.clean_stale_locks(repo, ["refs/rad"]) == [lock]
    assert rad_git.update_refs(repo, [("refs/rad/r/t", "", None)])
    assert not list((top / ".git").glob("rad-engineer.refs*"))


def test_knows_what_is_checked_out_anywhere(top, repo, tmp_path):
    git(top, "branch", "free")
    git(top, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "side")
    assert rad_git.checked_out(repo) == {
        "refs/heads/main": top,
        "refs/heads/side": tmp_path / "other",
    }


def test_a_branch_in_the_middle_of_a_rebase_counts_as_checked_out(top, repo):
    git(top, "checkout", "-q", "-b", "topic")
    write(top / "README.md", "mine\n")
    commit_all(top)
    git(top, "checkout", "-q", "main")
    write(top / "README.md", "theirs\n")
    commit_all(top)
    git(top, "checkout", "-q", "topic")
    git(top, "rebase", "-q", "main", check=False)
    assert git(top, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert rad_git.checked_out(repo)["refs/heads/topic"] == top


NAMES = [
    "main", "rad/x", "feature/STORY-1", "a.b", "ünïcode", "x@y", "a..b", ".hidden", "a/.b", "x.lock", "a/b.lock",
    "x/", "/x", "a//b", "x~1", "x^", "x:", "x?", "x*", "x[", "x\\", "HEAD", "-x", "x@{1}", "x.", "a.lock/b",
    "tab\tx", "", "with space", "line\nbreak", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_git_on_names_of_branches(name, tmp_path):
    checked = subprocess.run(
        ["git", "check-ref-format", "--branch", name],
        env=CLEAN,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert rad_git.valid_branch(name) == (checked.returncode == 0 and len(name) < 240)


def test_what_is_written_for_good_is_synced(repo):
    assert "core.fsync=all" in rad_git.command.command(repo, ("update-ref",), durable=True)
    assert "core.fsync=all" not in rad_git.command.command(repo, ("log",))
