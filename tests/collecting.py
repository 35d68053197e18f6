"""A collector of spans: OTLP over HTTP, decoded by the official messages; and ones that do not take anything."""

import gzip
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collected:
    """What has come so far."""

    def __init__(self, url):
        self.url = url
        self.spans = []
        self.came = threading.Condition()

    def take(self, body):
        request = ExportTraceServiceRequest.FromString(body)
        with self.came:
            for group in request.resource_spans:
                about = values(group.resource.attributes)
                for scope in group.scope_spans:
                    self.spans += [Seen(span, about) for span in scope.spans]
            self.came.notify_all()

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def wait_for(self, true, seconds=60):
        with self.came:
            assert self.came.wait_for(true, seconds), sorted(span.name for span in self.spans)


class Seen:
    """One span."""

    def __init__(self, span, about):
        self.name = span.name
        self.trace = span.trace_id.hex()
        self.id = span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        self.ok = span.status.code != 2
        self.attributes = values(span.attributes)
        self.about = about

    @property
    def process(self):
        return self.attributes.get("process.pid", self.about["process.pid"])


def values(attributes):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collector():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                collected.take(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_about):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected = Collected(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collected
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent():
    """One that lets everybody in and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def refused():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
