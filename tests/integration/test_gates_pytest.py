"""Gates over real pytest projects: what the verdict is when tests fail, vanish, lie, hang or flood."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rad_engineer import gates
from rad_engineer.gates import Baseline, Gate, GateResult
from rad_engineer.process import Limits

COMMAND = f"{sys.executable} -m pytest -q -p no:cacheprovider"
GREEN = "def test_one():\n    pass\n\n\ndef test_two():\n    pass\n"
RED = "def test_one():\n    pass\n\n\ndef test_two():\n    assert 1 == 2\n"


class Project:
    """A project in a folder, judged by one gate."""

    def __init__(self, top: Path) -> None:
        self.top = top / "project"
        self.scratch = top / "scratch"
        self.log = top / "logs" / "gate.log"
        self.top.mkdir()
        self.scratch.mkdir()
        self.gate = gates.gate("tests", COMMAND)
        self.limits = Limits(seconds=60)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.top / f"{name}.py").write_text(text)

    def environment(self) -> dict[str, str]:
        dropped = ("PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "PYTEST_PLUGINS")
        env = {
            k: v
            for k, v in os.environ.items()
            if k not in dropped and not k.startswith(("COV_", "PYTEST_XDIST"))
        }
        return {**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

    def baseline(self) -> Baseline:
        return gates.baseline(
            self.gate, cwd=self.top, env=self.environment(), scratch=self.scratch, limits=self.limits
        )

    def run(
        self,
        baseline: Baseline | None = None,
        gate: Gate | None = None,
        clean: Callable[[], None] = lambda: None,
    ) -> GateResult:
        return gates.run(
            gate or self.gate,
            cwd=self.top,
            env=self.environment(),
            scratch=self.scratch,
            limits=self.limits,
            baseline=baseline,
            log=self.log,
            clock=time.time,
            commit="c0ffee",
            clean=clean,
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_green(project: Project) -> None:
    project.write(test_a=GREEN)
    result = project.run(project.baseline())
    assert (result.verdict, result.exit_code, result.passed, result.failures) == ("green", 0, 2, ())
    assert result.ok
    assert result.proof
    assert result.commit == "c0ffee"
    assert len(result.sha256) == 64
    assert GateResult.from_json(result.to_json()) == result
    assert list(project.scratch.iterdir()) == [], "scratch folders are left behind"
    assert {path.name for path in project.top.iterdir()} == {"test_a.py"}, (
        "the gate has left files in the tree"
    )


def test_red_names_the_new_failure_and_shows_only_the_failing_part(project: Project) -> None:
    project.write(test_a=GREEN)
    baseline = project.baseline()
    assert baseline.green
    assert Baseline.from_json(baseline.to_json()) == baseline
    project.write(test_a=RED)
    result = project.run(baseline)
    assert (result.verdict, result.exit_code) == ("red", 1)
    assert result.blamed == ("test_a.py::test_two",)
    assert result.blames
    assert not result.ok
    assert "assert 1 == 2" in result.output
    assert result.output.startswith("=")
    told = gates.feedback([result])
    assert "test_a.py::test_two" in told
    assert "exit code 1" in told


def test_old_failures_are_excused_new_ones_are_not(project: Project) -> None:
    project.write(test_a=RED)
    baseline = project.baseline()
    assert not baseline.green
    excused = project.run(baseline)
    assert (excused.verdict, excused.blamed, excused.proof, excused.ok) == ("excused", (), True, True)
    project.write(test_b="def test_three():\n    raise ValueError\n")
    red = project.run(baseline)
    assert (red.verdict, red.blamed) == ("red", ("test_b.py::test_three",))


def test_what_passed_in_between_and_a_story_gate_excuse_nothing(project: Project) -> None:
    project.write(test_a=RED)
    baseline = project.baseline()
    project.write(test_a=GREEN, test_c="def test_new():\n    pass\n")
    better = project.run(baseline).seen
    assert better is not None
    assert better.green
    assert better.after(baseline) == better
    project.write(test_a=RED)
    assert project.run(baseline).verdict == "excused"
    assert project.run(better).blamed == ("test_a.py::test_two",)
    (project.top / "test_c.py").unlink()
    project.write(test_a=GREEN)
    assert project.run(better).blamed == ("missing: test_c.py::test_new",)
    project.write(test_a=RED)
    assert project.run(baseline, replace(project.gate, scope="story")).verdict == "red"


def test_nothing_but_old_failures_is_no_evidence(project: Project) -> None:
    project.write(test_a="def test_only():\n    assert False\n")
    result = project.run(project.baseline())
    assert (result.verdict, result.ok, result.proof) == ("no-evidence", True, False)


def test_flaky(project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    project.write(test_a=GREEN)
    baseline = project.baseline()
    project.write(
        test_b=f"import pathlib\n\n\ndef test_moody():\n    p = pathlib.Path({str(marker)!r})\n"
        "    seen = p.exists()\n    p.touch()\n    assert seen\n"
    )
    result = project.run(baseline)
    assert (result.verdict, result.ok, result.proof) == ("flaky-green", True, True)
    assert result.failures == ("test_b.py::test_moody",)


def test_flaky_beside_what_was_red_before(project: Project, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    project.write(test_a=GREEN, test_red="def test_old():\n    assert False\n")
    baseline = project.baseline()
    project.write(
        test_b=f"import pathlib\n\n\ndef test_moody():\n    p = pathlib.Path({str(marker)!r})\n"
        "    seen = p.exists()\n    p.touch()\n    assert seen\n"
    )
    result = project.run(baseline)
    assert (result.verdict, result.ok, result.proof) == ("excused", True, True)
    assert set(result.failures) == {"test_b.py::test_moody", "test_red.py::test_old"}
    assert result.detail == "what was new at first did not fail again; the rest was there before"


def test_what_the_first_run_left_does_not_help_the_second(project: Project) -> None:
    heal = "def test_heal():\n    open('app.py', 'w').write('ANSWER = 42')\n"
    project.write(test_a="import app\n\n\ndef test_one():\n    assert app.ANSWER == 42\n", test_z=heal)
    broken = "ANSWER = 41\n"
    project.write(app=broken)
    assert project.run().verdict == "flaky-green", "a shared workspace has no clean copy"
    project.write(app=broken)
    assert project.run(clean=lambda: project.write(app=broken)).verdict == "red"


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


def test_all_skipped(project: Project) -> None:
    project.write(test_a="import pytest\n\npytestmark = pytest.mark.skip\n\n\ndef test_one():\n    pass\n")
    result = project.run()
    assert (result.verdict, result.exit_code, result.passed) == ("no-evidence", 0, 0)


def test_no_tests(project: Project) -> None:
    baseline = project.baseline()
    assert (baseline.exit_code, baseline.green) == (5, False)
    assert project.run(baseline).verdict == "no-evidence"
    assert project.run().verdict == "red", "a check of the story itself must find tests"
    project.write(test_a=GREEN)
    assert project.run(baseline).verdict == "green"


def test_a_file_that_cannot_be_loaded(project: Project) -> None:
    project.write(test_a=GREEN)
    baseline = project.baseline()
    project.write(test_a="import no_such_module_at_all\n")
    result = project.run(baseline)
    assert (result.verdict, result.exit_code) == ("red", 2)
    assert result.blamed == ("error: test_a.py",), "what is missing would only hide why"
    assert "no_such_module_at_all" in result.output


def test_a_broken_conftest_is_red_even_where_tests_failed_before(project: Project) -> None:
    project.write(test_a=RED)
    baseline = project.baseline()
    project.write(conftest="import no_such_module_at_all\n")
    result = project.run(baseline)
    assert (result.verdict, result.ok) == ("red", False)


def test_errors_in_fixtures_are_failures(project: Project) -> None:
    project.write(
        test_a="import pytest\n\n\n@pytest.fixture\ndef thing():\n    yield\n    raise ValueError\n\n\n"
        "class TestGroup:\n    @pytest.mark.parametrize('x', ['a.b', 'c d/e'])\n    def test_x(self, x, thing):\n        pass\n"
    )
    assert project.run().failures == (
        "test_a.py::TestGroup::test_x[a.b]",
        "test_a.py::TestGroup::test_x[c d/e]",
    )


def test_timeout(project: Project) -> None:
    project.write(test_a="import time\n\n\ndef test_slow():\n    time.sleep(60)\n")
    project.limits = Limits(seconds=1.5, grace=0.5)
    result = project.run()
    assert (result.verdict, result.blames) == ("red", True)
    assert "time limit" in result.detail
    assert result.seconds < 20


def test_huge_and_undecodable_output(project: Project) -> None:
    project.write(
        test_a="import os\n\n\ndef test_loud():\n    for _ in range(400):\n        os.write(1, b'x' * 2000 + b'\\n')\n"
        "    os.write(1, b'\\xff\\xfe\\x1b[31m\\x00 bytes\\n')\n    assert False, 'the end'\n"
    )
    gate = replace(project.gate, command=f"{COMMAND} -s")
    result = project.run(gate=gate)
    assert (result.verdict, result.failures) == ("red", ("test_a.py::test_loud",))
    assert "the end" in result.output
    assert len(result.output.encode()) <= 8_000
    assert "\x1b" not in result.output
    assert "\0" not in result.output
    assert len(gates.feedback([result]).encode()) <= 6_000


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


def test_a_program_that_is_not_there(project: Project) -> None:
    for command in ("no-such-program-at-all", "./no-such-script.sh", "cd . && no-such-program-at-all"):
        gate = gates.gate("gone", command)
        result = project.run(gate=gate)
        assert (result.verdict, result.exit_code, result.ok) == ("broken", 127, False), command
        assert gates.baseline(
            gate, cwd=project.top, env=project.environment(), scratch=project.scratch
        ).broken
    (project.top / "plain.txt").write_text("echo\n")
    assert project.run(gate=gates.gate("plain", "./plain.txt")).exit_code == 126
    missing = project.run(gate=gates.gate("script", f"{sys.executable} tools/no_such.py"))
    assert missing.verdict == "broken"
    assert "no_such.py" in missing.detail


def test_a_program_that_has_gone_is_the_storys_doing(project: Project) -> None:
    script = project.top / "check.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    gate = gates.gate("check", "./check.sh")
    before = gates.baseline(gate, cwd=project.top, env=project.environment(), scratch=project.scratch)
    assert before.green
    script.unlink()
    result = project.run(before, gate)
    assert (result.verdict, result.blames) == ("red", True)


def test_opaque_gates(project: Project) -> None:
    state = project.top / "state"
    gate = gates.gate("opaque", "test ! -e state || exit 3")
    assert gate.runner == "opaque"

    def baseline() -> Baseline:
        return gates.baseline(gate, cwd=project.top, env=project.environment(), scratch=project.scratch)

    green = baseline()
    assert project.run(green, gate).verdict == "green"
    state.touch()
    red = baseline()
    assert (red.exit_code, red.green) == (3, False)
    assert project.run(green, gate).verdict == "red"
    assert project.run(red, gate).verdict == "no-evidence"
    state.unlink()
    assert project.run(red, gate).verdict == "green"
    hidden = gates.gate("hidden", "false; echo done")
    assert project.run(None, hidden).verdict == "no-evidence"


def test_pytest_behind_a_script_is_read_too(project: Project) -> None:
    (project.top / "check.sh").write_text(f"{COMMAND}\n")
    project.gate = gates.gate("check", "sh check.sh")
    project.write(test_a=RED)
    baseline = project.baseline()
    assert baseline.failures == ("test_a.py::test_two",)
    assert project.run(baseline).verdict == "excused"
    project.write(test_a="def test_one():\n    assert 0\n\n\ndef test_two():\n    assert 0\n")
    assert project.run(baseline).blamed == ("test_a.py::test_one",)


def test_gates_have_no_input_and_their_own_temporary_folder(project: Project) -> None:
    project.scratch = project.scratch / ("deep" * 30)
    project.scratch.mkdir()
    command = '! read x && test "$CI" = true && env | sort > env.txt && realpath "$TMPDIR" >> env.txt'
    assert project.run(gate=gates.gate("env", command)).verdict == "green"
    *lines, real = (project.top / "env.txt").read_text().splitlines()
    assert "PYTHONDONTWRITEBYTECODE=1" in lines
    assert Path(real).is_relative_to(project.scratch)
    named = next(line for line in lines if line.startswith("TMPDIR=")).removeprefix("TMPDIR=")
    assert len(named) < 60, "sockets need short paths"
    assert not os.path.lexists(named)
