"""Every shell script of the repository is clean in the eyes of shellcheck."""

import shutil
import subprocess
from pathlib import Path

from tests.required import needs

ROOT = Path(__file__).parents[2]
SHELLS = (b"#!/usr/bin/env bash\n", b"#!/bin/bash\n", b"#!/bin/sh\n")


def scripts(top):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=top, capture_output=True, check=True).stdout
    names = filter(None, listed.decode().split("\0"))
    return [name for name in names if (top / name).is_file() and (top / name).read_bytes().startswith(SHELLS)]


def test_shellcheck_finds_nothing():
    needs("shellcheck", shutil.which("shellcheck"))
    found = scripts(ROOT)
    assert {"install.sh", "uninstall.sh", "check", "demo", ".ci/run"} <= set(found)
    ended = subprocess.run(["shellcheck", *found], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_shellcheck_finds_something(tmp_path):
    needs("shellcheck", shutil.which("shellcheck"))
    (tmp_path / "bad.sh").write_text("#!/bin/sh\nrm $1\n")
    ended = subprocess.run(
        ["shellcheck", "bad.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
