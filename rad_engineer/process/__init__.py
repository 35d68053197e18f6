"""Start, time-limit, capture and stop child processes: own session, TERM then KILL, the whole tree."""

import errno
import functools
import os
import resource
import select
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from rad_engineer.errors import OUT_OF_MEANS
from rad_engineer.process.child import Child, Running, spawn
from rad_engineer.process.command_tree import OnHost, Where
from rad_engineer.process.limits import Exhausted, Limits, Reason
from rad_engineer.process.output import Output, plain
from rad_engineer.process.tree import (
    MARK,
    alive,
    become_subreaper,
    boot_id,
    children,
    descendants,
    describe_self,
    has_children,
    kill_descendants,
    marked,
    signal_tree,
    start_time,
    stop_process,
    sweep,
)
from rad_engineer.process.watch import Watch

if TYPE_CHECKING:
    import subprocess

__all__ = [
    "MARK",
    "Completed",
    "Exhausted",
    "Limits",
    "Reason",
    "Talk",
    "absolute_path",
    "alive",
    "become_subreaper",
    "boot_id",
    "capture",
    "children",
    "describe_self",
    "has_children",
    "kill_descendants",
    "marked",
    "plain",
    "run",
    "shell",
    "start",
    "start_quickly",
    "start_time",
    "started",
    "stop_process",
    "sweep",
    "talk",
]

_CHUNK = 1 << 16
_started: set[int] = set()
_SHELL_CHARACTERS = frozenset("|&;<>()$`*?[]#~{}\n\r")
_SHELL_WORDS = """
. : ! [ [[ alias bg bind break builtin caller case cd command compgen complete compopt continue coproc declare dirs
disown do done echo elif else enable esac eval exec exit export fc fg fi for function getopts hash help history if in
jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return select set shift shopt source
suspend test then time times trap type typeset ulimit umask unalias unset until wait while
"""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child ended. `code` is as a shell has it: 128 + n after signal n, 126 or 127 when it never began."""

    code: int | None
    reason: Reason
    seconds: float
    output: str
    output_bytes: int
    sha256: str
    last_line: str


def run(  # noqa: PLR0913 -- all but two have defaults
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: Path | bytes | None = None,
    log: Path | None = None,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
    cancel: int | None = None,
    on_line: Callable[[str], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    on_exit: Callable[[int], None] | None = None,
    on_data: Callable[[bytes], None] | None = None,
    keep: bool = False,
    within: Where | None = None,
) -> Completed:
    """Runs a command to its end and, unless `keep`, leaves no process of it behind; on the host, or `within` a box.

    `on_data` gets every byte that it prints. `on_start` is told the pid of the main process. `on_exit` is told its
    exit code as soon as it has ended by itself, before it is buried and what it left is cleared away: what must not
    be lost is written down then.

    This process becomes a subreaper, and one run at a time is allowed in it: what it inherits meanwhile is taken
    for a leftover of the command. When `cancel` is readable, or closed at its far end, the tree is stopped.
    """
    begun = time.monotonic()
    place = within or OnHost()
    tree = place.tree(keep=keep)
    output = Output(log, min(limits.log_bytes, limits.output_bytes), on_data)
    try:
        child, pipe = _spawn(place, argv, cwd, env, stdin)
    except (OSError, ValueError) as error:
        if _out_of_means(error):
            output.close()
            raise
        return _not_started(error, argv, cwd, output)
    watch = Watch(child, pipe, output, limits, tree, on_line, on_exit)
    try:
        if on_start is not None:
            on_start(child.pid)
        watch.until_end(cancel)
    finally:
        watch.close()
        output.close()
    return _completed(child.returncode, watch.reason, time.monotonic() - begun, output)


def capture(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    input: bytes | None = None,  # noqa: A002 -- as subprocess calls it
    timeout: float | None = None,
    rlimits: Mapping[int, int] = MappingProxyType({}),
) -> tuple[int, bytes, bytes]:
    """Runs a small program of ours, such as git: exit code, stdout, stderr. No session, no log, all in memory.

    As with a shell and timeout(1), a program that is not there gives 127 and one that takes too long 124; why is
    told on stderr. `rlimits` (resource.RLIMIT_CPU and such) hold where the system lets us set them from outside.
    """
    out, err = os.pipe(), os.pipe()
    try:
        source = _source(input)
        try:
            child = spawn(argv, cwd, env, (source, out[1], err[1]), new_session=False)
        finally:
            os.close(source)
    except (OSError, ValueError) as error:
        os.close(out[0])
        os.close(err[0])
        if _out_of_means(error):
            raise
        code, text = _why_not_started(error, argv, cwd)
        return code, b"", text.encode()
    finally:
        os.close(out[1])
        os.close(err[1])
    ended = False
    try:
        _limit(child.pid, rlimits)
        taken = {out[0]: bytearray(), err[0]: bytearray()}
        ended = _collect(taken, None if timeout is None else time.monotonic() + timeout)
    finally:
        if not ended:
            signal_tree(descendants([child.pid]), signal.SIGKILL)
        code = child.wait()
        os.close(out[0])
        os.close(err[0])
    if not ended:
        code = 124
        taken[err[0]] += f"{argv[0]}: stopped after {timeout:g} s\n".encode()
    return code if code >= 0 else 128 - code, bytes(taken[out[0]]), bytes(taken[err[0]])


def absolute_path(path: str) -> str:
    """A search path without what depends on the current folder; an empty part means that folder as well."""
    return os.pathsep.join(part for part in path.split(os.pathsep) if part.startswith("/"))


@dataclass(frozen=True, slots=True)
class Talk:
    """A small program of ours that answers as long as it is asked; it ends when nobody can ask any more."""

    child: Child
    asked: int
    answers: BinaryIO

    def ask(self, question: bytes) -> None:
        """Writes to it; BrokenPipeError when it is gone."""
        view = memoryview(question)
        while view:
            view = view[os.write(self.asked, view) :]

    def close(self) -> None:
        """Sees it end."""
        os.close(self.asked)
        self.answers.close()
        self.child.wait()
        _started.discard(self.child.pid)


def talk(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Talk:
    """Starts a program to talk with; raises OSError."""
    questions, answers = os.pipe(), os.pipe()
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    theirs = (questions[0], answers[1], nothing)
    try:
        child = spawn(argv, cwd, env, theirs, new_session=False)
    except (OSError, ValueError):
        os.close(questions[1])
        os.close(answers[0])
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    _started.add(child.pid)
    return Talk(child, questions[1], os.fdopen(answers[0], "rb"))


def shell(command: str) -> list[str]:
    """How a command line is run: by a shell, unless it is plain words that need none (make does the same)."""
    return [*_words(command)]


@functools.lru_cache(maxsize=64)
def _words(command: str) -> tuple[str, ...]:
    if command.strip() and _SHELL_CHARACTERS.isdisjoint(command):
        try:
            words = shlex.split(command)
        except ValueError:
            words = []
        if words and words[0] not in _SHELL_WORDS.split() and "=" not in words[0]:
            return tuple(words)
    return (*_shell(), command)


def start(
    argv: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Starts a lasting process of our own in a session of its own, connected by the descriptors it is passed."""
    import subprocess  # noqa: PLC0415 -- a zygote is only started so when the first one has died

    child = subprocess.Popen(
        list(argv), env=env, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=tuple(pass_fds)
    )
    _started.add(child.pid)
    return child


def start_quickly(argv: Sequence[str], env: Mapping[str, str], descriptors: tuple[int, int, int]) -> Child:
    """Starts a lasting process of our own that owns nothing but these, its standard descriptors."""
    child = spawn(argv, None, env, descriptors, new_session=True)
    _started.add(child.pid)
    return child


def started() -> frozenset[int]:
    """The lasting processes of our own that were begun here: children of ours that are nobody's leftovers."""
    return frozenset(_started)


@functools.cache
def _shell() -> tuple[str, ...]:
    """A pipeline must fail when any part of it does, which only bash can be asked for everywhere."""
    for folder in os.get_exec_path():
        path = os.path.join(folder, "bash")  # noqa: PTH118 -- a string is what is needed
        if os.access(path, os.X_OK):
            return (path, "-o", "pipefail", "-c")
    return ("sh", "-c")


def _spawn(
    place: Where, argv: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: Path | bytes | None
) -> tuple[Running, int]:
    source = _source(stdin)
    reader, writer = os.pipe()
    try:
        try:
            child = place.spawn(argv, cwd, env, (source, writer, writer))
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            script = ["/bin/sh", "-c", '"$0" "$@"', *argv]  # no "#!" line: shells run it, so do we
            child = place.spawn(script, cwd, env, (source, writer, writer))
    except (OSError, ValueError):
        os.close(reader)
        raise
    finally:
        os.close(source)
        os.close(writer)
    return child, reader


def _source(stdin: Path | bytes | None) -> int:
    if stdin is None or isinstance(stdin, Path):
        return os.open(stdin or os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    else:  # macOS, untested there
        path = f"/tmp/rad-engineer-{os.getpid()}-{time.monotonic_ns()}"  # noqa: S108 -- O_EXCL, unlinked at once
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)  # noqa: PTH108
    view = memoryview(stdin)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _collect(taken: Mapping[int, bytearray], until: float | None) -> bool:
    """Reads all descriptors to their ends; False when the time is up first."""
    poller = select.poll()
    for descriptor in taken:
        poller.register(descriptor, select.POLLIN)
    open_ends = len(taken)
    while open_ends:
        left = None if until is None else (until - time.monotonic()) * 1000
        if left is not None and left <= 0:
            return False
        for descriptor, _ in poller.poll(left):
            data = os.read(descriptor, _CHUNK)
            taken[descriptor].extend(data)
            if not data:
                poller.unregister(descriptor)
                open_ends -= 1
    return True


def _limit(pid: int, rlimits: Mapping[int, int]) -> None:
    if hasattr(resource, "prlimit"):
        for kind, value in rlimits.items():
            hard = resource.getrlimit(kind)[1]  # stays: at the hard limit of processor time it is SIGKILL
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with suppress(ProcessLookupError):
                resource.prlimit(pid, kind, (soft, hard))


def _not_started(error: OSError | ValueError, argv: Sequence[str], cwd: Path, output: Output) -> Completed:
    code, text = _why_not_started(error, argv, cwd)
    output.add(os.fsencode(text))
    output.close()
    return _completed(code, "not-started", 0.0, output)


def _out_of_means(error: OSError | ValueError) -> bool:
    """Whether the machine has no process, memory or descriptor left: that says nothing about the program."""
    return isinstance(error, OSError) and error.errno in OUT_OF_MEANS


def _why_not_started(error: OSError | ValueError, argv: Sequence[str], cwd: Path | None) -> tuple[int, str]:
    """Exit code as a shell gives it, and one line of explanation."""
    program = argv[0] if argv else ""
    if isinstance(error, ValueError):
        return 126, f"{program!r}: {error}\n"
    if cwd is not None and not cwd.is_dir():
        return 126, f"{cwd}: no such directory to run {program} in\n"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return 127, f"{program}: command not found\n"
    return 126, f"{program}: {error.strerror}\n"


def _completed(code: int | None, reason: Reason, seconds: float, output: Output) -> Completed:
    return Completed(
        code=128 - code if code is not None and code < 0 else code,
        reason=reason,
        seconds=seconds,
        output=output.text(),
        output_bytes=output.size,
        sha256=output.sha256(),
        last_line=output.last_line(),
    )
