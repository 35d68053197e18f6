"""The proxy that the user's own environment names: what is let out of boxes goes through it, as all else of the user's."""

import socket
from collections.abc import Mapping

CONNECT_SECONDS = 30.0
_MOST_HEAD = 16 * 1024


class Denied(Exception):
    """It is not let through, for this reason."""


def plain(text: str) -> str:
    """A stranger's text in a message of ours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:120])


def for_host(host: str, env: Mapping[str, str]) -> str:
    """The URL of the proxy that the user's own variables name for a host, if they do."""
    names = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    url = next((env[each] for each in names if env.get(each)), "")
    around = env.get("no_proxy") or env.get("NO_PROXY") or ""
    ends = [each.strip().lower().lstrip("*").lstrip(".") for each in around.split(",")]
    if not url or "*" in around.split(",") or any(end and f".{host}".endswith(f".{end}") for end in ends):
        return ""
    return url


def tunnel(proxy: str, host: str, port: int) -> socket.socket:
    """A tunnel through another proxy, which resolves the name; its password stays out here."""
    from base64 import b64encode  # noqa: PLC0415 -- few have one
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 -- the same

    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise Denied(f"the proxy of this machine is of a kind that is not spoken here: {parts.scheme}")
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    opens = f"Proxy-Authorization: Basic {b64encode(login.encode()).decode()}\r\n" if parts.username else ""
    server = socket.create_connection((parts.hostname, parts.port or 80), timeout=CONNECT_SECONDS)
    try:
        _open(server, f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{opens}\r\n")
    except OSError:
        server.close()
        raise
    return server


def _open(server: socket.socket, request: str) -> None:
    server.sendall(request.encode())
    data = b""
    while not data.endswith(b"\r\n\r\n"):  # nothing comes behind it before we say more
        part = server.recv(1)
        if not part or len(data) > _MOST_HEAD:
            raise OSError("the proxy of this machine has hung up")
        data += part
    status = data.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise OSError(f"the proxy of this machine said {plain(b''.join(status).decode('latin-1'))}")
