"""The main job as its user sees it: PRD in, landed commits, report and exit code out."""

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
GATES = '[gates]\ncheck = "sh check.sh"\n'
CHECK = "test ! -e out/bad\n"


def files(text: str, **more: str) -> dict[str, str]:
    return {"prd.json": text, "rad-engineer.toml": GATES, "check.sh": CHECK, "README.md": "demo\n", **more}


def test_stories_land_in_order_and_are_marked(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"), story("C", "B"))))
    before = (project.folder / "prd.json").read_text()
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert ran.code == 0, ran.err
    assert project.landed("rad/demo") == ["A", "B", "C"]
    after = (project.folder / "prd.json").read_text()
    assert after == before.replace('"passes": false', '"passes": true')
    assert project.git("status", "--short").split() == ["M", "prd.json"]
    assert project.git("show", "rad/demo:out/B.txt") == "B\n"
    assert project.git("show", "rad/demo:prd.json") == before
    assert "3 of 3 stories landed on rad/demo" in ran.out
    assert "git merge rad/demo" in ran.out
    again = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert (again.code, "nothing to do" in again.out) == (0, True)
    assert project.processes() == []


def test_events_are_one_json_object_a_line(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--json")
    assert ran.code == 0
    kinds = ran.kinds()
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert ran.kinds("A")[0] == "story_started"
    assert [e["stage"] for e in ran.events if e["event"] == "stage_finished" and e["story"] == "A"] == [
        "prepare", "agent", "commit", "verify",
    ]  # fmt: skip
    gate = next(e for e in ran.events if e["event"] == "gate_finished")
    assert (gate["gate"], gate["ok"], gate["blamed"]) == ("check", True, False)
    landed = [e["commit"] for e in ran.events if e["event"] == "story_landed"]
    assert landed == project.git("log", "--reverse", "--format=%H", "main..rad/demo").split()
    assert [e["seq"] for e in ran.events] == list(range(1, len(kinds) + 1))
    assert all({"seq", "at", "run"} <= e.keys() for e in ran.events)


def test_report_says_what_proved_each_criterion(project: Project) -> None:
    criteria = ["the file is there", "`sh check.sh` passes"]
    project.init(files(prd(story("A", acceptanceCriteria=criteria, verify="test -f out/A.txt"))))
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0
    found = project.report()
    assert (found["schema_version"], found["exit_code"], found["branch"]) == (1, 0, "rad/demo")
    (only,) = found["stories"]
    assert only["status"] == "passed"
    assert {gate["command"] for gate in only["gates"]} == {"sh check.sh", "test -f out/A.txt"}
    proof = only["criteria"][1]["proved_by"]
    assert (proof["command"], proof["exit_code"]) == ("sh check.sh", 0)
    assert len(proof["sha256"]) == 64


def test_two_stories_that_conflict_both_land(project: Project) -> None:
    script = 'sleep 0.3; echo "$RAD_STORY_ID" >> shared.txt\nhead -1 shared.txt >> "by-$RAD_STORY_ID"\n'
    script = 'case "$RAD_ATTEMPT" in 1) sleep 0.3;; esac\n' + 'echo "$RAD_STORY_ID" > shared.txt\n'
    text = prd(story("A"), story("B"), story("C", "A", "B"))
    project.init(files(text, **{"shared.txt": "base\n"}))
    ran = project.rad(
        "run", "prd.json", *agent(project, script), "--yes", "-j", "2", "--json", "--only", "A", "--only", "B"
    )
    assert ran.code == 0, ran.out
    assert sorted(project.landed("rad/demo")) == ["A", "B"]
    back = [e for e in ran.events if e["event"] == "attempt_failed"]
    assert [e["reason"] for e in back] == ["conflict"]
    assert project.git("show", "rad/demo:shared.txt").strip() == back[0]["story"]


def test_green_alone_red_together_is_bisected(project: Project) -> None:
    """B and C break the gate only when both are there; whoever comes second tries again and fails alone."""
    check = "test ! -e out/bad && ! { test -e out/B.txt && test -e out/C.txt; }\n"
    text = prd(story("A"), story("B"), story("C"), story("D", "A"))
    project.init({**files(text), "check.sh": check})
    script = "sleep 0.4\n" + WRITE
    ran = project.rad(
        "run", "prd.json", *agent(project, script), "--yes", "-j", "4", "--json", "--attempts", "2"
    )
    assert ran.code == 1
    landed = project.landed("rad/demo")
    assert {"A", "D"} <= set(landed)
    assert len({"B", "C"} & set(landed)) == 1
    (loser,) = {"B", "C"} - set(landed)
    reasons = [
        e["reason"]
        for e in ran.events
        if e["event"] in ("attempt_failed", "story_failed") and e["story"] == loser
    ]
    assert reasons[0] in ("red-after-merge", "gate-red")
    assert project.statuses()[loser] == "failed"


def test_a_story_that_weakens_its_gate_is_refused(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad("run", "prd.json", *agent(project, "echo true > check.sh\n" + WRITE), "--yes", "--json")
    assert ran.code == 1
    assert {e["reason"] for e in ran.events if e["event"] == "attempt_failed"} == {"protected-path"}
    assert project.landed("rad/demo") == []


def test_a_gate_that_was_red_before_proves_nothing(project: Project) -> None:
    project.init({**files(prd(story("A"))), "check.sh": "echo no\nexit 1\n"})
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert ran.code == 4
    assert project.statuses() == {"A": "done-unverified"}
    assert "gate check proves nothing on the start commit: it is red" in ran.err
    [log] = (project.folder / ".rad-engineer").glob("runs/*/baseline/check-before.log")
    assert f"see {log.relative_to(project.folder)}; where dependencies have to be installed" in ran.err
    assert "next:   rad-engineer explain A\n" in ran.out
    later = project.rad("resume", "--allow-unverified")
    assert later.code == 0
    assert project.landed("rad/demo") == ["A"]
    assert project.passes() == ["A"]


def test_a_flaky_gate_is_run_again(project: Project) -> None:
    marker = project.folder.parent / "seen"
    check = f"test -e out/A.txt || exit 0\nif test -e {marker}; then exit 0; fi\ntouch {marker}; exit 1\n"
    project.unboxed().init({**files(prd(story("A"))), "check.sh": check})
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--json")
    assert ran.code == 0
    assert [e["verdict"] for e in ran.events if e["event"] == "gate_finished"] == ["flaky-green"]


def test_a_red_gate_is_told_to_the_next_attempt(project: Project) -> None:
    check = "test ! -e out/bad || { echo 'the widget is bad'; exit 1; }\n"
    script = (
        WRITE
        + 'if grep -q "the widget is bad" "$RAD_PROMPT_FILE"; then rm -f out/bad; else touch out/bad; fi\n'
    )
    project.init({**files(prd(story("A"))), "check.sh": check})
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes", "--json")
    assert ran.code == 0
    assert [e["reason"] for e in ran.events if e["event"] == "attempt_failed"] == ["gate-red"]
    assert next(e for e in ran.events if e["event"] == "story_landed")["attempt"] == 2


def test_the_same_failure_twice_stops_the_story(project: Project) -> None:
    script = WRITE + "touch out/bad\n"
    project.init(files(prd(story("A"), story("B", "A"))))
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes", "--json", "--attempts", "9")
    assert ran.code == 1
    assert [e["reason"] for e in ran.events if e["event"] == "story_failed"] == ["plateau"]
    assert ran.kinds("A").count("story_started") == 2
    assert [e["by"] for e in ran.events if e["event"] == "story_blocked"] == [["A"]]
    assert project.statuses() == {"A": "failed", "B": "blocked"}
    ref = project.git("for-each-ref", "--format=%(refname)", "refs/rad/").split()
    assert any("/A-" in name for name in ref), "the work of a failed story is kept"


def test_an_agent_that_changes_nothing(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", verify="test -e README.md"))))
    ran = project.rad("run", "prd.json", *agent(project, "exit 0\n"), "--yes", "--parallel")
    assert ran.code == 1
    assert project.statuses() == {"A": "failed", "B": "passed"}
    assert next(s for s in project.report()["stories"] if s["key"] == "A")["reason"] == "no-change"
    assert project.passes() == ["B"]


def test_edits_of_the_prd_are_dropped(project: Project) -> None:
    script = WRITE + 'sed -i "s/false/true/" prd.json\n'
    project.init(files(prd(story("A"), story("B", "A"))))
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes", "--once")
    assert ran.code == 3
    assert project.passes() == ["A"]
    assert project.git("diff", "--stat", "main", "rad/demo").split()[0] == "out/A.txt"
    assert "note: A: its edit of prd.json is left out" in ran.err


def test_an_agent_that_hangs_is_stopped(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad(
        "run",
        "prd.json",
        *agent(project, "sleep 60\n"),
        "--yes",
        "--story-timeout",
        "0.5s",
        "--attempts",
        "1",
        "--json",
    )
    assert ran.code == 1
    assert [e["reason"] for e in ran.events if e["event"] == "story_failed"] == ["timeout"]
    assert project.processes() == []


def test_a_silent_agent_is_stopped(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad(
        "run",
        "prd.json",
        *agent(project, "echo hi; sleep 60\n"),
        "--yes",
        "--idle-timeout",
        "0.5s",
        "--attempts",
        "1",
        "--json",
    )
    assert [e["reason"] for e in ran.events if e["event"] == "story_failed"] == ["idle"]


def test_a_child_in_its_own_session_does_not_outlive_the_stage(project: Project) -> None:
    project.init(files(prd(story("A"))))
    script = WRITE + "setsid sh -c 'trap \"\" TERM; sleep 60; echo late > out/late.txt' >/dev/null 2>&1 &\n"
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes")
    assert ran.code == 0
    assert project.processes() == []


def test_the_user_sits_on_the_run_branch(project: Project) -> None:
    project.init(files(prd(story("A"))))
    project.git("checkout", "-q", "-b", "rad/demo")
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert ran.code == 0
    assert "checked out" in ran.err
    assert project.git("status", "--short").split() == ["M", "prd.json"]
    assert project.landed("rad/rad/demo") == ["A"]
    assert project.git("merge", "-q", "--ff-only", "rad/rad/demo") == ""


def test_merge_at_the_end(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--merge", "--no-write-back")
    assert ran.code == 0
    assert (project.folder / "out/A.txt").read_text() == "A\n"
    assert project.git("status", "--short") == ""


def test_a_dirty_tree_and_a_sub_directory(project: Project) -> None:
    project.init(files(prd(story("A")), **{"sub/x.txt": "x\n"}))
    project.write({"README.md": "changed\n", "new.txt": "n\n"})
    ran = project.rad("run", "../prd.json", *agent(project, WRITE), "--yes", cwd="sub")
    assert ran.code == 0
    assert "README.md" in ran.err + ran.out
    assert project.git("show", "rad/demo:README.md") == "demo\n"
    assert (project.folder / "README.md").read_text() == "changed\n"


def test_a_shell_loop_ends(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"), story("C", "B"))))
    codes = []
    for _ in range(5):
        codes.append(project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--once").code)
        if codes[-1] != 3:
            break
    assert codes == [3, 3, 0]


def test_a_human_releases_a_story(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A", checkpoint=True), story("C", "B"))))
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes")
    assert ran.code == 4
    assert project.statuses() == {"A": "passed", "B": "waiting", "C": "waiting"}
    assert project.rad("next", "prd.json").code == 4
    assert project.rad("approve", "B").code == 0
    assert project.rad("resume").code == 0
    assert project.landed("rad/demo") == ["A", "B", "C"]


def test_passed_by_hand(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    assert project.rad("next", "prd.json").out == "A\n"
    assert project.rad("pass", "prd.json", "A").code == 0
    assert project.passes() == ["A"]
    assert project.rad("next", "prd.json").out == "B\n"
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0
    assert project.landed("rad/demo") == ["B"]
    done = project.rad("next", "prd.json")
    assert (done.code, done.out) == (1, "")
