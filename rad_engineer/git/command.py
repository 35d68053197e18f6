"""How git is called: an argument list, hardened, in an environment that nobody else has a say in."""

import errno
import os
import re
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

from rad_engineer import process
from rad_engineer.errors import CannotWrite
from rad_engineer.git.repository import Repository

TIMEOUT = 600.0
MEMORY = 4 * 1024**3

_CONFIGURATION = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.safecrlf=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.commitGraph=false",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "safe.directory=*",
    "core.bigFileThreshold=64m",
)
_DURABLE = ("core.fsync=all", "core.fsyncMethod=fsync")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)
_SAID = "|".join(map(os.strerror, _DISK))
_INDEX = r"write error\. Out of diskspace|[Uu]nable to write new index file"
_DISTURBED = re.compile(rf"(: ({_SAID})|{_INDEX})$", re.MULTILINE)
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_EDITOR": ":",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


class GitFailed(CannotWrite):
    """A git command failed, or was stopped at a limit."""

    def __init__(self, arguments: tuple[str, ...], code: int, stderr: bytes) -> None:
        self.code = code
        self.stderr = stderr.decode("utf-8", "replace").strip()
        reason = self.stderr or f"exit code {code}"
        super().__init__(f"git {' '.join(arguments[:3])}: {reason[-2000:]}")

    @property
    def limited(self) -> bool:
        """Whether the time, processor or memory limit ended it, or it crashed: none of that is SIGKILL."""
        return self.code == 124 or self.code > 128 + signal.SIGKILL or "Out of memory" in self.stderr

    @property
    def disturbed(self) -> bool:
        """Whether a kill or the disk ended it, not what it was asked for."""
        return self.code == 128 + signal.SIGKILL or _DISTURBED.search(self.stderr) is not None


def identity(author: str) -> dict[str, str]:
    """The environment that makes "Name <mail>" author and committer."""
    name, _, mail = author.rpartition(" <")
    mail = mail.rstrip(">")
    return {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
    }


def environment(place: Repository | Path) -> dict[str, str]:
    """A whole environment: a search path, our own GIT_* variables, and nothing else."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # Git works in folders that agents have written to: nothing there may pass for a program.
    env["PATH"] = process.absolute_path(env.get("PATH", os.defpath))
    env.update(_ENVIRONMENT)
    if isinstance(place, Repository):
        env["GIT_DIR"] = str(place.git_dir)
        env["GIT_WORK_TREE"] = str(place.top)
        env.update(identity(place.author))
    else:
        env["GIT_DIR"] = str(place)
    return env


def command(place: Repository | Path, arguments: tuple[str, ...], *, durable: bool = False) -> list[str]:
    """The argument list of a hardened call."""
    pairs = _CONFIGURATION + (_DURABLE if durable else ())
    if isinstance(place, Repository):
        pairs += place.settings
    configured = [word for pair in pairs for word in ("-c", pair)]
    return ["git", *configured, *arguments]


def _limits(timeout: float) -> dict[int, int]:
    # Not the address space: git maps whole packs of the user's, which may be larger than any sensible limit.
    return {resource.RLIMIT_CPU: int(timeout) + 1, resource.RLIMIT_DATA: MEMORY, resource.RLIMIT_CORE: 0}


def call(
    place: Repository | Path,
    *arguments: str,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    durable: bool = False,
    timeout: float = TIMEOUT,
) -> tuple[int, bytes, bytes]:
    """Runs git on a repository, or on a bare path to a git directory; exit code, stdout, stderr."""
    whole = environment(place)
    if env:
        whole.update(env)
    if cwd is None:
        cwd = place.top if isinstance(place, Repository) else place
    return process.capture(
        command(place, arguments, durable=durable),
        cwd=cwd,
        env=whole,
        input=data,
        timeout=timeout,
        rlimits=_limits(timeout),
    )


def run(
    place: Repository | Path,
    *arguments: str,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    durable: bool = False,
    timeout: float = TIMEOUT,
) -> bytes:
    """Runs git and returns what it wrote; GitFailed when it was not pleased."""
    code, out, err = call(place, *arguments, data=data, env=env, cwd=cwd, durable=durable, timeout=timeout)
    if code != 0:
        raise GitFailed(arguments, code, err)
    return out


def ask(place: Repository | Path, *arguments: str, env: Mapping[str, str] | None = None) -> bytes | None:
    """What git answers; None where it says no, which is exit code 1. A git that fails has not said no."""
    code, out, err = call(place, *arguments, env=env)
    if code not in (0, 1):
        raise GitFailed(arguments, code, err)
    return out if code == 0 else None


def text(output: bytes) -> str:
    """One line of output."""
    return os.fsdecode(output.rstrip(b"\n"))


def fields(output: bytes) -> list[str]:
    """NUL-terminated output, as file names are decoded everywhere."""
    return [os.fsdecode(part) for part in output.split(b"\0")[:-1]]
