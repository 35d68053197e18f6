"""Every template as a user has it: set up, judged, worked on by a run, and looked at. RAD_TEMPLATES=1; asks registries."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from rad_engineer.projects.templates import TEMPLATES
from tests.conftest import Project

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-tools" / "bin" / "python"
# A project's first story as somebody would do it, and one of its assertions turned round.
BROKEN = {
    "python-blank": ('(["Ada"], "Hello, Ada!")', '(["Ada"], "Hello, Eve!")'),
    "python-web": ('"mailto:hello@example.org" in', '"mailto:hello@example.org" not in'),
    "python-api": (").status_code == 404", ").status_code == 200"),
    "python-fullstack": (").status_code == 404", ").status_code == 200"),
    "typescript-blank": ('"Hello, Ada, Grace and Joan!"', '"Hello, Ada, Grace, Joan!"'),
    "typescript-web": ("toEqual([", "not.toEqual(["),
}
NAMES = [f"{template.language}-{template.name}" for template in TEMPLATES]

pytestmark = [
    pytest.mark.skipif(not os.environ.get("RAD_TEMPLATES"), reason="minutes, and packages: RAD_TEMPLATES=1"),
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module", params=NAMES)
def made(request, tmp_path_factory):
    """A project of each template, set up, for all tests of it."""
    language, name = request.param.split("-")
    project = Project(tmp_path_factory.mktemp(request.param))
    project.env = {**os.environ, **project.env, "RAD_SANDBOX": os.environ.get("RAD_SANDBOX", "auto")}
    done = project.rad("init", "--name", "ada-notes", "--language", language, "--template", name)
    assert done.code == 0, done.err
    project.folder = project.folder / "ada-notes"
    project.name = request.param
    project.wanted = tomllib.loads((project.folder / "rad-engineer.toml").read_text())
    shell(project, project.wanted["workspace"]["setup"])
    assert project.git("status", "--porcelain") == "", "setup changes nothing that git keeps"
    return project


def shell(project, command, *before):
    done = subprocess.run(
        [*before, "sh", "-c", command],
        cwd=project.folder,
        env=project.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def test_its_gates_are_green_without_a_network(made):
    alone = ("unshare", "--map-root-user", "--net")
    interfaces = shell(made, "tail -n +3 /proc/net/dev", *alone)
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()] == ["lo"]
    for command in (*made.wanted["gates"].values(), *made.wanted.get("final_gates", {}).values()):
        shell(made, command, *alone)
    assert made.git("status", "--porcelain") == "", "gates leave nothing behind that git would keep"


def run(project, patch, *more):
    agent = f"git apply <<'PATCH'\n{patch}PATCH\n"
    command = (
        "run",
        "prd/next.json",
        "--only",
        "S-1",
        "--attempts",
        "1",
        "--yes",
        "--agent-command",
        agent,
        *more,
    )
    # Where this is tested, registries may be mirrors in a private network.
    return project.rad(*command, "--private-network", timeout=900)


def test_its_first_story_lands_and_does_not_with_an_assertion_turned_round(made):
    patch = (ROOT / f"tests/first_stories/{made.name}.patch").read_text()
    right, wrong = BROKEN[made.name]
    assert right in patch
    failed = run(made, patch.replace(right, wrong, 1))
    assert failed.code == 1, failed.err
    assert made.statuses()["S-1"] == "failed"
    assert made.landed("rad/next") == []
    landed = run(made, patch, "--fresh")
    assert landed.code == 0, landed.out + landed.err
    assert made.statuses()["S-1"] == "passed"
    assert len(made.landed("rad/next")) == 1
    assert made.passes("prd/next.json") == ["S-1"]
    [story] = [each for each in made.report()["stories"] if each["key"] == "S-1"]
    assert story["landed"]
    assert [each["text"] for each in story["criteria"] if not each["proved_by"]] == [], (
        "its tests prove the story"
    )


SERVED = {
    "python-web": ".venv/bin/python -m ada_notes.server --port 0",
    "python-fullstack": ".venv/bin/python -m ada_notes --port 0",
    "typescript-web": "npm run dev -- --port 0",
}


def test_its_page_works_in_a_browser_and_with_a_keyboard(made):
    if made.name not in SERVED:
        return
    if not (shutil.which("chromium") and TOOLS.exists()):
        pytest.skip("needs chromium, and requirements/venv tools")
    typed = "<b>buy tea</b>" if made.name == "python-fullstack" else ""
    server = subprocess.Popen(
        shlex.split(SERVED[made.name]), cwd=made.folder, env={**made.env, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        url = next(
            word for line in server.stdout for word in line.split() if word.startswith("http://127.0.0.1:")
        )
        looked = subprocess.run(
            [TOOLS, ROOT / "tests/e2e/keyboard_walk.py", url, typed],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        server.stdout.close()
    assert looked.returncode == 0, looked.stderr
    met = json.loads(looked.stdout)
    assert (met["status"], met["title"], met["errors"]) == (200, "ada-notes", [])
    names = [each["name"] for each in met["walk"]]
    form = ["New note", "Keep it"] if typed else ["about it"]
    assert names == ["Skip to the content", "Home", "About", "Dark colours", *form]
    assert {each["outline"] for each in met["walk"]} == {"solid"}, "what has the focus is seen"
    assert (met["dark"], met["skipped_to"]) == ("dark", "main")
    if typed:
        assert (met["said"], met["kept"], met["tags"]) == ("The note is kept.", typed, 0)
