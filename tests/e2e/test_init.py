"""init: a new project, a terminal that is asked, and what is refused."""

import json
import os
import pty
import subprocess

import pytest

from tests.conftest import Project


@pytest.fixture
def place(tmp_path):
    return Project(tmp_path)


def test_a_project_is_a_repository_that_a_run_can_begin_in(place):
    made = place.rad("init", "--name", "ada-notes", "--template", "blank")
    assert made.code == 0, made.err
    assert made.out.endswith(
        "next:\n  cd ada-notes\n  rad-engineer plan prd/next.json\n  rad-engineer run prd/next.json\n"
    )
    git = ["git", "-C", str(place.folder / "ada-notes")]
    assert (
        subprocess.run([*git, "status", "--short", "--ignored"], capture_output=True, check=True).stdout
        == b""
    )
    assert place.rad("validate", "--strict", "ada-notes/prd/next.json").code == 0
    assert [path.name for path in place.folder.iterdir() if path.name != ".git"] == ["ada-notes"]


def test_json_says_what_was_made(place):
    made = place.rad("init", "--name=n", "--template=blank", "--licence=none", "--json", "--no-git")
    said = json.loads(made.out)
    there = place.folder / "n"
    assert said["schema_version"] == 1
    assert said["first_commit"] is None
    assert said["path"] == str(there.resolve())
    assert sorted(said["files"]) == sorted(
        path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()
    )
    assert "`rad-engineer run` needs git" in made.err
    assert not (there / ".git").exists()


def test_whoever_git_does_not_know_commits_all_the_same(place, tmp_path):
    home = {
        "HOME": str(tmp_path / "nobody"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "XDG_CONFIG_HOME": str(tmp_path / "none"),
    }
    made = place.rad("init", "--name", "n", "--template", "blank", "--into", str(tmp_path), env=home)
    assert "on main by rad-engineer <rad-engineer@localhost>" in made.out, made.err
    assert "Copyright (c) 20" in (tmp_path / "n/LICENSE").read_text()
    assert " the authors of n\n" in (tmp_path / "n/LICENSE").read_text()


def test_nothing_is_overwritten(place):
    there = place.folder / "ada-notes"
    there.mkdir()
    (there / "mine").write_text("mine")
    refused = place.rad("init", "--name", "ada-notes", "--template", "blank")
    assert refused.code == 2
    assert "is there already\nhint: nothing is overwritten" in refused.err
    assert [path.name for path in there.iterdir()] == ["mine"]
    (there / "mine").unlink()
    assert place.rad("init", "--name", "ada-notes", "--template", "blank").code == 0, (
        "an empty folder is as good as none"
    )
    (place.folder / "link").symlink_to(place.folder / "nowhere")
    assert place.rad("init", "--name", "link", "--template", "blank").code == 2
    (place.folder / "file").touch()
    assert place.rad("init", "--name", "file", "--template", "blank").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--name and --template are missing, and there is no terminal to ask on"),
        (("--name", "n"), "--template is missing, and there is no terminal"),
        (("--yes",), "--name is missing"),
        (("--name", "../n", "--template", "blank"), "cannot be called '../n'"),
        (("--name", "n", "--template", "shop"), "there is no template 'shop' for python"),
        (("--name", "n", "--template", "api", "--language", "typescript"), "no template 'api' for typescript"),
        (("--name", "n", "--template", "blank", "--language", "cobol"), "--language"),
        (("--name", "n", "--template", "blank", "--into", "nowhere"), "there is no folder nowhere"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_named_and_nothing_is_made(place, arguments, said):
    refused = place.rad("init", *arguments)
    assert refused.code == 2
    assert said in refused.err
    assert "hint: " in refused.err
    assert [path.name for path in place.folder.iterdir() if path.name != ".git"] == []


def test_without_git_it_says_so_before_anything_is_made(place, tmp_path):
    (tmp_path / "empty").mkdir()
    command = place.command("init", "--name", "n", "--template", "blank")
    refused = subprocess.run(
        command,
        check=False,
        cwd=place.folder,
        env={**place.env, "PATH": str(tmp_path / "empty")},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 78
    assert "git is not installed" in refused.stderr
    assert not (place.folder / "n").exists()


def typed(place, lines, *arguments):
    """What a terminal shows when these lines are typed, and the exit code."""
    master, slave = pty.openpty()
    env = {**place.env, "TERM": "xterm"}
    child = subprocess.Popen(
        place.command("init", *arguments),
        cwd=place.folder,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    os.write(master, "".join([*lines, "\x04"]).encode())  # and the end of input
    shown = b""
    while True:
        try:
            shown += os.read(master, 1 << 16)
        except OSError:  # everybody has left the other side
            break
    os.close(master)
    return shown.decode(), child.wait()


def test_a_terminal_is_asked_for_what_was_not_said(place):
    shown, code = typed(place, ["No Name\n", "ada-notes\n", "python\n", "shop\n", "blank\n", "\n"])
    assert code == 0, shown
    assert "a project cannot be called 'No Name'" in shown
    assert "'shop' is none of them" in shown
    assert "made " in shown
    assert (place.folder / "ada-notes/LICENSE").read_text().startswith("MIT License")


def test_what_was_said_is_not_asked_for(place):
    shown, code = typed(place, [], "--name", "n", "--template", "blank")
    assert (code, "?" in shown) == (0, False), shown
    shown, code = typed(place, ["blank\n"], "--name", "m", "--language", "python", "--licence", "none")
    assert (code, shown.count("?")) == (0, 1), shown
    assert "Which template? (blank" in shown


def test_end_of_input_makes_nothing(place):
    shown, code = typed(place, ["ada-notes\n"])
    assert code == 2, shown
    assert "the questions were not answered, so nothing was made" in shown
    assert not (place.folder / "ada-notes").exists()


def test_in_a_repository_it_is_said_and_asked_whose_the_project_becomes(place):
    place.init({"a": ""})
    head = place.git("rev-parse", "HEAD")
    wish = ("--name", "n", "--template", "blank")
    note = f"note: {place.folder} lies in the git repository {place.folder}: the project becomes a"
    shown, code = typed(place, ["\n"], *wish)
    assert (code, "Go on? [y/N]" in shown, (place.folder / "n").exists()) == (2, True, False), shown
    assert "error: nothing was made" in shown
    made = place.rad("init", *wish)
    assert (made.code, made.err.startswith(f"{note} repository of its own inside it")) == (0, True), made
    assert place.git("rev-parse", "HEAD") == head
    assert subprocess.run(["git", "-C", place.folder / "n", "rev-parse", "HEAD"], check=True,
                          capture_output=True, text=True).stdout != head  # fmt: skip
    part = place.rad("init", "--name", "part", "--template", "blank", "--no-git")
    assert (part.code, part.err) == (0, f"{note} part of that one\n")
    shown, code = typed(place, ["y\n"], "--name", "m", "--template", "blank")
    assert (code, (place.folder / "m/.git").is_dir()) == (0, True), shown


def test_of_two_quickstarts_at_once_one_is_whole_and_the_other_takes_nothing_away(place):
    both = [place.start("quickstart", "first") for _ in range(2)]
    said = [each.communicate() for each in both]
    assert 0 in (codes := [each.returncode for each in both]), said
    assert set(codes) <= {0, 2}, said
    git = ["git", "-C", place.folder / "first"]
    assert subprocess.run([*git, "status", "--short"], capture_output=True, check=True).stdout == b""
    assert (place.folder / "first" / ".git" / "HEAD").exists()
    assert [path.name for path in place.folder.iterdir()] == ["first"]
    assert place.rad("quickstart", ".", cwd="first").code == 2
    (place.folder / "empty").mkdir()
    assert place.rad("quickstart", ".", cwd="empty").code == 0
    assert (place.folder / "empty" / ".git" / "HEAD").exists()
