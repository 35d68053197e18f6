"""What each looking command prints, whole, for a run that failed, one that stopped and one that finished."""

import re
from pathlib import Path

import pytest

from tests.conftest import Project, agent, prd, story

STORIES = (
    story("A", passes=True),
    story("B", "A", acceptanceCriteria=["`sh check.sh` passes", "nobody can tell"], points=3, files=["out/B.txt"]),
    story("C", "B"),
    story("D", "C"),
    story("H", "A", checkpoint=True),
    story("S", skip=True),
)  # fmt: skip
SCRIPT = """mkdir -p out; echo x > "out/$RAD_STORY_ID.txt"; echo "working on $RAD_STORY_ID"
test "$RAD_STORY_ID" != C || { echo "cannot do it" >&2; exit 1; }
"""
NORMAL = (
    (r"\d{8}-\d{6}-[0-9a-f]{4}", "<run>"),
    (r"\b[0-9a-f]{40}\b", "<commit>"),
    (r"`[0-9a-f]{12}`", "`<commit>`"),
    (r"commit [0-9a-f]{12}\)", "commit <commit>)"),
    (r"\b[0-9a-f]{12}  \d{4}-\d\d-\d\d \d\d:\d\d", "<list>  <when>"),
    (r"-[0-9a-f]{8}/", "-<identity>/"),
    (r"\bsandbox (?:off|landlock|bubblewrap)\b", "sandbox <level>"),
    (r"(?<=after )\d+ s\b", "<n> s"),
    (r"\b\d+\.\d(?:\d*)s\b", "<t>"),
    (r"\b\d+(?:\.\d)? (?:bytes|kB)\b", "<size>"),
)


def normal(text: str) -> str:
    for pattern, word in NORMAL:
        text = re.sub(pattern, word, text)
    return text


def made(folder: Path, *options: str, stories: tuple[dict[str, object], ...] = STORIES) -> Project:
    project = Project(folder)
    toml = '[gates]\ncheck = "sh check.sh"\n'
    project.init({"prd.json": prd(*stories), "rad-engineer.toml": toml, "check.sh": "true\n"})
    project.rad("run", "prd.json", *agent(project, SCRIPT), "--yes", "--attempts", "1", *options)
    return project


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """The same stories after a run with a failure, after one story of a run, and after a run that went well."""
    good = tuple(one for one in STORIES if one["id"] in "AB")
    return {
        "failed": made(tmp_path_factory.mktemp("failed")),
        "stopped": made(tmp_path_factory.mktemp("stopped"), "--once"),
        "finished": made(tmp_path_factory.mktemp("finished"), stories=good),
    }


TRANSCRIPTS = Path(__file__).with_name("commands.transcript").read_text(encoding="utf-8")


def transcripts() -> list[tuple[str, str, str]]:
    """The project, the command, and what it printed: stdout, `! ` before lines of stderr, `=> ` and the exit code."""
    found = re.findall(r"^(\w+)\$ (.*)\n((?:.*\n)*?=> \d+\n)", TRANSCRIPTS, re.MULTILINE)
    assert len(found) == TRANSCRIPTS.count("\n=> ")
    return found


@pytest.mark.parametrize(("name", "command", "expected"), transcripts())
def test_transcript(projects: dict[str, Project], name: str, command: str, expected: str) -> None:
    ran = projects[name].rad(*command.split())
    printed = ran.out + "".join(f"! {line}\n" for line in ran.err.splitlines()) + f"=> {ran.code}\n"
    assert normal(printed) == expected


def test_what_landed_unverified_asks_for_no_resume(project: Project) -> None:
    project.init({"prd.json": prd(story("A"), story("H", "A", checkpoint=True))})
    options = (*agent(project, "echo x > x\n"), "--yes", "--allow-unverified")
    assert project.rad("run", "prd.json", *options).code == 4
    assert "\nnext:   rad-engineer approve H\n" in project.rad("status").out
