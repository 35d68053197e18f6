"""What the documentation shows is what happens: its commands are run, its examples loaded, its tables compared."""

import json
import re
from pathlib import Path

import pytest

from rad_engineer import settings
from rad_engineer.commands import VERBS
from rad_engineer.core import events, failures
from rad_engineer.errors import ExitCode
from tests.e2e import transcripts

ROOT = transcripts.ROOT
PAGES = transcripts.pages()
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
ALL = [*PAGES, *DECISIONS]
NOT_RUN = 8  # blocks of all pages together that are shown and run by nobody
TAGS = {"console", "sh", "toml", "json", "markdown", "text", "mermaid"}
_LINK = re.compile(r"\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
_PATH = re.compile(r"`((?:rad_engineer|tests|docs|examples)/[\w./-]+)`")


def name(value):
    return value.name if isinstance(value, Path) else str(value)


def cells(text, heading):
    """The first cell of every row of the tables below a heading."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    return {row.split("|")[1].strip(" `") for row in section.splitlines() if row.startswith("| ")}


@pytest.mark.parametrize("scenario", [s for page in PAGES for s in transcripts.scenarios(page)], ids=str)
def test_commands_print_what_the_page_shows(scenario):
    found = transcripts.differences(scenario)
    assert not found, "\n".join(found)


def test_blocks_that_are_not_run_are_few_and_say_why(capsys):
    found = [line for page in PAGES for line in transcripts.not_run(page)]
    with capsys.disabled():
        print("".join(f"\nnot run: {line}" for line in found))
    assert len(found) <= NOT_RUN
    assert [line for line in found if "NO REASON" in line] == []


def test_output_that_differs_is_noticed():
    assert transcripts.agrees("PB-1 landed as 4889ff7219 after 1.9s", "PB-1 landed as abcdef1234 after 22ms")
    assert not transcripts.agrees("PB-1 landed", "PB-1 failed")
    assert transcripts.agrees("first\n...\nlast", "first\nsecond\nthird\nlast")
    assert transcripts.agrees("first\n...", "first\nsecond")
    assert not transcripts.agrees("first\n...\nlast", "first\nsecond")
    assert transcripts.agrees("b\na", "a\nb", any_order=True)
    assert not transcripts.agrees("b\na", "a\nb\nc", any_order=True)


def test_keys_that_no_document_has_are_noticed():
    real = {"a": 1, "b": [{"c": "x"}], "d": None}
    assert transcripts.missing_keys({"a": 2, "b": [{"c": "y"}], "d": 3}, real) == []
    assert transcripts.missing_keys({"e": 1, "b": [{"f": 1}]}, real) == [".e", ".b[].f"]
    assert transcripts.missing_keys({"a": "text"}, real) == [".a: int"]


@pytest.mark.parametrize("page", ALL, ids=name)
def test_examples_are_what_they_say(page, tmp_path):
    for number, (tag, text, _) in enumerate(transcripts.blocks(page.read_text())):
        assert tag in TAGS, f"{page.name}: ```{tag}"
        if tag == "json":
            json.loads(text)
        elif tag == "toml":
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / ("pyproject.toml" if "[tool." in text else "rad-engineer.toml")).write_text(text)
            loaded = settings.load(folder, {}, {})
            assert any(origin != "default" for origin in loaded.origins.values())


def anchors(text):
    """The anchors of a page's headings."""
    titles = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", ALL, ids=name)
def test_links_lead_somewhere(page):
    for found in _LINK.finditer(page.read_text()):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there.read_text()), f"{page.name}: {found['target']}"


@pytest.mark.parametrize("page", ALL, ids=name)
def test_files_that_are_named_exist(page):
    missing = [path for path in _PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


def test_readme_has_every_command_and_exit_code():
    text = (ROOT / "README.md").read_text()
    assert {cell.split(" ")[0] for cell in cells(text, "Commands")} >= {
        verb.name.split(" ")[0] for verb in VERBS
    }
    for verb in VERBS:
        assert f"| `{verb.name}" in text
    assert {str(int(code)) for code in ExitCode} <= cells(text, "Exit codes")


def test_troubleshooting_has_every_exit_code_and_every_reason():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    for code in ExitCode:
        assert re.search(rf"^## Exit code {int(code)}\b", text, re.MULTILINE) or code == ExitCode.OK, code
    assert cells(text, "Why a story has not passed") >= set(failures.REASONS)


def test_every_event_is_documented():
    text = (ROOT / "docs" / "json.md").read_text()
    documented = set(re.findall(r"^\| (\w+) \|", events.__doc__ or "", re.MULTILINE)) - {"event"}
    assert documented
    assert cells(text, "run and resume") >= documented


def test_every_variable_of_an_agent_is_documented():
    source = "".join(
        (ROOT / "rad_engineer" / path).read_text()
        for path in ("worker/agent_turn.py", "agents/command.py", "worker/workplace.py")
    )
    variables = set(re.findall(r'"(RAD_[A-Z_]+)"', source))
    assert len(variables) >= 6
    text = (ROOT / "docs" / "agents.md").read_text()
    assert {variable for variable in variables if variable not in text} == set()


def test_architecture_names_every_module():
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "rad_engineer"
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("_")}
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    inside = {
        path.name
        for room in ("core", "launch", "worker", "slots", "git", "process")
        for path in (package / room).glob("*.py")
        if not path.name.startswith("_")
    }
    assert {entry for entry in modules | rooms | inside if entry not in text} == set()
