"""logs: what a story's agent and its gates printed, attempt by attempt."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rad_engineer import past_run, store
from rad_engineer.core.printable import lines
from rad_engineer.errors import ExitCode, NoInput
from rad_engineer.launch import inputs
from rad_engineer.past_run import PastRun
from rad_engineer.watch.output import Output

_POLL = 0.25
_PIECE = 65_536
_LONGEST = 1 << 20  # bytes of a line without an end that are held back


def logs(
    story: str, *, run: str | None = None, attempt: int | None = None, gate: str | None = None,
    follow: bool = False, raw: bool = False,
) -> int:  # fmt: skip
    """Prints the agent's log of an attempt (the last one, unless named) and its gate logs, or only one gate's."""
    found = past_run.find(run=run, story=story)
    index = inputs.find_story(found.graph, story)
    key = found.graph.keys[index]
    folder = found.story_folder(index)
    attempts = _attempts(folder)
    if folder is None or not attempts:
        raise NoInput(f"{key} has not been started in this run", hint=f"rad-engineer explain {key}")
    wanted = attempt or attempts[-1]
    if wanted not in attempts:
        raise NoInput(f"{key} has no attempt {wanted}", hint=f"there is {', '.join(map(str, attempts))}")
    out = Output(sys.stdout)
    if follow and found.alive and attempt is None:
        _follow(found, folder, wanted, gate, _Printer(out, raw=raw))
        return ExitCode.OK
    paths = _paths(folder / f"attempt-{wanted}", gate)
    if not paths:
        raise NoInput(
            f"attempt {wanted} of {key} has no {_what(gate)}", hint=_there(folder / f"attempt-{wanted}")
        )
    for path in paths:
        if len(paths) > 1:
            out.line(f"==> attempt {wanted}: {_name(path)} <==")
        printer = _Printer(out, raw=raw)
        for piece in _pieces(path, 0):
            printer.show(piece)
        printer.end()
    return ExitCode.OK


class _Printer:
    """Prints whole lines, without what would steer the terminal unless that is asked for."""

    def __init__(self, out: Output, *, raw: bool) -> None:
        self._out = out
        self._raw = raw
        self._rest = b""

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        return self._out.closed

    def show(self, data: bytes) -> None:
        """Prints the lines that are whole; a last one without its end waits for it."""
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > _LONGEST:
            end = len(data)
        self._rest = data[end:]
        text = data[:end].decode("utf-8", "replace")
        self._out.write(text if self._raw else "\n".join(lines(text)))

    def end(self) -> None:
        """Prints the last line though it has no end."""
        if self._rest:
            self.show(b"\n")


def _attempts(folder: Path | None) -> list[int]:
    if folder is None:
        return []
    numbers = (path.name.removeprefix("attempt-") for path in folder.glob("attempt-*"))
    return sorted(int(number) for number in numbers if number.isdecimal())


def _paths(attempt: Path, gate: str | None) -> list[Path]:
    gates = sorted(attempt.glob("gates/*.log"), key=lambda path: path.stem)
    if gate is None:
        return [path for path in (attempt / "agent.log", *gates) if path.is_file()]
    wanted = store.slug(gate).casefold()
    exact = [path for path in gates if path.stem.casefold() == wanted]
    return exact or [path for path in gates if wanted in path.stem.casefold()][:1]


def _what(gate: str | None) -> str:
    return f"log of a gate {gate}" if gate else "logs: it printed nothing"


def _there(attempt: Path) -> str:
    names = [path.stem for path in sorted(attempt.glob("gates/*.log"))]
    return (
        f"gates with a log: {', '.join(names)}" if names else "no gate has printed anything in this attempt"
    )


def _name(path: Path) -> str:
    return f"gate {path.stem}" if path.parent.name == "gates" else path.stem


def _pieces(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(_PIECE):
            yield piece


def _follow(found: PastRun, folder: Path, attempt: int, gate: str | None, printer: _Printer) -> None:
    """Prints what is appended, goes on to the next attempt, and ends with the run."""
    offsets: dict[Path, int] = {}
    while not printer.closed:
        alive = found.rundir is not None and past_run.is_alive(
            found.rundir, found.about, store.load(found.rundir), found.ground
        )
        attempt = max((attempt, *_attempts(folder)))
        for path in _paths(folder / f"attempt-{attempt}", gate):
            if path not in offsets:
                printer.end()
                printer.show(f"==> attempt {attempt}: {_name(path)} <==\n".encode())
            for piece in _pieces(path, offsets.setdefault(path, 0)):
                printer.show(piece)
                offsets[path] += len(piece)
        if not alive:
            break
        time.sleep(_POLL)
    printer.end()
