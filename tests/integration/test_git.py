"""The repository through git: discovery, refs, merges, landings; real git, a poisoned environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from project_repo import CLEAN, POISON, commit_all, git, make_repo, write

from rad_engineer import git as rad_git
from rad_engineer.errors import CannotWrite, ConfigInvalid, NoInput
from rad_engineer.repository import Repository


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in POISON.items():
        monkeypatch.setenv(name, value)


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


# commits, merges, landings


def message(run="r1", story="S-1", identity="cafe"):
    return f"Title\n\nBody.\n\nRad-Run: {run}\nRad-Story: {story}\nRad-Identity: {identity}\n"


def test_landings_are_read_from_trailers_of_the_first_parent_line(top, repo):
    base = rad_git.head(repo)
    tree = git(top, "rev-parse", "HEAD^{tree}")
    one = rad_git.commit_tree(repo, tree, base, message(), repo.author)
    foreign = rad_git.commit_tree(
        repo, tree, one, "Just a commit\n\nRad-Run is not a trailer here\n", repo.author
    )
    two = rad_git.commit_tree(repo, tree, foreign, message(story="S 2: ü", identity="beef"), repo.author)
    side = rad_git.commit_tree(repo, tree, base, message(identity="side"), repo.author)
    merged = git(top, "commit-tree", "-p", two, "-p", side, "-m", "merge", tree)
    found = rad_git.landings(repo, base, merged)
    assert [(each.commit, each.run, each.story_id, each.identity) for each in found] == [
        (one, "r1", "S-1", "cafe"),
        (two, "r1", "S 2: ü", "beef"),
    ]
    assert rad_git.is_ancestor(repo, one, merged)
    assert not rad_git.is_ancestor(repo, merged, one)
    assert git(top, "log", "-1", "--format=%an <%ae> %cn", one) == "Uma User <uma@example.org> Uma User"


def branch_with(top, name, content):
    git(top, "checkout", "-q", "-B", name, "main")
    write(top / "README.md", content)
    made = commit_all(top, name)
    git(top, "checkout", "-q", "main")
    return made


def test_merges_in_memory(top, repo):
    left = branch_with(top, "left", "hello\nleft\n")
    git(top, "checkout", "-q", "-B", "right", "main")
    write(top / "new\nname.txt", "right\n")
    right = commit_all(top)
    merged = rad_git.merge(repo, left, right)
    assert git(top, "ls-tree", "-r", "--name-only", "-z", merged.tree).count("\0") == 6
    assert rad_git.show(repo, merged.tree, "README.md") == b"hello\nleft\n"
    assert rad_git.show(repo, merged.tree, "new\nname.txt") == b"right\n"


def test_a_conflict_is_told_with_its_paths_and_hunks(top, repo):
    left = branch_with(top, "left", "left\n")
    right = branch_with(top, "right", "right\n")
    merged = rad_git.merge(repo, left, right)
    assert merged.tree is None
    assert merged.paths == ("README.md",)
    assert "CONFLICT (content)" in merged.conflict
    assert "<<<<<<<" in merged.conflict
    assert "left\n=======\nright\n" in merged.conflict


def test_the_text_of_a_conflict_is_bounded(top, repo):
    left = branch_with(top, "left", "".join(f"left {n}\n" for n in range(9000)))
    right = branch_with(top, "right", "".join(f"ríght {n}\n" for n in range(9000)))
    merged = rad_git.merge(repo, left, right)
    assert 4_000 < len(merged.conflict.encode()) <= 8_000


def test_binary_and_vanished_files_conflict_too(top, repo):
    left = branch_with(top, "left", b"\0\1left")
    git(top, "checkout", "-q", "-B", "gone", "main")
    git(top, "rm", "-q", "README.md")
    gone = commit_all(top)
    merged = rad_git.merge(repo, left, gone)
    assert merged.paths == ("README.md",)
    assert "modify/delete" in merged.conflict


# questions


def test_reads_history(top, repo):
    first = rad_git.head(repo)
    write(top / "prd.json", "{}\n")
    good = commit_all(top)
    write(top / "prd.json", "{broken\n")
    bad = commit_all(top)
    assert rad_git.last_good(repo, "prd.json", parses) == good
    assert rad_git.last_good(repo, "./never.json", parses) is None
    assert rad_git.show(repo, bad, "prd.json") == b"{broken\n"
    assert rad_git.show(repo, first, "prd.json") is None
    assert rad_git.changed(repo, first, bad) == [("A", "prd.json")]
    assert b"+{broken" in rad_git.diff(repo, first, bad)


def parses(content):
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("revision", ["nonsense", "--all", "-n1", "", "HEAD:README.md"])
def test_what_is_no_commit_is_no_input(repo, revision):
    with pytest.raises(NoInput):
        rad_git.resolve(repo, revision)


def test_knows_the_default_branch_of_the_remote(top, repo, tmp_path):
    git(tmp_path, "clone", "-q", str(top), "copy")
    assert rad_git.default_branch(repo) is None
    assert rad_git.default_branch(rad_git.discover(tmp_path / "copy")) == "main"


def test_dirty_files_are_listed_raw(top, repo):
    write(top / "README.md", "changed\n")
    write(top / "ü \n.txt", "new\n")
    assert sorted(rad_git.dirty(repo)) == sorted(["README.md", "ü \n.txt"])


def test_works_in_a_repository_with_long_names_and_a_shallow_one(top, tmp_path):
    sha256 = rad_git.discover(make_repo(tmp_path / "long", object_format="sha256"))
    assert sha256.object_format == "sha256"
    assert len(rad_git.head(sha256)) == 64
    assert rad_git.update_refs(sha256, [("refs/rad/x", rad_git.head(sha256), "")])
    commit_all_with(top, "second.txt")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{top}", "shallow")
    shallow = rad_git.discover(tmp_path / "shallow")
    assert any("shallow" in warning for warning in shallow.warnings)
    assert rad_git.is_ancestor(shallow, "HEAD", "HEAD")


def test_a_search_path_that_is_missing_does_no_harm(top):
    code = (
        "from pathlib import Path; from rad_engineer import git;"
        f"print(git.head(git.discover(Path({str(top)!r}))))"
    )
    env = {**POISON, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == git(top, "rev-parse", "HEAD")
