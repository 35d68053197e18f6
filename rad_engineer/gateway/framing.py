"""What a gateway is told at its start, in one message: values, secrets, and the sockets it serves on."""

import json
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = struct.Struct("!II")  # the length of the JSON, and of the secrets behind it


def send(
    channel: socket.socket, told: Mapping[str, Any], secrets: bytes, sockets: Sequence[socket.socket]
) -> None:
    """Tells a gateway; raises BrokenPipeError and ConnectionResetError where it has died."""
    values = json.dumps(told).encode()
    socket.send_fds(channel, [_HEAD.pack(len(values), len(secrets))], [each.fileno() for each in sockets])
    channel.sendall(values)
    channel.sendall(secrets)


def receive(channel: socket.socket) -> tuple[dict[str, Any], bytes, list[socket.socket]]:
    """What the parent has to say; ends the process when that has gone."""
    data, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, 8)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    while len(data) < _HEAD.size or len(data) < _HEAD.size + sum(_HEAD.unpack_from(data)):
        more = channel.recv(1 << 16)
        if not more:
            sys.exit(0)
        data += more
    values = _HEAD.unpack_from(data)[0]
    told: dict[str, Any] = json.loads(data[_HEAD.size : _HEAD.size + values])
    return told, data[_HEAD.size + values :], sockets
