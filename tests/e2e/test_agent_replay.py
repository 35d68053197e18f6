"""A whole run of the built-in agent, recorded once and played again: elsewhere, as somebody else, on another day, without a key."""

import json
import os
import shutil
import sys

import pytest

from tests.aimock import serve
from tests.conftest import ROOT, Project, prd, story

sys.path.insert(0, str(ROOT / "tests" / "integration"))
from agent_bench import EDITOR, after, call, report, says

CHECK = "python -m unittest -q test_greeting 2>&1 || exit 1\n"
FILES = {
    "rad-engineer.toml": '[gates]\ncheck = "sh check.sh"\n',
    "check.sh": CHECK,
    "greeting.py": "def greet():\n    return 'hello'\n",
    "test_greeting.py": (
        "import unittest\nfrom greeting import greet\n\n\nclass Greeting(unittest.TestCase):\n"
        "    def test_greets(self):\n        self.assertTrue(greet())\n"
    ),
    "prd.json": prd(story("A"), story("B"), story("C", "A", "B")),
}  # fmt: skip
NOISY = "pwd; date; date +%s.%N > /dev/null; python -m unittest test_greeting; mktemp -u; echo seen {}"


def script(name):
    """What the model says of a story: it looks at what no two machines say alike, writes, and reports."""
    mine = {"userMessage": f"Story {name}:"}
    done = report(criteria=[{"criterion": f"{name} is there", "met": True, "evidence": [f"{name}.py:1"]}])
    return [
        says(call("read", path="greeting.py"), call("bash", command=NOISY.format(name)),
             when={**mine, "hasToolResult": False}),
        says(call(EDITOR, command="create", path=f"{name}.py", file_text=f"NAME = {name!r}\n"),
             call("record_learning", learning=f"learned from {name}"), when={**mine, **after(f"seen {name}")}),
        says(done, when={**mine, **after("recorded")}),
    ]  # fmt: skip


def fresh(folder, *, key=""):
    """The same project, somewhere else and with nothing left of another time."""
    folder.mkdir(parents=True)
    project = Project(folder)
    project.env |= {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    if key:
        project.env["ANTHROPIC_API_KEY"] = key
    return project.init(FILES)


def trees(project):
    """The tree of each landed story."""
    out = project.git("log", "--format=%(trailers:key=Rad-Story,valueonly,separator=) %T", "rad/demo")
    return sorted(line for line in out.splitlines() if line.strip() and not line.startswith(" "))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    project = fresh(folder / "there", key="sk-ant-the-key")
    with serve(folder / "mock", [line for name in "ABC" for line in script(name)]) as mock:
        ran = project.rad("run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", mock.url,
                          "--record", str(folder / "recording"))  # fmt: skip
    assert ran.code == 0, ran.err
    return folder / "recording", project


def replay(project, recording, *options):
    return project.rad(
        "run", "prd.json", "--yes", "--agent", "anthropic", "--upstream", f"replay:{recording}", *options
    )


def test_the_same_run_elsewhere_without_key_and_network(recorded, tmp_path):
    recording, there = recorded
    here = fresh(tmp_path / "a" / "place" / "far away")
    here.env |= {"USER": "grace", "LOGNAME": "grace", "TZ": "Pacific/Auckland"}
    ran = replay(here, shutil.copytree(recording, tmp_path / "copied"))
    assert ran.code == 0, ran.err + ran.out
    assert here.statuses() == there.statuses() == dict.fromkeys("ABC", "passed")
    assert here.git("rev-parse", "rad/demo^{tree}") == there.git("rev-parse", "rad/demo^{tree}")


def test_one_changed_byte_names_the_field(recorded, tmp_path):
    recording = shutil.copytree(recorded[0], tmp_path / "changed")
    changed = 0
    for path in recording.glob("stories/*/*/0001-*.json"):
        data = json.loads(path.read_text())
        data["request"]["messages"][0]["content"][-1]["text"] += "!"
        path.write_text(json.dumps(data))
        changed += 1
    assert changed == 3
    here = fresh(tmp_path / "here")
    ran = replay(here, recording)
    assert ran.code not in (0, 70), ran.out
    seen = ran.err + ran.out + json.dumps(here.report())
    assert "messages[0].content" in seen, seen


def test_the_recording_is_fit_to_be_committed(recorded):
    recording, project = recorded
    text = "".join(path.read_text() for path in recording.rglob("*.json"))
    for foreign in ("sk-ant", str(project.folder), os.environ.get("USER", "nobody else") + "@"):
        assert foreign not in text, foreign
    assert sum(path.stat().st_size for path in recording.rglob("*.json")) < 100_000
