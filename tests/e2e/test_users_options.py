"""What careless users give: options that contradict, names that are none, nothing to do, no home."""

import json

import pytest

from tests.conftest import Project, Ran, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
CHECK = '[gates]\ncheck = "test ! -e out/bad"\n'


def run(project: Project, *options: str, **more: str) -> Ran:
    return project.rad("run", "prd.json", *agent(project, WRITE), "--yes", *options, env=more)


def test_as_json_nothing_to_do_is_said(project: Project) -> None:
    project.init({"prd.json": prd(story("A", passes=True)), "rad-engineer.toml": CHECK})
    ran = run(project, "--json")
    (said,) = ran.events
    assert (ran.code, said["event"], said["exit_code"]) == (0, "run_finished", 0)
    assert said["text"] == "nothing to do: all 1 stories are done"


def test_as_json_it_is_said_why_nothing_can_start(project: Project) -> None:
    other = prd(story("X"))
    text = prd(story("A"), depends_on=["other.json"])
    project.init({"prd.json": text, "other.json": other, "rad-engineer.toml": CHECK})
    ran = run(project, "--json")
    (said,) = ran.events
    assert (ran.code, said["exit_code"]) == (4, 4)
    assert "A: " in said["text"]
    assert "other" in said["text"]


def test_fail_fast_and_keep_going_contradict_each_other(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    ran = run(project, "--fail-fast", "--keep-going")
    assert ran.code == 2
    assert "--fail-fast and --keep-going contradict each other" in ran.err
    project.write({"rad-engineer.toml": CHECK + "[limits]\nfail_fast = true\nkeep_going = true\n"})
    ran = run(project)
    assert (ran.code, "contradict each other" in ran.err) == (78, True)
    assert run(project, "--keep-going").code == 0, "a flag is stronger than a file"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("x\\u0000y", "Illegal character '\\x00'"),
        ("a b", "`a b` cannot be the name of a branch"),
        ("-x", "`-x` cannot be the name of a branch"),
    ],
)
def test_a_branch_in_the_configuration_that_cannot_be_one(project: Project, written: str, said: str) -> None:
    toml = CHECK + f'[landing]\nbranch = "{json.loads(chr(34) + written + chr(34))}"\n'
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": toml})
    ran = run(project)
    assert ran.code == 78, ran.err
    assert said in ran.err
    assert "rad-engineer.toml" in ran.err


def test_a_branch_that_cannot_be_one_from_anywhere_else(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    said = "`a b` cannot be the name of a branch"
    ran = run(project, "--branch", "a b")
    assert (ran.code, said in ran.err) == (2, True)
    ran = run(project, RAD_BRANCH="a b")
    assert (ran.code, f"RAD_BRANCH: {said}" in ran.err) == (78, True)


@pytest.mark.parametrize(
    ("named", "used"),
    [("x..y", "x.y"), ("HEAD", "rad/HEAD"), ("/", "rad/prd"), ("a.lock.lock", "a"), ("a b\0/.c", "a-b/c")],
)
def test_a_branch_of_a_prd_that_cannot_be_one_is_mended(project: Project, named: str, used: str) -> None:
    project.init({"prd.json": prd(story("A"), branchName=named), "rad-engineer.toml": CHECK})
    ran = run(project)
    assert (ran.code, project.landed(f"refs/heads/{used}")) == (0, ["A"]), ran.err
    assert f"cannot be a git branch; using {used}" in ran.err


def test_without_a_home(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    del project.env["HOME"]
    assert run(project).code == 0
    assert project.landed("rad/demo") == ["A"]


def test_a_home_that_cannot_be_written(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
        del project.env[name]
    ran = run(project, HOME="/proc")
    assert ran.code == 73
    assert "/proc/.local" in ran.err
    assert "hint: " in ran.err
