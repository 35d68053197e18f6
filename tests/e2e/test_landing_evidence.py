"""What a landing is worth: on a tip that has moved, a story lands only where a gate proves something again."""

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


def test_a_story_whose_tests_do_not_run_on_the_merged_tree_does_not_land(project: Project) -> None:
    """Each is green alone; together nothing of the first one's tests is even collected."""
    files = {
        "prd.json": prd(story("A"), story("B", verify="test -f b.txt")),
        "rad-engineer.toml": '[gates]\ntest = "python -m pytest -q || true"\n',
    }
    project.init(files)
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
