"""The world changes under a run, or between two: files, branch, clock, disk and place; nothing is lost in silence."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project, Ran, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
FILES = {
    "prd.json": prd(story("A"), story("B", "A"), story("C", "B")),
    "rad-engineer.toml": '[gates]\ncheck = "test ! -e out/bad"\n',
}


def meanwhile(project: Project, change: str, *options: str) -> Ran:
    """A run in which something happens while the first attempt at B is at work."""
    project.init(FILES)
    return again(project, f"case $RAD_STORY_ID$RAD_ATTEMPT in B1)\n{change}\n;; esac\n", *options)


def again(project: Project, change: str = "", *options: str) -> Ran:
    script = f'echo "$RAD_STORY_ID" >> {project.folder.parent}/paid\n' + change + WRITE
    return project.rad("run", "prd.json", *agent(project, script), "--yes", *options)


def paid(project: Project) -> list[str]:
    return (project.folder.parent / "paid").read_text().split()


# --- PRD and configuration ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said", "marked"),
    [
        ("sed -i 's/Story C/Another C/' prd.json", "C is not in prd.json any more; nothing was marked", "AB"),
        ("cp prd.json other && mv other prd.json", "", "ABC"),
        (
            "echo '{\"userStories\": [' > prd.json",
            "prd.json cannot be read as a PRD any more; nothing was",
            "",
        ),
        ("rm prd.json", "prd.json is not there any more; nothing was marked", ""),
    ],
    ids=["edited", "replaced", "made invalid", "deleted"],
)
def test_the_prd_changes_during_a_run(project: Project, change: str, said: str, marked: str) -> None:
    """What the run was started with is what it does; a story that the file does not have any more is not marked."""
    until_a_is_marked = "until grep -q '\"passes\": true' prd.json; do sleep 0.05; done"
    ran = meanwhile(project, f"(cd {project.folder} && {until_a_is_marked} && {change})")
    assert ran.code == 0, ran.err
    assert project.landed("rad/demo") == ["A", "B", "C"]
    assert said in ran.err
    if marked:
        assert project.passes() == list(marked)
    assert project.rad("status").code == 0


@pytest.mark.parametrize("change", ["echo '[[[' >", "printf '[gates]\\ncheck = \"false\"\\n' >", "rm"])
def test_the_configuration_changes_during_a_run(project: Project, change: str) -> None:
    """The rules of a run do not change under it."""
    ran = meanwhile(project, f"{change} {project.folder}/rad-engineer.toml")
    assert (ran.code, project.passes()) == (0, ["A", "B", "C"]), ran.err


# --- the run directory and the cache -----------------------------------------------------------------------------


@pytest.mark.parametrize("what", [".rad-engineer", ".rad-engineer/runs/*"])
def test_the_run_directory_is_deleted_during_a_run(project: Project, what: str) -> None:
    """A run that cannot write down what it does does nothing more; the branch and the PRD know what has landed."""
    ran = meanwhile(project, f"rm -rf {project.folder}/{what}")
    assert ran.code == 73, ran.err
    assert "its folder has been removed" in ran.err
    assert "go on with: rad-engineer run PRD" in ran.err
    after = again(project)
    assert (after.code, project.passes()) == (0, ["A", "B", "C"]), after.err
    assert project.landed("rad/demo") == ["A", "B", "C"]
    assert paid(project).count("A") == 1


def test_the_run_directory_is_deleted_between_runs(project: Project) -> None:
    project.init(FILES)
    assert again(project, "", "--once").code == 3
    shutil.rmtree(project.folder / ".rad-engineer")
    resumed = project.rad("resume")
    assert (resumed.code, "start one: rad-engineer run PRD" in resumed.err) == (66, True)
    ran = again(project)
    assert (ran.code, paid(project)) == (0, ["A", "B", "C"]), ran.err
    assert "not believed" not in ran.err, "the PRD itself says that A is done"


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ("", "the agent ended with an error"),
        ("; cd /; exit 0", "its working copy was removed or replaced while it ran"),
    ],
    ids=["and the agent fails", "and the agent has finished"],
)
def test_the_cache_directory_is_deleted_during_a_run(project: Project, left: str, why: str) -> None:
    """Working copies can be made again: the attempt is lost, the run is not, and nothing was deleted by it."""
    ran = meanwhile(project, f"rm -rf {project.env['XDG_CACHE_HOME']} {left}")
    assert (ran.code, project.passes()) == (0, ["A", "B", "C"]), ran.err
    assert "B attempt 1 failed" in ran.err
    assert why in ran.err, ran.err


def test_the_cache_directory_is_deleted_between_runs(project: Project) -> None:
    project.init(FILES)
    assert again(project, "", "--once").code == 3
    shutil.rmtree(project.env["XDG_CACHE_HOME"])
    ran = again(project)
    assert (ran.code, paid(project)) == (0, ["A", "B", "C"]), ran.err


# --- the repository and its branch ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "resume"])
def test_the_repository_is_moved_between_runs(project: Project, verb: str) -> None:
    project.init(FILES)
    script = f'echo "$RAD_STORY_ID" >> {project.folder.parent}/paid\n' + WRITE
    options = (*agent(project, script), "--yes")
    assert project.rad("run", "prd.json", *options, "--max-stories", "1").code == 3
    old = project.folder
    project.folder = old.rename(old.with_name("moved"))
    ran = (
        project.rad("resume", "--max-stories", "9")
        if verb == "resume"
        else project.rad("run", "prd.json", *options)
    )
    assert (ran.code, "goes on" in ran.err) == (0, True), ran.err
    assert (project.passes(), paid(project)) == (["A", "B", "C"], ["A", "B", "C"])
    assert not old.exists()


CHANGES = {
    "rewritten": "git branch -qf rad/demo main",
    "merged into main": "git merge -q rad/demo",
    "squash-merged": "git merge -q --squash rad/demo && git commit -qm squashed",
    "deleted": "git branch -qD rad/demo",
    "merged and deleted": "git merge -q rad/demo && git branch -qd rad/demo",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_run_branch_changes_between_runs_and_is_pruned(project: Project, change: str) -> None:
    """What has landed is never paid again; where the branch does not hold it any more, that is said."""
    project.init({**FILES, ".gitignore": "prd.json\n"})
    project.write({"prd.json": FILES["prd.json"]})
    assert again(project, "", "--max-stories", "1").code == 3
    subprocess.run(
        ["sh", "-ec", change], cwd=project.folder, env=project.env, check=True, capture_output=True
    )
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    ran = again(project)
    assert (ran.code, project.passes()) == (0, ["A", "B", "C"]), ran.err
    assert paid(project) == ["A", "B", "C"]
    assert "missing" not in project.git("fsck", "--full")
    lost = "-qf" in change
    assert ("the branch does not hold it any more" in ran.err) == lost
    assert project.landed("rad/demo")[-2:] == ["B", "C"]


# --- the disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path):
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_disk_is_full_during_a_run(small_disk: Path, tmp_path: Path) -> None:
    project = Project(small_disk)
    filler = small_disk / "filler"
    once = tmp_path / "filled"
    fill = f"test -e {once} || {{ touch {once}; dd if=/dev/zero of={filler} bs=1k 2>/dev/null; }}"
    ran = meanwhile(project, fill)
    assert ran.code == 73, ran.err
    assert "No space left on device" in ran.err
    assert "hint: make room" in ran.err
    full = project.rad("resume")
    assert (full.code, "No space left on device" in full.err) == (73, True), full.err
    filler.unlink()
    resumed = project.rad("resume")
    assert (resumed.code, project.passes()) == (0, ["A", "B", "C"]), resumed.err
    assert project.landed("rad/demo") == ["A", "B", "C"]
