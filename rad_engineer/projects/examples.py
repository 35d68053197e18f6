"""Examples as repositories of their own: a copy of what is handed out, with a first commit."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rad_engineer import durable
from rad_engineer.errors import UsageError
from rad_engineer.git import command
from rad_engineer.projects import data

_AUTHOR = "rad-engineer <rad-engineer@localhost>"
_MADE_BY_TOOLS = shutil.ignore_patterns("__pycache__", ".*cache", ".rad-engineer", ".git")


def copy(name: str, target: Path) -> None:
    """Makes `target` a git repository with the example in one commit; a folder that has anything in it is refused.

    It is made beside its place and put there whole: what goes wrong leaves nothing behind, and takes nothing away.
    """
    there = target.exists()
    if there and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target} is there already",
            hint="name a folder that does not exist: rad-engineer quickstart DIR",
        )
    with durable.writing(target, of_run=False), ExitStack() as until_end:
        beside = target if there else target.parent
        beside.mkdir(parents=True, exist_ok=True)
        staging = until_end.enter_context(tempfile.TemporaryDirectory(prefix=".rad-engineer-", dir=beside))
        whole = Path(staging) / "whole"
        _make(name, whole)
        try:
            if there:  # somebody may stand in it: its content is put there, and the folder stays what it is
                for path in whole.iterdir():
                    path.rename(target / path.name)
            else:
                os.rename(whole, target)  # noqa: PTH104 - never onto a folder that somebody has meanwhile put something into
        except OSError as error:
            raise UsageError(f"{target}: {error.strerror}", hint="name another folder") from None


def _make(name: str, whole: Path) -> None:
    try:
        shutil.copytree(data.folder("examples") / name, whole, ignore=_MADE_BY_TOOLS)
    except shutil.Error as error:  # a list of all that could not be copied, and why
        raise OSError(str(error.args[0][0][2]).partition(": '")[0]) from error
    git_dir = whole.resolve() / ".git"
    env = {**command.identity(_AUTHOR), "GIT_WORK_TREE": str(git_dir.parent)}
    for arguments in (("init", "--quiet", "--initial-branch=main"), ("add", "--all"),
                      ("commit", "--quiet", "--message", f"The example {name}")):  # fmt: skip
        command.run(git_dir, *arguments, env=env, cwd=git_dir.parent)
