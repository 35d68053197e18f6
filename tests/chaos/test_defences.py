"""Takes out one defence after the other in a copy of the checkout: the test that guards it must fail.

RAD_DEFENCES=1 pytest tests/chaos/test_defences.py takes a quarter of an hour. That every change can still be made is
looked at in each run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.defences import DEFENCES, Defence
from tests.conftest import ROOT

campaign = pytest.mark.skipif("RAD_DEFENCES" not in os.environ, reason="takes long: set RAD_DEFENCES")
HERE = '"LANG": "C.UTF-8",'


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_the_defence_is_where_it_was(defence: Defence) -> None:
    text = (ROOT / "rad_engineer" / defence.file).read_text()
    assert text.count(defence.old) == 1
    test, _, _function = defence.test.partition("::")
    assert (ROOT / test).is_file()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy whose tests run its own package."""
    copy = tmp_path / "checkout"
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("rad_engineer", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=unwanted)
    shutil.copy(ROOT / "pyproject.toml", copy)
    change(copy / "tests" / "conftest.py", HERE, f'{HERE} "PYTHONPATH": {str(copy)!r},')
    return copy


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new))


def ran(checkout: Path, test: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    env = {**os.environ, "PYTHONPATH": str(checkout)}
    for name in ("RAD_HOSTILE", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST"):
        env.pop(name, None)
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)


@campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("test", sorted({defence.test for defence in DEFENCES}))
def test_with_all_defences_it_passes(checkout: Path, test: str) -> None:
    ended = ran(checkout, test)
    assert ended.returncode == 0, ended.stdout


@campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_without_a_defence_its_test_fails(checkout: Path, defence: Defence) -> None:
    change(checkout / "rad_engineer" / defence.file, defence.old, defence.new)
    ended = ran(checkout, defence.test)
    assert ended.returncode == 1, ended.stdout
    assert defence.seen in ended.stdout, ended.stdout
