"""The coordinator's end of one worker's channel; it never waits, whatever the worker does."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rad_engineer.engines.channel import Frames, encode
from rad_engineer.engines.zygote import Zygote

_CHUNK = 1 << 18


@dataclass(slots=True)
class Connection:
    """A worker as the coordinator knows it."""

    number: int
    serial: int
    socket: socket.socket
    zygote: Zygote
    pid: int | None = None  # told before the first job is looked at
    job: int | None = None  # what it has to do; none while it waits
    child: int | None = None  # the process whose end must not be lost with the worker
    child_done: bool = False
    first_job: Mapping[str, Any] | None = None
    closed: bool = False  # nobody is at the other end
    frames: Frames = field(default_factory=Frames)
    unsent: bytearray = field(default_factory=bytearray)

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends as much as fits; the rest stays in `unsent` for `flush`."""
        self.unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Sends more of what is left."""
        if self.closed:
            self.unsent.clear()
        try:
            while self.unsent:
                del self.unsent[: self.socket.send(self.unsent)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.unsent.clear()  # receiving will find out

    def receive(self, *, everything: bool = False) -> list[dict[str, Any]]:
        """What has come, of a worker that has ended all of it; at the end of the channel `closed` is set."""
        messages: list[dict[str, Any]] = []
        while not self.closed:
            try:
                data = self.socket.recv(_CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            self.closed = not data
            messages += self.frames.feed(data)
            if len(data) < _CHUNK and not everything:  # most likely that was all
                break
        return messages
