"""The socket that clients find."""

import errno
import socket

from rad_engineer.errors import ConfigInvalid
from rad_engineer.server.configuration import Serving

BACKLOG = 2048
"""Connections that may wait in the system until they are taken."""


def listen(serving: Serving) -> socket.socket:
    """The socket that clients find; raises ConfigInvalid where there can be none."""
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        of_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise ConfigInvalid(
            f"cannot listen on {serving.host} port {serving.port}: {error.strerror or error}",
            hint="give another --port, or --port 0 for any that is free"
            if of_port
            else "give another --host: an address of this machine",
        ) from error
    return listener


def url(serving: Serving, listener: socket.socket) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    return f"{serving.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
