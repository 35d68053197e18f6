"""The way to hosts that are granted: who gets through, who does not, and what is said of it."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from rad_engineer import sandbox
from rad_engineer.sandbox import Grants, Listener, hosts, proxy
from rad_engineer.sandbox.proxy import Decision
from tests.sandboxes import needs_bubblewrap, opened, sh, slot_in
from tests.tls_server import serve

GRANT = "grants.network"


@pytest.fixture
def server(tmp_path):
    with serve(tmp_path, "good.test", "other.test") as running:
        yield running


class Served:
    """A proxy on a listener out here, and what it has decided."""

    def __init__(
        self, *grants: str, private: bool = True, resolve=lambda _host, _port: ["127.0.0.1"],
        denied=lambda: None, **more
    ) -> None:  # fmt: skip
        rules = tuple(hosts.rule(each, GRANT) for each in grants)
        self.decided: list[Decision] = []
        ways = proxy.Ways(rules, GRANT, private=private, **more)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.end = proxy.Proxy(ways, self.decided.append, resolve, denied).serve(self.listener)

    def ask(self, request: bytes) -> tuple[bytes, socket.socket]:
        client = socket.create_connection(self.address, timeout=30)
        client.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data and (part := client.recv(4096)):
            data += part
        return data, client

    def tunnel(self, to: str, name: str | None, server) -> bytes:
        """What comes back for a page that is asked for through a tunnel; raises OSError where none comes."""
        answer, client = self.ask(f"CONNECT {to}:{server.port} HTTP/1.1\r\n\r\n".encode())
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
        context = ssl.create_default_context(cafile=server.certificate)
        context.check_hostname = name is not None
        with client, context.wrap_socket(client, server_hostname=name) as safe:
            safe.sendall(b"GET /page HTTP/1.0\r\nHost: x\r\n\r\n")
            data = b""
            while part := safe.recv(4096):
                data += part
            return data


@contextmanager
def served(*grants: str, **more) -> Iterator[Served]:
    found = Served(*grants, **more)
    try:
        yield found
    finally:
        found.end()


def test_a_host_that_is_granted_is_reached(server):
    with served(f"good.test:{server.port}") as found:
        assert found.tunnel("good.test", "good.test", server).endswith(b"here")
        assert found.tunnel("GOOD.test.", "good.test", server).endswith(b"here")
    assert found.decided == [Decision("good.test", server.port)]
    assert server.asked == ["x /page", "x /page"]


DENIED = {
    "another host": ("CONNECT bad.test:{port}", 'bad.test:{port} is not granted: grants.network = ["bad.test:{port}"] would'),
    "another port": ("CONNECT good.test:1", 'good.test:1 is not granted: grants.network = ["good.test:1"] would'),
    "an address": ("CONNECT 127.0.0.1:{port}", "127.0.0.1 is no name of a host: addresses are not let through"),
    "a short address": ("CONNECT 127.1:{port}", "127.1 is no name of a host: addresses are not let through"),
    "a number": ("CONNECT 2130706433:{port}", "2130706433 is no name of a host: addresses are not let through"),
    "version six": ("CONNECT [::1]:{port}", "[::1] is no name of a host: addresses are not let through"),
    "no port": ("CONNECT good.test:", 'good.test:0 is not granted: grants.network = ["good.test:0"] would'),
    "no TLS": ("GET http://good.test:{port}/", "only TLS is let through, and good.test:{port} was asked for without"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DENIED)
def test_everything_else_is_denied_and_told(kind, server):
    request, why = (each.format(port=server.port) for each in DENIED[kind])
    with served(f"good.test:{server.port}") as found:
        answer, client = found.ask(f"{request} HTTP/1.1\r\nHost: good.test\r\n\r\n".encode())
        client.close()
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert [decision.why for decision in found.decided] == [why]
    assert server.asked == []


def test_a_denial_is_told_at_once_to_whoever_waits_for_it():
    told = threading.Event()
    with served("good.test:443", denied=told.set) as found:
        _, client = found.ask(b"CONNECT bad.test:443 HTTP/1.1\r\n\r\n")
        client.close()
        assert told.wait(30)
        assert found.decided == [], "the words come when the box ends"
    assert [decision.host for decision in found.decided] == ["bad.test"]


@pytest.mark.parametrize("name", ["other.test", None])
def test_a_tunnel_is_for_the_server_that_it_was_opened_for(name, server):
    with served(f"good.test:{server.port}") as found, suppress(OSError):
        found.tunnel("good.test", name, server)
        raise AssertionError("it was let through")
    assert server.asked == []
    assert "was used for other.test" in found.decided[0].why or "it names no server" in found.decided[0].why


def test_what_is_no_tls_does_not_get_through(server):
    with served(f"good.test:{server.port}") as found:
        _, client = found.ask(f"CONNECT good.test:{server.port} HTTP/1.1\r\n\r\nSSH-2.0-x\r\n".encode())
        with client:
            assert client.recv(1) == b""
    assert found.decided[0].why == "only TLS is let through to good.test: it is no TLS"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "fd00::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "203.0.113.1"],
)  # fmt: skip
def test_a_name_of_a_private_address_is_no_way_in(address, server):
    with served(f"good.test:{server.port}", private=False, resolve=lambda _h, _p: [address]) as found:
        answer, client = found.ask(f"CONNECT good.test:{server.port} HTTP/1.1\r\n\r\n".encode())
        client.close()
    assert answer.startswith(b"HTTP/1.1 403")
    assert "private network" in found.decided[0].why


def test_a_name_is_resolved_once_and_what_was_looked_at_is_connected_to(server):
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with served(f"good.test:{server.port}", resolve=resolve) as found:
        assert found.tunnel("good.test", "good.test", server).endswith(b"here")
    assert asked == [("good.test", server.port)]


def test_a_host_that_cannot_be_reached_is_told_as_that():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with served(f"good.test:{port}") as found:
        answer, client = found.ask(f"CONNECT good.test:{port} HTTP/1.1\r\n\r\n".encode())
        client.close()
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway")
    assert found.decided == []


def test_only_so_much_goes_out(server):
    with served(f"good.test:{server.port}", most_sent=100) as found, suppress(OSError):
        found.tunnel("good.test", "good.test", server)
        raise AssertionError("it was let through")
    assert "were sent out of one box" in found.decided[-1].why
    assert server.asked == []


def test_the_end_of_a_box_ends_what_is_under_way(server):
    found = Served(f"good.test:{server.port}")
    _, idle = found.ask(f"CONNECT good.test:{server.port} HTTP/1.1\r\n\r\n".encode())
    found.end()
    with idle, suppress(ConnectionResetError):
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(found.address, timeout=5)


@contextmanager
def another_proxy(server, status: bytes = b"200 ok") -> Iterator[tuple[int, list[bytes]]]:
    """One of the user's: it opens a tunnel to the server, whatever it is asked for."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with (
            suppress(OSError),
            listener.accept()[0] as client,
            socket.create_connection(("127.0.0.1", server.port)) as far,
        ):
            while not b"".join(heard).endswith(b"\r\n\r\n"):
                heard.append(client.recv(4096))
            client.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
            back = threading.Thread(target=proxy._copy, args=(far, client, len), daemon=True)
            back.start()
            proxy._copy(client, far, len)
            back.join()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield listener.getsockname()[1], heard
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def test_the_proxy_of_the_user_is_used(server):
    with another_proxy(server) as (port, heard):
        env = {"https_proxy": f"http://me:a%20w@127.0.0.1:{port}", "no_proxy": "localhost,.example"}
        with served(f"good.test:{server.port}", by=env, private=False) as found:
            assert found.tunnel("good.test", "good.test", server).endswith(b"here")
    asked = b"".join(heard).decode()
    assert asked.startswith(f"CONNECT good.test:{server.port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic bWU6YSB3\r\n" in asked


def test_what_the_user_reaches_without_a_proxy_is_reached_without(server):
    for around in ("good.test", ".test", "*.test", "x, test"):
        env = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": around}
        with served(f"good.test:{server.port}", by=env) as found:
            assert found.tunnel("good.test", "good.test", server).endswith(b"here")


def test_from_a_box(server, tmp_path):
    """No names are resolved inside; curl finds the proxy by its variables, and nothing else is there to be found."""
    needs_bubblewrap()
    decided: list[Decision] = []
    ways = proxy.Ways((hosts.rule(f"good.test:{server.port}", GRANT),), "network", private=True)
    way = Listener(proxy.PORT, proxy.Proxy(ways, decided.append, lambda _h, _p: ["127.0.0.1"]).serve)
    (tmp_path / "box").mkdir()
    slot = slot_in(tmp_path / "box")
    (slot / "ca.pem").write_bytes(server.certificate.read_bytes())
    (slot / "ca.pem").chmod(0o644)
    grants = Grants(listeners=(way,), variables=proxy.variables())
    curl = f"curl -sS --max-time 30 --cacert ca.pem https://{{}}:{server.port}/page 2>&1"
    with opened(slot, grants=grants) as box:
        assert sh(box, slot, curl.format("good.test")).output.strip() == "here"
        assert "403" in sh(box, slot, curl.format("other.test")).output
        assert "resolve" in sh(box, slot, "env -u HTTPS_PROXY -u https_proxy -u ALL_PROXY -u all_proxy " + curl.format("good.test")).output  # fmt: skip
        box.close()
        assert sh(box, slot, curl.format("good.test")).output.strip() == "here"
    assert sandbox.environment(os.environ, {}).get("HTTPS_PROXY") is None
    assert {(each.host, bool(each.why)) for each in decided} == {("good.test", False), ("other.test", True)}


def test_whoever_asks_for_names_without_end_fills_nothing():
    with served("good.test") as found:
        for number in range(260):
            answer, client = found.ask(f"CONNECT {number}.{'x' * 9_000}.test:443 HTTP/1.1\r\n\r\n".encode())
            client.close()
            assert answer.startswith(b"HTTP/1.1 403 ")
    assert len(found.decided) == 201
    assert sum(len(each.host) + len(each.why) for each in found.decided) < 201 * 800
    assert found.decided[-1].why == "60 requests for more than 200 hosts are not told one by one"
