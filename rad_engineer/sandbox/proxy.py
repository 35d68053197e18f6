"""The way to named hosts: a CONNECT proxy out here, on a listener that was made inside the box.

It lets TLS through to hosts that are granted, by name: nothing inside resolves names, each is resolved once here, and
what was looked at is what is connected to. The first message has to ask for the server that the tunnel is for. It sees
nothing of what goes through, and counts what goes out.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rad_engineer.sandbox import hosts, upstream_proxy
from rad_engineer.sandbox.client_hello import NotTls, server_name
from rad_engineer.sandbox.upstream_proxy import Denied, plain

PORT = 8701
"""Where it is found inside."""

_HEAD_SECONDS = 30.0
_MOST_HEAD = 16 * 1024
_MOST_SENT = 64 * 1024 * 1024
_CONNECTIONS = 128
_MOST_TOLD = 200  # decisions of one box, and the characters of each: whoever asks chooses the names
_LONGEST_HOST, _LONGEST_WHY = 253, 500
_CHUNK = 1 << 16
_PRIVATE = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("2002::/16"),
)  # they carry other addresses

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody inside has asked for, and what became of it: `why` says what has refused it."""

    host: str
    port: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ways:
    """What may be reached, and how: `key` is the setting that grants more."""

    rules: tuple[hosts.HostRule, ...]
    key: str
    private: bool = False
    by: Mapping[str, str] = field(default_factory=dict)  # the user's variables, which may name a proxy
    most_sent: int = _MOST_SENT


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _nothing() -> None:
    """What a denial does to a command that may go on."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """For the listeners of one stage; `told` hears, when a box ends, what was decided there.

    `denied` is called at once, by any thread, and never after the box has ended.
    """

    ways: Ways
    told: Callable[[Decision], None]
    resolve: Resolve = resolve
    denied: Callable[[], None] = _nothing

    def serve(self, listener: socket.socket) -> Callable[[], None]:
        """Begins; what is returned ends it."""
        return _Doorway(self, listener).end


class _Doorway:
    """Serves one box, in threads of its own."""

    def __init__(self, proxy: Proxy, listener: socket.socket) -> None:
        self._ways = proxy.ways
        self._proxy = proxy
        self._listener = listener
        self._lock = threading.Lock()
        self._decided: dict[Decision, None] = {}
        self._open: set[socket.socket] = set()
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._sent = 0
        self._untold = 0
        self._over = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing goes through any more; tells what was decided."""
        with self._lock:
            self._over = True
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for decision in [*self._decided]:
            self._proxy.told(decision)
        if self._untold:
            more = f"{self._untold} requests for more than {_MOST_TOLD} hosts are not told one by one"
            self._proxy.told(Decision("", 0, more))

    def _accept(self) -> None:
        while not self._over:
            self._places.acquire()
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError), self._kept(client):
                self._connect(client)
        finally:
            self._places.release()

    @contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        """A connection that is ended with the box, whatever its thread waits for."""
        try:
            with self._lock:
                if self._over:
                    raise OSError("the box has ended")
                self._open.add(connection)
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _connect(self, client: socket.socket) -> None:
        client.settimeout(_HEAD_SECONDS)
        asked, first = _head(client)
        host, port = hosts.name(asked[0]), asked[1]
        try:
            server = self._reach(asked)
        except Denied as denied:
            host, why = plain(asked[0])[:_LONGEST_HOST], str(denied)[:_LONGEST_WHY]
            self._decide(Decision(host, port, why))
            _answer(client, "403 Forbidden", str(denied))
            return
        except OSError as error:
            _answer(client, "502 Bad Gateway", f"{host}:{port} cannot be reached: {error.strerror or error}")
            return
        with self._kept(server):
            _answer(client, "200 Connection established", "")
            try:
                first = _hello(client, first, host)
            except Denied as denied:
                self._decide(Decision(host, port, str(denied)))
                return
            self._decide(Decision(host, port))
            self._through(client, server, first, Decision(host, port))

    def _reach(self, asked: tuple[str, int, bool]) -> socket.socket:
        """A connection to a host that is granted, at an address that was looked at."""
        ways, (written, port, tunnel) = self._ways, asked
        host = hosts.name(written)
        if not tunnel:
            raise Denied(f"only TLS is let through, and {plain(written)}:{port} was asked for without")
        if not host:
            raise Denied(f"{plain(written)} is no name of a host: addresses are not let through")
        if not hosts.allowed(ways.rules, host, port):
            raise Denied(f'{host}:{port} is not granted: {ways.key} = ["{host}:{port}"] would')
        proxy = upstream_proxy.for_host(host, ways.by)
        if proxy:
            return upstream_proxy.tunnel(proxy, host, port)
        addresses = [each for each in self._proxy.resolve(host, port) if ways.private or _is_public(each)]
        if not addresses:
            raise Denied(
                f"{host} has an address of a private network, which only --private-network lets through"
            )
        for number, address in enumerate(addresses):
            try:
                return socket.create_connection((address, port), timeout=upstream_proxy.CONNECT_SECONDS)
            except OSError:
                if number == len(addresses) - 1:
                    raise
        raise AssertionError("the last one returns or raises")

    def _through(self, client: socket.socket, server: socket.socket, first: bytes, about: Decision) -> None:
        client.settimeout(None)
        server.settimeout(None)
        back = threading.Thread(target=_copy, args=(server, client, len), daemon=True)
        back.start()

        def count(data: bytes) -> int:
            with self._lock:
                self._sent += len(data)
                over = self._sent > self._ways.most_sent
            if over:
                why = f"more than {self._ways.most_sent >> 20} MB were sent out of one box"
                self._decide(Decision(about.host, about.port, why))
                raise OSError(why)
            return len(data)

        try:
            count(first)
            server.sendall(first)
            _copy(client, server, count)
        except OSError:
            for each in (client, server):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        back.join()

    def _decide(self, decision: Decision) -> None:
        with self._lock:
            if len(self._decided) < _MOST_TOLD:
                self._decided.setdefault(decision)
            elif decision not in self._decided:
                self._untold += 1
            if decision.why and not self._over:
                self._proxy.denied()


def _copy(source: socket.socket, target: socket.socket, count: Callable[[bytes], int]) -> None:
    """Everything that comes, to its end."""
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            count(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
        return
    for each in (source, target):  # one side has gone, or may not go on
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _head(client: socket.socket) -> tuple[tuple[str, int, bool], bytes]:
    """What is asked for: host, port, whether by CONNECT; and what was sent behind it. Raises OSError."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(_CHUNK)
        if not part or len(data) > _MOST_HEAD:
            raise OSError("no request")
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    method, _, target = head.split(b"\r\n")[0].decode("latin-1").partition(" ")
    target = target.rpartition(" ")[0]
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        return (host, int(port) if port.isdecimal() and len(port) < 6 else 0, True), rest
    place = target.partition("://")[2].partition("/")[0].rpartition("@")[2]
    host, colon, port = place.partition(":")
    return (host, int(port) if colon and port.isdecimal() and len(port) < 6 else 80, False), rest


def _hello(client: socket.socket, data: bytes, host: str) -> bytes:
    """What the client sends first, which has to be TLS for that host."""
    try:
        while (found := server_name(data)) is None:
            part = client.recv(_CHUNK)
            if not part:
                raise OSError("gone")
            data += part
    except NotTls as wrong:
        raise Denied(f"only TLS is let through to {host}: {wrong}") from None
    if hosts.name(found) != host:
        raise Denied(f"a tunnel to {host} was used for {plain(found)}")
    return data


def _answer(client: socket.socket, status: str, why: str) -> None:
    body = f"{why}\n".encode() if why else b""
    length = (
        f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n" if body else ""
    )
    client.sendall(f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + body)


def _is_public(text: str) -> bool:
    """Whether it is an address that everybody in the world means by it, and none that carries another one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    carries = any(address in network for network in _PRIVATE if network.version == address.version)
    return mapped.is_global and not mapped.is_multicast and not carries


def variables() -> dict[str, str]:
    """How clients inside are told of it."""
    url, here = f"http://127.0.0.1:{PORT}", "127.0.0.1,localhost,::1"
    names = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
    found = dict.fromkeys([*names, *map(str.lower, names)], url)
    found |= dict.fromkeys(
        ["PIP_PROXY", "npm_config_proxy", "npm_config_https_proxy", "CARGO_HTTP_PROXY"], url
    )
    return {
        **found,
        "NO_PROXY": here,
        "no_proxy": here,
        "npm_config_noproxy": here,
        "NODE_USE_ENV_PROXY": "1",
    }
