"""Listeners made inside boxes: the coordinator keeps them, the gateway serves each to one attempt at one story only.

A worker connects to a socket in the gateway's folder, which nobody else may enter, and sends what listens inside with
the token of the attempt. For as long as that connection stands, the gateway accepts what comes there; one that is
started again is given them anew, and what has knocked meanwhile waits.
"""

import json
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rad_engineer.gateway.exchange import Session

FOLDER = "gateway"
"""In the run directory."""
NAME = "listeners.sock"
PORT = 8700
"""Where the gateway is found in a box that has a network of its own."""

_BACKLOG = 2048
_MOST = 4096  # bytes of a message
_LONGEST_NAME = 100  # of a socket, on every system
_ROOM = 1 << 20


def base_url() -> str:
    """What clients inside are told."""
    return f"http://127.0.0.1:{PORT}"


def hand_over(folder: Path, token: str, listener: socket.socket) -> Callable[[], None]:
    """Gives what listens in a box to the gateway in this folder, in the name of a token; returns how to end that."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        try:
            with reachable(folder / NAME) as path:
                connection.connect(path)
            socket.send_fds(connection, [token.encode()], [listener.fileno()])
        except OSError:
            connection.close()
            raise
    return connection.close


@dataclass(slots=True)
class _Held:
    number: int
    session: "Session"
    listener: socket.socket


class Listeners:
    """The coordinator's side. Nothing here waits."""

    def __init__(
        self, folder: Path, selector: selectors.BaseSelector, verify: "Callable[[str], Session | None]"
    ) -> None:
        self._verify = verify
        self._selector = selector
        self._path = folder / NAME
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(FileNotFoundError):
            self._path.unlink()
        with reachable(self._path) as path:
            self._door.bind(path)
        self._path.chmod(0o600)
        self._door.listen(_BACKLOG)
        self._door.setblocking(False)
        self._held: dict[socket.socket, _Held | None] = {}
        self._number = 0
        self._way: socket.socket | None = None
        selector.register(self._door, selectors.EVENT_READ)

    def way(self) -> socket.socket:
        """For a gateway that begins: what comes out at this end; all that is held is on its way."""
        self.cut()
        self._way, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        self._way.setblocking(False)
        for held in self._held.values():
            if held is not None:
                self._tell(held)
        return theirs

    def cut(self) -> None:
        """The gateway has ended."""
        if self._way is not None:
            self._way.close()
            self._way = None

    def poll(self) -> None:
        """Takes what workers hand over, and gives up what they have ended."""
        with suppress(BlockingIOError):
            while True:
                connection = self._door.accept()[0]
                connection.setblocking(False)
                self._held[connection] = None
                self._selector.register(connection, selectors.EVENT_READ)
        for connection in [*self._held]:
            self._hear(connection)

    def close(self) -> None:
        """Gives up all of them."""
        for connection in [*self._held]:
            self._end(connection)
        self.cut()
        self._selector.unregister(self._door)
        self._door.close()
        self._path.unlink(missing_ok=True)

    def _hear(self, connection: socket.socket) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, _MOST, 1)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors = b"", []
        listeners = [socket.socket(fileno=each) for each in descriptors]
        session = self._verify(data.decode("ascii", "replace")) if data else None
        if session is None or len(listeners) != 1 or self._held[connection] is not None:
            for each in listeners:
                each.close()
            self._end(connection)
            return
        self._number += 1
        held = self._held[connection] = _Held(self._number, session, listeners[0])
        self._tell(held)

    def _end(self, connection: socket.socket) -> None:
        held = self._held.pop(connection)
        self._selector.unregister(connection)
        connection.close()
        if held is not None:
            self._send({"close": held.number})
            held.listener.close()

    def _tell(self, held: _Held) -> None:
        told = {"number": held.number, "story": held.session.story, "attempt": held.session.attempt}
        self._send(told, held.listener)

    def _send(self, message: dict[str, object], *listeners: socket.socket) -> None:
        """Where nobody reads any more, the gateway is started again, and told."""
        if self._way is not None:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                descriptors = [each.fileno() for each in listeners]
                socket.send_fds(self._way, [json.dumps(message).encode()], descriptors)


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for a socket: a folder whose name is longer than that of a socket may be is named by its descriptor."""
    if len(os.fsencode(path)) <= _LONGEST_NAME:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
