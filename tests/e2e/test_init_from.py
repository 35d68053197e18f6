"""init --from: somebody's own template, by copier; what it would run is shown first."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import Project

LONG = pytest.mark.skipif(
    not os.environ.get("RAD_TEMPLATES"), reason="copier takes its time: RAD_TEMPLATES=1"
)
CONFIG = "project_name:\n  type: str\ncolour:\n  type: str\n  default: blue\n"
TASK = '_tasks:\n  - "echo {{ colour }} > made-by-a-task.txt"\n'


@pytest.fixture
def place(tmp_path):
    return Project(tmp_path)


def template(tmp_path, more="", *, git=True):
    top = tmp_path / "their template"
    top.mkdir()
    (top / "copier.yml").write_text(CONFIG + more)
    (top / "README.md.jinja").write_text("{{ project_name }} is {{ colour }}\n")
    if git:
        identity = ("-c", "user.name=Eve", "-c", "user.email=eve@example.org")
        for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "one")):
            subprocess.run(["git", *arguments], cwd=top, check=True)
    return top


@LONG
@pytest.mark.parametrize("git", [True, False])
def test_a_project_is_made_and_committed(place, tmp_path, git):
    top = template(tmp_path, git=git)
    made = place.rad("init", "--name", "ada-notes", "--from", str(top), "--yes")
    assert made.code == 0, made.err
    assert (place.folder / "ada-notes/README.md").read_text() == "ada-notes is blue\n"
    assert "first commit" in made.out
    assert "rad-engineer import" in made.out
    assert (" at " in made.err) is git, "the commit that is used is named"


def test_what_it_would_run_is_shown_and_not_run_unless_trusted(place, tmp_path):
    top = template(tmp_path, TASK)
    refused = place.rad("init", "--name", "ada-notes", "--from", str(top))
    assert refused.code == 77
    assert "these commands are not trusted yet" in refused.err
    assert "task      echo {{ colour }} > made-by-a-task.txt" in refused.err
    assert list(place.folder.iterdir()) == []
    made = place.rad("init", "--name", "ada-notes", "--from", str(top), "--yes")
    assert made.code == 0, made.err
    assert (place.folder / "ada-notes/made-by-a-task.txt").read_text() == "blue\n"


@LONG
def test_code_that_it_would_load_is_shown_too(place, tmp_path):
    top = template(tmp_path, "_jinja_extensions:\n  - their.extension\n")
    refused = place.rad("init", "--name", "ada-notes", "--from", str(top))
    assert refused.code == 77
    assert "extension  their.extension" in refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--from", "nowhere"), 66, "nowhere is no folder"),
        (("--from", "ext::sh -c touch% x"), 66, "no address that git could fetch from"),
        (("--from", "--upload-pack=x"), 66, "no address"),
        (("--from", "-oProxyCommand=x@host:y"), 66, "no address"),
        (("--from", "file:///nonexistent/t.git"), 66, "git cannot fetch"),
        (("--from", ".", "--template", "web"), 2, "--from goes with --name"),
    ],
)
def test_what_cannot_be_a_template_is_refused(place, arguments, code, said):
    refused = place.rad("init", "--name", "ada-notes", *arguments)
    assert refused.code == code, refused.err
    assert said in refused.err
    assert list(place.folder.iterdir()) == []


@LONG
def test_a_template_that_cannot_be_read_is_told_and_leaves_nothing(place, tmp_path):
    top = template(tmp_path, "_tasks: {\n", git=False)
    refused = place.rad("init", "--name", "ada-notes", "--from", str(top), "--yes")
    assert refused.code == 78, refused.err
    assert list(place.folder.iterdir()) == []


def test_nothing_is_overwritten(place, tmp_path):
    (place.folder / "ada-notes").mkdir()
    (place.folder / "ada-notes/README.md").write_text("mine")
    refused = place.rad("init", "--name", "ada-notes", "--from", str(template(tmp_path)), "--yes")
    assert refused.code == 2
    assert (place.folder / "ada-notes/README.md").read_text() == "mine"


def test_without_copier_it_says_how_to_install_it(place, tmp_path):
    hidden = f"import sys; sys.modules['copier'] = None; sys.argv[1:] = {['init', '--name', 'n', '--from', str(tmp_path)]!r}; "
    command = [sys.executable, "-c", f"{hidden}from rad_engineer.__main__ import main; sys.exit(main())"]
    refused = subprocess.run(
        command, cwd=place.folder, env=place.env, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 78, refused.stderr
    assert "--from needs copier, which is not installed\nhint: " in refused.stderr


@pytest.mark.parametrize("who", ["ada:glpat-0123", "glpat-0123"])
def test_an_address_with_a_secret_is_refused_because_copier_and_the_first_commit_would_keep_it(place, who):
    made = place.rad("init", "--name", "ada-notes", "--from", f"https://{who}@127.0.0.1:1/x.git", "--yes")
    assert made.code == 2
    assert "password or token" in made.err
    assert "glpat" not in made.out + made.err
    assert list(place.folder.iterdir()) == []


def test_the_address_of_a_template_needs_no_git_at_its_end(place, tmp_path):
    top = template(tmp_path)
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexec git-upload-pack '{top}'\n")
    ssh.chmod(0o755)
    made = place.rad(
        "init",
        "--name",
        "ada-notes",
        "--from",
        "ssh://git@127.0.0.1/x",
        "--yes",
        env={"GIT_SSH_COMMAND": str(ssh)},
    )
    assert made.code == 0, made.err


@pytest.mark.parametrize("more", ["_templates_suffix: 5\n", "_envops: {a: b}\n"])
def test_a_template_of_nonsense_is_no_bug_of_ours(place, tmp_path, more):
    made = place.rad("init", "--name", "ada-notes", "--from", str(template(tmp_path, more)), "--yes")
    assert made.code == 78, made.err


def test_what_tasks_print_is_no_part_of_the_document(place, tmp_path):
    top = template(tmp_path, '_tasks:\n  - "echo from the task"\n', git=False)
    made = place.rad("init", "--name", "ada-notes", "--from", str(top), "--yes", "--json")
    assert (made.code, json.loads(made.out)["schema_version"]) == (0, 1), made
    assert "\nfrom the task\n" in made.err
