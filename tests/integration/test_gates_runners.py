"""Gates over real runners other than pytest, each where it is installed."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from rad_engineer import gates
from rad_engineer.gates import Baseline, Gate, GateResult
from tests.boxes import off
from tests.required import needs

NODE = shutil.which("node")
NODE_TESTS = """
const {test, describe, it} = require('node:test'); const assert = require('node:assert');
test('adds', () => {}); test.skip('later', () => {});
describe('suite', () => { it('holds', () => {}); it('breaks', () => { assert.equal(1, BROKEN) }); });
"""


def files_of(top: Path):
    return lambda path: (top / path).read_bytes() if (top / path).is_file() else None


def judge(top: Path, gate: Gate, baseline: Baseline | None = None) -> GateResult:
    scratch = top.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if baseline is None:
        baseline = gates.baseline(gate, box=off(), cwd=top, env=env, scratch=scratch)
    return gates.run(gate, box=off(), cwd=top, env=env, scratch=scratch, baseline=baseline, clock=time.time)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    top = tmp_path / "with 'blank" / "project"
    top.mkdir(parents=True)
    return top


@pytest.mark.parametrize("command", ["node --test", "npm test"])
def test_node(project: Path, command: str) -> None:
    needs("node", NODE and shutil.which("npm"))
    (project / "package.json").write_text('{"scripts": {"test": "node --test"}}')
    file = project / "a.test.js"
    file.write_text(NODE_TESTS.replace("BROKEN", "2"))
    gate = gates.gate("node", command, files=files_of(project))
    assert gate.runner == "node"
    excused = judge(project, gate)
    assert (excused.verdict, excused.passed, excused.failures) == ("excused", 2, ("suite > breaks",))
    file.write_text(NODE_TESTS.replace("BROKEN", "1"))
    green = judge(project, gate)
    assert (green.verdict, green.passed) == ("green", 3)
    file.write_text("process.exit(0)\n")
    ended = judge(project, gate)
    assert (ended.verdict, ended.proof) == ("no-evidence", False)


def test_unittest(project: Path) -> None:
    file = project / "test_u.py"
    body = "import unittest\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n\n    def test_b(self):\n        self.assertEqual(1, {})\n"
    file.write_text(body.format(1))
    gate = gates.gate("unittest", f"'{sys.executable}' -m unittest")
    assert gate.runner == "unittest"
    assert (judge(project, gate).verdict, judge(project, gate).passed) == ("green", 2)
    green = gates.Baseline("unittest", 0, green=True)
    file.write_text(body.format(2))
    red = judge(project, gate, green)
    assert (red.verdict, red.blamed) == ("red", ("test_b (test_u.T.test_b)",))
    assert judge(project, gate).verdict == "excused"
    file.write_text("import os\nos._exit(0)\n")
    assert judge(project, gate, green).verdict == "red"


def test_make(project: Path) -> None:
    needs("make", shutil.which("make"))
    (project / "Makefile").write_text("test:\n\tpython3 -c 'print(1)'\n")
    assert judge(project, gates.gate("make", "make test")).verdict == "green"
    assert judge(project, gates.gate("make", "make no-such-target")).verdict == "broken"


def test_missing_package_script(project: Path) -> None:
    needs("node", shutil.which("npm"))
    (project / "package.json").write_text("{}")
    result = judge(project, gates.gate("npm", "npm run check"))
    assert result.verdict == "broken"
    assert "check" in result.detail


def test_a_pipe_in_place_of_a_file_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / "package.json")
    gate = gates.gate("package", "test -e nothing && npm test")
    assert judge(project, gate).exit_code == 1
