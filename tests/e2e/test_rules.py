"""The hard cases of a run, each as a user or an agent would bring it about."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, Ran, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
GATES = '[gates]\ncheck = "sh check.sh"\n'


def files(text: str, **more: str) -> dict[str, str]:
    return {
        "prd.json": text,
        "rad-engineer.toml": GATES,
        "check.sh": "test ! -e out/bad\n",
        "README.md": "demo\n",
        **more,
    }


def run(project: Project, *options: str, script: str = WRITE) -> Ran:
    return project.rad("run", "prd.json", *agent(project, script), "--yes", *options)


def chain(*names: str) -> str:
    """A PRD in which every story needs the one before it."""
    return prd(*(story(name, *names[max(0, at - 1) : at]) for at, name in enumerate(names)))


def on_branch(project: Project, branch: str = "rad/demo") -> set[str]:
    listed = project.git("ls-tree", "-r", "--name-only", branch, "out").split()
    return {Path(name).stem for name in listed}


# --- where a run happens ---------------------------------------------------------------------------------------


def test_prds_of_two_repositories_are_refused(tmp_path: Path) -> None:
    projects = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        projects.append(Project(tmp_path / name).init(files(prd(story(name), project=name))))
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    paths = [str(project.folder / "prd.json") for project in projects]
    ran = projects[0].rad("run", *paths, "--agent-command", "true", "--yes", cwd=str(nowhere))
    assert ran.code == 2, ran.err
    assert projects[1].prd()["userStories"][0]["passes"] is False


# --- the slot of an agent --------------------------------------------------------------------------------------


def test_ignored_files_that_are_copied_or_kept_are_no_obstacle(project: Project) -> None:
    toml = GATES + '[workspace]\ncopy = [".env"]\nkeep = ["cache"]\n'
    project.init(
        files(chain("A", "B"), **{"rad-engineer.toml": toml, ".gitignore": ".env\ncache/\nprogress.txt\n"})
    )
    project.write({".env": "SECRET=1\n"})
    script = (
        'test -e .env && { test "$RAD_STORY_ID" = A || test -e cache/A; } || exit 1\n'
        'mkdir -p cache; touch "cache/$RAD_STORY_ID"; echo noted >> progress.txt\n'
    )
    ran = run(project, "-j", "1", script=script + WRITE)
    assert ran.code == 0, ran.out
    assert project.git("ls-tree", "-r", "--name-only", "rad/demo").split() == [
        ".gitignore", "README.md", "check.sh", "out/A.txt", "out/B.txt", "prd.json", "rad-engineer.toml",
    ]  # fmt: skip


# --- what is written into the PRD ------------------------------------------------------------------------------


def test_another_plan_put_in_place_meanwhile_is_not_marked(project: Project) -> None:
    """The same ids, other stories: what has landed is not what this file asks for."""
    project.init(files(chain("A", "B")))
    other = prd(story("A", title="Something else"), story("B", acceptanceCriteria=["quite another thing"]))
    (project.folder.parent / "other.json").write_text(other)
    swap = (
        f'test "$RAD_STORY_ID" = B || cp "{project.folder.parent}/other.json" "{project.folder}/prd.json"\n'
    )
    ran = run(project, script=WRITE + swap)
    assert ran.code == 0
    assert (project.folder / "prd.json").read_text() == other
    assert "A is not in prd.json any more; nothing was marked" in ran.err
    assert run(project, "--dry-run").out.startswith("2 stories, 0 done")


def test_a_checkbox_of_another_task_is_not_ticked(project: Project) -> None:
    plan = "# Plan\n\n- [ ] A1: make the first thing\n- [ ] A2: make the second thing\n"
    project.init({**files(""), "plan.md": plan})
    other = "# Plan\n\n- [ ] A1: tear everything down\n- [ ] A2: make the second thing\n"
    (project.folder.parent / "other.md").write_text(other)
    swap = f'cp "{project.folder.parent}/other.md" "{project.folder}/plan.md"\n'
    ran = project.rad("run", "plan.md", *agent(project, WRITE + swap), "--yes", "--once")
    assert ran.code == 3, ran.err
    assert (project.folder / "plan.md").read_text() == other


# --- gates -----------------------------------------------------------------------------------------------------


def test_a_gate_script_that_is_not_committed_stops_before_any_agent(project: Project) -> None:
    """`sh` of Debian ends with 2 where bash ends with 127."""
    paid = project.folder.parent / "paid"
    project.init({**files(chain("A")), "rad-engineer.toml": '[gates]\ncheck = "sh late.sh"\n'})
    project.write({"late.sh": "true\n"})
    ran = run(project, script=f"touch {paid}\n")
    assert ran.code == 78, ran.err
    assert "late.sh" in ran.err
    assert not paid.exists()


def test_configuration_that_is_corrected_counts(project: Project) -> None:
    """Nothing has started, so there is no run whose rules could not change any more."""
    project.init(
        {
            **files(chain("A")),
            "rad-engineer.toml": GATES
            + '[workspace]\nsetup = "echo try; echo ERR_OLD no; echo Bye; exit 3"\n',
        }
    )
    refused = run(project)
    assert refused.code == 78
    assert "exit 3`: exit code 3, ERR_OLD no\n" in refused.err
    project.write({"rad-engineer.toml": GATES})
    ran = run(project)
    assert ran.code == 0, ran.err


def test_a_gate_that_is_corrected_counts(project: Project) -> None:
    project.init({**files(chain("A")), "rad-engineer.toml": '[gates]\ncheck = "./no-such-script.sh"\n'})
    assert run(project).code == 78
    project.write({"rad-engineer.toml": GATES})
    ran = run(project)
    assert ran.code == 0, ran.err


def test_red_final_gates_are_not_forgotten_over_a_rehearsal(project: Project) -> None:
    toml = GATES + '[final_gates]\nend = "test -e fixed"\n'
    project.init({**files(chain("A")), "rad-engineer.toml": toml})
    assert run(project).code == 1
    assert project.rad("run", "prd.json", "--agent", "mock").code == 4
    again = run(project, "--json")
    assert again.code == 1, again.out + again.err


# --- the run branch --------------------------------------------------------------------------------------------


def _ended(project: Project, script: str, seconds: float) -> tuple[int | None, str]:
    started = project.start("run", "prd.json", *agent(project, script), "--yes")
    try:
        _out, err = started.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
        return None, ""
    return started.returncode, err


def test_a_run_branch_that_is_deleted_meanwhile_never_hangs_the_run(project: Project) -> None:
    project.init(files(chain("A", "B", "C")))
    delete = f'test "$RAD_STORY_ID" != B || git -C "{project.folder}" branch -qD rad/demo\n'
    code, err = _ended(project, WRITE + delete, 15.0)
    assert code is not None, "the run goes round in circles"
    if code == 0:
        assert on_branch(project) == {"A", "B", "C"}
    else:
        assert code == 4, err


def test_a_run_branch_that_is_set_back_meanwhile_loses_nothing_in_silence(project: Project) -> None:
    project.init(files(chain("A", "B", "C")))
    back = f'test "$RAD_STORY_ID" != B || git -C "{project.folder}" update-ref refs/heads/rad/demo main\n'
    ran = run(project, script=WRITE + back)
    said = {s["key"]: s for s in project.report()["stories"]}
    landed = {key for key, found in said.items() if found["status"] == "passed"}
    assert landed <= on_branch(project), ran.out


@pytest.mark.parametrize("how", ["deleted", "merged and deleted", "squashed and deleted"])
def test_stories_behind_a_deleted_branch_see_what_landed_before(project: Project, how: str) -> None:
    """B needs A: whatever became of the branch, A's work is under B's."""
    project.init(files(chain("A", "B")))
    assert run(project, "--once").code == 3
    if how.startswith("merged"):
        project.git("merge", "-q", "rad/demo")
    if how.startswith("squashed"):
        project.git("merge", "-q", "--squash", "rad/demo")
        project.git("commit", "-q", "-m", "squashed")
    project.git("branch", "-D", "rad/demo")
    ran = run(project, script="test -e out/A.txt || exit 1\n" + WRITE)
    assert ran.code == 0, ran.out
    assert on_branch(project) == {"A", "B"}


def test_another_work_tree_knows_what_has_landed(project: Project) -> None:
    """Its copy of the PRD says `not done` because nobody ever wrote it, not because somebody set it back."""
    project.init(files(chain("A", "B")))
    project.git("worktree", "add", "-q", "-b", "side", "../side")
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes", cwd="../side").code == 0
    ran = run(project)
    assert ran.code == 0, ran.out
    assert project.landed("rad/demo") == ["A", "B"]


def test_what_waits_for_a_checkout_is_not_called_interrupted(project: Project) -> None:
    project.init(files(chain("A", "B")))
    sit = f'test "$RAD_STORY_ID" != B || git -C "{project.folder}" checkout -q rad/demo\n'
    ran = run(project, script=WRITE + sit)
    assert ran.code == 4
    (waiting,) = [s for s in project.report()["stories"] if s["key"] == "B"]
    assert waiting["status"] == "waiting", waiting
    assert "the run was stopped" not in ran.out


# --- what is said ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [("--only", "B"), ("--wave", "2")])
def test_a_selection_that_cannot_start_is_not_done(project: Project, option: tuple[str, str]) -> None:
    project.init(files(chain("A", "B")))
    ran = run(project, *option)
    assert "are done" not in ran.out
    assert ran.code == 4, ran.out


def test_a_run_in_slots_does_not_go_on_with_a_shared_one(project: Project) -> None:
    project.unboxed().init(files(chain("A", "B")))
    assert run(project, "--workspace", "shared").code == 4
    project.git("clean", "-qfd", "out")
    ran = run(project)
    assert ran.code == 0, ran.err
    assert project.landed("rad/demo") == ["A", "B"]


def test_work_that_landed_unverified_asks_for_nothing_more(project: Project) -> None:
    project.init({"prd.json": chain("A")})
    first = run(project)
    assert (first.code, "resume --allow-unverified" in first.out) == (4, True)
    ran = project.rad("resume", "--allow-unverified")
    assert (ran.code, "--allow-unverified" in ran.out) == (0, False)


def test_a_story_of_two_plans_is_asked_for_by_its_whole_key(project: Project) -> None:
    text: dict[str, Any] = {name: prd(story("A"), project=name) for name in ("one", "two")}
    project.unboxed().init({**files(""), "one.json": text["one"], "two.json": text["two"]})
    assert project.rad("run", "one.json", "two.json", *agent(project, WRITE + 'echo "$RAD_PROMPT_FILE" >> out/A.txt\n'), "--yes", "-j", "1").code == 0  # fmt: skip
    ran = project.rad("explain", "A")
    assert (ran.code, "one/A, two/A" in ran.err) == (66, True)


def test_an_option_that_cannot_be_meant_leaves_the_run_alone(project: Project) -> None:
    project.init(files(chain("A", "B")))
    assert run(project, "--once").code == 3
    journal = next((project.folder / ".rad-engineer" / "runs").glob("*/journal.jsonl"))
    before = journal.read_bytes()
    assert run(project, "--wave", "9").code == 2
    assert journal.read_bytes() == before
    assert [json.loads(line)["event"] for line in before.splitlines()][-1] == "run_finished"


def test_a_plan_that_begins_with_a_human_can_be_approved(project: Project) -> None:
    project.init(files(prd(story("A", checkpoint=True))))
    ran = run(project)
    assert (ran.code, "rad-engineer approve A" in ran.out) == (4, True)
    assert project.rad("approve", "A").code == 0
    assert run(project).code == 0
    assert project.landed("rad/demo") == ["A"]
