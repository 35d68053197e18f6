"""Input that somebody made to hurt, and places where nothing works: a clear refusal, never a raw control code."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project, agent, prd, story

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m evil \r\b\u202e"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def evil_files() -> dict[str, object]:
    """PRDs with escapes everywhere a text is shown from."""
    sure = {"passes": False, "acceptanceCriteria": [EVIL]}
    return {
        "story": {
            "project": EVIL,
            "branchName": EVIL,
            "userStories": [
                {"id": f"A{EVIL}", "title": EVIL, "files": [EVIL], "status": EVIL, "verify": f"echo {EVIL}"},
                {"id": "B", "title": "b", "dependsOn": [f"none{EVIL}"], **sure},
            ],
        },
        "nowhere": {EVIL: {EVIL: [{"id": EVIL, "title": EVIL}]}},
        "circle": {
            "stories": [
                {"id": f"A{EVIL}", "title": "a", "dependsOn": [f"B{EVIL}"]},
                {"id": f"B{EVIL}", "title": "b", "dependsOn": [f"A{EVIL}"]},
            ]
        },
        "twice": {"stories": [{"id": EVIL, "title": "t"}, {"id": EVIL, "title": "t"}]},
        "needs": {"stories": [{"id": "A", "title": "a"}], "dependsOn": [f"{EVIL}.json"]},
    }


@pytest.mark.parametrize("name", evil_files())
def test_no_control_code_of_a_prd_reaches_the_terminal(project: Project, name: str) -> None:
    file = f"x{EVIL.replace(chr(13), '')}.json".replace("/", "")
    (project.folder / file).write_text(json.dumps(evil_files()[name]))
    for arguments in (
        ["validate"], ["validate", "--json"], ["plan"], ["plan", "--json", "--allow-dangling"], ["next"],
        ["plan", "--allow-dangling"], ["plan", "--format", "dot", "--allow-dangling"],
        ["plan", "--format", "mermaid", "--allow-dangling"],
    ):  # fmt: skip
        ran = project.rad(*arguments, file)
        assert ran.code in (0, 65), (arguments, ran)
        found = STEERING.search(ran.out + ran.err)
        assert found is None, (arguments, ran.out, ran.err)


def test_a_refusal_is_whole_although_an_escape_in_it_never_ends(project: Project) -> None:
    ran = project.rad("plan", "none\x1b]0;x.json")
    assert (ran.code, ran.out) == (66, "")
    assert ran.err.splitlines()[1:] == ["hint: check the path; it is relative to the current directory"]


@pytest.mark.parametrize(
    "content",
    ['{"a": 1}', "null", '"text"', "7", "[]7", '{"userStories": {"a": 1}}', '{"userStories": "none yet"}'],
)
def test_every_refusal_says_what_to_do(project: Project, content: str) -> None:
    (project.folder / "prd.json").write_text(content)
    ran = project.rad("plan", "prd.json")
    assert ran.code == 65
    assert "\nhint: " in ran.err


@pytest.mark.parametrize("arguments", [["import"], ["sandbox", "run"]])
def test_names_that_no_file_can_have_are_no_bug(project: Project, arguments: list[str]) -> None:
    project.init({"a": ""})
    ran = project.rad(*arguments, "x" * 5000)
    assert ran.code in (66, 127), ran
    assert ran.code == 127 or "File name too long" in ran.err
    assert project.rad(*arguments, os.fsdecode(b"\xff")).code in (66, 127)


@pytest.mark.parametrize(
    ("arguments", "made"),
    [(["serve", "token", "made"], None), (["quickstart", "made"], None), (["quickstart", "made"], "empty")],
)
def test_what_could_not_be_written_is_not_in_the_way_of_the_next_try(
    project: Project, arguments: list[str], made: str | None
) -> None:
    place = project.folder / "made"
    if made:
        place.mkdir()
    short = ["prlimit", "--fsize=8", *project.command(*arguments)]
    ended = subprocess.run(
        short, cwd=project.folder, env=project.env, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, "File too large" in ended.stderr) == (73, True), ended
    assert (list(place.iterdir()) if made else place.exists()) in ([], False)
    assert project.rad(*arguments).code == 0


def test_a_link_to_itself_says_what_to_do(project: Project) -> None:
    (project.folder / "prd.json").symlink_to("prd.json")
    ran = project.rad("plan", "prd.json")
    assert ran.code == 66
    assert "\nhint: " in ran.err


def test_a_manifest_that_multiplies_is_read_once(project: Project) -> None:
    """Forty lists of forty lists of forty: 64 000 readings of one file."""

    def listing(file: str) -> str:
        return json.dumps({"prds": [{"id": f"p{n}", "file": file, "stories": 1} for n in range(40)]})

    project.write({"top.json": listing("middle.json"), "middle.json": listing("low.json"),
                   "low.json": listing("prd.json"), "prd.json": prd(story("A"))})  # fmt: skip
    ran = project.rad("plan", "--json", "top.json")
    assert ran.code == 0, ran.err
    assert [one["key"] for one in json.loads(ran.out)["stories"]] == ["A"]


def test_manifests_that_list_each_other_are_refused(project: Project) -> None:
    for one, other in (("a.json", "b.json"), ("b.json", "a.json")):
        project.write({one: json.dumps({"prds": [{"id": "x", "file": other, "stories": 1}]})})
    ran = project.rad("plan", "a.json")
    assert ran.code == 65
    assert "PRDs list each other in a circle" in ran.err


def test_a_need_finds_an_id_too_long_to_show(project: Project) -> None:
    long = "x" * 10_240
    project.write({"prd.json": prd(story(long), story("B", long))})
    ran = project.rad("plan", "--json", "prd.json")
    assert ran.code == 0, ran.err
    first, second = json.loads(ran.out)["stories"]
    assert second["needs"] == [first["key"]]
    assert len(first["key"]) < 100


def test_a_need_of_a_sub_task_is_a_need_of_its_task(project: Project) -> None:
    tasks = [
        {"id": 1, "title": "a", "status": "done", "subtasks": [{"id": 1, "title": "s"}, {"id": 2, "title": "t"}]},
        {"id": 2, "title": "b", "status": "pending", "dependencies": ["1.2", 1]},
        {"id": 3, "title": "c", "dependencies": ["3.1"], "subtasks": [{"id": 1, "title": "own"}]},
    ]  # fmt: skip
    project.write({"tasks.json": json.dumps({"master": {"tasks": tasks}})})
    ran = project.rad("plan", "--json", "tasks.json")
    assert ran.code == 0, ran.err
    assert [one["needs"] for one in json.loads(ran.out)["stories"]] == [[], ["1"], []]


def test_prds_that_wait_for_each_other_are_found_by_validate(project: Project) -> None:
    project.write({"a.json": prd(story("A"), project="a", depends_on=["b.json"]),
                   "b.json": prd(story("B"), project="b", depends_on=["a"]),
                   "c.json": prd(story("C"), project="c", depends_on=["a.json"])})  # fmt: skip
    for files in (["a.json", "b.json", "c.json"], ["a.json"]):
        ran = project.rad("validate", *files)
        assert ran.code == 65
        assert (
            "a.json: error: PRDs depend on each other: a.json -> b.json -> a.json [CYCLE]\n"
            in ran.out.replace(f"{project.folder}/", "")
        )
    assert "c.json: ok" in project.rad("validate", "a.json", "b.json", "c.json").out


def test_a_prd_that_waits_for_one_that_is_not_there_is_told(project: Project) -> None:
    project.write({"a.json": prd(story("A"), depends_on=["gone.json", "some prose"])})
    ran = project.rad("validate", "a.json")
    assert (ran.code, ran.out.splitlines()[1:]) == (
        0, ["a.json: warning: depends on the PRD gone.json, which is not there [dangling]"],
    )  # fmt: skip
    assert project.rad("validate", "--strict", "a.json").code == 65


@pytest.mark.parametrize(
    "arguments", [["plan", "p.json"], ["validate", "p.json"], ["next", "p.json"], ["status"], ["--version"]]
)
def test_output_that_is_lost_is_never_a_success(project: Project, arguments: list[str]) -> None:
    project.write({"p.json": prd(story("A"), story("B"))})
    project.rad("pass", "p.json", "A")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            project.command(*arguments), cwd=project.folder, env=project.env, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (ended.returncode, "No space left on device" in ended.stderr) == (73, True)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [["validate"], ["validate", "--json"], ["plan"], ["plan", "--json"]])
def test_a_terminal_that_knows_only_ascii(project: Project, arguments: list[str]) -> None:
    project.write({"prd-é.json": prd({**story("A"), "title": "Ünï 中文 🎉"}, project="中")})
    ran = project.rad(*arguments, "prd-é.json", env={"PYTHONIOENCODING": "ascii"})
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.isascii()
    if "--json" in arguments:
        json.loads(ran.out)


@pytest.mark.parametrize(
    "arguments",
    [["plan", "/x.json"], ["next", "/x.json"], ["doctor"], ["config", "show"], ["status"], ["compact"]],
)
def test_the_current_folder_has_been_deleted(project: Project, arguments: list[str]) -> None:
    gone = project.folder / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && shift && exec "$@"'
    ended = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), *project.command(*arguments)],
        cwd=project.folder, env={**project.env, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == (
        "rad-engineer: error: the current folder does not exist any more\nhint: cd somewhere else\n"
    )


def test_compact_where_nothing_has_ever_been_run(project: Project) -> None:
    ran = project.rad("compact")
    assert (ran.code, ran.out, ran.err) == (0, "0 bytes freed\n", "")
    assert list(project.folder.iterdir()) == []


def test_a_pass_by_hand_does_not_hide_the_run_before_it(project: Project) -> None:
    toml = '[gates]\ncheck = "sh check.sh"\n'
    stories = prd(story("A"), story("B", "A"), story("C", "B"))
    project.init({"prd.json": stories, "rad-engineer.toml": toml, "check.sh": "true\n"})
    script = 'echo x > "$RAD_STORY_ID"; test "$RAD_STORY_ID" = A\n'
    options = ("--yes", "--attempts", "1")
    assert project.rad("run", "prd.json", *agent(project, script), *options).code == 1
    run = project.report()["run"]
    assert project.rad("pass", "prd.json", "B").code == 0
    shown = project.rad("status")
    assert shown.out.startswith(f"run {run}: ")
    assert re.search(r"^landed +A .*\nlanded +B .*Story B \(by hand\)$", shown.out, re.MULTILINE)
    assert project.report()["stories"][1]["by_hand"] is True
    assert project.rad("report", "--json").out == project.rad("report", run, "--json").out


def test_a_pass_by_hand_without_any_run_is_explained(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("B", "A"))})
    assert project.rad("pass", "prd.json", "A").code == 0
    assert project.rad("explain", "A").out.startswith("A: Story A\nstate:   passed by hand\n")
    assert project.rad("explain", "B").out.startswith("B: Story B\nstate:   pending\n")
    assert project.rad("pass", "prd.json", "B").code == 0
    assert len(list((project.folder / ".rad-engineer" / "runs").iterdir())) == 1


def test_a_document_of_numbered_stories(project: Project) -> None:
    stories = {str(n): {"id": name, "name": f"story {name}", "status": "passing" if n else "todo"}
               for n, name in enumerate(("READ-FE-001", "X", "US-3"))}  # fmt: skip
    project.write({"prd.json": json.dumps(stories)})
    ran = project.rad("plan", "--json", "prd.json")
    assert ran.code == 0, ran.err
    assert [(one["id"], one["done"]) for one in json.loads(ran.out)["stories"]] == [
        ("READ-FE-001", False), ("X", True), ("US-3", True),
    ]  # fmt: skip
    assert project.rad("pass", "prd.json", "READ-FE-001").code == 0
    before = json.dumps(stories)
    assert (project.folder / "prd.json").read_text() == before.replace('"todo"', '"passing"')


def test_a_sketch_of_json_in_a_plan_is_not_the_plan(project: Project) -> None:
    sketch = '# Shop\n\n```json\n{"wbs": {"tasks": [...], "path": "a"}}\n```\n\n'
    project.write({"plan.md": f"{sketch}- [ ] one\n- [x] two\n", "sketch.md": sketch})
    ran = project.rad("plan", "--json", "plan.md")
    assert ran.code == 0, ran.err
    assert [one["done"] for one in json.loads(ran.out)["stories"]] == [False, True]
    assert "Markdown without tasks" in project.rad("plan", "sketch.md").err
    real = '```json\n{"tasks": [{"id": "A", "title": "one, ..."}]}\n```\n'
    project.write({"real.md": real})
    assert json.loads(project.rad("plan", "--json", "real.md").out)["stories"][0]["id"] == "A"


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "giant"])
def test_settings_that_are_no_file(project: Project, kind: str) -> None:
    path = project.folder / "rad-engineer.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "giant":
        with path.open("wb") as file:
            file.truncate(10**11)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    ran = project.rad("config", "show")
    assert (ran.code, ran.out) == (78, "")
    assert re.search(r"error: .*/rad-engineer\.toml: .+\nhint: put a readable file in its place", ran.err)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "tool = 3 # rad-engineer"),
        ("pyproject.toml", "[tool]\nrad-engineer = 3"),
        ("rad-engineer.toml", "protect = " + "[" * 100_000),
    ],
)
def test_settings_of_the_wrong_shape(project: Project, name: str, text: str) -> None:
    project.write({name: text})
    ran = project.rad("config", "show")
    assert (ran.code, ran.out) == (78, "")
    assert f"/{name}: " in ran.err
