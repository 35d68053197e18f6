"""A release: refused for a wrong tag, the same in a workflow and by hand, and what is said of it is so."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rad_engineer import __version__
from tests.required import needs

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
CHECKER = ROOT / ".venv-tools" / "bin" / "check-jsonschema"


def checked(path):
    needs("check-jsonschema", CHECKER.exists())
    argv = [CHECKER, "--builtin-schema", "vendor.github-workflows", path]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_the_workflow_is_one_and_runs_the_command(tmp_path):
    ended = checked(WORKFLOW)
    assert ended.returncode == 0, ended.stdout
    text = WORKFLOW.read_text()
    assert '    tags: ["v*"]\n' in text
    assert '        run: release/build ${TAG:+"$TAG"}\n' in text
    wrong = tmp_path / "release.yml"
    wrong.write_text(text.replace("runs-on", "runs-where"))
    assert checked(wrong).returncode == 1


def test_the_tests_that_meet_the_wheel_are_there():
    """A whole release is made too seldom to be what finds out that one of them has another name now."""
    [names] = re.findall(r"/tests/e2e/test_\{(.*)\}\.py$", (ROOT / "release/build").read_text(), re.MULTILINE)
    assert [name for name in names.split(",") if not (ROOT / f"tests/e2e/test_{name}.py").is_file()] == []


@pytest.mark.parametrize(
    ("tag", "told"),
    [("v9.9.9", f"the version is {__version__}"), (f"v{__version__}", "is not on the commit")],
)
def test_a_tag_that_does_not_fit_makes_nothing(tmp_path, tag, told):
    (tmp_path / "release").mkdir()
    (tmp_path / "rad_engineer").mkdir()
    (tmp_path / "release/build").write_bytes((ROOT / "release/build").read_bytes())
    (tmp_path / "rad_engineer/__init__.py").write_bytes((ROOT / "rad_engineer/__init__.py").read_bytes())
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *argv], cwd=tmp_path, check=True)
    ended = subprocess.run(
        ["bash", "release/build", tag], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert told in ended.stderr
    assert not (tmp_path / "dist").exists()


def test_the_statement_names_what_was_made_of_what(tmp_path):
    (tmp_path / "SHA256SUMS").write_text(f"{'a' * 64}  one.whl\n{'b' * 64}  two.tar.gz\n")
    argv = [sys.executable, ROOT / "release/provenance.py", tmp_path, "--commit", "c" * 40, "--tag", "v1.0.0"]
    made = subprocess.run([*argv, "--started", "2026-01-01T00:00:00Z"], capture_output=True, check=True)
    statement = json.loads(made.stdout)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert digests == {"one.whl": "a" * 64, "two.tar.gz": "b" * 64}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {"tag": "v1.0.0"}
    pinned = hashlib.sha256((ROOT / "requirements/dev.txt").read_bytes()).hexdigest()
    assert [one["digest"] for one in definition["resolvedDependencies"]] == [
        {"gitCommit": "c" * 40},
        {"sha256": pinned},
    ]


@pytest.mark.skipif(not os.environ.get("RAD_RELEASE"), reason="RAD_RELEASE=1 makes a whole release: minutes")
@pytest.mark.timeout(1200)
def test_a_whole_release(tmp_path):
    top = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, top], check=True)
    tag = f"v{__version__}"
    subprocess.run(["git", "tag", "--force", tag], cwd=top, check=True)
    (top / ".env").write_text("SECRET=1\n")
    (top / "rad_engineer" / "left_over.py").touch()
    ended = subprocess.run([top / "release/build", tag], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    dist = top / "dist"
    sums = dict(reversed(line.split()) for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert {name: hashlib.sha256((dist / name).read_bytes()).hexdigest() for name in sums} == sums
    assert {path.name for path in dist.iterdir()} - {*sums} == {
        "SHA256SUMS",
        "provenance.unsigned.intoto.json",
    }
    [wheel] = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.endswith((".env", "left_over.py"))]
    statement = json.loads((dist / "provenance.unsigned.intoto.json").read_text())
    assert {one["name"]: one["digest"]["sha256"] for one in statement["subject"]} == sums
    parts = {one["name"] for one in json.loads((dist / "sbom.cdx.json").read_text())["components"]}
    assert {"anthropic", "jinja2", "starlette"} <= {name.lower() for name in parts}
    assert "pytest" not in parts
