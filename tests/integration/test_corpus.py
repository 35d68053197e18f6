"""PRDs of public repositories, and what is expected of each; the files lie outside the repository."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rad_engineer import cli, importers
from rad_engineer.commands.validate import validate
from tests.story_texts import story_texts

CORPUS = Path(__file__).parents[2].parent / "shared" / "prd-corpus"
pytestmark = pytest.mark.skipif(not (CORPUS / "expected.jsonl").exists(), reason="the corpus is not here")

COMPARED = ("outcome", "stories", "done", "edges", "dangling")

DISAGREEMENTS = {
    "0xCryptoZen__researchflow__prd.json@ac94990": (
        {"outcome": ("refuse", "load")},
        "US-014 and US-015 stand twice under one title, once done and once not: merge damage is refused (rule 14)",
    ),
}
"""File -> what differs (ours, the expectation) and why ours is right."""


@pytest.fixture
def no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("RAD_", "GIT_"))]:
        monkeypatch.delenv(name)


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (CORPUS / "expected.jsonl").read_text(encoding="utf-8").splitlines()]


def validated(files: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    validate(files, as_json=True, strict=False, schema=False, stories_path=None, tag=None)
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["files"]
    return found


def differences(ours: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    seen = {**ours, "outcome": "load" if ours["outcome"] == "ok" else "refuse"}
    compared = COMPARED if seen["outcome"] == expected["outcome"] == "load" else COMPARED[:1]
    return {name: (seen[name], expected[name]) for name in compared if seen[name] != expected[name]}


def test_the_corpus_loads_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    expectations = rows()
    for expected in expectations:
        (ours,) = validated([str(CORPUS / "files" / expected["file"])], capsys)
        if differing := differences(ours, expected):
            found[expected["file"]] = differing
    assert found == {name: differing for name, (differing, _) in DISAGREEMENTS.items()}
    assert len(found) <= len(expectations) / 100


def test_names_branches_and_ids_are_those_expected() -> None:
    for expected in rows():
        if expected["outcome"] != "load" or expected["file"] in DISAGREEMENTS:
            continue
        (prd,) = importers.load(CORPUS / "files" / expected["file"])
        assert prd.branch == expected["branch"], expected["file"]
        if prd.format == "json":
            assert prd.container == expected["container"], expected["file"]
            assert expected["project"] in (None, prd.name), expected["file"]
        if not prd.stories[0].id_generated and prd.format == "json":
            assert (prd.stories[0].id, prd.stories[-1].id) == (expected["first_id"], expected["last_id"]), (
                expected["file"]
            )


def test_every_story_is_found_in_its_file() -> None:
    for expected in rows():
        if expected["outcome"] != "load" or expected["file"] in DISAGREEMENTS:
            continue
        (prd,) = importers.load(CORPUS / "files" / expected["file"])
        for story, text in zip(prd.stories, story_texts(prd), strict=True):
            assert text, (expected["file"], story.id)
            if prd.format == "json":
                raw = json.loads(text)
                assert story.id_generated or str(raw["id"]) == story.id.split("#")[0]


@pytest.mark.usefixtures("no_own_settings")
def test_every_screen_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What would run, the plan and the state of every file: said, or refused with a place or a way out."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    commit = ["-c", "user.name=T", "-c", "user.email=t@t", "commit", "-q", "--allow-empty", "-m", "First"]
    subprocess.run(["git", *commit], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    for expected in rows():
        name = f"prd{Path(expected['file'].split('@')[0]).suffix or '.md'}"
        (tmp_path / name).write_bytes((CORPUS / "files" / expected["file"]).read_bytes())
        for command in (["run", name, "--dry-run"], ["status", name]):
            code = cli.main(command)
            out, err = capsys.readouterr()
            assert "Traceback" not in out + err, expected["file"]
            assert not any(char < " " and char != "\n" for char in out + err), expected["file"]
            assert code in (0, 65), (expected["file"], code)
            if code:
                assert err.startswith("rad-engineer: error: prd"), (expected["file"], err)
                assert "\nhint: " in err
            else:
                assert out, expected["file"]
        (tmp_path / name).unlink()


def test_the_founding_plan(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(CORPUS / "phases" / f"phase{number}.json") for number in (1, 2, 3, 4)]
    prds = [prd for file in files for prd in importers.load(file)]
    stories = {story.id: story for prd in prds for story in prd.stories}
    assert len(stories) == 15
    assert {story.id: story.needs for story in stories.values() if story.needs} == {
        "4.2": ("3.1", "3.2"),
        "4.3": ("4.1",),
        "4.4": ("4.1",),
    }
    assert [prd.needs for prd in prds] == [
        (),
        ("phase1.json",),
        ("phase1.json", "phase2.json"),
        ("phase1.json", "phase2.json", "phase3.json"),
    ]
    assert "server/src/logger.ts" in stories["3.1"].files
    assert "server/package.json" in stories["3.1"].files
    assert all(len(story.criteria) >= 5 for story in stories.values())
    assert {story.state for story in stories.values()} == {"todo"}
    assert [row["dangling"] for row in validated(files, capsys)] == [0, 0, 0, 0]
    assert [row["dangling"] for row in validated(files[3:], capsys)] == [0], (
        "3.1 and 3.2 are in phase3.json beside it"
    )
