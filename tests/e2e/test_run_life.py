"""How a run begins, is stopped, goes on and ends; what it refuses before anything has started."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story

WRITE = 'mkdir -p out && echo "$RAD_STORY_ID" > "out/$RAD_STORY_ID.txt"\n'
GATES = '[gates]\ncheck = "sh check.sh"\n'
CHECK = "test ! -e out/bad\n"


def files(text: str, **more: str) -> dict[str, str]:
    return {"prd.json": text, "rad-engineer.toml": GATES, "check.sh": CHECK, "README.md": "demo\n", **more}


def test_a_rehearsal_never_lands(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    ran = project.rad("run", "prd.json")
    assert ran.code == 69
    assert "--agent-command" in ran.err
    asked = project.rad("run", "prd.json", "--agent", "mock")
    assert asked.code == 4
    assert project.git("branch", "--list", "rad/demo") == ""
    assert project.passes() == []
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes").code == 0


def test_a_rehearsal_runs_no_command_of_anybody(project: Project) -> None:
    ran_at = project.folder.parent / "ran"
    tables = "".join(
        f"[{table}]\nx = 'touch {ran_at}-{table}'\n" for table in ("gates", "wave_gates", "final_gates")
    )
    toml = f"[workspace]\nsetup = 'touch {ran_at}-setup'\n{tables}"
    project.init({**files(prd(story("A"))), "rad-engineer.toml": toml})
    for arguments in ([], ["--agent", "mock"], ["--agent", "mock", "--workspace", "shared"]):
        ran = project.rad("run", "prd.json", *arguments, "--fresh")
        assert ran.code in (4, 69), ran
        assert " rehearsed" in ran.out
        assert "SANDBOX" not in ran.out + ran.err
    assert list(ran_at.parent.glob("ran-*")) == [], "nobody has trusted them"


def test_untrusted_commands_are_refused(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad("run", "prd.json", *agent(project, WRITE))
    assert ran.code == 77
    assert "sh check.sh" in ran.err
    assert project.rad("trust", "prd.json", "--yes").code == 0
    assert project.rad("run", "prd.json", *agent(project, WRITE)).code == 0


def test_a_missing_gate_command_stops_before_any_agent(project: Project) -> None:
    paid = project.folder.parent / "paid"
    project.init({**files(prd(story("A"))), "rad-engineer.toml": '[gates]\ncheck = "./no-such-script.sh"\n'})
    ran = project.rad("run", "prd.json", *agent(project, f"touch {paid}\n"), "--yes")
    assert ran.code == 78
    assert "no-such-script.sh" in ran.err
    assert not paid.exists()


def test_two_runs_at_once(project: Project) -> None:
    go = project.folder.parent / "go"
    project.init(files(prd(story("A"))))
    script = f"while ! test -e {go}; do sleep 0.05; done\n" + WRITE
    first = project.start("run", "prd.json", *agent(project, script), "--yes", "--json")
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "story_started":
            break
    second = project.rad("run", "prd.json", *agent(project, script), "--yes")
    assert second.code == 75
    assert str(first.pid) in second.err
    go.touch()
    first.communicate(timeout=60)
    assert first.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_and_the_run_goes_on_later(project: Project, number: int, code: int) -> None:
    project.init(files(prd(story("A"), story("B", "A"))))
    first = project.start("run", "prd.json", *agent(project, "sleep 0.5\n" + WRITE), "--yes", "--json")
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "story_started":
            break
    first.send_signal(number)
    first.communicate(timeout=60)
    assert first.returncode == code
    assert project.landed("rad/demo") in ([], ["A"])
    assert project.processes() == []
    assert project.rad("resume").code == 0
    assert project.landed("rad/demo") == ["A", "B"]


def test_a_second_signal_stops_at_once(project: Project) -> None:
    project.init(files(prd(story("A"))))
    first = project.start(
        "run", "prd.json", *agent(project, "sleep 60\n"), "--yes", "--json", "--grace", "60s"
    )
    assert first.stdout is not None
    for line in first.stdout:
        if json.loads(line)["event"] == "story_started":
            break
    started = time.monotonic()
    first.send_signal(signal.SIGINT)
    time.sleep(0.2)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == 130
    assert time.monotonic() - started < 30
    assert project.statuses() == {"A": "interrupted"}
    assert project.processes() == []


def test_resume_without_a_run(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad("resume")
    assert (ran.code, "hint:" in ran.err) == (66, True)


def test_a_changed_story_runs_again_and_a_reopened_one_too(project: Project) -> None:
    project.init(files(prd(story("A"), story("B"))))
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--parallel").code == 0
    text = (project.folder / "prd.json").read_text().replace('"passes": true', '"passes": false', 1)
    (project.folder / "prd.json").write_text(text)
    script = WRITE + 'echo again > "out/$RAD_STORY_ID.txt"\n'
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes", "--parallel")
    assert ran.code == 0
    assert project.landed("rad/demo") in (["A", "B", "A"], ["B", "A", "A"])


def test_wave_and_final_gates(project: Project) -> None:
    toml = GATES + '[wave_gates]\nwave = "test -e out/A.txt"\n[final_gates]\nend = "test -e out/none"\n'
    project.init({**files(prd(story("A", wave=1), story("B", wave=2))), "rad-engineer.toml": toml})
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--json")
    assert ran.code == 1
    verdicts = [(e["scope"], e["ok"]) for e in ran.events if e["event"] == "gates_finished"]
    assert verdicts[0] == ("wave:Wave 1", True)
    assert verdicts[-1] == ("final", False)
    again = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--json")
    assert again.code == 1
    assert [e["scope"] for e in again.events if e["event"] == "gates_finished"][-1] == "final"
    assert "story_started" not in again.kinds()


def test_several_prds_and_one_that_is_needed(project: Project) -> None:
    first = prd(story("1.1"), branchName="rad/both")
    second = prd(story("2.1"), branchName="rad/both", depends_on=["one.json"])
    project.init({**files(first), "one.json": first, "two.json": second})
    (project.folder / "prd.json").unlink()
    held = project.rad("run", "two.json", *agent(project, WRITE), "--yes")
    assert held.code == 4
    ran = project.rad("run", "two.json", "one.json", *agent(project, WRITE), "--yes")
    assert ran.code == 0
    assert project.landed("rad/both") == ["1.1", "2.1"]


def test_outside_a_repository(tmp_path: Path) -> None:
    project = Project(tmp_path).unboxed()
    project.write({"prd.json": prd(story("A"))})
    ran = project.rad("run", "prd.json", "--agent-command", "true")
    assert ran.code == 78
    assert "git init" in ran.err
    shared = project.rad("run", "prd.json", "--agent-command", "true", "--workspace", "shared")
    assert shared.code == 4
    assert project.statuses() == {"A": "done-unverified"}


def test_git_variables_of_a_hook_change_nothing(project: Project) -> None:
    project.init(files(prd(story("A"))))
    env = {"GIT_DIR": str(project.folder / ".git"), "GIT_INDEX_FILE": "/nonexistent", "GIT_WORK_TREE": os.sep}
    assert project.rad("run", "prd.json", *agent(project, WRITE), "--yes", env=env).code == 0
    assert project.landed("rad/demo") == ["A"]


def test_an_agent_that_says_try_later(project: Project) -> None:
    limit = project.folder.parent / "limit"
    limit.touch()
    project.init(files(prd(story("A"), story("B", "A"))))
    script = f"test -e {limit} && exit 75\n" + WRITE
    ran = project.rad("run", "prd.json", *agent(project, script), "--yes")
    assert ran.code == 4
    assert project.statuses()["A"] == "waiting"
    limit.unlink()
    assert project.rad("resume").code == 0
    assert project.landed("rad/demo") == ["A", "B"]
    assert project.report()["stories"][0]["attempts"] == 1


def test_a_story_that_was_changed_meanwhile_is_told(project: Project) -> None:
    project.init(files(prd(story("A"), story("B", "A", checkpoint=True))))
    assert project.rad("run", "prd.json", *agent(project, "exit 75\n"), "--yes").code == 4
    project.write({"prd.json": prd(story("A", title="Another one"))})
    ran = project.rad("run", "prd.json", *agent(project, WRITE), "--yes", "--fresh")
    assert ran.code == 0
    assert project.landed("rad/demo") == ["A"]


def test_git_never_sees_our_own_folder(project: Project) -> None:
    project.init(files(prd(story("A"))))
    ran = project.rad("run", "prd.json", "--agent", "mock")
    assert "uncommitted" not in ran.out + ran.err
    assert project.git("status", "--short") == ""
