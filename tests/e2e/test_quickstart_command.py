"""quickstart: the example as a repository of its own."""

import subprocess


def test_it_makes_a_repository_with_all_of_the_example(project):
    made = project.rad("quickstart", "a first look")
    assert made.code == 0, made.err
    assert "\n  cd 'a first look'\n  rad-engineer plan prd.json\n" in made.out
    there = project.folder / "a first look"
    git = ["git", "-C", str(there)]
    assert subprocess.run([*git, "status", "--short"], capture_output=True, check=True).stdout == b""
    kept = subprocess.run([*git, "ls-files"], capture_output=True, check=True, text=True).stdout
    assert "recording/recording.json\n" in kept
    assert project.rad("validate", "a first look/prd.json").code == 0


def test_what_is_there_already_is_left_alone(project):
    (project.folder / "pocketbook").mkdir()
    (project.folder / "pocketbook" / "mine").touch()
    refused = project.rad("quickstart")
    assert refused.code == 2
    assert refused.err.startswith("rad-engineer: error: pocketbook is there already\nhint: ")
    assert [path.name for path in (project.folder / "pocketbook").iterdir()] == ["mine"]
