"""A shared workspace in a box: what the repository goes by stays as it was, also where `.git` is no folder."""

import pytest

from tests.conftest import prd, story
from tests.sandboxes import needs_bubblewrap
from tests.somebody import Somebody, other_user


@pytest.fixture
def somebody(tmp_path):
    """Somebody with a repository of theirs: root may not share one."""
    needs_bubblewrap()
    found = Somebody(tmp_path / "home", tmp_path / "home" / "main", other_user())
    found.folder.mkdir()
    (found.folder / "prd.json").write_text(prd(story("A")))
    (found.folder / "rad-engineer.toml").write_text('[gates]\ntest = "true"\n')
    found.moves_in()
    found.begins("one")
    found.env["RAD_SANDBOX"] = "bubblewrap"
    return found


@pytest.mark.parametrize("linked", [False, True], ids=["a repository", "a linked worktree"])
def test_an_agent_cannot_make_it_another_repository(somebody, linked):
    if linked:
        somebody.git("worktree", "add", "-q", str(somebody.home / "linked"))
        somebody.folder = somebody.home / "linked"
    marked = somebody.folder / ".git" if linked else somebody.folder / ".git" / "config"
    before = marked.read_bytes()
    plant = "echo 'gitdir: elsewhere' > .git; echo '[core] fsmonitor = x' >> .git/config; mv .git gone; echo done > here"
    ran = somebody.rad("run", "prd.json", "--yes", "--workspace", "shared", "--agent-command", plant)
    assert (somebody.folder / "here").read_text() == "done\n", ran.err
    assert marked.read_bytes() == before
