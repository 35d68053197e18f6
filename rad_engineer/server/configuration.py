"""How the server is to be reached, by whom, and what it may use: checked before a socket is opened."""

import ipaddress
import resource
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rad_engineer.errors import ConfigInvalid, Refused, UsageError
from rad_engineer.server import tokens
from rad_engineer.settings import Settings, state_home

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
_LAST_PORT = 65535
_MOST_CONNECTIONS = 10_000
_RESERVED = 96  # descriptors for files, threads, and connections that are being refused
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything the server goes by; `token` is empty where none is asked for.

    `deadline` is how long a request may take to arrive, `patience` how long a client may take nothing of its answer.
    """

    host: str
    port: int
    token: bytes
    hosts: frozenset[str]
    requests_per_minute: int
    tls: ssl.SSLContext | None
    connections: int
    per_peer: int
    deadline: float = 10.0
    patience: float = 30.0
    log_level: str = "info"
    log_format: str = "pretty"

    @property
    def scheme(self) -> str:
        """What its addresses begin with."""
        return "http" if self.tls is None else "https"


def configured(wanted: Settings, env: Mapping[str, str]) -> Serving:
    """What the settings mean; raises Refused where others could reach the server and would need no token."""
    host = (wanted.serve_host or "").strip("[]")
    if not host:
        raise UsageError("--host is empty", hint="127.0.0.1 is this machine alone, 0.0.0.0 is everybody")
    if wanted.serve_port > _LAST_PORT:
        raise UsageError(f"there is no port {wanted.serve_port}", hint=f"ports end at {_LAST_PORT}")
    file = Path(wanted.serve_token_file).expanduser() if wanted.serve_token_file else own_token_file(env)
    token = tokens.read(file) if wanted.serve_token_file or file.exists() else b""
    if not token and not is_loopback(host):
        raise Refused(
            f"others can reach {host}, and no token would be asked of them",
            hint="make one with `rad-engineer serve token`, or name a file with --token-file",
        )
    most = connection_limit()
    return Serving(
        host=host,
        port=wanted.serve_port,
        token=token,
        hosts=frozenset(plain_host(name) for name in (*wanted.serve_allowed_hosts, *LOOPBACK_NAMES, host)),
        requests_per_minute=wanted.serve_requests_per_minute,
        tls=_tls(wanted.serve_certificate, wanted.serve_key),
        connections=most,
        per_peer=max(_FEWEST, most // 4),
        log_level=wanted.log_level,
        log_format=wanted.log_format,
    )


def notes(serving: Serving) -> list[str]:
    """What whoever starts it should know."""
    found = ["the server reads run directories; it starts no agents"]
    if not serving.token:
        found.append("no token is asked for: every user of this machine can read what it says")
    elif serving.tls is None and not is_loopback(serving.host):
        found.append(
            "without TLS the token can be read on the way: give --certificate and --key, or use a proxy"
        )
    return found


def own_token_file(env: Mapping[str, str]) -> Path:
    """Where `serve token` keeps the user's token."""
    return state_home(env) / "serve.token"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def plain_host(text: str) -> str:
    """The name in a Host header: without its port, its brackets and its capitals."""
    name = text.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") == 1 else name


def connection_limit() -> int:
    """How many connections may be open at once: fewer than there are descriptors."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST, min(_MOST_CONNECTIONS, soft - _RESERVED))


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("a certificate needs its key", hint="give both --certificate and --key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"{certificate} and {key} cannot be used: {error.strerror or error}",
            hint="both are PEM files, and the key belongs to the first certificate",
        ) from error
    return context
