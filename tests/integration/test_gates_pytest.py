"""Gates over real pytest projects: what the verdict is when tests fail, are red before, flaky, hang or flood."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from gates_project import COMMAND, GREEN, RED, Project

from rad_engineer import gates
from rad_engineer.gates import Baseline, GateResult
from rad_engineer.process import Limits
from tests.boxes import off


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


def test_a_program_that_is_not_there(project: Project) -> None:
    for command in ("no-such-program-at-all", "./no-such-script.sh", "cd . && no-such-program-at-all"):
        gate = gates.gate("gone", command)
        result = project.run(gate=gate)
        assert (result.verdict, result.exit_code, result.ok) == ("broken", 127, False), command
        assert gates.baseline(
            gate, box=off(), cwd=project.top, env=project.environment(), scratch=project.scratch
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
    before = gates.baseline(
        gate, box=off(), cwd=project.top, env=project.environment(), scratch=project.scratch
    )
    assert before.green
    script.unlink()
    result = project.run(before, gate)
    assert (result.verdict, result.blames) == ("red", True)


def test_opaque_gates(project: Project) -> None:
    state = project.top / "state"
    gate = gates.gate("opaque", "test ! -e state || exit 3")
    assert gate.runner == "opaque"

    def baseline() -> Baseline:
        return gates.baseline(
            gate, box=off(), cwd=project.top, env=project.environment(), scratch=project.scratch
        )

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
