"""The tool `record_learning`: what later stories should know, one line each in the attempt's file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rad_engineer import durable
from rad_engineer.agents.anthropic.editor import text_of
from rad_engineer.agents.anthropic.seam import ToolFailed

MOST = 20
_LONGEST = 300


def record_learning(path: Path, given: Mapping[str, Any]) -> str:
    """Adds a learning unless it is there already: a call that is repeated changes nothing."""
    line = " ".join(text_of(given, "learning").split())[:_LONGEST]
    if not line:
        raise ToolFailed("`learning` is empty")
    known = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    if line in known:
        return "known already"
    if len(known) >= MOST:
        raise ToolFailed(f"there are {MOST} learnings already: no more are kept")
    with durable.writing(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            durable.write_all(handle, line.encode("utf-8", "replace") + b"\n")
        finally:
            os.close(handle)
    return "recorded"
