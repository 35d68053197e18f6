"""A box by landlock, where namespaces are forbidden: a ruleset for files, no sockets, and an executor inside.

Nothing can be mounted: what is seen has the host's own paths, and what may not be opened can still be asked for its
size by whoever knows its name. Who ends it, and how, stands in `guard.py`.
"""

import os
import platform
import resource
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from rad_engineer import process
from rad_engineer.errors import ConfigInvalid
from rad_engineer.process.tree import descendants, signal_tree
from rad_engineer.sandbox import ruleset, seccomp, toolchains
from rad_engineer.sandbox.confined import LIMITS, START, Confined, code, descriptor
from rad_engineer.sandbox.namespace import Namespace
from rad_engineer.sandbox.ownership import let_through
from rad_engineer.sandbox.ruleset import CHANGE, DEVICE, READ_DIR, READ_FILE, SEE, Rule
from rad_engineer.sandbox.seam import HOME, HOST_NETWORK, Grants, Level, Place

_DEVICES = ("null", "zero", "full", "random", "urandom")
_ETC = ("passwd", "group", "nsswitch.conf", "hosts", "host.conf", "gai.conf", "hostname", "profile", "bash.bashrc", "inputrc",
        "shells", "login.defs", "gitattributes")  # fmt: skip
_RESOLVER = "/etc/resolv.conf"
_LASTING = ("/var/tmp", "/tmp")  # noqa: S108 -- what lies on a disk comes first
_GIVE_UP = 30.0
_PACKAGE = str(Path(__file__).parents[2])


class Domain(Namespace):
    """A guard, and the executor that it has fenced in; the guard clears away the rest and itself."""

    def _end(self) -> bool:
        pidfd = os.pidfd_open(self._child.pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            over = bool(poller.poll(_GIVE_UP * 1000))
        finally:
            os.close(pidfd)
        if not over:
            signal_tree(descendants([self._child.pid]), signal.SIGKILL)
        return over


class Landlock(Confined):
    """A box without a file system of its own."""

    level: Level = "landlock"
    kind = Domain

    def __init__(self, place: Place, grants: Grants) -> None:
        self._toolchains = toolchains.resolve(os.environ)
        self._private = Path("/nonexistent")
        self._beside = _tasks_of((place.owner or (os.geteuid(), 0))[0])
        super().__init__(place, grants)

    def inside(self, path: Path | str) -> str:
        """The same."""
        return str(path)

    def outside(self, text: str) -> str:
        """What a box of its own would have shown: the slot and the box's folders under the names that they have there."""
        text = text.replace(str(self._place.slot), self._place.inner)
        return text.replace(f"{self._private}/tmp", "/tmp").replace(f"{self._private}/home", HOME)  # noqa: S108

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """The mark stays: by it the processes of a box are found whose guard was killed."""
        mark = os.environ.get(process.MARK)
        ours = {"HOME": str(self._home()), "USER": "agent", "LOGNAME": "agent", "PATH": self._toolchains.path}
        ours |= {"GIT_CONFIG_NOSYSTEM": "1", **({process.MARK: mark} if mark else {})}
        return {
            "TMPDIR": str(self._private / "tmp"),
            **env,
            **self._grants.variables,
            **self._toolchains.variables,
            **ours,
        }

    def _home(self) -> Path:
        return self._grants.home or self._private / "home"

    def _counted(self) -> tuple[Collection[Path], Collection[str]]:
        return (self._place.slot, self._private), ()

    def _others(self) -> int:
        return self._beside

    def close(self) -> None:
        """Ends everything in it; its folders go with the guard, or here, should somebody have killed that one."""
        super().close()
        if self._private.exists():
            shutil.rmtree(self._private, ignore_errors=True)

    def _open(self) -> Namespace:
        opened = False
        try:
            namespace = super()._open()
            opened = True
        finally:
            if not opened:
                shutil.rmtree(self._private, ignore_errors=True)
        return namespace

    def _command(self, passed: list[int]) -> list[str]:
        if platform.machine() not in seccomp.MACHINES:
            raise ConfigInvalid(f"there is no system call filter for {platform.machine()}")
        if ruleset.version() < ruleset.LEAST:
            raise ConfigInvalid(
                "landlock is not there" if not ruleset.version() else "landlock is too old in this kernel"
            )
        place = self._place
        as_root = os.geteuid() == 0
        if as_root and (place.owner is None or place.owner[0] == 0):
            raise AssertionError("started by root, a box needs somebody else to run as")
        owner = place.owner if as_root and place.owner else None
        network, ports = _network(self._grants)
        if owner is not None:
            for path in (
                place.slot,
                *(mount.host for mount in place.mounts),
                *filter(None, [self._grants.home]),
            ):
                let_through(path, owner)
        self._private = _folder(owner)
        rules = ruleset.build(self._rules(), ports)
        os.set_inheritable(rules, True)
        passed.append(rules)
        guard, executor = (
            descriptor(code(name), passed)
            for name in ("rad_engineer.sandbox.guard", "rad_engineer.sandbox.executor")
        )
        filtered = descriptor(seccomp.program(platform.machine(), network), passed)
        scoped = int(ruleset.version() >= ruleset.SCOPES_SINCE)
        limits = {**LIMITS, resource.RLIMIT_NPROC: LIMITS[resource.RLIMIT_NPROC] + self._beside}
        interpreter = os.path.realpath(sys.executable)
        fence = [str(each) for each in (executor, rules, filtered, scoped, _PACKAGE, self._private)]
        inner = ["0", *map(str, owner or (-1, -1)), *(f"{kind}={value}" for kind, value in limits.items())]
        return [interpreter, "-I", "-S", "-c", START.format(guard), *fence, *inner]

    def _rules(self) -> Iterator[Rule]:
        place, grants = self._place, self._grants
        yield Rule(place.slot, CHANGE)
        yield Rule(self._private, CHANGE)
        if grants.home is not None:
            yield Rule(grants.home, CHANGE)
        for mount in (*place.mounts, *grants.read, *self._toolchains.mounts):
            yield Rule(mount.host, CHANGE if mount.writable else SEE)
        system = toolchains.system()
        for path in system.folders:
            yield Rule(Path(path), SEE)
        for name in _ETC:
            yield Rule(Path("/etc", name), SEE)
        if HOST_NETWORK in grants.network:
            yield Rule(Path(_RESOLVER), SEE)
        for name in _DEVICES:
            yield Rule(Path("/dev", name), DEVICE)
        yield Rule(Path("/proc"), READ_FILE | READ_DIR)


def _network(grants: Grants) -> tuple[seccomp.Network, tuple[int, ...] | None]:
    """What sockets there are, and which ports of TCP can be connected to; None: all of them."""
    if HOST_NETWORK in grants.network:
        return "host", None
    if grants.network:
        raise ConfigInvalid(
            f"landlock cannot open single hosts ({', '.join(grants.network)}), only the whole network",
            hint='use bubblewrap, or grant "host"',
        )
    if not grants.gateway:
        return "none", ()
    if ruleset.version() < ruleset.NETWORK_SINCE:
        raise ConfigInvalid(
            "landlock of this kernel knows no ports: an agent cannot be given the gateway and nothing else",
            hint="use bubblewrap, or a kernel since 6.7",
        )
    return "tcp", (int(grants.gateway.rstrip("/").rpartition(":")[2]),)


def _folder(owner: tuple[int, int] | None) -> Path:
    """The box's own folders, for nobody else."""
    top = next((place for place in _LASTING if os.access(place, os.W_OK | os.X_OK)), None)
    found = Path(tempfile.mkdtemp(prefix="rad-engineer-box-", dir=top))
    for path in (found / "home", found / "tmp"):
        path.mkdir(mode=0o700)
    if owner is not None:
        for path in (found, found / "home", found / "tmp"):
            os.chown(path, *owner)
        let_through(found, owner)
    return found


def _tasks_of(user: int) -> int:
    """Processes and threads that a user has already: the kernel counts those of a box with them."""
    found = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit():
                try:
                    if entry.stat().st_uid == user:
                        found += len(os.listdir(f"{entry.path}/task"))  # noqa: PTH208
                except OSError:
                    continue
    return found
