"""Everything that one command has started, as a value: how it is signalled, whether any of it is left, how it ends."""

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rad_engineer.process.child import Child, Running, spawn
from rad_engineer.process.limits import Limits, Usage, used_by
from rad_engineer.process.tree import (
    MARK,
    become_subreaper,
    children,
    descendants,
    has_children,
    kill_descendants,
    reap,
    signal_tree,
)


class CommandTree(Protocol):
    """The processes of one command, whatever they have done to get out of sight."""

    def signal(self, main: int, number: int) -> None:
        """Signals the main process and all that it has started."""

    def usage(self, main: int, limits: Limits) -> Usage:
        """What it uses; exact where that decides whether a limit is broken."""

    def orphaned(self, main: int) -> None:
        """Is told that the main process has ended, before it is buried."""

    def left(self) -> bool:
        """Whether anything runs that the command has left behind."""

    def kill(self) -> None:
        """Ends what is left; nothing of it runs when this returns."""


class HostTree:
    """A command that is a child of this process, a subreaper: what it leaves behind becomes a child of ours as well.

    Children that were there before belong to somebody else. With `keep`, so does what the command leaves behind.
    """

    def __init__(self, before: Iterable[int], *, keep: bool = False) -> None:
        self._before = frozenset(before)
        self._keep = keep

    def signal(self, main: int, number: int) -> None:
        """Every process is asked once: many take a second SIGTERM for "at once". Killing goes by group as well."""
        walks = become_subreaper()
        tree = descendants([main, *reap(self._before | {main})]) if walks else [main]
        signal_tree(tree, number, (main,) if number == signal.SIGKILL or not walks else ())

    def usage(self, main: int, limits: Limits) -> Usage:
        """Without what it writes: nobody knows where, out here."""
        tree = descendants([main, *reap(self._before | {main})])
        return used_by(tree, exact_memory_above=limits.memory)

    def orphaned(self, main: int) -> None:
        """Where nobody can be walked to, its group is all we can know (macOS, untested there)."""
        if not self._keep and not become_subreaper():
            signal_tree((), signal.SIGKILL, (main,))

    def left(self) -> bool:
        """Whether we have inherited anything from it that still runs."""
        return not self._keep and bool(reap(self._before))

    def kill(self) -> None:
        """Ends what we have inherited from it."""
        if not self._keep:
            kill_descendants(keep=self._before)


class Where(Protocol):
    """Where commands are started, and how what they start is found again."""

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> Running:
        """Starts a program in a session of its own; raises OSError and ValueError."""

    def tree(self, *, keep: bool) -> CommandTree:
        """The tree of a command that is about to be started."""


class OnHost:
    """On this machine, as a child of this process."""

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> Child:
        """Starts it so that it can be found again should everything else be killed."""
        mark = os.environ.get(MARK)
        marked = {**env, MARK: mark} if mark and MARK not in env else env
        return spawn(argv, cwd, marked, descriptors, new_session=True)

    def tree(self, *, keep: bool) -> HostTree:
        """What this process has as children already is somebody else's."""
        become_subreaper()
        return HostTree(children(os.getpid()) if has_children() else (), keep=keep)
