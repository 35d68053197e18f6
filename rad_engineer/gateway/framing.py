"""What a gateway is told at its start, in one message: values, the secret of the run, the sockets it serves on, its key."""

import json
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

_HEAD = struct.Struct("!II")  # the length of the JSON, and of the secret behind it


class _File(Protocol):
    def fileno(self) -> int: ...


def send(channel: socket.socket, told: Mapping[str, Any], secret: bytes, files: Sequence[_File]) -> None:
    """Tells a gateway; raises BrokenPipeError and ConnectionResetError where it has died."""
    values = json.dumps(told).encode()
    socket.send_fds(channel, [_HEAD.pack(len(values), len(secret))], [each.fileno() for each in files])
    channel.sendall(values)
    channel.sendall(secret)


def receive(channel: socket.socket) -> tuple[dict[str, Any], bytes, list[int]]:
    """What the parent has to say; ends the process when that has gone."""
    data, files, _, _ = socket.recv_fds(channel, 1 << 16, 8)
    while len(data) < _HEAD.size or len(data) < _HEAD.size + sum(_HEAD.unpack_from(data)):
        more = channel.recv(1 << 16)
        if not more:
            sys.exit(0)
        data += more
    values = _HEAD.unpack_from(data)[0]
    told: dict[str, Any] = json.loads(data[_HEAD.size : _HEAD.size + values])
    return told, data[_HEAD.size + values :], files
