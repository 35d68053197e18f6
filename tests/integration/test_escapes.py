"""Nothing gets out of a box: some 200 attempts, each of which succeeds where one defence is missing.

By default all are made in a few boxes of bubblewrap, as whoever runs the tests. The whole suite shows for each of them
that it is one, at every level that there is, started by root and by an ordinary user, and prints a table:
    RAD_ESCAPES=1 pytest -s tests/integration/test_escapes.py
"""

import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rad_engineer import process
from rad_engineer.sandbox.self_test import why_not
from tests.conftest import ROOT
from tests.sandboxes import WALLED, needs_bubblewrap
from tests.somebody import Somebody, other_user

CAMPAIGN = bool(os.environ.get("RAD_ESCAPES"))
MANY = 80
pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="NO ESCAPE WAS TRIED: the attempts are written for x86_64"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not too deep for the names of sockets."""
    with tempfile.TemporaryDirectory(prefix="rad-") as name:
        yield Path(name)


def played(folder: Path, levels: str, *options: str, user: int | None = None) -> list[dict[str, object]]:
    needs_bubblewrap()
    folder.chmod(0o755)
    (folder / "world").mkdir()
    somebody = Somebody(folder, folder, user)
    program = sys.executable
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    who = {}
    if user is not None:
        os.chown(folder / "world", user, user)
        program, env = somebody.python, somebody.env
        who = {"user": user, "group": user, "extra_groups": []}
    ran = subprocess.run(
        [program, "-m", "tests.escapes.play", str(folder / "world"), levels, *options], cwd=ROOT,
        env={**env, process.MARK: secrets.token_hex(8)}, capture_output=True, text=True, check=False, **who,
    )  # fmt: skip
    if user is not None and ("Permission denied" in ran.stderr or "No module" in ran.stderr):
        pytest.skip(f"NO EVIDENCE: nobody may not read this checkout: {ran.stderr[-300:]}")
    assert ran.returncode == 0, ran.stderr[-3000:]
    return [json.loads(line) for line in ran.stdout.splitlines()]


def succeeded(lines: list[dict[str, object]], *levels: str) -> set[tuple[object, object]]:
    return {(line["kind"], line["name"]) for line in lines if line["level"] in levels and line["succeeded"]}


def tried(lines: list[dict[str, object]], *levels: str) -> set[tuple[object, object]]:
    return {(line["kind"], line["name"]) for line in lines if line["level"] in levels}


def test_nothing_gets_out(folder: Path) -> None:
    lines = played(folder, "bubblewrap,off")
    assert succeeded(lines, "bubblewrap") == set()
    assert len(tried(lines, "bubblewrap")) >= MANY
    off = tried(lines, "off")  # of which nothing has to be explained where there is no sandbox
    assert len(succeeded(lines, "off")) > len(off) * 2 // 3, off - succeeded(lines, "off")


@pytest.mark.skipif(not CAMPAIGN, reason="takes minutes: set RAD_ESCAPES")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("started_by", ["root", "user"])
def test_every_attempt_is_one(folder: Path, started_by: str) -> None:
    if started_by == "root" and os.geteuid() != 0:
        pytest.skip("NO EVIDENCE for root: only root starts as root")
    user = other_user() if started_by == "user" else None
    levels = [level for level in WALLED if not why_not(level)]
    lines = played(folder, ",".join((*levels, "off")), "all", user=user)
    told = table(lines, [*levels, "off"])
    for level in levels[1:]:
        told += f"\nget out of {level}: {'; '.join(sorted(str(name) for _, name in succeeded(lines, level)))}"
    print(f"\nstarted by {started_by}:\n{told}")
    shown = succeeded(lines, "off", "without")
    assert tried(lines, "bubblewrap") - shown == set()
    assert len(shown) >= MANY
    assert succeeded(lines, "bubblewrap") == set()


def table(lines: list[dict[str, object]], levels: list[str]) -> str:
    """How many of each kind have succeeded where."""
    kinds = dict.fromkeys(line["kind"] for line in lines)
    rows = []
    for kind in kinds:
        mine = [line for line in lines if line["kind"] == kind]
        found = [
            len(succeeded(mine, *where))
            for where in (("off", "without"), ("without",), *((each,) for each in levels))
        ]
        rows.append([str(kind), str(len(tried(mine, levels[0]))), *map(str, found)])
    totals = [str(sum(int(row[column]) for row in rows)) for column in range(1, len(rows[0]))]
    head = ["kind", "attempts", "shown", "one defence less", *levels]
    table_rows = [head, ["---"] * len(head), *rows, ["all", *totals]]
    return "\n".join(f"| {' | '.join(row)} |" for row in table_rows)
