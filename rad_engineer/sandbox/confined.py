"""What boxes have in common that confine commands: an executor inside, asked from here; limits that hold by default."""

import functools
import importlib.util
import marshal
import os
import resource
import socket
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from rad_engineer import process, timings
from rad_engineer.process.child import keep_descriptors, spawn
from rad_engineer.sandbox.namespace import BoxFailed, BoxKilled, BoxTree, Inhabitant, Namespace
from rad_engineer.sandbox.seam import Grants, Place

_PROCESSORS = os.cpu_count() or 1
_PROCESSES, TASKS = 256 + 128 * _PROCESSORS, 1_024 + 256 * _PROCESSORS
"""Of a command, and with threads of its whole box: more than that would keep the rest of the machine from working."""

LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 16_384,
    resource.RLIMIT_NPROC: TASKS,
    resource.RLIMIT_FSIZE: 16 * 1024**3,
}
"""Of each process, so that none of them can be raised inside."""
_OPEN_FILES, _DISK, _INODES = 65_536, 32 * 1024**3, 2_000_000
"""For all processes of a command together."""

_TRIES = 3
"""So often a box that is killed while it starts is opened."""

START = "import marshal,os;exec(marshal.loads(os.pread({},1<<20,0)))"
"""A program for an interpreter: what lies behind a descriptor, compiled."""


class Confined:
    """A box for one stage. It is made at once, and again should a command have taken it down."""

    kind: type[Namespace] = Namespace

    def __init__(self, place: Place, grants: Grants) -> None:
        self._place = place
        self._grants = grants
        self._ending: Path | None = None
        self._services: list[Callable[[], None]] = []
        with timings.part("box"):
            self._namespace: Namespace | None = self._open()

    def inside(self, path: Path | str) -> str:
        """What a path of the host is called inside."""
        raise NotImplementedError

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
        tasks = min(TASKS, 4 * (bounded.processes or _PROCESSES) + 64)
        ending = self._ending = self._place.ending if on_start is not None else None
        run = functools.partial(
            process.run, argv, cwd=cwd, env=env, stdin=given, log=log, limits=bounded, cancel=cancel, on_line=on_line,
            on_start=on_start, on_exit=on_exit, on_data=on_data, keep=keep, within=self,
        )  # fmt: skip
        try:
            return self._allowed(tasks, run)
        finally:
            self._ending = None
            if ending is not None:
                ending.unlink(missing_ok=True)

    def _allowed(self, tasks: int, run: Callable[[], process.Completed]) -> process.Completed:
        """Runs it with so many tasks; in another box, where this one was killed before anybody knew that it had begun."""
        for _ in range(_TRIES - 1):
            with suppress(BoxKilled):
                self._living().allow(tasks + self._others())
                return run()
        self._living().allow(tasks + self._others())
        return run()

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
        tree = BoxTree(self._living(), keep=keep).recorded(self._ending)
        return tree.counted(*self._counted())

    def ready(self) -> None:
        """Waits until commands can be run inside."""
        self._living().ready()

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

    def _open(self) -> Namespace:
        if threading.get_native_id() != os.getpid():
            raise AssertionError("the main thread opens boxes: the end of any other would be theirs")
        process.become_subreaper()  # what has lost the process outside comes to us
        keep_descriptors()  # before there are some that are to be inherited
        ours, theirs = socket.socketpair()
        errors = os.memfd_create("errors", os.MFD_CLOEXEC)
        passed: list[int] = []
        child = None
        try:
            argv = self._command(passed)
            mark = os.environ.get(process.MARK)
            env = {process.MARK: mark} if mark else {}
            child = spawn(argv, None, env, (theirs.fileno(), errors, errors), new_session=True)
            return self.kind(child, ours, errors, [each.port for each in self._grants.listeners])
        except OSError as error:
            raise BoxFailed(f"the sandbox cannot be started: {error.strerror}") from error
        finally:
            if child is None:
                ours.close()
                os.close(errors)
            theirs.close()
            for each in passed:
                os.close(each)

    def _command(self, passed: list[int]) -> list[str]:
        """What starts it, with descriptors that are its own; its standard input is the socket to the executor."""
        raise NotImplementedError

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        raise NotImplementedError

    def _counted(self) -> tuple[Collection[Path], Collection[str]]:
        """The folders on disks that it writes to, and those in memory."""
        raise NotImplementedError

    def _others(self) -> int:
        """Processes and threads that the kernel counts with those of the box."""
        return 0


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


def descriptor(content: bytes, passed: list[int]) -> int:
    """A file in memory that the next program started inherits."""
    found = os.memfd_create("rad", 0)
    passed.append(found)
    view = memoryview(content)
    while view:
        view = view[os.write(found, view) :]
    os.lseek(found, 0, os.SEEK_SET)
    return found


@functools.cache
def code(name: str) -> bytes:
    """A module of the sandbox, compiled."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise AssertionError("it lies beside this module")
    return compiled(Path(found.origin).read_bytes())


def compiled(source: bytes) -> bytes:
    """A program for the inside, as it is handed in."""
    return marshal.dumps(compile(source, "box", "exec", dont_inherit=True, optimize=2))
