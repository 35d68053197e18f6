"""What users change around and during a run: gates, branches, flags; and what the run makes of it."""

import pytest

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
CHECK = '[gates]\ncheck = "test ! -e out/bad"\n'


def paying(project: Project) -> str:
    return WRITE + f'echo "$RAD_STORY_ID" >> {project.folder.parent}/paid\n'


def paid(project: Project) -> list[str]:
    return (project.folder.parent / "paid").read_text().split()


def test_a_gate_configured_later_judges_what_is_there(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A"))})
    options = agent(project, paying(project))
    first = project.rad("run", "prd.json", *options, "--yes")
    assert first.code == 4
    assert "no gate is configured" in first.err
    project.write({"rad-engineer.toml": CHECK})
    second = project.rad("run", "prd.json", *options, "--yes")
    assert second.code == 0, second.err
    assert "changed since the run began" in second.err
    assert project.landed("rad/demo") == ["A", "B"]
    assert paid(project) == ["A", "B"], "nothing is paid twice"


def test_a_gate_that_cannot_run_is_corrected(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": '[gates]\ncheck = "./no-such.sh"\n'})
    options = agent(project, paying(project))
    assert project.rad("run", "prd.json", *options, "--yes").code == 78
    project.write({"rad-engineer.toml": CHECK})
    assert project.rad("run", "prd.json", *options, "--yes").code == 0
    assert paid(project) == ["A"]


def test_the_run_branch_is_deleted_while_stories_run(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": CHECK})
    delete = f'test "$RAD_STORY_ID" = B && git -C {project.folder} branch -q -D rad/demo\n'
    ran = project.rad("run", "prd.json", *agent(project, delete + WRITE), "--yes")
    assert ran.code == 0, ran.err
    assert project.landed("rad/demo") == ["A", "B"]


def test_the_run_branch_is_checked_out_while_stories_run(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": CHECK})
    checkout = f'test "$RAD_STORY_ID" = B && git -C {project.folder} worktree add -q ../other rad/demo\n'
    ran = project.rad("run", "prd.json", *agent(project, checkout + WRITE), "--yes")
    assert ran.code == 4
    assert "checked out" in ran.err + ran.out
    assert project.landed("rad/demo") == ["A"]
    project.git("worktree", "remove", "--force", "../other")
    assert project.rad("resume").code == 0
    assert project.landed("rad/demo") == ["A", "B"]


def test_another_branch_for_an_unfinished_run(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A")), "rad-engineer.toml": CHECK})
    options = (*agent(project, WRITE), "--yes")
    assert project.rad("run", "prd.json", *options, "--once").code == 3
    refused = project.rad("run", "prd.json", *options, "--branch", "other")
    assert refused.code == 2
    assert "--fresh" in refused.err
    assert project.rad("run", "prd.json", *options, "--branch", "other", "--fresh").code == 0
    assert project.landed("other") == ["A", "B"] or project.landed("other") == ["B"]


def test_merge_with_a_prd_that_is_tracked(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--merge")
    assert ran.code == 0
    assert project.git("rev-parse", "main") == project.git("rev-parse", "rad/demo")
    assert project.passes() == ["A"]
    assert project.git("status", "--short").split() == ["M", "prd.json"]


def test_a_shared_workspace_marks_what_was_allowed(project: Project) -> None:
    project.unboxed().init({"prd.json": prd(story("A"), story("B", "A"))})
    options = (*agent(project, WRITE), "--yes", "--workspace", "shared")
    assert project.rad("run", "prd.json", *options).code == 4
    assert project.passes() == []
    assert project.rad("resume", "--allow-unverified").code == 0
    assert project.passes() == ["A", "B"]
    assert "nothing to do" in project.rad("run", "prd.json", *options).out


def test_nothing_can_start_says_why(project: Project) -> None:
    one, two = prd(story("A")), prd(story("B"), depends_on=["one.json"])
    project.init({"one.json": one, "two.json": two, "rad-engineer.toml": CHECK})
    ran = project.rad("run", "two.json", *agent(project, WRITE), "--yes")
    assert ran.code == 4
    assert "B: " in ran.out
    assert "one" in ran.out


def test_later_runs_hear_what_earlier_ones_learnt(project: Project) -> None:
    project.init(
        {"prd.json": prd(story("A"), story("B")), "rad-engineer.toml": CHECK, "progress.txt": "mine\n"}
    )
    teach = r"""printf 'mind \033[31mthe\033[0m\007 \342\200\256gap\n' > "$RAD_LEARNINGS_FILE"
sed "s/untrusted-[0-9a-f]*/untrusted/g" "$RAD_PROMPT_FILE" > "out/p-$RAD_STORY_ID"
"""
    options = (*agent(project, WRITE + teach), "--yes")
    assert project.rad("run", "prd.json", *options, "--only", "A").code == 0
    assert project.rad("run", "prd.json", *options, "--only", "B").code == 0
    prompt = project.git("show", "rad/demo:out/p-B")
    notes = (project.folder / "progress.txt").read_text()
    for text in (prompt, notes):  # nothing that a terminal would act on, or that hides what a model is told
        assert "mind the gap" in text
        assert text.replace("\n", "").isprintable()
    assert "A: out/A.txt" in prompt


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_merged_branch_is_not_run_again(project: Project, how: str) -> None:
    text = prd(story("A"), story("B", "A")).replace('      "passes": false,\n', "")
    project.init({"prd.json": text, "rad-engineer.toml": CHECK})
    options = (*agent(project, paying(project)), "--yes")
    assert project.rad("run", "prd.json", *options).code == 0
    if how == "merge":
        project.git("merge", "-q", "--ff-only", "rad/demo")
    else:
        project.git("merge", "-q", "--squash", "rad/demo")
        project.git("commit", "-q", "-m", "squashed")
        project.git("branch", "-q", "-D", "rad/demo")
    again = project.rad("run", "prd.json", *options)
    assert (again.code, paid(project)) == (0, ["A", "B"]), again.err


def test_an_approval_after_the_run_has_finished(project: Project) -> None:
    text = prd(story("A"), story("H", checkpoint=True), story("B", "H"))
    project.init({"prd.json": text, "rad-engineer.toml": CHECK})
    bad = agent(project, 'test "$RAD_STORY_ID" = A && exit 1\n' + WRITE)
    assert project.rad("run", "prd.json", *bad, "--yes", "--attempts", "1").code == 1
    assert project.rad("approve", "H").code == 0
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0
    assert sorted(project.landed("rad/demo")) == ["A", "B", "H"]


def test_the_same_prd_by_two_paths_is_one(project: Project) -> None:
    project.init({"prd.json": prd(story("A")), "rad-engineer.toml": CHECK})
    assert project.rad("plan", "prd.json", "./prd.json").code == 0


def test_a_story_is_told_of_all_that_landed_before_it_in_the_order_of_the_plan(project: Project) -> None:
    stories = (story("A"), story("B", "A"), story("C", "A"), story("D", "B", "C"))
    project.init({"prd.json": prd(*stories), "rad-engineer.toml": '[gates]\ncheck = "test -e prd.json"\n'})
    slow = f'test "$RAD_STORY_ID" != B || while ! {landed_in(project, "C")}; do sleep 0.01; done\n'
    learn = 'echo "$RAD_STORY_ID is hard" >> "$RAD_LEARNINGS_FILE"\necho > "$RAD_STORY_ID.txt"\n'
    assert project.rad("run", "prd.json", *agent(project, slow + learn), "--yes", "-j", "2").code == 0
    (prompt,) = (project.folder / ".rad-engineer" / "runs").glob("*/stories/D-*/attempt-1/prompt.md")
    told = [line for line in prompt.read_text().splitlines() if line.startswith(("- A", "- B", "- C", "- ("))]
    assert told == [
        "- A: A.txt",
        "- B: B.txt",
        "- C: C.txt",
        "- (A) A is hard",
        "- (B) B is hard",
        "- (C) C is hard",
    ]


def landed_in(project: Project, name: str) -> str:
    """A shell command that is true as soon as the story is in the journal as landed."""
    journal = f"{project.folder}/.rad-engineer/runs/*/journal.jsonl"
    return f"""grep -q '"story_landed".*"story":"{name}"' {journal}"""
