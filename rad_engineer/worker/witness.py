"""What a worker tells the audit log: every command before it is started, and the files of what is about to land."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from rad_engineer import process, trail
from rad_engineer.core import audit
from rad_engineer.sandbox import Box, Level
from rad_engineer.sandbox.seam import Lasting
from rad_engineer.worker.workplace import Workplace

_SHELL = 5  # words of a shell that is given a command: sh -o pipefail -c


def tell_files(place: Workplace, tip: str, candidate: str, quarantine: Path) -> None:
    """Tells what a commit that is about to land changes: the status, the path and the new object of each file."""
    changed = place.pool.differences(tip, candidate, quarantine)
    rows = [
        (one.status, one.path, one.old_object if one.status == "D" else one.new_object) for one in changed
    ]
    trail.tell("files", **audit.files(candidate, rows))


class Witnessed:
    """Another box, with a witness: `what` works in it, and reaches these hosts."""

    def __init__(self, box: Box, what: str, network: tuple[str, ...]) -> None:
        self._box = box
        self._what = what
        self._network = list(network)
        self._until: int | None = None
        self.level: Level = box.level

    def ending(self, until: int) -> Self:
        """The same box, whose commands end when the descriptor is readable."""
        self._until = until
        return self

    def inside(self, path: Path | str) -> str:
        """What a path of the host is called inside."""
        return self._box.inside(path)

    def outside(self, text: str) -> str:
        """The text without the names of folders that only this machine has."""
        return self._box.outside(text)

    def run(self, argv: Sequence[str], **how: Any) -> process.Completed:
        """Runs a command to its end."""
        self._tell(argv)
        if self._until is not None:
            how["limits"] = replace(how["limits"], until=self._until)
        return self._box.run(argv, **how)

    def spawn(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> Lasting:
        """Starts a program that outlives the call."""
        self._tell(argv)
        return self._box.spawn(argv, cwd, env, descriptors)

    def ready(self) -> None:
        """Waits until it is open."""
        self._box.ready()

    def close(self) -> None:
        """Ends everything in the box."""
        self._box.close()

    def __enter__(self) -> Self:
        """The box is open already."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Closes it."""
        self.close()

    def _tell(self, argv: Sequence[str]) -> None:
        words = [str(word) for word in argv]
        at = words.index("-c") + 1 if "-c" in words[:_SHELL] else 0
        told = " ".join(words[at:])
        trail.tell(
            "command", what=self._what, level=self.level, argv_hash=audit.argv_hash(words),
            text=self._box.outside(told[: 2 * audit.LONGEST]), network=self._network or None,
        )  # fmt: skip
