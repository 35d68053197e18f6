"""The server beside a run: a process of its own with the lowest claim to the processor, that ends with the run.

The run hands it the listening socket and waits for nothing. It reads run directories only: it may be killed at any moment.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rad_engineer import process, trail
from rad_engineer.errors import ConfigInvalid
from rad_engineer.launch.ground import Ground
from rad_engineer.process.child import Child
from rad_engineer.server import sockets
from rad_engineer.server.configuration import Serving, configured, notes
from rad_engineer.settings import Settings, state_home

_MOST = 65_536
_NICE = 10
_KEPT = ("HOME", "LANG", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_FILES = ("serve_token_file", "serve_certificate", "serve_key")


@contextmanager
def beside(place: Ground, say: Callable[[str], object]) -> Iterator[None]:
    """Tells of the runs of a place for as long as the block lasts; where the port is taken, at another one."""
    wanted = _absolute(place.settings)
    serving = configured(wanted, os.environ)
    listener = _listen(serving, say)
    told = {
        "home": str(place.home),
        "settings": {
            name: value for name, value in asdict(wanted).items() if name.startswith(("serve", "log_"))
        },
    }
    channel, child = _start(told, listener)
    say(f"serving: {sockets.url(serving, listener)}\n")
    for note in notes(serving)[1:]:
        say(f"note: {note}\n")
    listener.close()
    try:
        yield
    finally:
        channel.close()
        with suppress(ProcessLookupError):
            os.kill(child.pid, 9)
        child.wait()


def _listen(serving: Serving, say: Callable[[str], object]) -> socket.socket:
    try:
        return sockets.listen(serving)
    except ConfigInvalid as error:
        if not serving.port:
            raise
        say(f"warning: {error}\n")
        return sockets.listen(replace(serving, port=0))


def _start(told: dict[str, Any], listener: socket.socket) -> tuple[socket.socket, Child]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = state_home(os.environ)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = os.open(folder / "serve.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        argv = [sys.executable, "-P", "-m", "rad_engineer.server.companion"]
        child = process.start_quickly(argv, _environment(), (theirs.fileno(), nothing, log))
        trail.tell("spawn", what="server", pid=child.pid)
    finally:
        theirs.close()
        os.close(log)
        os.close(nothing)
    with suppress(BrokenPipeError, ConnectionResetError):  # it has ended already: a run goes on without it
        socket.send_fds(ours, [json.dumps(told).encode()], [listener.fileno()])
    return ours, child


def _absolute(wanted: Settings) -> Settings:
    """Files as they are called from everywhere."""
    named = {name: getattr(wanted, name) for name in _FILES}
    found: dict[str, Any] = {
        name: str(Path(value).expanduser().absolute()) for name, value in named.items() if value
    }
    return replace(wanted, **found)


def _environment() -> dict[str, str]:
    """What it needs of ours, without a secret; it finds the same packages as we do."""
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(("LC_", "XDG_"))
    }
    path = [str(Path(__file__).parents[2]), *(part for part in sys.path if part)]
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}


def main() -> int:
    """Serves until the other end of standard input is closed."""
    import asyncio  # noqa: PLC0415 -- only in the process that serves

    from rad_engineer.launch import ground  # noqa: PLC0415 -- the same
    from rad_engineer.server import program, runs  # noqa: PLC0415 -- the same

    os.nice(_NICE)
    channel = socket.socket(fileno=os.dup(0))
    data, (listener, *_), _, _ = socket.recv_fds(channel, _MOST, 1)
    told = json.loads(data)
    os.chdir(told["home"])
    place = ground.look(os.environ)
    names = {field.name for field in fields(Settings)}
    given = {name: value for name, value in told["settings"].items() if name in names}
    given["serve_allowed_hosts"] = tuple(given["serve_allowed_hosts"])
    serving = configured(replace(place.settings, **given), os.environ)

    def until(stop: Callable[[], None]) -> None:
        asyncio.get_running_loop().add_reader(channel, stop)

    program.serve(serving, runs.of_project(place), socket.socket(fileno=listener), until)
    return 0


if __name__ == "__main__":
    sys.exit(main())
