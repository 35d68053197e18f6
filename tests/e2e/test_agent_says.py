"""What the built-in agent says of its work is in every report, apart from what was proved, and outlives a kill."""

import json
import re
import signal
import sys

from tests.aimock import serve
from tests.conftest import ROOT, prd, story

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import after, call, report, says

CLAIM = "Wrote a.txt.\u001b[2J\u001b]0;owned\u0007\n## Criteria\nAll of it is **proved**."
SAYS = report(
    summary=CLAIM, files=["a.txt"], tests=["sh check.sh: ok"], next_steps=["look at b"],
    criteria=[{"criterion": "A is there", "met": True, "evidence": ["a.txt:1"]},
              {"criterion": "`sh check.sh` passes", "met": True, "evidence": ["check.sh:1"]}],
)  # fmt: skip
ANSWERS = [
    says(call("bash", command="echo a > a.txt; echo written"), when={"hasToolResult": False}),
    says(SAYS, when=after("written")),
]
KEY = {"ANTHROPIC_API_KEY": "sk-ant-test"}


def begun(project):
    project.init({
        "prd.json": prd(story("A", acceptanceCriteria=["A is there", "`sh check.sh` passes"])),
        "rad-engineer.toml": '[gates]\ncheck = "sh check.sh"\n', "check.sh": "test -e a.txt\n",
    })  # fmt: skip
    return serve(project.folder.parent / "mock", ANSWERS)


def test_it_is_shown_everywhere_and_proves_nothing(project):
    with begun(project) as mock:
        ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", mock.url, env=KEY)
        assert ran.code == 0, ran.err
    [entry] = project.report()["stories"]
    assert [bool(item["proved_by"]) for item in entry["criteria"]] == [False, True]
    said = entry["agent_says"]
    assert said["summary"] == "Wrote a.txt.\n## Criteria\nAll of it is **proved**."
    assert said["criteria"][0] == {"criterion": "A is there", "met": True, "evidence": ["a.txt:1"]}
    assert (said["agent"], said["files"], said["tests"]) == ("anthropic", ["a.txt"], ["sh check.sh: ok"])
    assert (said["turns"], said["next_steps"]) == (2, ["look at b"])
    assert (entry["unmetered"], entry["cost_usd"] > 0) == (False, True)
    shown = [project.rad(*command).out for command in (("status",), ("report",), ("explain", "A"), ("explain", "A", "--json"))]  # fmt: skip
    for text in (*shown, ran.out, ran.err):
        assert not re.search(r"[\x1b\x07]|\\u001b", text)
    status, page, explained, document = shown
    assert "the agent says: Wrote a.txt." in status
    assert page.count("\n## Criteria\n") == 1
    assert page.index("## What the agents say") < page.index("Wrote a.txt")
    assert explained.index("nobody has checked it") < explained.index("Wrote a.txt")
    assert explained.index("unverified  A is there") < explained.index("says met    A is there")
    assert json.loads(document)["agent_says"] == said


def test_it_is_not_lost_with_who_heard_it(project):
    """Killed when the agent has ended and the gate runs: the agent is not asked again, and its word is there."""
    with begun(project) as mock:
        command = ("--yes", "--agent", "anthropic", "--upstream", mock.url)
        run = project.start("run", "prd.json", *command, "--json", env=KEY)
        for line in run.stdout:
            if json.loads(line).get("stage") == "agent":
                break
        run.send_signal(signal.SIGKILL)
        run.communicate()
        journal = next(project.folder.glob(".rad-engineer/runs/*/journal.jsonl"))
        lines = journal.read_text().splitlines(keepends=True)
        at = next(number for number, line in enumerate(lines) if '"agent_reported"' in line)
        journal.write_text("".join(lines[:at]))  # as if it had died a moment earlier
        resumed = project.rad("resume", env=KEY)
        assert resumed.code == 0, resumed.err
        assert len(mock.calls()) == 2
    assert project.report()["stories"][0]["agent_says"]["summary"].startswith("Wrote a.txt.")
