"""Gates over real pytest projects that are not honest: results that are forged, masked or cut off, tests that vanish."""

from dataclasses import replace
from pathlib import Path

import pytest
from gates_project import COMMAND, GREEN, RED, Project

from rad_engineer import gates


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize("lie", ["import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n"])
def test_a_conftest_that_ends_everything_is_no_evidence(project: Project, lie: str) -> None:
    project.write(test_a=GREEN)
    baseline = project.baseline()
    project.write(conftest=lie, test_a=RED)
    result = project.run(baseline)
    assert not result.proof
    assert not result.ok, "tests of the start commit have not run"
    fresh = project.run()
    assert fresh.verdict in {"no-evidence", "red"}
    assert not fresh.proof


FORGED = """
import os, shlex

options = shlex.split(os.environ["PYTEST_ADDOPTS"])
path = next(o.split("=", 1)[1] for o in options if o.startswith("--junitxml"))
with open(path, "w") as file:
    file.write('<testsuites><testsuite tests="2" failures="0" errors="0">'
               '<testcase classname="test_a" name="test_one" file="test_a.py"/>'
               '<testcase classname="test_a" name="test_two" file="test_a.py"/></testsuite></testsuites>')
"""


def test_a_forged_result_without_a_run_is_no_evidence(project: Project) -> None:
    project.write(test_a=RED, conftest=f"{FORGED}\nos._exit(0)\n")
    result = project.run()
    assert (result.verdict, result.proof) == ("no-evidence", False)


def test_a_result_forged_at_import_is_overwritten_by_the_run(project: Project) -> None:
    project.write(test_a=RED, conftest=FORGED)
    assert project.run().verdict == "red"


def test_a_result_forged_at_the_end_contradicts_the_summary(project: Project) -> None:
    forged = "\n".join(f"    {line}" for line in FORGED.splitlines())
    project.write(
        test_a=RED,
        conftest=f"import atexit\n\n\ndef forge():\n{forged}\n    os._exit(0)\n\n\natexit.register(forge)\n",
    )
    result = project.run()
    assert (result.verdict, result.exit_code) == ("red", 0)
    assert "summary" in result.blamed[0]


def test_deleted_and_skipped_tests_are_missing(project: Project) -> None:
    project.write(test_a=GREEN)
    baseline = project.baseline()
    project.write(
        test_a="import pytest\n\n\ndef test_one():\n    pass\n\n\n@pytest.mark.skip\ndef test_two():\n    pass\n"
    )
    skipped = project.run(baseline)
    assert (skipped.verdict, skipped.failures) == ("red", ("missing: test_a.py::test_two",))
    project.write(test_a="def test_one():\n    pass\n")
    deleted = project.run(baseline)
    assert (deleted.verdict, deleted.failures) == ("red", ("missing: test_a.py::test_two",))
    assert project.run(baseline, replace(project.gate, allow_missing=True)).verdict == "green"


def test_a_red_test_cannot_be_mended_by_deleting_it(project: Project) -> None:
    project.write(test_a=RED)
    baseline = project.baseline()
    project.write(test_a="def test_one():\n    pass\n")
    assert project.run(baseline).blamed == ("missing: test_a.py::test_two",)
    project.write(test_a=GREEN)
    assert project.run(baseline).verdict == "green"


def test_an_option_of_the_command_that_moves_the_result(project: Project) -> None:
    project.write(test_a=GREEN)
    gate = replace(project.gate, command=f"{COMMAND} --junitxml=out.xml")
    assert project.run(gate=gate).verdict == "green"
    project.write(test_a=RED, conftest="import os\nos._exit(0)\n")
    assert project.run(gate=gate).verdict == "no-evidence", "the old result file counts for nothing"


def test_quiet_options_of_the_project_and_a_masked_exit_code(project: Project) -> None:
    project.write(test_a=GREEN)
    (project.top / "pytest.ini").write_text(
        "[pytest]\naddopts = -q --strict-config\nfilterwarnings = error\n"
    )
    assert project.run().verdict == "green"
    masked = gates.gate("masked", f"{COMMAND} 2>&1 | tail -20; echo EXIT:$?")
    assert project.run(gate=masked).verdict == "green"
    project.write(test_a=RED)
    result = project.run(gate=masked)
    assert (result.verdict, result.exit_code) == ("red", 1)
    forgiven = project.run(gate=gates.gate("forgiven", f"{COMMAND} || true"))
    assert (forgiven.verdict, forgiven.failures) == ("red", ("test_a.py::test_two",))
