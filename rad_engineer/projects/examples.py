"""Examples as repositories of their own: a copy of what is handed out, with a first commit."""

import shutil
from contextlib import ExitStack, suppress
from pathlib import Path

from rad_engineer import durable
from rad_engineer.errors import UsageError
from rad_engineer.git import command
from rad_engineer.projects import data

_AUTHOR = "rad-engineer <rad-engineer@localhost>"
_MADE_BY_TOOLS = shutil.ignore_patterns("__pycache__", ".*cache", ".rad-engineer", ".git")


def copy(name: str, target: Path) -> None:
    """Makes `target` a git repository with the example in one commit; a folder that has anything in it is refused."""
    source = data.folder("examples") / name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(
            f"{target} is there already",
            hint="name a folder that does not exist: rad-engineer quickstart DIR",
        )
    with ExitStack() as undo:
        undo.callback(_remove, target, there=target.exists())
        _make(name, source, target)
        undo.pop_all()


def _remove(target: Path, *, there: bool) -> None:
    """Half a repository is none, and it would be in the way of the next try; a folder that was there stays."""
    for path in list(target.iterdir()) if there else [target]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _make(name: str, source: Path, target: Path) -> None:
    with durable.writing(target, of_run=False):
        try:
            shutil.copytree(source, target, ignore=_MADE_BY_TOOLS, dirs_exist_ok=True)
        except shutil.Error as error:  # a list of all that could not be copied, and why
            raise OSError(str(error.args[0][0][2]).partition(": '")[0]) from error
    git_dir = target.resolve() / ".git"
    env = {**command.identity(_AUTHOR), "GIT_WORK_TREE": str(git_dir.parent)}
    for arguments in (("init", "--quiet", "--initial-branch=main"), ("add", "--all"),
                      ("commit", "--quiet", "--message", f"The example {name}")):  # fmt: skip
        command.run(git_dir, *arguments, env=env, cwd=git_dir.parent)
