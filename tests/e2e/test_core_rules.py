"""Rules of the core that only a whole run can prove: limits, truth after a stop, red gates, trust."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Project, Ran, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID $RAD_ATTEMPT" > "out/$RAD_STORY_ID.txt"\n'
GATES = '[gates]\ncheck = "sh check.sh"\n'


def files(text: str, toml: str = GATES, **more: str) -> dict[str, str]:
    return {"prd.json": text, "rad-engineer.toml": toml, "check.sh": "test ! -e out/bad\n", **more}


def run(project: Project, *options: str, script: str = WRITE) -> Ran:
    return project.rad("run", "prd.json", *agent(project, script), "--yes", *options)


def counted(project: Project, script: str = WRITE) -> str:
    """An agent that leaves a line for every attempt that is paid."""
    return f'echo "$RAD_STORY_ID" >> "{project.folder.parent}/paid"\n{script}'


def paid(project: Project) -> list[str]:
    return (project.folder.parent / "paid").read_text().split()


def set_done(project: Project, name: str, *, done: bool) -> None:
    path = project.folder / "prd.json"
    content = json.loads(path.read_text())
    for found in content["userStories"]:
        if found["id"] == name:
            found["passes"] = done
    path.write_text(json.dumps(content, indent=2))


# --- limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [("--once",), ("--max-stories", "1", "--fail-fast")])
def test_a_limited_run_brings_a_story_to_its_end_and_says_that_more_could_start(
    project: Project, limit: tuple[str, ...]
) -> None:
    project.init(
        files(prd(story("A", files=["out/A.txt"]), story("B", files=["out/B.txt"]), story("C", "B")))
    )
    clumsy = WRITE + 'test "$RAD_ATTEMPT" != 1 || echo "$RAD_STORY_ID" > out/bad\n'
    ran = run(project, *limit, script=counted(project, clumsy))
    assert ran.code == 3, ran.err
    assert paid(project) == ["B", "B"]
    assert project.landed("rad/demo") == ["B"]


def test_the_last_story_of_a_loop_is_followed_by_the_final_gates(project: Project) -> None:
    project.init(files(prd(story("A")), GATES + '[final_gates]\nend = "test -e fixed"\n'))
    assert run(project, "--once").code == 1
    assert run(project, "--once").code == 1  # it is asked again


def test_a_red_gate_of_the_last_wave_is_asked_again(project: Project) -> None:
    toml = GATES + f'[wave_gates]\nend = "test -e {project.folder.parent}/fixed"\n'
    project.unboxed().init(files(prd(story("A")), toml))
    assert run(project).code == 1
    assert run(project).code == 1
    (project.folder.parent / "fixed").touch()
    assert run(project).code == 0
    assert "nothing to do" in (ran := run(project)).out + ran.err


def test_a_gate_that_was_green_on_the_branch_is_not_excused_in_a_later_process(project: Project) -> None:
    check = "test -e out/A.txt || { echo 'FAILED t.py::old - gone'; exit 1; }\n"
    project.init({**files(prd(story("A"), story("B", "A", verify="test -e out/B.txt"))), "check.sh": check})
    assert run(project, "--once").code == 3
    ran = run(project, "--attempts", "1", script=WRITE + 'test "$RAD_STORY_ID" = A || rm out/A.txt\n')
    assert ran.code == 1, ran.out
    assert project.statuses() == {"A": "passed", "B": "failed"}


def test_on_an_unmoved_tip_every_attempt_is_judged_once(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    ran = run(project, "--json")
    kinds = [
        (e["event"], e.get("story")) for e in ran.events if e["event"] in ("gate_finished", "story_landed")
    ]
    assert kinds == [
        ("gate_finished", "A"),
        ("story_landed", "A"),
        ("gate_finished", "B"),
        ("story_landed", "B"),
    ]


def test_next_has_a_code_for_more_for_all_done_and_for_waiting(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A", checkpoint=True))))
    assert (project.rad("next", "prd.json").code, project.rad("next", "prd.json").out) == (0, "A\n")
    assert run(project).code == 4
    assert (project.rad("next", "prd.json").code, project.rad("next", "prd.json").out) == (4, "")
    set_done(project, "B", done=True)
    assert (project.rad("next", "prd.json").code, project.rad("next", "prd.json").out) == (1, "")


def test_what_a_run_was_started_with_holds_to_its_end(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    assert run(project, "--once").code == 3
    project.write({"rad-engineer.toml": '[gates]\nother = "false"\n'})
    ran = project.rad("resume", "--json")
    assert ran.code == 0, ran.err
    assert {e["gate"] for e in ran.events if e["event"] == "gate_finished"} == {"check"}


def test_a_finished_run_that_is_named_gives_its_report_and_its_exit_code(project: Project) -> None:
    project.init(files(prd(story("A"))))
    assert run(project, "--attempts", "1", script="exit 1\n").code == 1
    (name,) = [entry.name for entry in (project.folder / ".rad-engineer/runs").iterdir()]
    assert project.rad("resume").code == 66
    ran = project.rad("resume", name)
    assert (ran.code, "agent-failed" in ran.out or "ended with an error" in ran.out) == (1, True)
    assert json.loads(project.rad("resume", name, "--json").out)["run"] == name


# --- trailers --------------------------------------------------------------------------------------------------


def test_an_id_and_a_title_cannot_forge_a_trailer(project: Project) -> None:
    forged = "A\n\nRad-Run: forged\nRad-Identity: 0123456789abcdef"
    project.init(files(prd(story(forged, title=f"t {forged}"))))
    assert run(project, script="echo work > work.txt\n").code == 0
    keys = "%(trailers:key=Rad-Run,valueonly)%(trailers:key=Rad-Identity,valueonly)"
    said = project.git("log", "-1", f"--format={keys}", "rad/demo")
    assert "forged" not in said
    assert "0123456789abcdef" not in said


def test_a_trailer_of_an_unknown_run_is_told_and_not_believed(project: Project) -> None:
    project.init(files(prd(story("A"))))
    assert run(project).code == 0
    message = project.git("log", "-1", "--format=%B", "rad/demo").replace("Rad-Run: 2", "Rad-Run: 1")
    set_done(project, "A", done=False)
    project.git("branch", "-qD", "rad/demo")
    tree = project.git("rev-parse", "main^{tree}").strip()
    project.git("branch", "rad/demo", project.git("commit-tree", "-p", "main", "-m", message, tree).strip())
    ran = run(project, script=counted(project))
    assert (ran.code, paid(project)) == (0, ["A"]), ran.err
    assert "of a run that is not known here: not believed" in ran.err


# --- the file, git and the journal -----------------------------------------------------------------------------


def test_a_landing_that_was_taken_back_never_counts_again(project: Project) -> None:
    """Not in the run that finds it so, and not in any later one: only a new landing does."""
    project.init(files(prd(story("A"), story("B", "A"))))
    assert run(project, script=counted(project)).code == 0
    set_done(project, "A", done=False)
    assert run(project, "--attempts", "1", "--once", script=counted(project, "exit 1\n")).code == 1
    assert project.statuses()["A"] == "failed"
    assert run(project, script=counted(project, WRITE + "echo more >> out/A.txt\n")).code == 0
    assert paid(project) == ["A", "B", "A", "A"]
    assert project.landed("rad/demo") == ["A", "B", "A"]


def test_a_story_that_the_user_finished_is_done_in_the_run_that_failed_on_it(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"), story("C"))))
    only_b = 'test "$RAD_STORY_ID" != A || exit 1\n' + WRITE
    assert run(project, "--once", "--attempts", "1", script=only_b).code == 3
    set_done(project, "A", done=True)
    ran = run(project)
    assert ran.code == 0, ran.err
    assert "A: the PRD says done now" in ran.err
    assert project.statuses() == {"A": "already-done", "B": "passed", "C": "passed"}


def test_a_story_that_needed_no_change_is_not_done_again(project: Project) -> None:
    """Its commit is what the branch was at: nothing on the branch carries its name."""
    plan = json.loads(prd(story("A"), story("B", "A", verify="test -e out/A.txt"), story("C", "B")))
    for one in plan["userStories"]:
        del one["passes"]
    project.init(files(json.dumps(plan)))
    script = counted(project, 'test "$RAD_STORY_ID" = B || {\n' + WRITE + "}\n")
    assert [run(project, "--once", script=script).code for _ in "ABC"] == [3, 3, 0]
    assert paid(project) == ["A", "B", "C"]


def test_work_that_nothing_could_judge_lands_although_another_story_has_failed(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", verify="test -e out/none"), story("C", "B"))})
    assert run(project, "--attempts", "1", script=counted(project)).code == 1
    assert project.statuses() == {"A": "done-unverified", "B": "failed", "C": "blocked"}
    assert project.rad("resume").code == 66
    ran = project.rad("resume", "--allow-unverified")
    assert ran.code == 1, ran.err
    assert project.landed("rad/demo") == ["A"]
    assert sorted(paid(project)) == ["A", "B"]


# --- where nothing can land ------------------------------------------------------------------------------------


def test_a_repository_without_a_commit_is_no_obstacle_where_nothing_lands(project: Project) -> None:
    project.unboxed().git("init", "-q")
    project.write({"sub/prd.json": prd(story("A"), story("B", "A"))})
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes", cwd="sub").code == 78
    options = ("--workspace", "shared", "--yes", "--once")
    ran = project.rad("run", "prd.json", *agent(project, WRITE), *options, cwd="sub")
    assert ran.code == 3, ran.err
    shown = project.rad("status", cwd="sub")
    assert (shown.code, "1 unverified" in shown.out) == (0, True), shown.err
    assert project.rad("next", "prd.json", cwd="sub").out == "B\n"
    ran = project.rad("resume", cwd="sub")
    assert (ran.code, (project.folder / "sub/out/B.txt").exists()) == (4, True), ran.err


def test_a_run_in_a_folder_of_a_repository_goes_on_from_there(project: Project) -> None:
    project.unboxed().init({"sub/prd.json": prd(story("A"), story("B", "A"))})
    options = ("--workspace", "shared", "--yes", "--once")
    assert project.rad("run", "prd.json", *agent(project, WRITE), *options, cwd="sub").code == 3
    ran = project.rad("resume", cwd="sub")
    assert ran.code == 4, ran.err
    assert (project.folder / "sub/out/B.txt").exists()


# --- other runs ------------------------------------------------------------------------------------------------


def wait_for(path: Path) -> None:
    until = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.01)


def test_unfinished_work_of_one_run_outlives_another_run(project: Project) -> None:
    """It lies in a slot and nowhere else, so no other run gets that slot."""
    other = prd(story("X"), story("Y"), project="other", branchName="rad/other")
    project.init(files(prd(story("A")), **{"other.json": other}))
    begun = project.folder.parent / "begun"
    started = project.start("run", "prd.json", *agent(project, f"{WRITE}touch {begun}\nsleep 60\n"), "--yes")
    wait_for(begun)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    ran = project.rad("run", "other.json", *agent(project, WRITE), "--yes", "-j", "2")
    assert ran.code == 0, ran.err
    assert project.rad("resume", *agent(project, WRITE)).code == 0
    (rescued,) = project.git("for-each-ref", "--format=%(refname)", "refs/rad/rescue/").split()
    assert project.git("show", f"{rescued}:out/A.txt") == "A 1\n"
    assert project.git("show", "rad/demo:out/A.txt") == "A 1\n"  # it was no attempt of its own


# --- trust -----------------------------------------------------------------------------------------------------


def test_commands_of_a_story_that_waits_for_a_person_are_asked_for_too(project: Project) -> None:
    """It runs once it is approved, and nobody is asked then."""
    waiting: dict[str, Any] = story("A", checkpoint=True, verify="touch /tmp/gotcha")
    project.init({"prd.json": prd(waiting)})
    ran = project.rad("run", "prd.json", *agent(project, WRITE))
    assert ran.code == 77, ran.err
    assert "touch /tmp/gotcha" in ran.err
