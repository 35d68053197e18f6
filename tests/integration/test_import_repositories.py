"""import on the trees of public repositories at fixed commits, held against what a person has read in each of them.

RAD_REPOSITORIES=FOLDER names a folder with their git directories, as OWNER+NAME or OWNER+NAME/repo. None of their
text is kept here: repositories.json has for each kind of gate the commands that are right, as patterns; an empty one
says that the project has none.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from rad_engineer.projects.candidates import KINDS
from rad_engineer.projects.detection import detect

FOLDER = os.environ.get("RAD_REPOSITORIES", "")
ROWS = json.loads(Path(__file__).with_name("repositories.json").read_text())


def checked_out(row, folder):
    """The tree of one repository at its commit."""
    place = Path(FOLDER) / row["repository"].replace("/", "+")
    git_dir = place / "repo" if (place / "repo").is_dir() else place
    folder.mkdir()
    archive = subprocess.run(
        ["git", "-C", git_dir, "archive", row["commit"]], capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
    return folder


def judged(row, found):
    """Right, missing or wrong, for each kind."""
    verdicts = {}
    for kind in KINDS:
        commands = [each.line for each in found.gates if each.kind == kind]

        def fits(command, patterns=row[kind]):
            return any(re.fullmatch(pattern, command) for pattern in patterns)

        if commands:
            verdicts[kind] = "right" if all(map(fits, commands)) else "wrong"
        else:
            verdicts[kind] = "right" if fits("") else "missing"
    return verdicts


def test_expectations_are_there_for_enough_repositories():
    assert len({row["repository"] for row in ROWS}) >= 12
    assert all(re.fullmatch(r"[0-9a-f]{40}", row["commit"]) for row in ROWS)
    assert all(row[kind] for row in ROWS for kind in KINDS), "no gate is an expectation too: an empty pattern"


@pytest.mark.skipif(not FOLDER, reason="RAD_REPOSITORIES names no folder with git directories")
@pytest.mark.timeout(600)
def test_what_strangers_have_is_found_and_nothing_else(tmp_path):
    lines, counts = [], {"right": 0, "missing": 0, "wrong": 0}
    for row in ROWS:
        verdicts = judged(row, detect(checked_out(row, tmp_path / row["repository"].replace("/", "+"))))
        lines.append(f"{row['repository']:32} " + "  ".join(f"{kind} {verdicts[kind]}" for kind in KINDS))
        for verdict in verdicts.values():
            counts[verdict] += 1
    table = "\n".join(lines)
    print(f"\n{table}\n{counts}")
    assert counts["wrong"] == 0, table
    assert counts["right"] >= 0.9 * sum(counts.values()), table
