"""Templates: every one of them becomes files that their readers can read, whatever the project is called."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
from jinja2.exceptions import SecurityError, UndefinedError

from rad_engineer.errors import UsageError
from rad_engineer.importers import load
from rad_engineer.projects import data, names, templates

NAMES = ("a", "ada-notes", "n" + "-o" * 24 + "p")
EACH = pytest.mark.parametrize(
    "template", templates.TEMPLATES, ids=lambda each: f"{each.language}-{each.name}"
)


def facts(name="ada-notes", licence="MIT"):
    return templates.Facts(name, names.package(name), licence, "Ada", 2026)


def test_every_file_of_a_template_ends_in_jinja():
    """So that none of them is a setting, a test or an ignore file of this repository."""
    files = [path for path in data.folder("templates").rglob("*") if path.is_file()]
    assert len(files) > 12
    assert [path for path in files if path.suffix != ".jinja"] == []


@EACH
@pytest.mark.parametrize("name", NAMES)
def test_a_template_becomes_a_project(template, name):
    files = templates.render(template, facts(name))
    assert {
        "README.md",
        ".gitignore",
        "LICENSE",
        "rad-engineer.toml",
        ".github/workflows/ci.yml",
        templates.PRD,
    } <= set(files)
    assert any(path.startswith("tests/") for path in files)
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not re.search(r"\{\{|\{%|PACKAGE|[ \t]$", text, re.MULTILINE), path
        assert "\n\n\n\n" not in text, path
        if path.endswith(".py"):
            ast.parse(text, path)
        if path.endswith(".json"):
            json.loads(text)
        if path.endswith(".toml"):
            tomllib.loads(text)


@EACH
def test_a_story_begins_with_what_is_there_and_a_gate_can_judge_it(template, tmp_path):
    files = templates.render(template, facts())
    (tmp_path / "next.json").write_text(files[templates.PRD])
    [prd] = load(tmp_path / "next.json")
    assert prd.project == "ada-notes"
    assert len(prd.stories) >= 3
    settings = tomllib.loads(files["rad-engineer.toml"])
    gates = settings["gates"]
    assert "test" in gates
    if template.language == "python":  # a console script carries the path of the copy that it was made in
        commands = [*gates.values(), *re.findall(r'"verify": "([^"]*)"', files[templates.PRD])]
        assert [each for each in commands if not each.startswith(".venv/bin/python -m ")] == []
        assert "--require-hashes" in settings["workspace"]["setup"]
        assert "-e " not in settings["workspace"]["setup"]
    for gate in gates.values():
        assert gate in files[".github/workflows/ci.yml"], "CI runs the same"


@EACH
def test_what_setup_installs_is_pinned_and_names_no_registry(template):
    files = templates.render(template, facts())
    if template.language == "python":
        pins = re.findall(
            r"^(\S+?)==\S+.*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
            files["requirements.txt"],
            re.MULTILINE,
        )
        wanted = {line for line in files["requirements.in"].splitlines() if line and not line.startswith("#")}
        assert wanted <= {name for name, _ in pins}
        assert len(pins) == len(re.findall(r"^\S+==", files["requirements.txt"], re.MULTILINE))
    else:
        packages = json.loads(files["package-lock.json"])["packages"]
        wanted = json.loads(files["package.json"])["devDependencies"]
        assert {f"node_modules/{name}" for name in wanted} <= set(packages)
        assert [path for path, each in packages.items() if path and "integrity" not in each] == []
        assert [path for path, each in packages.items() if "resolved" in each] == []
        # Those of other platforms too: `npm ci`, which takes nothing without its hash, refuses a lock that lacks one.
        needed = {name for each in packages.values() for name in each.get("optionalDependencies", ())}
        assert needed <= {path.rpartition("node_modules/")[2] for path in packages}
        setup = tomllib.loads(files["rad-engineer.toml"])["workspace"]["setup"]
        assert setup.startswith("npm ci --ignore-scripts")


@pytest.mark.parametrize("licence", templates.LICENCES)
def test_the_licence_names_whoever_holds_it(licence):
    files = templates.render(templates.TEMPLATES[0], facts(licence=licence))
    assert ("LICENSE" in files) is (licence != "none")
    assert ("## Licence" in files["README.md"]) is (licence != "none")
    if licence != "none":
        assert re.search(r"Copyright (\(c\) )?2026,? Ada\n", files["LICENSE"])


def test_what_there_is_not_is_refused_with_what_there_is():
    with pytest.raises(UsageError, match="no template 'api' for typescript") as refused:
        templates.find("typescript", "api")
    for each in templates.TEMPLATES:
        assert re.search(rf"{each.language}: [^;]*{each.name}", refused.value.hint or "")


def test_a_template_that_forgets_a_fact_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "templates/python/every").mkdir(parents=True)
    (tmp_path / "templates/python/every/x.jinja").write_text("{{ nmae }}")
    monkeypatch.setattr(data, "folder", lambda name: tmp_path / name)
    with pytest.raises(UndefinedError, match="nmae"):
        templates.render(templates.TEMPLATES[0], facts(licence="none"))
    (tmp_path / "templates/python/every/x.jinja").write_text("{{ ''.__class__.__mro__ }}")
    with pytest.raises(SecurityError):
        templates.render(templates.TEMPLATES[0], facts(licence="none"))


@pytest.mark.parametrize(
    ("name", "package"), [("a", "a"), ("ada-notes", "ada_notes"), ("x1_y2", "x1_y2"), ("a" * 50, "a" * 50)]
)
def test_a_name_that_can_be(name, package):
    assert names.package(name) == package


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *((name, "cannot be called") for name in ("", ".", "..", "../up", "a/b", "/a", "Ada", "1a", "-a", "a-", "a--b", "a b",
                                                  "a.b", "ä", "a\n", "a;b", "$a", "_a", "a" * 51, "a\0b", "~", "a\\b", "%s")),
        *((name, "a word of Python") for name in ("class", "async", "match", "case")),
        *((name, "would hide") for name in ("json", "typing", "pytest", "fastapi", "http", "vitest", "rad-engineer")),
        *((name, "something else") for name in ("tests", "con", "lpt1", "migrations", "prd", "docs")),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be(name, why):
    with pytest.raises(UsageError, match=why):
        names.package(name)


@EACH
def test_no_template_needs_a_name_that_a_project_may_have(template):
    """A project called like something that it imports or a folder that it has would not work."""
    files = templates.render(template, facts("zz-unlikely"))
    imported = {
        name.split(".")[0]
        for path, text in files.items()
        if path.endswith(".py")
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        )
    } - {"zz_unlikely"}  # fmt: skip
    folders = {
        Path(path).parts[0] for path in files if "/" in path and not path.startswith((".", "zz_unlikely/"))
    }
    for taken in imported | folders:
        with pytest.raises(UsageError):
            names.package(taken)
