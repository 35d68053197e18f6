"""No sandbox: commands run with all rights of the user, on the host's own paths."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from rad_engineer import process
from rad_engineer.process.child import Child, spawn
from rad_engineer.process.tree import descendants, signal_tree
from rad_engineer.sandbox.seam import Level, Place

_OURS = ("HOME", "TMPDIR")


class Unconfined:
    """A box without walls: it knows what was started in it, and ends that with itself."""

    level: Level = "off"

    def __init__(self, place: Place) -> None:
        self._place = place
        self._before: frozenset[int] | None = None

    def inside(self, path: Path | str) -> str:
        """The same."""
        return str(path)

    def outside(self, text: str) -> str:
        """What a box of its own would have shown: the slot under the name that it has inside."""
        return text.replace(str(self._place.slot), self._place.inner)

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
        """Runs a command on the host."""
        self._begin()
        return process.run(
            argv, cwd=cwd, env=_environment(env), stdin=stdin, log=log, limits=limits, cancel=cancel,
            on_line=on_line, on_start=on_start, on_exit=on_exit, on_data=on_data, keep=keep,
        )  # fmt: skip

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> "Started":
        """Starts a program on the host, in a session of its own."""
        self._begin()
        return Started(
            spawn(argv, cwd, _environment(env), descriptors, new_session=True), self._before or frozenset()
        )

    def ready(self) -> None:
        """It always is."""

    def close(self) -> None:
        """Ends whatever was started since the first command, however it has detached itself."""
        before, self._before = self._before, None
        if before is not None:
            process.kill_descendants(keep=before | process.started())

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Closes it."""
        self.close()

    def _begin(self) -> None:
        """What detaches itself comes back to us; what is ours already is not the box's."""
        if self._before is None:
            process.become_subreaper()
            self._before = frozenset(process.children(os.getpid()))


class Started(Child):
    """A program on the host that goes on."""

    __slots__ = ("_before",)

    def __init__(self, child: Child, before: frozenset[int]) -> None:
        super().__init__(child.pid)
        self._before = before

    def kill(self) -> None:
        """Ends it, its group, everything below it, and what has detached itself from it."""
        if self.returncode is None:
            signal_tree(descendants([self.pid]), signal.SIGKILL, (self.pid,))
            self.wait()
        process.kill_descendants(keep=self._before | process.started())


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    ours = {name: os.environ[name] for name in _OURS if name in os.environ}
    return {**ours, **env}
