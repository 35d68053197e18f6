"""Where a run happens: which repository, where its copies lie, which lock covers it."""

import os

import pytest
from project_repo import git, make_repo, poison, write

from rad_engineer.errors import ExitCode, RadError, UsageError
from rad_engineer.launch import ground


@pytest.fixture(autouse=True)
def poisoned(monkeypatch, tmp_path):
    poison(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def top(tmp_path):
    return make_repo(tmp_path / "project")


def found(monkeypatch, here, *prds, **flags):
    monkeypatch.chdir(here)
    return ground.find([str(prd) for prd in prds], flags, os.environ)


def test_it_is_that_of_the_current_folder_wherever_the_prd_lies(top, tmp_path, monkeypatch):
    outside = write(tmp_path / "plans/prd.json", "{}")
    for here in (top, top / "src/deep"):
        assert found(monkeypatch, here, outside).top == top


def test_else_it_is_that_of_the_first_prd(top, tmp_path, monkeypatch):
    (tmp_path / "nowhere").mkdir()
    assert found(monkeypatch, tmp_path / "nowhere", top / "README.md").top == top


def test_two_repositories_are_one_too_many_and_two_work_trees_of_one_are_not(top, tmp_path, monkeypatch):
    other = make_repo(tmp_path / "other")
    with pytest.raises(UsageError):
        found(monkeypatch, top, other / "README.md")
    git(top, "worktree", "add", "-q", str(tmp_path / "side"))
    assert found(monkeypatch, top, tmp_path / "side/README.md").top == top


def test_copies_lie_outside_the_work_tree_and_one_lock_covers_all_of_them(top, tmp_path, monkeypatch):
    git(top, "worktree", "add", "-q", str(tmp_path / "side"))
    main, side = found(monkeypatch, top), found(monkeypatch, tmp_path / "side")
    assert main.cache == side.cache == tmp_path / "cache/rad-engineer" / main.id
    assert main.lock == side.lock == top / ".git/rad-engineer.lock"
    assert main.home == side.home == top
    elsewhere = found(monkeypatch, top, root=str(tmp_path / "roomy"))
    assert elsewhere.cache == tmp_path / "roomy" / main.id


def test_a_shared_workspace_is_the_current_folder_and_needs_no_repository(top, tmp_path, monkeypatch):
    shared = found(monkeypatch, top / "src", workspace="shared")
    assert (shared.top, shared.repository) == (top / "src", None)
    (tmp_path / "nowhere").mkdir()
    with pytest.raises(RadError) as caught:
        found(monkeypatch, tmp_path / "nowhere")
    assert (caught.value.exit_code, "git init" in str(caught.value.hint)) == (ExitCode.BAD_CONFIG, True)


def test_who_only_looks_needs_no_repository_that_works(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    monkeypatch.chdir(empty)
    seen = ground.look(os.environ)
    assert (seen.home, seen.repository) == (empty, None)
