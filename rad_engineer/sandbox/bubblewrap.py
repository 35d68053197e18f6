"""A box by bubblewrap: namespaces, an allow-listed file system, a system call filter, and an executor inside."""

import functools
import importlib.util
import marshal
import os
import platform
import resource
import shutil
import socket
import stat
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from rad_engineer import process
from rad_engineer.errors import ConfigInvalid
from rad_engineer.process.child import spawn
from rad_engineer.sandbox import profile, seccomp, toolchains
from rad_engineer.sandbox.namespace import BoxFailed, BoxTree, Inhabitant, Namespace
from rad_engineer.sandbox.seam import HOME, Grants, Level, Mount, Place

_PROCESSORS = os.cpu_count() or 1
_PROCESSES, _TASKS = 256 + 128 * _PROCESSORS, 1_024 + 256 * _PROCESSORS
"""Of a command, and with threads of its whole box: more than that would keep the rest of the machine from working."""

_LIMITS = {  # of each process, so that none of them can be raised inside
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 16_384,
    resource.RLIMIT_NPROC: _TASKS,
    resource.RLIMIT_FSIZE: 16 * 1024**3,
}
_OPEN_FILES, _DISK, _INODES = 65_536, 32 * 1024**3, 2_000_000
"""For all processes of a command together."""

_START = "import marshal,os;exec(marshal.loads(os.pread({},1<<20,0)))"


class Bubblewrap:
    """A box of its own for one stage. Its namespaces are made at once, and again should a command have taken them down."""

    level: Level = "bubblewrap"

    def __init__(self, place: Place, grants: Grants) -> None:
        self._place = place
        self._grants = grants
        self._toolchains = toolchains.resolve(os.environ)
        slot = Mount(place.slot, place.inner, writable=True)
        home = (Mount(grants.home, HOME, writable=True),) if grants.home is not None else ()
        self._names: list[tuple[str, str]] = sorted(
            ((str(mount.host), mount.inner) for mount in (slot, *home, *place.mounts, *grants.read)),
            reverse=True,
        )
        self._ending: Path | None = None
        self._services: list[Callable[[], None]] = []
        self._namespace: Namespace | None = self._open()

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

    def run(  # noqa: PLR0913 -- as process.run
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Path | bytes | None = None,
        log: Path | None = None,
        limits: process.Limits = process.Limits(),  # noqa: B008 -- frozen
        cancel: int | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        on_exit: Callable[[int], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
        keep: bool = False,
    ) -> process.Completed:
        """Runs a command inside."""
        # What is handed in can be opened again by its number, with all that this user may do to it: no files of ours.
        given = stdin.read_bytes() if isinstance(stdin, Path) else stdin
        bounded = _bounded(limits)
        self._living().allow(min(_TASKS, 4 * (bounded.processes or _PROCESSES) + 64))
        ending = self._ending = self._place.ending if on_start is not None else None
        try:
            return process.run(
                argv, cwd=cwd, env=env, stdin=given, log=log, limits=bounded, cancel=cancel, on_line=on_line,
                on_start=on_start, on_exit=on_exit, on_data=on_data, keep=keep, within=self,
            )  # fmt: skip
        finally:
            self._ending = None
            if ending is not None:
                ending.unlink(missing_ok=True)

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> Inhabitant:
        """Starts a program inside that goes on. Its descriptors must not be files or folders of the host."""
        asked = (argv, self.inside(cwd), self._environment(env), descriptors)
        if self._ending is None:
            return self._living().spawn(*asked)
        record = os.open(self._ending, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return self._living().spawn(*asked, record)
        finally:
            os.close(record)

    def tree(self, *, keep: bool) -> BoxTree:
        """The tree of a command that is about to be started."""
        in_memory = profile.TEMPORARY.keys() - ({HOME} if self._grants.home is not None else ())
        tree = BoxTree(self._living(), keep=keep).recorded(self._ending)
        return tree.counted(self._place.slot, in_memory)

    def close(self) -> None:
        """Ends everything in it, and then what is served to it."""
        namespace, self._namespace = self._namespace, None
        try:
            if namespace is not None:
                namespace.close()
        finally:
            services, self._services = self._services, []
            for end in services:
                end()

    def __enter__(self) -> Self:
        """It is open already."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Closes it."""
        self.close()

    def _living(self) -> Namespace:
        if self._namespace is None or not self._namespace.alive():
            self.close()
            self._namespace = self._open()
        if len(self._services) < len(self._grants.listeners):
            for listener, listening in zip(self._grants.listeners, self._namespace.listeners(), strict=True):
                self._services.append(listener.serve(listening))
        return self._namespace

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Values that name something of the host by its path name it by the path that it has inside."""
        found = {
            name: os.pathsep.join(self.inside(part) for part in value.split(os.pathsep))
            for name, value in env.items()
            if name != process.MARK
        }
        ours = {"HOME": HOME, "USER": "agent", "LOGNAME": "agent", "PATH": self._toolchains.path}
        return {"TMPDIR": "/tmp", **found, **self._grants.variables, **self._toolchains.variables, **ours}  # noqa: S108 -- the box's own

    def _open(self) -> Namespace:
        if threading.get_native_id() != os.getpid():
            raise AssertionError("the main thread opens boxes: the end of any other would be theirs")
        ours, theirs = socket.socketpair()
        errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        passed: list[int] = []
        child = None
        try:
            argv = self._command(passed)
            mark = os.environ.get(process.MARK)
            env = {process.MARK: mark} if mark else {}
            child = spawn(argv, None, env, (theirs.fileno(), errors, errors), new_session=True)
            return Namespace(child, ours, errors, [each.port for each in self._grants.listeners])
        except OSError as error:
            raise BoxFailed(f"the sandbox cannot be started: {error.strerror}") from error
        finally:
            if child is None:
                ours.close()
                os.close(errors)
            theirs.close()
            for descriptor in passed:
                os.close(descriptor)

    def _command(self, passed: list[int]) -> list[str]:
        """What is started; what it gets by descriptor is added to those that are passed."""
        given = self._arguments()  # first: the first start of a program closes what is open for all others
        code = _descriptor(self._executor(), passed)
        words = [str(_descriptor(each, passed)) if isinstance(each, bytes) else each for each in given]
        arguments = _descriptor(b"".join(os.fsencode(word) + b"\0" for word in words), passed)
        owner = self._place.owner if os.geteuid() == 0 and self._place.owner else (-1, -1)
        limits = [f"{kind}={value}" for kind, value in _LIMITS.items()]
        interpreter = os.path.realpath(sys.executable)  # our own environment is nobody's business inside
        executor = [interpreter, "-I", "-S", "-c", _START.format(code), "0", *map(str, owner), *limits]
        return [_program(), "--args", str(arguments), "--", *executor]

    def _executor(self) -> bytes:
        """The program inside, compiled."""
        return _code()

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


def _bounded(limits: process.Limits) -> process.Limits:
    """With what holds for everybody where nothing else was said."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 * 3
    return replace(
        limits,
        memory=memory if limits.memory is None else limits.memory,
        processes=_PROCESSES if limits.processes is None else limits.processes,
        open_files=_OPEN_FILES if limits.open_files is None else limits.open_files,
        disk=_DISK if limits.disk is None else limits.disk,
        inodes=_INODES if limits.inodes is None else limits.inodes,
    )


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


def _descriptor(content: bytes, passed: list[int]) -> int:
    """A file in memory that the next program started inherits."""
    descriptor = os.memfd_create("rad", 0)
    passed.append(descriptor)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@functools.cache
def _code() -> bytes:
    """The executor, compiled."""
    found = importlib.util.find_spec("rad_engineer.sandbox.executor")
    if found is None or found.origin is None:
        raise AssertionError("it lies beside this module")
    return compiled(Path(found.origin).read_bytes())


def compiled(source: bytes) -> bytes:
    """A program for the inside, as it is handed in."""
    return marshal.dumps(compile(source, "executor", "exec", dont_inherit=True, optimize=2))


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
