"""A repository that begins: made in a folder with files, all of which are in its first commit."""

from dataclasses import dataclass
from pathlib import Path

from rad_engineer.git import command, discovery


@dataclass(frozen=True, slots=True)
class Author:
    """Who commits, and the branch that they begin with; `configured` is whether git knows them."""

    name: str
    mail: str
    branch: str
    configured: bool


@dataclass(frozen=True, slots=True)
class First:
    """The first commit, and by whom."""

    commit: str
    branch: str
    author: Author


def author(folder: Path) -> Author:
    """Who git says commits in this folder; else a name of ours. ConfigInvalid where there is no git to ask."""
    config = discovery.users_configuration(folder)
    name, mail = discovery.identity(config)
    known = (name, mail) != discovery.FALLBACK_AUTHOR
    return Author(name, mail, config.get("init.defaultbranch") or "main", known)


def begin(top: Path, by: Author, message: str) -> First:
    """Commits everything that lies in the folder and is not ignored, as the first commit of a repository there."""
    git_dir = top.resolve() / ".git"
    env = {**command.identity(f"{by.name} <{by.mail}>"), "GIT_WORK_TREE": str(git_dir.parent)}
    command.run(
        git_dir, "init", "--quiet", "--template=", f"--initial-branch={by.branch}", cwd=git_dir.parent
    )
    for arguments in (("add", "--all"), ("commit", "--quiet", "--message", message)):
        command.run(git_dir, *arguments, env=env, cwd=git_dir.parent)
    commit = command.text(command.run(git_dir, "rev-parse", "HEAD"))
    return First(commit, by.branch, by)
