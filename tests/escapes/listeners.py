"""Listeners outside, of every family, on loopback or in a folder of ours; they are asked what they have heard."""

import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path

_PATIENCE = 0.05  # seconds; what was sent by somebody who has ended is there


class Listeners:
    """Opened once; `heard` empties them."""

    def __init__(self, folder: Path, secret: Path, identity: str) -> None:
        self._streams: list[socket.socket] = []
        self._datagrams: list[socket.socket] = []
        abstract = f"rad-escapes-{identity}"
        self.told: dict[str, object] = {
            "abstract": abstract,
            "unix": f"{folder}/u",
            "datagrams": f"{folder}/d",
            "packets": f"{folder}/p",
        }
        self._stream("tcp", socket.AF_INET, ("127.0.0.1", 0))
        self._stream("tcp6", socket.AF_INET6, ("::1", 0))
        self._stream("", socket.AF_UNIX, f"{folder}/u")
        self._stream("", socket.AF_UNIX, f"\0{abstract}")
        self._stream("", socket.AF_UNIX, f"{folder}/p", socket.SOCK_SEQPACKET)
        self._datagram("udp", socket.AF_INET, ("127.0.0.1", 0))
        self._datagram("udp6", socket.AF_INET6, ("::1", 0))
        self._datagram("lite", socket.AF_INET, ("127.0.0.1", 0), 136)
        self._datagram("", socket.AF_UNIX, f"{folder}/d")
        self._datagram("", socket.AF_UNIX, f"\0{abstract}2")
        for each in (f"{folder}/u", f"{folder}/d", f"{folder}/p"):
            Path(each).chmod(0o777)  # whoever runs in a box is somebody else
        if os.geteuid() == 0:
            for protocol in (253, 1):
                self._datagrams.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))
                self._datagrams[-1].bind(("127.0.0.1", 0))
            self._datagrams.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)))
            self._datagrams[-1].bind(("lo", 0x88B5))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.told["free"] = probe.getsockname()[1]
        self._giver = socket.socket(socket.AF_UNIX)
        self._giver.bind(f"\0{abstract}3")
        self._giver.listen()
        threading.Thread(target=self._give, args=(secret,), daemon=True).start()

    def _stream(self, name: str, family: int, address: object, kind: int = socket.SOCK_STREAM) -> None:
        listener = socket.socket(family, kind)
        if name == "tcp":
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen(64)
        self._streams.append(listener)
        if name:
            self.told[name] = listener.getsockname()[1]

    def _datagram(self, name: str, family: int, address: object, protocol: int = 0) -> None:
        receiver = socket.socket(family, socket.SOCK_DGRAM, protocol)
        receiver.bind(address)  # type: ignore[arg-type]
        self._datagrams.append(receiver)
        if name:
            self.told[name] = receiver.getsockname()[1]

    def _give(self, secret: Path) -> None:
        """Hands a descriptor to whoever asks: a friend outside."""
        with suppress(OSError), secret.open("rb") as file:
            while True:
                asking, _ = self._giver.accept()
                file.seek(0)
                with asking:
                    socket.send_fds(asking, [b"x"], [file.fileno()])

    def heard(self) -> bytes:
        """Everything that was said to any of them since the last time."""
        found = b""
        while ready := select.select([*self._streams, *self._datagrams], [], [], _PATIENCE)[0]:
            for each in ready:
                if each in self._datagrams:
                    found += each.recv(4096)
                    continue
                connection, _ = each.accept()
                connection.settimeout(2)
                with connection, suppress(OSError):
                    while data := connection.recv(4096):
                        found += data
        return found

    def close(self) -> None:
        self._giver.shutdown(socket.SHUT_RDWR)
        for each in (*self._streams, *self._datagrams, self._giver):
            each.close()
