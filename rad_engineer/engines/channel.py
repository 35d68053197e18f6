"""Frames of JSON between the coordinator and its workers: four bytes of length, then UTF-8."""

import json
import select
import socket
from collections.abc import Mapping
from typing import Any

_LENGTH = 4
_compact = json.JSONEncoder(separators=(",", ":")).encode


class ChannelClosed(EOFError):
    """The far end is gone; a reset says the same as an end."""


def encode(message: Mapping[str, Any]) -> bytes:
    """The frame of a message."""
    body = _compact(message).encode()
    return len(body).to_bytes(_LENGTH, "big") + body


class Frames:
    """Puts frames together from whatever pieces arrive."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Takes the next piece; returns the messages it completes."""
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(buffer[start : start + _LENGTH], "big")
            if len(buffer) < end:
                break
            messages.append(json.loads(buffer[start + _LENGTH : end]))
            start = end
        del buffer[:start]
        return messages


class Channel:
    """The worker's end. It never reads ahead: what is readable on `fileno` has not been received yet."""

    __slots__ = ("_socket",)

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def fileno(self) -> int:
        """The descriptor that becomes readable when the coordinator wants something, or is gone."""
        return self._socket.fileno()

    def receive(self) -> dict[str, Any]:
        """Waits for the next message."""
        length = int.from_bytes(self._exactly(_LENGTH), "big")
        message: dict[str, Any] = json.loads(self._exactly(length))
        return message

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message."""
        try:
            self._socket.sendall(encode(message))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def interrupted(self) -> bool:
        """Whether the coordinator has sent something during a job, or is gone: the job should end."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self._socket.recv(size - len(parts), socket.MSG_WAITALL)
            except ConnectionResetError as error:
                raise ChannelClosed from error
            if not part:
                raise ChannelClosed
            parts += part
        return bytes(parts)
