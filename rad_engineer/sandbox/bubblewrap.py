"""A box by bubblewrap: namespaces, an allow-listed file system, a system call filter, and an executor inside."""

import functools
import os
import platform
import shutil
import stat
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from rad_engineer import process
from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox import profile, seccomp, toolchains
from rad_engineer.sandbox.confined import LIMITS, START, Confined, code, descriptor
from rad_engineer.sandbox.seam import HOME, Grants, Level, Mount, Place


class Bubblewrap(Confined):
    """A box with namespaces of its own."""

    level: Level = "bubblewrap"

    def __init__(self, place: Place, grants: Grants) -> None:
        self._toolchains = toolchains.resolve(os.environ)
        slot = Mount(place.slot, place.inner, writable=True)
        home = (Mount(grants.home, HOME, writable=True),) if grants.home is not None else ()
        self._names: list[tuple[str, str]] = sorted(
            ((str(mount.host), mount.inner) for mount in (slot, *home, *place.mounts, *grants.read)),
            reverse=True,
        )
        super().__init__(place, grants)

    def inside(self, path: Path | str) -> str:
        """What a path below the slot or a mount is called inside; toolchains have the same name there."""
        text = str(path)
        for host, inner in self._names:
            if text == host or text.startswith(f"{host}/"):
                return inner + text[len(host) :]
        return text

    def outside(self, text: str) -> str:
        """Nothing to do: inside, no folder of this machine has its own name."""
        return text

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Values that name something of the host by its path name it by the path that it has inside."""
        found = {
            name: os.pathsep.join(self.inside(part) for part in value.split(os.pathsep))
            for name, value in env.items()
            if name != process.MARK
        }
        ours = {"HOME": HOME, "USER": "agent", "LOGNAME": "agent", "PATH": self._toolchains.path}
        return {"TMPDIR": "/tmp", **found, **self._grants.variables, **self._toolchains.variables, **ours}  # noqa: S108 -- the box's own

    def _counted(self) -> tuple[Collection[Path], Collection[str]]:
        in_memory = profile.TEMPORARY.keys() - ({HOME} if self._grants.home is not None else ())
        return (self._place.slot,), in_memory

    def _command(self, passed: list[int]) -> list[str]:
        """What is started; what it gets by descriptor is added to those that are passed."""
        given = self._arguments()  # first: the first start of a program closes what is open for all others
        inner = descriptor(self._executor(), passed)
        words = [str(descriptor(each, passed)) if isinstance(each, bytes) else each for each in given]
        arguments = descriptor(b"".join(os.fsencode(word) + b"\0" for word in words), passed)
        owner = self._place.owner if os.geteuid() == 0 and self._place.owner else (-1, -1)
        limits = [f"{kind}={value}" for kind, value in LIMITS.items()]
        interpreter = os.path.realpath(sys.executable)  # our own environment is nobody's business inside
        executor = [interpreter, "-I", "-S", "-c", START.format(inner), "0", *map(str, owner), *limits]
        return [_program(), "--args", str(arguments), "--", *executor]

    def _executor(self) -> bytes:
        """The program inside, compiled."""
        return code("rad_engineer.sandbox.executor")

    def _arguments(self) -> list[profile.Argument]:
        """What is visible, and what may be called."""
        place = self._place
        if platform.machine() not in seccomp.MACHINES:
            raise ConfigInvalid(f"there is no system call filter for {platform.machine()}")
        as_root = os.geteuid() == 0
        if as_root and (place.owner is None or place.owner[0] == 0):
            raise AssertionError("started by root, a box needs somebody else to run as")
        caches = [
            f"{path}/{cache.partition('/')[2]}"
            for path in place.read_only
            for cache in profile.CACHES
            if path.rpartition("/")[2] == cache.partition("/")[0]
        ]
        for path in place.read_only:
            if not _is_plain(place.slot, path):
                raise ConfigInvalid(f"{path} is not a plain file or folder: it cannot be made read-only")
        ground = profile.Ground(
            toolchains.system(),
            self._toolchains,
            _kernel_files(),
            tuple(path for path in caches if _is_plain(place.slot, path)),
            as_root=as_root,
            no_new_users=_knows("--disable-userns"),
        )
        given = profile.arguments(place, self._grants, ground)
        return [*given, "--seccomp", seccomp.program(platform.machine())]


def _is_plain(top: Path, path: str) -> bool:
    """Whether it is a file or folder that no link leads to: bubblewrap would follow one out of the slot."""
    here = top
    for part in Path(path).parts:
        here = here / part
        try:
            mode = os.lstat(here).st_mode
        except OSError:
            return False
        if part == ".." or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            return False
    return True


@functools.cache
def _kernel_files() -> tuple[str, ...]:
    return tuple(path for path in profile.KERNEL_FILES if _is_public(path))


def _is_public(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)  # noqa: PTH116 -- strings
    except OSError:
        return False


@functools.cache
def _program() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise ConfigInvalid("bubblewrap is not installed", hint="e.g. `sudo apt-get install bubblewrap`")
    return found


@functools.cache
def _knows(option: str) -> bool:
    """Whether this bubblewrap has an option."""
    _, out, err = process.capture([_program(), "--help"], env={}, timeout=10)
    return option.encode() in out + err
