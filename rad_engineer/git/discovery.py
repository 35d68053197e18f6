"""Finds the repository a run happens in, and reads once, as the user's own git would, what hardened calls need."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from rad_engineer import process
from rad_engineer.errors import ConfigInvalid
from rad_engineer.git import command as git_command
from rad_engineer.git.repository import Repository

OLDEST = (2, 38)  # merge-tree --write-tree, safe.directory on the command line
FALLBACK_AUTHOR = ("rad-engineer", "rad-engineer@localhost")
_PASSED_ON = ("autocrlf", "eol", "filemode", "ignorecase", "symlinks", "precomposeunicode")
_ASKED = (
    "--path-format=absolute", "--is-bare-repository", "--git-dir", "--git-common-dir", "--show-object-format",
    "--is-shallow-repository", "--show-toplevel", "HEAD^{commit}",
)  # fmt: skip
_MAX_EXCLUDES = 1_000_000
_NOT_ITS_ANSWER = (124, 126)  # it took too long, or could not be started; above 128 a signal ended it


def discover(start: Path) -> Repository:
    """The repository around a file or folder; ConfigInvalid, with the commands that help, where none can be used."""
    if os.name == "nt":
        raise ConfigInvalid("rad-engineer does not run on native Windows; use it inside WSL")
    folder = _folder(start)
    env = _users_environment()
    _check_version(folder, env)
    git_dir, common_dir, object_format, shallow, top = _locate(folder, env)
    config = _configuration(top, env)
    _refuse_partial(config, top)
    name, mail = identity(config)
    ignore_file = _ignore_file(config, top)
    settings = [f"core.{key}={config[f'core.{key}']}" for key in _PASSED_ON if f"core.{key}" in config]
    if ignore_file is not None:
        settings.append(f"core.excludesFile={ignore_file}")
    found = Repository(
        top=top,
        home=_home(folder, env, git_dir, common_dir, top),
        git_dir=git_dir,
        common_dir=common_dir,
        object_format=object_format,
        author=f"{name} <{mail}>",
        settings=(*settings, *_large_files(common_dir, top)),
        excludes=_lines(ignore_file) + _lines(common_dir / "info" / "exclude"),
        id=hashlib.sha256(os.fsencode(common_dir.resolve())).hexdigest()[:16],
        warnings=_warnings(top, config, shallow=shallow),
    )
    if not any(setting.startswith("filter.lfs") for setting in found.settings):
        _refuse_hidden_lfs(found)
    return found


def users_configuration(folder: Path) -> dict[str, str]:
    """What the user has configured for a folder, in a repository or not; ConfigInvalid where git cannot be asked."""
    env = _users_environment()
    _check_version(folder, env)
    return _configuration(folder, env)


def identity(config: Mapping[str, str]) -> tuple[str, str]:
    """The name and the mail address of whoever commits."""
    name = config.get("author.name") or config.get("user.name") or FALLBACK_AUTHOR[0]
    mail = config.get("author.email") or config.get("user.email") or FALLBACK_AUTHOR[1]
    return name, mail


def _users_environment() -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env.update(LC_ALL="C", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    return env


def _folder(start: Path) -> Path:
    folder = Path(os.path.abspath(start))  # noqa: PTH100 -- links stay as the user wrote them
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _ask(folder: Path, env: Mapping[str, str], *arguments: str) -> tuple[int, str, str]:
    code, out, err = process.capture(["git", *arguments], cwd=folder, env=env, timeout=60)
    if code in _NOT_ITS_ANSWER or code > 128:
        raise git_command.GitFailed(arguments, code, err)
    return code, os.fsdecode(out), err.decode("utf-8", "replace").strip()


def _check_version(folder: Path, env: Mapping[str, str]) -> None:
    code, out, err = _ask(folder, env, "version")
    if code == 127:
        raise ConfigInvalid("git is not installed", hint="install git 2.38 or later, then run again")
    found = re.search(r"(\d+)\.(\d+)", out)
    if code != 0 or found is None:
        raise ConfigInvalid(f"git does not work here: {err or out}")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise ConfigInvalid(f"git {found[0]} is too old", hint="install git 2.38 or later, then run again")


def _locate(folder: Path, env: Mapping[str, str]) -> tuple[Path, Path, str, bool, Path]:
    code, out, err = _ask(folder, env, "rev-parse", *_ASKED)
    lines = out.split("\n")
    if code == 0 and len(lines) == 8:
        _bare, git_dir, common_dir, object_format, shallow, top, _head, _end = lines
        return Path(git_dir), Path(common_dir), object_format, shallow == "true", Path(top)
    raise _refusal(folder, lines, err)


def _refusal(folder: Path, lines: list[str], err: str) -> ConfigInvalid:
    if "dubious ownership" in err:
        owned = re.search(r"repository at '([^']+)'", err)
        where = owned[1] if owned else str(folder)
        return ConfigInvalid(
            f"the repository {where} belongs to another user, and git does not trust it",
            hint=f"git config --global --add safe.directory {_quote(where)}",
        )
    if "not a git repository" in err:
        return ConfigInvalid(
            f"there is no git repository in {folder}",
            hint="git init && git add -A && git commit -m 'First commit'   (or use --workspace shared)",
        )
    if lines[0] == "true":
        return ConfigInvalid(
            f"the repository {folder} is bare: it has no files to work on",
            hint=f"git -C {_quote(str(folder))} worktree add ../work && cd {_quote(str(folder.parent / 'work'))}",
        )
    if "work tree" in err:
        return ConfigInvalid(f"{folder} is inside a git directory", hint="cd to the project, then run again")
    if "HEAD^{commit}" in err:
        return ConfigInvalid(
            "the repository has no commit yet", hint="git add -A && git commit -m 'First commit'"
        )
    return ConfigInvalid(f"git cannot use the repository in {folder}: {err or 'its path has a line break'}")


def _quote(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _configuration(top: Path, env: Mapping[str, str]) -> dict[str, str]:
    code, out, err = _ask(top, env, "config", "-z", "--list")
    if code != 0:
        raise ConfigInvalid(f"git cannot read its configuration: {err}")
    pairs = (entry.partition("\n") for entry in out.split("\0")[:-1])
    return {key: value if equals else "true" for key, equals, value in pairs}


def _refuse_partial(config: Mapping[str, str], top: Path) -> None:
    promised = [key for key, value in config.items() if key.endswith(".promisor") and value != "false"]
    if "extensions.partialclone" in config or promised:
        raise ConfigInvalid(
            f"{top} is a partial clone: parts of it are still on the server",
            hint="clone it again without --filter, then run there",
        )


def _home(folder: Path, env: Mapping[str, str], git_dir: Path, common_dir: Path, top: Path) -> Path:
    if git_dir == common_dir:
        return top
    code, out, err = _ask(folder, env, "worktree", "list", "--porcelain", "-z")
    if code != 0:
        raise ConfigInvalid(f"git cannot list the work trees of the repository: {err}")
    first = out.split("\0\0")[0].split("\0")
    if first[0].startswith("worktree ") and "bare" not in first:
        return Path(first[0].removeprefix("worktree "))
    return top


def _ignore_file(config: Mapping[str, str], top: Path) -> Path | None:
    if "core.excludesfile" in config:
        found = top / Path(config["core.excludesfile"]).expanduser()
    else:
        home = os.environ.get("HOME")
        folder = os.environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
        if folder is None:
            return None
        found = Path(folder, "git", "ignore")
    return found if found.is_file() else None


def _lines(path: Path | None) -> str:
    if path is None or not path.is_file():
        return ""
    with path.open("rb") as handle:
        text = os.fsdecode(handle.read(_MAX_EXCLUDES))
    return text if not text or text.endswith("\n") else f"{text}\n"


def _large_files(common_dir: Path, top: Path) -> tuple[str, ...]:
    """The settings of git-lfs, where it is used: its own are in a configuration that we do not read."""
    attributes = (top / ".gitattributes", common_dir / "info" / "attributes")
    if not any("filter=lfs" in _lines(path) for path in attributes):
        return ()
    return _lfs_settings(common_dir)


def _lfs_settings(common_dir: Path) -> tuple[str, ...]:
    import shutil  # noqa: PLC0415 - only where there are such files

    if shutil.which("git-lfs") is None:
        raise ConfigInvalid(
            "the repository keeps files in Git LFS, and git-lfs is not installed",
            hint="install git-lfs, then: git lfs install && git lfs pull",
        )
    return (
        "filter.lfs.clean=git-lfs clean -- %f",
        "filter.lfs.smudge=git-lfs smudge -- %f",
        "filter.lfs.process=git-lfs filter-process",
        "filter.lfs.required=true",
        f"lfs.storage={common_dir / 'lfs'}",
    )


def _refuse_hidden_lfs(found: Repository) -> None:
    """Looks for LFS below the top as well; there it must be said in the top .gitattributes to be worked with."""
    asked = ("grep", "-q", "-F", "-e", "filter=lfs", "HEAD", "--", ":(glob)**/.gitattributes")
    if git_command.ask(found, *asked) is not None:
        _lfs_settings(found.common_dir)
        raise ConfigInvalid(
            "the repository uses Git LFS in a sub-folder's .gitattributes",
            hint="name the pattern in the top .gitattributes and commit it, then run again",
        )


def _warnings(top: Path, config: Mapping[str, str], *, shallow: bool) -> tuple[str, ...]:
    found = []
    if config.get("commit.gpgsign", "").lower() in ("true", "yes", "on", "1"):
        found.append("commit.gpgSign is set, but what lands is not signed: sign it when you merge it")
    if (top / ".gitmodules").is_file():
        found.append("submodules stay as they are: stories see empty folders in their place")
    if shallow:
        found.append("the repository is a shallow clone: stories see the history that is here")
    return tuple(found)
