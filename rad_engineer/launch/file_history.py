"""What git remembers of a file that cannot be read any more."""

import os
from functools import partial
from pathlib import Path

from rad_engineer import git, importers
from rad_engineer.errors import RadError


def last_good(file: str) -> str | None:
    """Where a file could last be read as a PRD, as `commit:path`; None where that never was."""
    try:
        path = Path(os.path.realpath(file))
        repository = git.discover(path.parent)
        name = path.relative_to(os.path.realpath(repository.top)).as_posix()
        commit = git.last_good(repository, name, partial(importers.parses, file=file))
    except (RadError, ValueError, OSError):
        return None
    return f"{commit}:{name}" if commit else None
