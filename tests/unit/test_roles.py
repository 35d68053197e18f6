"""Roles: shipped ones, a project's own, and refusals."""

import pytest

from rad_engineer import roles
from rad_engineer.errors import ConfigInvalid


def test_ours_are_there_and_say_something(tmp_path):
    found = roles.load(tmp_path, tmp_path, {})
    assert tuple(found) == roles.NAMES
    assert all(text.startswith("You ") and len(text) > 200 for text in found.values())
    assert not any(roles.replaced(found, name) for name in roles.NAMES)


def test_a_project_replaces_and_adds(tmp_path):
    folder = tmp_path / "home" / ".rad-engineer" / "roles"
    folder.mkdir(parents=True)
    (folder / "developer.md").write_text("\ufeffYou are careful.\n")
    (folder / "poet.md").write_text("from the folder")
    (tmp_path / "poet.md").write_text("from the settings")
    found = roles.load(tmp_path, tmp_path / "home", {"poet": "poet.md"})
    assert (found["developer"], found["poet"]) == ("You are careful.", "from the settings")
    assert roles.replaced(found, "developer")
    assert not roles.replaced(found, "poet")


@pytest.mark.parametrize("path", ["../secret.md", "/etc/hostname", "out.md", "docs/../../secret.md", "a\0b"])
def test_a_role_is_none_that_lies_elsewhere(tmp_path, path):
    top = tmp_path / "top"
    (top / "docs").mkdir(parents=True)
    (tmp_path / "secret.md").write_text("secret")
    (top / "out.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(ConfigInvalid, match="not in the project"):
        roles.load(top, top, {"poet": path})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "empty"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"x" * 30_000, "longer than"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, content, words):
    if content is not None:
        (tmp_path / "poet.md").write_bytes(content)
    with pytest.raises(ConfigInvalid, match=words) as caught:
        roles.load(tmp_path, tmp_path, {"poet": "poet.md"})
    assert "agent.roles" in str(caught.value.hint)


def test_a_link_in_the_folder_of_roles_leads_nowhere_else(tmp_path):
    home = tmp_path / "home"
    folder = home / ".rad-engineer" / "roles"
    folder.mkdir(parents=True)
    (home / "text.md").write_text("inside\n")
    (folder / "planner.md").symlink_to("../../text.md")
    assert roles.load(home, home, {})["planner"] == "inside"
    (tmp_path / "netrc").write_text("password hunter2\n")
    (folder / "developer.md").symlink_to(tmp_path / "netrc")
    with pytest.raises(ConfigInvalid, match="not in the project"):
        roles.load(home, home, {})
