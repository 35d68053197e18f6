"""What a landing is worth: on a tip that has moved, a story lands only where a gate proves something again."""

import shutil

import pytest

from tests.conftest import Project, agent, prd, story

SCRIPT = """
case $RAD_STORY_ID in
A) cp "$(dirname "$0")/test_a.py" . ;;
B) echo 'collect_ignore_glob = ["*"]' > conftest.py; echo b > b.txt ;;
esac
"""
WAITS_FOR_B = """
import os, subprocess, time

def test_a():
    until = time.monotonic() + 50
    while time.monotonic() < until:
        done = subprocess.run(["git", "log", "--format=%s", "rad/demo"], cwd=os.environ["PROJECT"],
                              capture_output=True, text=True)
        if "B: " in done.stdout:
            return
        time.sleep(0.05)
"""


ONLY_GATES = (
    '[policy.severity]\ntests-removed = "warn"\ntests-skipped = "warn"\n'  # what is found without the policy
)


def test_a_story_whose_tests_do_not_run_on_the_merged_tree_does_not_land(project: Project) -> None:
    """Each is green alone; together nothing of the first one's tests is even collected."""
    files = {
        "prd.json": prd(story("A"), story("B", verify="test -f b.txt")),
        "rad-engineer.toml": '[gates]\ntest = "python -m pytest -q || true"\n' + ONLY_GATES,
    }
    project.unboxed().init(files)
    options = agent(project, SCRIPT)
    (project.folder.parent / "test_a.py").write_text(WAITS_FOR_B)
    here = {"PROJECT": str(project.folder)}
    ran = project.rad(
        "run", "prd.json", *options, "--yes", "-j", "2", "--parallel", "--attempts", "1", env=here
    )
    assert project.landed("rad/demo") == ["B"], ran.err
    assert project.statuses() == {"A": "failed", "B": "passed"}
    assert ran.code == 1
    assert "green alone but red together" in ran.out
    assert "no gate proves anything on the merged tree" in ran.err


MENDS_THEN_BREAKS = """
case $RAD_STORY_ID in
A) echo "def test_x(): pass" > test_x.py; echo "def test_new(): pass" > test_new.py ;;
B) sh -c "$WHAT"; echo b > b.txt ;;
esac
"""


@pytest.mark.parametrize("forgotten", [False, True], ids=["remembered", "cache deleted"])
@pytest.mark.parametrize(
    ("what", "told"),
    [
        ('echo "def test_x(): assert 0" > test_x.py', "test_x.py::test_x"),
        ("rm test_new.py", "missing: test_new.py::test_new"),
    ],
    ids=["broken again", "deleted"],
)
def test_what_an_earlier_story_proved_is_not_undone(
    project: Project, what: str, told: str, *, forgotten: bool
) -> None:
    """Red on the start commit, mended by a story: over a second start it is not excused any more."""
    files = {
        "prd.json": prd(story("A"), story("B", "A")),
        "test_x.py": "def test_x(): assert 0\n",
        "test_y.py": "def test_y(): pass\n",
        "test_z.py": "def test_z(): assert 0\n",
        "rad-engineer.toml": '[gates]\ntest = "python -m pytest -q"\n' + ONLY_GATES,
    }
    project.unboxed().init(files)
    command = ("run", "prd.json", *agent(project, MENDS_THEN_BREAKS), "--yes", "--attempts", "1")
    first = project.rad(*command, "--once", env={"WHAT": what})
    assert (first.code, project.landed("rad/demo")) == (3, ["A"]), first.err
    if forgotten:
        shutil.rmtree(project.folder.parent / "cache")
    second = project.rad(*command, env={"WHAT": what})
    assert (second.code, project.landed("rad/demo")) == (1, ["A"]), second.err
    assert told in project.rad("explain", "B").out


def test_tests_may_be_deleted_where_that_is_allowed(project: Project) -> None:
    files = {
        "prd.json": prd(story("A")),
        "test_x.py": "def test_x(): pass\n",
        "test_y.py": "def test_y(): pass\n",
    }
    project.init({**files, "rad-engineer.toml": '[gates]\ntest = "python -m pytest -q"\n' + ONLY_GATES})
    command = ("run", "prd.json", *agent(project, "rm test_x.py"), "--yes", "--attempts", "1")
    refused = project.rad(*command)
    assert (refused.code, project.landed("rad/demo")) == (1, []), refused.err
    assert "missing: test_x.py::test_x" in project.rad("explain", "A").out
    allowed = project.rad(*command, "--allow-missing-tests")
    assert (allowed.code, project.landed("rad/demo")) == (0, ["A"]), allowed.err
