"""A project in a folder that a gate judges: real pytest, run as a worker runs it."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rad_engineer import gates
from rad_engineer.gates import Baseline, Gate, GateResult
from rad_engineer.process import Limits
from tests.boxes import off

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
            self.gate,
            box=off(),
            cwd=self.top,
            env=self.environment(),
            scratch=self.scratch,
            limits=self.limits,
        )

    def run(
        self,
        baseline: Baseline | None = None,
        gate: Gate | None = None,
        clean: Callable[[], None] = lambda: None,
    ) -> GateResult:
        return gates.run(
            gate or self.gate,
            box=off(),
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
