"""The server that a TLS client asks for in its first message. No effects; what is read is a stranger's."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_MOST = 1 << 16


class NotTls(ValueError):
    """What was sent is no first message of TLS, or names no server."""


class _Bytes:
    """Takes fields off the front; NotTls where one is longer than what is left."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        found, self.rest = self.rest[:size], self.rest[size:]
        if len(found) < size:
            raise NotTls("it is cut short")
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> "_Bytes":
        return _Bytes(self.take(self.number(size)))


def server_name(data: bytes) -> str | None:
    """The server named in a ClientHello; None where more of it has to come. Raises NotTls."""
    message, rest = b"", data
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if (rest and rest[0] != _HANDSHAKE) or len(message) > _MOST:
            raise NotTls("it is no TLS")
        size = int.from_bytes(rest[3:5], "big")
        if len(rest) < 5 or len(rest) < 5 + size:
            return None
        if not size:
            raise NotTls("an empty record")
        message, rest = message + rest[5 : 5 + size], rest[5 + size :]
    if message[0] != _CLIENT_HELLO:
        raise NotTls("it is no ClientHello")
    return _named(_Bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")]))


def _named(hello: _Bytes) -> str:
    hello.take(2 + 32)  # version, random
    for size in (1, 2, 1):  # session, cipher suites, compressions
        hello.block(size)
    extensions = hello.block(2)
    while extensions.rest:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            names = content.block(2)
            if names.number(1) == _HOST_NAME:
                return names.block(2).rest.decode("ascii", "replace")
    raise NotTls("it names no server")
