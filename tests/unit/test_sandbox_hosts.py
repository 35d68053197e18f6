"""Which hosts a grant names, and which server a TLS client asks for."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rad_engineer.errors import ConfigInvalid
from rad_engineer.sandbox import hosts
from rad_engineer.sandbox.client_hello import NotTls, server_name


@pytest.mark.parametrize(
    ("grant", "host", "port", "fits"),
    [
        ("example.org", "example.org", 443, True),
        ("example.org", "example.org", 80, False),
        ("example.org:8443", "example.org", 8443, True),
        ("example.org:443,8443", "example.org", 8443, True),
        ("Example.ORG:443", "example.org", 443, True),
        ("example.org", "a.example.org", 443, False),
        ("example.org", "example.org.evil.test", 443, False),
        ("*.example.org", "a.b.example.org", 443, True),
        ("*.example.org", "example.org", 443, False),
        ("*.example.org", "evilexample.org", 443, False),
        ("*.example.org", "a.example.org", 80, False),
    ],
)
def test_what_a_grant_opens(grant, host, port, fits):
    assert hosts.allowed([hosts.rule(grant, "grants.network")], host, port) is fits


ADDRESSES = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "[::1]", "::1", "1.1.1.1", "127.0.0.1.",
    "example.0x1", "[::ffff:127.0.0.1]", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [*ADDRESSES, "*", "*.com", "*.*.example.org", "a.*.org", "example.org:", "example.org:0", "example.org:65536",
     "example.org:443,", "", ".example.org", "exa mple.org", "exämple.org", "a..b", "https://example.org", "a" * 64,
     ".".join(["a" * 60] * 5), "-a.org", "user@example.org"],
)  # fmt: skip
def test_what_names_no_host_is_no_grant(text):
    with pytest.raises(ConfigInvalid, match=r"grants\.network"):
        hosts.rule(text, "grants.network")


@pytest.mark.parametrize("text", [*ADDRESSES, "exämple.org", "a b", "a\x00b", ""])
def test_an_address_is_no_name_however_it_is_written(text):
    assert hosts.name(text) == ""


def test_a_name_has_one_spelling():
    assert hosts.name("Example.Org.") == "example.org"


def hello(name: str | None) -> bytes:
    """What a real client sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def split(data: bytes, size: int) -> bytes:
    """The same message in smaller records."""
    head, message = data[:3], data[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(head + len(part).to_bytes(2, "big") + part for part in parts)


@pytest.mark.parametrize("size", [1 << 14, 100, 1])
def test_the_server_that_a_client_asks_for(size):
    data = split(hello("example.org"), size)
    assert server_name(data) == "example.org"
    assert server_name(data + b"more") == "example.org"
    assert {server_name(data[:end]) for end in range(0, len(data), 7)} == {None}


def test_a_client_that_names_no_server():
    with pytest.raises(NotTls, match="no server"):
        server_name(hello(None))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x17\x03\x03\x00\x01a", b"\x16\x03\x01\x00\x00", b"SSH-2.0-x",
                                  b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"])  # fmt: skip
def test_what_is_no_tls_is_no_client(data):
    with pytest.raises(NotTls):
        server_name(data)


@given(st.data())
def test_whatever_comes_is_a_name_or_more_or_refused(data):
    whole = bytearray(hello("example.org"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = server_name(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except NotTls:
        return
    assert found is None or isinstance(found, str)
