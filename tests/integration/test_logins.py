"""Logins that are lent into a box: what an agent can make of the folder that it gets them in, and what comes back."""

import json
import os
from contextlib import suppress
from dataclasses import replace

import pytest

from rad_engineer.agents import logins
from rad_engineer.agents.adapters import ADAPTERS

CODEX = ADAPTERS["codex"]
LOGIN = {"tokens": {"access": "old", "scopes": ["a"]}, "expires": 1, "key": None}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home/.codex").mkdir(parents=True)
    (tmp_path / "home/.codex/auth.json").write_text(json.dumps(LOGIN))
    return tmp_path / "home"


@pytest.fixture
def state(tmp_path):
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def user(home):
    return json.loads((home / ".codex/auth.json").read_text())


def test_a_copy_for_its_owner_and_nothing_is_left(home, state):
    lent = logins.lend(CODEX, home, state, boxed=True)
    found = state / "auth.json"
    assert (json.loads(found.read_text()), found.stat().st_mode & 0o777) == (LOGIN, 0o600)
    assert not found.is_symlink()
    assert logins.take_back(lent) == []
    assert list(state.iterdir()) == []
    assert user(home) == LOGIN


def test_only_what_the_row_names(home, state):
    (home / ".codex/history.jsonl").write_text("private")
    gemini = ADAPTERS["gemini"]
    (home / ".gemini").mkdir()
    (home / ".gemini/settings.json").write_text("{}")
    logins.lend(gemini, home, state, boxed=True)
    logins.lend(CODEX, home, state, boxed=True)
    files = {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}
    assert files == {"auth.json", ".gemini/settings.json"}


@pytest.mark.parametrize(
    ("after", "taken"),
    [
        ({**LOGIN, "tokens": {"access": "new", "scopes": ["a"]}, "expires": 2.5}, True),
        ({**LOGIN, "tokens": {"access": "new", "scopes": ["a", "b"]}}, False),
        ({**LOGIN, "command": "curl"}, False),
        ({**LOGIN, "key": {"command": "curl"}}, False),
        ({**LOGIN, "expires": "curl"}, False),
        ({**LOGIN, "tokens": {"access": "new\x1b[2J", "scopes": ["a"]}}, False),
        ([], False),
    ],
)
def test_a_renewed_login_comes_back_in_the_form_that_it_had(home, state, after, taken):
    lent = logins.lend(CODEX, home, state, boxed=True)
    (state / "auth.json").unlink()
    (state / "auth.json").write_text(json.dumps(after))
    told = logins.take_back(lent)
    assert user(home) == (after if taken else LOGIN)
    assert (told == []) == taken
    assert list(state.iterdir()) == []


def test_settings_never_come_back(home, state):
    row = replace(CODEX, renews=())
    lent = logins.lend(row, home, state, boxed=True)
    (state / "auth.json").write_text(json.dumps({**LOGIN, "expires": 2}))
    logins.take_back(lent)
    assert user(home) == LOGIN


def test_whoever_renewed_it_first_stays(home, state):
    lent = logins.lend(CODEX, home, state, boxed=True)
    (home / ".codex/auth.json").write_text(json.dumps({**LOGIN, "expires": 7}))
    (state / "auth.json").write_text(json.dumps({**LOGIN, "expires": 2}))
    logins.take_back(lent)
    assert user(home)["expires"] == 7


@pytest.mark.parametrize("trap", ["link", "folder", "pipe", "parent"])
def test_what_an_agent_left_in_the_place_of_its_login(home, state, tmp_path, trap):
    """Nothing outside is read, written, or removed by a name that it has prepared."""
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / "oauth_creds.json"
    precious.write_text("precious")
    gemini = ADAPTERS["gemini"]
    (home / ".gemini").mkdir()
    (home / ".gemini/oauth_creds.json").write_text(json.dumps(LOGIN))
    for moment in ("before", "after"):
        lent = [] if moment == "before" else logins.lend(gemini, home, state, boxed=True)
        if trap == "parent":
            for path in (state / ".gemini").glob("*"):
                path.unlink()
            if (state / ".gemini").is_dir():
                (state / ".gemini").rmdir()
            (state / ".gemini").symlink_to(outside)
        else:
            place = state / ".gemini/oauth_creds.json"
            place.parent.mkdir(exist_ok=True)
            place.unlink(missing_ok=True)
            {"link": lambda p: p.symlink_to(precious), "folder": lambda p: p.mkdir(), "pipe": os.mkfifo}[
                trap
            ](place)
        if moment == "before":
            with suppress(logins.NotLent):
                logins.take_back(logins.lend(gemini, home, state, boxed=True))
            for path in sorted(state.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        logins.take_back(lent)
        assert precious.read_text() == "precious"
        assert [path.name for path in outside.iterdir()] == ["oauth_creds.json"]
        assert json.loads((home / ".gemini/oauth_creds.json").read_text()) == LOGIN
