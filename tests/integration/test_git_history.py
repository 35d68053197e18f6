"""Commits through git: merges, landings, and what is asked of a history; real git, a poisoned environment."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from project_repo import POISON, commit_all, commit_of, git, make_repo, poison, write

from rad_engineer import git as rad_git
from rad_engineer.errors import NoInput


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    poison(monkeypatch)


@pytest.fixture
def top(tmp_path):
    return make_repo(tmp_path / "project")


@pytest.fixture
def repo(top):
    return rad_git.discover(top)


# commits, merges, landings


def message(run="r1", story="S-1", identity="cafe"):
    return f"Title\n\nBody.\n\nRad-Run: {run}\nRad-Story: {story}\nRad-Identity: {identity}\n"


def test_landings_are_read_from_trailers_of_the_first_parent_line(top, repo):
    base = rad_git.head(repo)
    tree = git(top, "rev-parse", "HEAD^{tree}")
    one = commit_of(repo, tree, base, message(), repo.author)
    foreign = commit_of(repo, tree, one, "Just a commit\n\nRad-Run is not a trailer here\n", repo.author)
    two = commit_of(repo, tree, foreign, message(story="S 2: ü", identity="beef"), repo.author)
    side = commit_of(repo, tree, base, message(identity="side"), repo.author)
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
    write(top / "second.txt", "second\n")
    commit_all(top, "second")
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
