"""A small HTTPS server on 127.0.0.1 with a certificate of its own, and the sum of what it was sent."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.required import needs


@dataclass
class TlsServer:
    """Where it is, whom it trusts itself to be, and what it was asked."""

    port: int
    certificate: Path
    asked: list[str] = field(default_factory=list)


def certificate_for(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate of its own and its key; names are written as `DNS:example.org` or `IP:127.0.0.1`."""
    needs("openssl", shutil.which("openssl"))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    known = ",".join(names)
    given = [
        "-subj",
        "/CN=test",
        "-addext",
        f"subjectAltName={known}",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*make, *given], check=True, capture_output=True)
    return certificate, key


@contextmanager
def serve(folder: Path, *names: str) -> Iterator[TlsServer]:
    """Starts one that is known by these names."""
    certificate, key = certificate_for(folder, *(f"DNS:{name}" for name in names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    found = TlsServer(0, certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(f"{self.headers['host']} {self.path}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_about: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_about: object) -> None:
            """A client that goes is part of what is tested."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
