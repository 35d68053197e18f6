"""validate: what it prints and how it exits."""

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rad_engineer.commands.validate import last_good, validate

GOOD = {
    "project": "Shop",
    "branchName": "ralph/shop",
    "userStories": [{"id": "A", "title": "One", "acceptanceCriteria": ["x"], "passes": True}],
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: Any) -> str:
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return name


def run(
    *files: str,
    as_json: bool = False,
    strict: bool = False,
    schema: bool = False,
    stories_path: str | None = None,
) -> int:
    return validate(files, as_json=as_json, strict=strict, schema=schema, stories_path=stories_path, tag=None)


def rows(capsys: pytest.CaptureFixture[str], *files: str, **options: Any) -> tuple[int, list[dict[str, Any]]]:
    code = run(*files, as_json=True, **options)
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    return code, document["files"]


def test_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write("prd.json", GOOD)) == 0
    assert capsys.readouterr().out == "prd.json: ok, 1 story, 1 done, 0 needs (.userStories)\n"
    assert rows(capsys, "prd.json") == (
        0,
        [
            {
                "file": "prd.json", "outcome": "ok", "code": None, "message": None, "line": None, "column": None, "hint": None,
                "last_good": None, "stories": 1, "done": 1, "edges": 0, "dangling": 0, "cycles": 0, "warnings": [],
            }
        ],
    )  # fmt: skip


def test_a_broken_file(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "prd.json",
        '{\n  "userStories": [\n    {"id": 1, "title": "a"}\n    {"id": 2, "title": "b"}\n  ]\n}\n',
    )
    assert run("prd.json") == 65
    assert capsys.readouterr().out == (
        "prd.json: refused\n"
        "prd.json:4:5: error: not valid JSON: a comma or a closing bracket is missing here [SYNTAX]\n"
        '    2 |   "userStories": [\n'
        '    3 |     {"id": 1, "title": "a"}\n'
        '    4 |     {"id": 2, "title": "b"}\n'
        "      |     ^\n"
        "hint: put it after the value before this place\n"
    )
    code, (row,) = rows(capsys, "prd.json")
    assert (code, row["outcome"], row["code"], row["line"], row["column"]) == (65, "refused", "SYNTAX", 4, 5)
    assert row["message"] == "not valid JSON: a comma or a closing bracket is missing here"


def test_warnings_have_a_place_and_count_only_when_strict(capsys: pytest.CaptureFixture[str]) -> None:
    write("prd.json", '{"stories": [\n  {"id": 1, "title": "a", "status": "odd"}\n]}')
    assert run("prd.json") == 0
    assert capsys.readouterr().out == (
        "prd.json: ok, 1 story, 0 done, 0 needs (.stories)\n"
        "prd.json:2:3: warning: 1 story with a status nobody knows count as not done: 1 [status-unknown]\n"
        "prd.json:2:3: warning: 1 story without acceptance criteria: 1 [no-acceptance]\n"
    )
    assert run("prd.json", strict=True) == 65
    assert run(write("good.json", GOOD), strict=True) == 0


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write("prd.json", {"userStories": []})) == 0
    assert capsys.readouterr().out == "prd.json: no stories, nothing to do\nnothing to do\n"
    assert rows(capsys, "prd.json")[1][0]["outcome"] == "empty"
    assert run() == 0


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nope.json") == 66
    assert capsys.readouterr().out == (
        "nope.json: refused\nnope.json: error: no such file\nhint: check the path; it is relative to the current directory\n"
    )
    assert run("nope.json", write("bad.json", "{")) == 65


def test_a_candidate_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    write("prd.json", {"spec": {"work": [{"id": "x", "title": "t"}]}})
    assert run("prd.json") == 65
    assert (
        "hint: did you mean .spec.work (1 items)? then: --stories-path '.spec.work'"
        in capsys.readouterr().out
    )
    assert run("prd.json", stories_path=".spec.work") == 0


def test_cycles_are_refused_and_dangling_needs_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    stories = [{"id": "A", "title": "a", "dependsOn": ["B"]}, {"id": "B", "title": "b", "dependsOn": ["A"]}]
    code, (row,) = rows(capsys, write("cycle.json", {"stories": stories}))
    assert (code, row["code"], row["cycles"]) == (65, "CYCLE", 1)
    code, (row,) = rows(
        capsys, write("gap.json", {"stories": [{"id": "A", "title": "a", "dependsOn": ["Z9"]}]})
    )
    assert (code, row["outcome"], row["edges"], row["dangling"]) == (0, "ok", 1, 1)
    assert "dangling" in row["warnings"]


def test_needs_across_files(capsys: pytest.CaptureFixture[str]) -> None:
    write("one.json", {"stories": [{"id": "1.1", "title": "a"}]})
    write(
        "two.json",
        {
            "depends_on": ["one.json"],
            "stories": [{"id": "2.1", "title": "b", "dependencies_runtime": ["1.1"]}],
        },
    )
    assert [row["dangling"] for row in rows(capsys, "one.json", "two.json")[1]] == [0, 0]
    assert [row["dangling"] for row in rows(capsys, "two.json")[1]] == [0]
    write("two.json", {"stories": [{"id": "2.1", "title": "b", "dependsOn": ["1.1"]}]})
    assert [row["dangling"] for row in rows(capsys, "two.json")[1]] == [1]


def test_protected_branches_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        "protected-branch"
        in rows(capsys, write("prd.json", {**GOOD, "branchName": "main"}))[1][0]["warnings"]
    )


def git(*args: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ("git", *identity, *args), check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_last_commit_at_which_it_parsed(capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "-q")
    Path("prd").mkdir()
    for content, message in (
        (json.dumps(GOOD), "good"),
        (json.dumps(GOOD) + "\n", "better"),
        ("{", "bad"),
        ("[{", "worse"),
    ):
        write("prd/plan.json", content)
        git("add", "-A")
        git("commit", "-q", "-m", message)
    better = git("rev-parse", "HEAD~2")
    assert last_good("prd/plan.json") == f"{better}:prd/plan.json"
    code, (row,) = rows(capsys, "prd/plan.json")
    assert (code, row["last_good"]) == (65, better)
    run("prd/plan.json")
    command = capsys.readouterr().out.rstrip().split("\n")[-1].split(": ", 2)[2]
    assert git(*command.split()[1:]) == json.dumps(GOOD)


def test_a_link_into_another_part_of_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "-q")
    Path("a").mkdir()
    Path("b").mkdir()
    write("b/real.json", GOOD)
    Path("a/prd.json").symlink_to("../b/real.json")
    assert rows(capsys, "a/prd.json")[1][0]["outcome"] == "ok"


def test_the_schema_is_one_and_accepts_what_people_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(schema=True) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    rich = {
        "$schema": "./prd-v1.schema.json",
        **GOOD,
        "qualityGates": {"types": "npm run typecheck"},
        "depends_on": ["phase1.json"],
        "unknown": {"kept": True},
        "stories": [
            {
                "id": 1, "title": "t", "description": {"as_a": "a", "i_want": "b"}, "priority": "high", "dependsOn": [2], "points": 3,
                "acceptance_criteria": [{"description": "d", "verify": "npm test"}], "files": ["a.py"], "verify": ["pytest"], "checkpoint": True,
            }
        ],
    }  # fmt: skip
    validator.validate(rich)
    for wrong in ({}, {"stories": [{}]}, {"stories": "none"}, {"stories": [{"id": [], "title": "x"}]}):
        assert list(validator.iter_errors(wrong)), wrong
    write("prd.json", {**rich, "depends_on": []})
    assert rows(capsys, "prd.json")[1][0]["outcome"] == "ok"


def test_the_schema_accepts_the_founding_plan() -> None:
    phases = Path(__file__).parents[2].parent / "shared" / "prd-corpus" / "phases"
    if not phases.exists():
        pytest.skip("the founding plan is not here")
    schema = Path(__file__).parents[2] / "rad_engineer" / "schema" / "prd-v1.schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    for file in sorted(phases.glob("*.json")):
        validator.validate(json.loads(file.read_text(encoding="utf-8")))


def test_a_place_may_be_a_line_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "plan.md",
        "# Plan\n\n### US-001: One\n\n- [ ] It works\n\n**Verification**\n\n```bash\ncd /path/to/project\n```\n",
    )
    assert run("plan.md") == 0
    assert ":None" not in capsys.readouterr().out
